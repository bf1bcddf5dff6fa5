// A: the data and the line of the epoch, or one column beside what the others explain.

import { el, plot, line, legend, range } from './svg.js';
import { num, known, short, signed } from './numbers.js';

export const dataPanel = {
  letter: 'A',
  title: 'Data and line',
  applies: (scene) => scene.kind === 'line',

  controls(view, page) {
    const { scene } = view;
    if (!scene.added) {
      return scene.points ? [page.toggle('squares', view.state.sq === 1, (on) => page.set({ sq: on ? 1 : undefined }))] : [];
    }
    const options = scene.added.map((a, j) => [j, a.name]).concat([[-1, 'observed against predicted']]);
    return [page.choice('column', options, view.state.col ?? 0, (col) => page.set({ col: Number(col) }))];
  },

  draw(svg, view, page) {
    const { scene } = view;
    if (scene.points) return drawLine(svg, view, page);
    if (scene.added && scene.added.length && (view.state.col ?? 0) >= 0) return drawAdded(svg, view, page);
    if (scene.residuals) return drawPredicted(svg, view, page);
    return { sentence: scene.missing ? `Without its rows this panel is empty: ${scene.missing}.` : `There is no picture of the rows for the ${scene.loss.name || ''} loss.` };
  },
};

function equation(view, values) {
  const { terms } = view;
  const at = terms.length - 1;
  let line = `${num(values[at])} × ${short(terms[at], 16)}`;
  if (terms.length > 1) line = `${line} ${values[0] < 0 ? '−' : '+'} ${num(Math.abs(values[0]))}`;
  return view.scene.link === 'log' ? `exp(${line})` : line;
}

function drawLine(svg, view, page) {
  const { scene, now, exact } = view;
  const { x, name, counts } = scene.points;
  const { y } = scene.sample;
  const [x0, x1] = scene.band ? [scene.band.x[0], scene.band.x[scene.band.x.length - 1]] : range(x, 1 / 7);
  const score = (values, v) => values[values.length - 1] * v + (values.length > 1 ? values[0] : 0);
  const at = (values, v) => (scene.link === 'log' ? Math.exp(score(values, v)) : score(values, v));
  const [dataLow, dataHigh] = range(y, 0);
  const spread = dataHigh - dataLow || 1;
  const ends = [];
  for (const values of [now, view.hidden ? null : exact, view.startUnits]) {
    for (const v of values ? [at(values, x0), at(values, x1)] : []) {
      if (v > dataLow - 1.2 * spread && v < dataHigh + 1.2 * spread) ends.push(v);
    }
  }
  const [low, high] = range([...y, ...ends], 0.12);
  const p = plot(svg, { x: { low: x0, high: x1 }, y: { low, high }, xName: name, yName: scene.target });
  if (scene.band && exact && !view.hidden) drawBand(p, scene.band, (v) => at(exact, v));
  if (counts) drawCounts(p, counts);
  const along = scene.link === 'log' ? Array.from({ length: 81 }, (_, i) => x0 + ((x1 - x0) * i) / 80) : [x0, x1];
  if (exact && !view.hidden) line(p, along, along.map((v) => at(exact, v)), { class: 'exact' });
  if (now) {
    const few = x.length <= 60;
    if (few) x.forEach((v, i) => drawResidual(p, v, y[i], at(now, v), view.state.sq === 1));
    line(p, along, along.map((v) => at(now, v)), { class: view.changed ? 'asked' : 'now' });
  }
  const radius = x.length > 200 ? 2.2 : 4;
  x.forEach((v, i) => page.point(p, i, p.x(v), p.y(y[i]), radius));
  const entries = [[view.changed ? 'asked' : 'now', view.changed ? 'what if' : 'now']];
  if (exact && !view.hidden) entries.push(['exact', 'exact']);
  if (scene.band && !view.hidden) entries.push(['area band', `${100 * scene.band.level} % of new rows`]);
  legend(p, entries);
  const lead = now ? `${view.changed ? 'With these settings' : 'Now'}: ${scene.target} = ${equation(view, now)}` : 'No record yet';
  const beside = exact && !view.hidden ? `; exact: ${equation(view, exact)}` : '';
  const seen = counts ? ` ${scene.sample.of.toLocaleString('en-US')} rows, ${x.length} of them drawn over how many there are.` : '';
  const rows = x.map((v, i) => [scene.sample.places[i], num(v, 6), num(y[i], 6), now ? num(y[i] - at(now, v)) : '']);
  return { sentence: `${lead}${beside}.${seen}`, header: ['row', name, scene.target, 'residual now'], rows };
}

function drawResidual(p, x, y, fit, squares) {
  const [a, top, bottom] = [p.x(x), p.y(y), p.y(fit)];
  if (squares) {
    const side = Math.abs(top - bottom);
    el(p.inside, 'rect', { x: a, y: Math.min(top, bottom), width: side, height: side, class: 'square' });
  } else {
    el(p.inside, 'line', { x1: a, x2: a, y1: top, y2: Math.max(-1e4, Math.min(1e4, bottom)), class: 'stem' });
  }
}

function drawBand(p, band, center) {
  const up = band.x.map((v, i) => `${p.x(v).toFixed(1)},${p.y(center(v) + band.half[i]).toFixed(1)}`);
  const down = band.x.map((v, i) => `${p.x(v).toFixed(1)},${p.y(center(v) - band.half[i]).toFixed(1)}`).reverse();
  el(p.inside, 'polygon', { points: [...up, ...down].join(' '), class: 'band' });
}

function drawCounts(p, counts) {
  const most = Math.max(...counts.counts);
  const [w, h] = [(counts.x[1] - counts.x[0]) / counts.columns, (counts.y[1] - counts.y[0]) / counts.lines];
  counts.counts.forEach((n, i) => {
    if (!n) return;
    const [a, b] = [counts.x[0] + (i % counts.columns) * w, counts.y[0] + Math.floor(i / counts.columns) * h];
    const at = { x: p.x(a), y: p.y(b + h), width: p.x(a + w) - p.x(a) + 0.5, height: p.y(b) - p.y(b + h) + 0.5 };
    el(p.inside, 'rect', { ...at, class: 'cell', 'fill-opacity': (0.08 + 0.72 * Math.sqrt(n / most)).toFixed(3) });
  });
}

function drawAdded(svg, view, page) {
  const { scene, now, exact, terms } = view;
  const j = Math.min(view.state.col ?? 0, scene.added.length - 1);
  const one = scene.added[j];
  const place = terms.indexOf(one.name);
  const [x0, x1] = range(one.x);
  const [low, high] = range(one.y, 0.12);
  const p = plot(svg, { x: { low: x0, high: x1 }, y: { low, high }, xName: `${short(one.name)}, less what the others explain`, yName: `${short(scene.target, 14)}, likewise` });
  one.x.forEach((v, i) => el(p.inside, 'circle', { cx: p.x(v), cy: p.y(one.y[i]), r: 3, class: 'point' }));
  const known1 = exact && place >= 0 && !view.hidden;
  if (known1) line(p, [x0, x1], [exact[place] * x0, exact[place] * x1], { class: 'exact' });
  if (now && place >= 0) line(p, [x0, x1], [now[place] * x0, now[place] * x1], { class: view.changed ? 'asked' : 'now' });
  legend(p, [[view.changed ? 'asked' : 'now', 'slope now'], ...(known1 ? [['exact', 'exact slope']] : [])]);
  const off = place >= 0 ? view.offBy(place) : null;
  if (one.alone === false) return { sentence: `${one.name} is a combination of the other columns: nothing of it is left to draw.`, header: ['row', one.name, scene.target], rows: [] };
  const beside = known1 ? `; exactly ${num(exact[place])}${known(off) ? `, now ${signed(off)} standard errors off` : ''}` : '';
  const rows = one.x.map((v, i) => [one.places[i], num(v, 5), num(one.y[i], 5)]);
  return {
    sentence: now && place >= 0 ? `The slope of ${one.name} beside all other columns is ${num(now[place])} now${beside}.` : 'No record yet.',
    header: ['row', one.name, scene.target], rows,
  };
}

function drawPredicted(svg, view, page) {
  const { scene } = view;
  const { fitted } = scene.residuals;
  const { y } = scene.sample;
  const [low, high] = range([...fitted, ...y]);
  const p = plot(svg, { x: { low, high }, y: { low, high }, xName: `predicted ${short(scene.target)} (exact answer)`, yName: `observed` });
  line(p, [low, high], [low, high], { class: 'exact' });
  fitted.forEach((v, i) => page.point(p, i, p.x(v), p.y(y[i]), 2.8));
  const rows = fitted.map((v, i) => [scene.sample.places[i], num(v, 5), num(y[i], 5)]);
  const r2 = known(scene.fit.r2) ? ` The exact answer explains ${num(100 * scene.fit.r2, 3)} % of the variance.` : '';
  return { sentence: `Each row by its prediction: on the dashed line it would be right.${r2}`, header: ['row', 'predicted', 'observed'], rows };
}
