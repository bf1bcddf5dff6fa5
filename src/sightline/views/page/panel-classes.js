// The panels of classifiers: curve or map, calibration, ROC, confusion matrix.

import { el, html, plot, line, legend, range } from './svg.js';
import { num, known, percent, short, whole } from './numbers.js';

const GRID = 44;
const scored = (scene) => scene.kind === 'classes' && Boolean(scene.scored);

/** P(class) by a table of coefficients `(K−1)q` for values of the columns: softmax against the first class. */
function probabilities(scene, values, x) {
  const K = scene.classes.length;
  const q = x.length + (scene.terms1 ? 1 : 0);
  const scores = [0];
  for (let k = 1; k < K; k += 1) {
    const block = values.slice((k - 1) * q, k * q);
    scores.push(block.reduce((sum, b, j) => sum + b * (scene.terms1 ? (j ? x[j - 1] : 1) : x[j]), 0));
  }
  const top = Math.max(...scores);
  const powers = scores.map((s) => Math.exp(s - top));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((v) => v / total);
}

const shownClass = (view) => Math.max(0, Math.min(view.state.class ?? 1, view.scene.classes.length - 1));

function classChoice(view, page) {
  const { classes } = view.scene;
  return classes.length > 2 ? [page.choice('class', classes.map((c, i) => [i, c]), shownClass(view), (v) => page.set({ class: Number(v) }))] : [];
}

export const classPanels = [
  {
    letter: 'A', title: 'Data and probability', applies: (scene) => scene.kind === 'classes', controls: classChoice,
    draw(svg, view, page) {
      const { scene } = view;
      scene.terms1 = scene.coef.length % (scene.classes.length - 1) === 0 && scene.coef.length / (scene.classes.length - 1) === (scene.columns || []).length + 1;
      if (!scene.columns_of_rows) return { sentence: scene.missing ? `Without its rows this panel is empty: ${scene.missing}.` : 'This panel needs the rows of the run.' };
      if (scene.columns.length === 1) return drawSigmoid(svg, view, page);
      if (scene.columns.length === 2) return drawMap(svg, view, page);
      return drawScores(svg, view, page);
    },
  },
  {
    letter: 'F', title: 'Calibration', applies: scored, controls: () => [],
    draw(svg, view) {
      const bins = view.scene.scored.calibration;
      const p = plot(svg, { x: { low: 0, high: 1 }, y: { low: 0, high: 1 }, xName: 'stated probability', yName: 'share observed' });
      line(p, [0, 1], [0, 1], { class: 'exact' });
      for (const b of bins) {
        el(p.inside, 'line', { x1: p.x(b.predicted), x2: p.x(b.predicted), y1: p.y(b.low), y2: p.y(b.high), class: 'interval' });
        el(p.inside, 'circle', { cx: p.x(b.predicted), cy: p.y(b.observed), r: 4, class: 'now-dot' });
      }
      line(p, bins.map((b) => b.predicted), bins.map((b) => b.observed), { class: 'now' });
      return { sentence: view.scene.said.calibration, header: ['stated', 'observed', 'from', 'to', 'rows'], rows: bins.map((b) => [num(b.predicted, 3), num(b.observed, 3), num(b.low, 3), num(b.high, 3), whole(b.rows)]) };
    },
  },
  {
    letter: 'G', title: 'ROC curve', applies: scored, controls: (view, page) => [...(view.scene.scored.roc.length > 1 ? classChoice(view, page) : []), page.slider('threshold', view.state.cut ?? 0.5, (v) => page.set({ cut: v === 0.5 ? undefined : v }))],
    draw(svg, view) {
      const curves = view.scene.scored.roc;
      const k = curves.length > 1 ? shownClass(view) : 0;
      const p = plot(svg, { x: { low: 0, high: 1 }, y: { low: 0, high: 1 }, xName: 'false positives', yName: 'true positives' });
      line(p, [0, 1], [0, 1], { class: 'exact' });
      curves.forEach((c, i) => { if (i !== k) line(p, c.x, c.y, { class: 'now faded' }); });
      const c = curves[k];
      line(p, c.x, c.y, { class: 'now' });
      const cut = view.state.cut ?? 0.5;
      const at = Math.max(0, c.threshold.findLastIndex((t) => t === null || t >= cut));
      el(p.inside, 'circle', { cx: p.x(c.x[at]), cy: p.y(c.y[at]), r: 5, class: 'now-dot' });
      const name = view.scene.classes[curves.length > 1 ? k : 1];
      return { sentence: `The area is ${num(c.area, 4)}: the chance that a row of ${name} scores above another. At threshold ${num(cut, 3)}: ${percent(c.y[at])} of ${name} found, ${percent(c.x[at])} of the others taken for it.`, header: ['threshold', 'false positives', 'true positives'], rows: c.x.map((x, i) => [c.threshold[i] === null ? '∞' : num(c.threshold[i], 3), num(x, 3), num(c.y[i], 3)]) };
    },
  },
  {
    letter: 'H', title: 'Confusion matrix', applies: scored, isTable: true, controls: () => [],
    drawTable(place, view) {
      const { scored: s, classes } = view.scene;
      place.replaceChildren();
      const table = html(place, 'table', { class: 'confusion' });
      const head = html(html(table, 'thead'), 'tr');
      html(head, 'th', { scope: 'col' }, 'observed ↓ predicted →');
      classes.forEach((c) => html(head, 'th', { scope: 'col', class: 'number' }, short(c, 14)));
      const body = html(table, 'tbody');
      const counts = classes.length === 2 ? atThreshold(s, view.state.cut ?? 0.5) : s.confusion;
      const most = Math.max(...counts.flat());
      counts.forEach((row, i) => {
        const tr = html(body, 'tr');
        html(tr, 'th', { scope: 'row' }, short(classes[i], 14));
        row.forEach((n, j) => {
          const td = html(tr, 'td', { class: `number ${i === j ? 'right' : n ? 'wrong' : ''}` }, whole(n));
          td.style.setProperty('--share', String(Math.sqrt(n / most)));
        });
      });
      const right = counts.reduce((sum, r, i) => sum + r[i], 0) / counts.flat().reduce((a, b) => a + b, 0);
      return { sentence: `${classes.length === 2 ? `At threshold ${num(view.state.cut ?? 0.5, 3)} right` : 'Right'} for ${percent(right)} of rows; always guessing the largest class would be right for ${percent(s.guessing)}.` };
    },
  },
];

/** The matrix of two classes at another threshold, from the ROC curve. */
function atThreshold(s, cut) {
  if (cut === 0.5) return s.confusion;
  const [no, yes] = s.confusion.map((r) => r[0] + r[1]);
  const c = s.roc[0];
  const at = Math.max(0, c.threshold.findLastIndex((t) => t === null || t >= cut));
  const [hits, alarms] = [Math.round(c.y[at] * yes), Math.round(c.x[at] * no)];
  return [[no - alarms, alarms], [yes - hits, hits]];
}

function drawSigmoid(svg, view, page) {
  const { scene, now, exact } = view;
  const x = scene.columns_of_rows[0];
  const k = shownClass(view);
  const [x0, x1] = range(x, 0.1);
  const p = plot(svg, { x: { low: x0, high: x1 }, y: { low: -0.12, high: 1.12, ticks: [[0, '0'], [0.5, '½'], [1, '1']] }, xName: scene.columns[0], yName: `P(${short(scene.classes[k], 14)})` });
  x.forEach((v, i) => {
    const jitter = 0.07 * (((i * 0.618034) % 1) - 0.5);
    page.point(p, i, p.x(v), p.y((scene.sample.y[i] === k ? 1.06 : -0.06) + jitter), 2.6);
  });
  for (const s of scene.shares || []) {
    if (scene.classes.length === 2) el(p.inside, 'line', { x1: p.x(s.x), x2: p.x(s.x), y1: p.y(s.low), y2: p.y(s.high), class: 'interval' });
    el(p.inside, 'rect', { x: p.x(s.x) - 3, y: p.y(s.share[k]) - 3, width: 6, height: 6, class: 'share-mark' });
  }
  const at = Array.from({ length: 121 }, (_, i) => x0 + ((x1 - x0) * i) / 120);
  if (exact && !view.hidden) line(p, at, at.map((v) => probabilities(scene, exact, [v])[k]), { class: 'exact' });
  if (now) line(p, at, at.map((v) => probabilities(scene, now, [v])[k]), { class: 'now' });
  legend(p, [['now', 'now'], ...(exact && !view.hidden ? [['exact', 'exact']] : []), ['dot share-mark', 'observed share']]);
  return { sentence: saySeparation(view) || sayCrossing(view), header: [scene.columns[0], 'rows', 'share', 'from', 'to'], rows: (scene.shares || []).map((s) => [num(s.x), whole(s.rows), num(s.share[k], 3), num(s.low, 3), num(s.high, 3)]) };
}

const saySeparation = (view) => (view.scene.separable ? 'A line separates the classes: there is no finite optimum, the steeper the curve the smaller the loss, and only the direction settles.' : '');

function sayCrossing(view) {
  const { scene, now } = view;
  if (!now || scene.classes.length > 2 || now.length !== 2) return rightAtTheEnd(scene);
  const cut = -now[0] / now[1];
  const above = now[1] > 0 ? scene.classes[1] : scene.classes[0];
  return known(cut) ? `Both classes are equally likely at ${scene.columns[0]} = ${num(cut)}; above it the model says ${above}.` : 'The curve is flat: the column does not tell the classes apart.';
}

const rightAtTheEnd = (scene) => (scene.scored ? `The ${scene.scored.of} model is right for ${percent(scene.scored.accuracy)} of rows.` : 'How often it is right is not known.');

function drawMap(svg, view) {
  const { scene, now, exact } = view;
  const [x, y] = scene.columns_of_rows;
  const [x0, x1] = range(x);
  const [y0, y1] = range(y);
  const p = plot(svg, { x: { low: x0, high: x1 }, y: { low: y0, high: y1 }, xName: scene.columns[0], yName: scene.columns[1] });
  const k = shownClass(view);
  const values = now || (view.hidden ? null : exact);
  if (values) {
    const [w, h] = [(x1 - x0) / GRID, (y1 - y0) / GRID];
    for (let i = 0; i < GRID; i += 1) {
      for (let j = 0; j < GRID; j += 1) {
        const chance = probabilities(scene, values, [x0 + (i + 0.5) * w, y0 + (j + 0.5) * h])[k];
        const far = Math.abs(chance - 0.5);
        if (far < 0.02) continue;
        el(p.inside, 'rect', { x: p.x(x0 + i * w), y: p.y(y0 + (j + 1) * h), width: p.x(w + x0) - p.x(x0), height: p.y(y0) - p.y(y0 + h), class: chance > 0.5 ? 'heat yes' : 'heat no', 'fill-opacity': (0.75 * far).toFixed(3) });
      }
    }
  }
  if (scene.classes.length === 2) {
    for (const [b, name] of [[now, 'now'], [view.hidden ? null : exact, 'exact']]) {
      if (!b || b.length !== 3) continue;
      const at = (v) => -(b[0] + b[1] * v) / b[2];
      line(p, [x0, x1], [at(x0), at(x1)], { class: name });
    }
  }
  x.forEach((v, i) => mark(p, p.x(v), p.y(y[i]), scene.sample.y[i] === k));
  legend(p, [['dot class-yes', short(scene.classes[k], 16)], ['dot class-no', scene.classes.length === 2 ? short(scene.classes[1 - k], 16) : 'the others'], ...(scene.classes.length === 2 ? [['now', 'boundary now'], ...(exact && !view.hidden ? [['exact', 'exact']] : [])] : [])]);
  const right = scene.scored ? rightAtTheEnd(scene) : '';
  if (scene.loss.name === 'hinge') return { sentence: 'Darker is farther from the border; the hinge loss gives scores, not probabilities.', header: [scene.columns[0], scene.columns[1], 'class'], rows: x.map((v, i) => [num(v), num(y[i]), scene.classes[scene.sample.y[i]]]) };
  return { sentence: saySeparation(view) || `Darker is surer; the border is where ${scene.classes[k]} has an even chance. ${right}`, header: [scene.columns[0], scene.columns[1], 'class'], rows: x.map((v, i) => [num(v), num(y[i]), scene.classes[scene.sample.y[i]]]) };
}

function mark(p, x, y, yes) {
  if (yes) el(p.inside, 'circle', { cx: x, cy: y, r: 3.2, class: 'class-yes' });
  else el(p.inside, 'rect', { x: x - 2.6, y: y - 2.6, width: 5.2, height: 5.2, class: 'class-no' });
}

function drawScores(svg, view) {
  const bins = view.scene.scored ? view.scene.scored.calibration : [];
  const p = plot(svg, { x: { low: 0, high: 1 }, y: { low: 0, high: Math.max(1, ...bins.map((b) => b.rows)) * 1.1 }, xName: 'stated probability', yName: 'rows' });
  for (const b of bins) {
    const at = p.x(b.predicted);
    const width = (p.box.right - p.box.left) / 12;
    el(p.inside, 'rect', { x: at - width / 2, y: p.y(b.rows), width, height: p.y(0) - p.y(b.rows), class: 'cell', 'fill-opacity': 0.25 });
    el(p.inside, 'rect', { x: at - width / 2, y: p.y(b.rows * b.observed), width, height: p.y(0) - p.y(b.rows * b.observed), class: 'cell', 'fill-opacity': 0.8 });
  }
  const say = view.scene.scored ? `Right for ${percent(view.scene.scored.accuracy)} of rows (always guessing: ${percent(view.scene.scored.guessing)}); dark is the part that came true.` : 'No probabilities are known yet.';
  return { sentence: saySeparation(view) || say, header: ['stated', 'rows', 'came true'], rows: bins.map((b) => [num(b.predicted, 3), whole(b.rows), num(b.observed, 3)]) };
}
