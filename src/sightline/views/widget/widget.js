// A run as it grows, in a notebook: what Python sees in the run folder comes in as `scene` and `table`, and is drawn.

import { num, known, whole } from './numbers.js';
import { scale, label } from './scales.js';

const NS = 'http://www.w3.org/2000/svg';
const SIGNS = { good: '✓', bad: '✕', slow: '!', going: '…' };
const KINDS = { CONVERGED: 'good', DIVERGED: 'bad', NOT_CONVERGED: 'slow', STOPPED_EARLY: 'slow' };
const GONE = {
  killed: 'the process that wrote the run is gone', failed: 'training ended with an error',
  interrupted: 'the run was interrupted', lost: 'the run cannot be read any longer',
};
const MANY = 200; // epochs from which on their axis is logarithmic, 0 having a place of its own
const TINY = 1e-12; // of the start: where the picture of the excess ends

/** A new element; text is only ever text. */
function add(parent, tag, attributes = {}, text = null) {
  const svg = ['svg', 'g', 'line', 'path', 'circle', 'rect', 'text'].includes(tag);
  const node = svg ? document.createElementNS(NS, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== null) node.textContent = text;
  parent.append(node);
  return node;
}

/** What the picture of the loss is of: the loss above the exact one where that is its floor, else the loss. */
function subject(scene, table) {
  const { exact, floor, attained } = scene.loss || {};
  const plain = { values: table.loss, valid: table.valid, name: 'loss', above: false };
  if (!known(exact) || !floor || attained === false) return plain;
  const less = (v) => (known(v) ? Math.max(0, v - exact) : null); // below it is rounding, drawn on the floor
  const values = table.loss.map(less);
  if (!values.some((v) => v > 0)) return plain;
  return { values, valid: table.valid.map(less), name: `loss above ${num(exact, 5)}`, above: true };
}

function axisOf(of, exact) {
  const all = [...of.values, ...of.valid].filter(known);
  const first = of.values.find((v) => known(v) && (v > 0 || !of.above));
  if (of.above) return { kind: 'log', low: Math.max(Math.min(...all.filter((v) => v > 0)) / 2, first * TINY), high: Math.min(Math.max(...all) * 2, first * 1e6) };
  const near = all.filter((v) => Math.abs(v) <= 1e6 * Math.max(Math.abs(first), 1e-300));
  const [low, high] = [Math.min(...near), Math.max(...near)];
  if (low > 0 && high > 20 * low && !known(exact)) return { kind: 'log', low: low / 1.5, high: high * 1.5 };
  const [a, b] = known(exact) && Math.abs(exact) <= 10 * Math.abs(high) ? [Math.min(low, exact), Math.max(high, exact)] : [low, high];
  const room = (b - a) * 0.08 || Math.abs(b) * 0.1 || 1;
  return { kind: 'linear', low: a - room, high: b + room };
}

function drawLoss(place, scene, table, width) {
  place.replaceChildren();
  const of = subject(scene, table);
  const exact = of.above || (scene.loss || {}).attained === false ? null : (scene.loss || {}).exact;
  const last = table.number[table.number.length - 1];
  const [height, left, right, top, bottom] = [230, 62, width - 14, 10, 194];
  const svg = add(place, 'svg', { viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': reading(scene, table) });
  if (!of.values.some(known)) {
    add(svg, 'text', { x: width / 2, y: height / 2, 'text-anchor': 'middle', class: 'name' }, 'no loss was measured yet');
    return;
  }
  const axis = axisOf(of, exact);
  const y = scale(axis.kind, axis.low, axis.high, bottom, top);
  const x = scale(last > MANY ? 'epochs' : 'linear', 0, Math.max(last, 1), left, right);
  let beyond = -Infinity;
  for (const [v, text] of x.ticks.filter(([value]) => last > MANY || Number.isInteger(value))) {
    const at = x(v);
    add(svg, 'line', { x1: at, x2: at, y1: top, y2: bottom, class: 'grid' });
    if (at - 3.6 * text.length < beyond + 5) continue;
    add(svg, 'text', { x: at, y: bottom + 15, 'text-anchor': 'middle' }, text);
    beyond = at + 3.6 * text.length;
  }
  for (const [v, text] of y.ticks) {
    if (y(v) < top - 1 || y(v) > bottom + 1) continue;
    add(svg, 'line', { x1: left, x2: right, y1: y(v), y2: y(v), class: 'grid' });
    add(svg, 'text', { x: left - 7, y: y(v) + 4, 'text-anchor': 'end' }, text);
  }
  add(svg, 'text', { x: (left + right) / 2, y: height - 4, 'text-anchor': 'middle', class: 'name' }, 'epoch');
  add(svg, 'text', { x: 12, y: (top + bottom) / 2, 'text-anchor': 'middle', class: 'name', transform: `rotate(-90 12 ${(top + bottom) / 2})` }, of.name);
  if (known(exact) && exact >= axis.low && exact <= axis.high) {
    add(svg, 'line', { x1: left, x2: right, y1: y(exact), y2: y(exact), class: 'exact' });
    add(svg, 'text', { x: right - 4, y: y(exact) - 5, 'text-anchor': 'end', class: 'exact-text' }, `exact ${num(exact, 6)}`);
  }
  const held = (v) => Math.max(top - 1, Math.min(bottom + 1, y(v)));
  trace(svg, table.number, of.valid, x, held, 'valid');
  trace(svg, table.number, of.values, x, held, 'now');
  const at = of.values.map((v, i) => [v, table.number[i]]).filter(([v]) => known(v));
  if (at.length <= 40) for (const [v, k] of at) add(svg, 'circle', { cx: x(k), cy: held(v), r: 2.5, class: 'dot' });
  const [v, k] = at[at.length - 1];
  if (scene.status === 'running') add(svg, 'circle', { cx: x(k), cy: held(v), r: 5, class: 'pulse' });
  add(svg, 'circle', { cx: x(k), cy: held(v), r: 4.5, class: 'dot' });
  if (!of.valid.some(known)) return;
  const marks = [of.values, of.valid].flatMap((vs) => vs.map((u, i) => [x(table.number[i]), held(u), known(u)])).filter((m) => m[2]);
  const corners = [[right - 118, top], [right - 118, bottom - 36], [left + 4, bottom - 36], [left + 4, top]];
  const crowd = corners.map(([a, b]) => marks.filter(([c, e]) => c > a - 6 && c < a + 124 && e > b - 6 && e < b + 42).length);
  legend(svg, ...corners[crowd.indexOf(Math.min(...crowd))]);
}

function trace(svg, numbers, values, x, y, name) {
  let [d, pen] = ['', false];
  values.forEach((v, i) => {
    if (!known(v)) { pen = false; return; }
    d += `${pen ? 'L' : 'M'}${x(numbers[i]).toFixed(1)} ${y(v).toFixed(1)}`;
    pen = true;
  });
  if (d) add(svg, 'path', { d, class: name });
}

function legend(svg, left, top) {
  [['now', 'training rows'], ['valid', 'held out']].forEach(([name, text], i) => {
    add(svg, 'path', { d: `M${left} ${top + 10 + 16 * i}h24`, class: name });
    add(svg, 'text', { x: left + 30, y: top + 14 + 16 * i }, text);
  });
}

/** The same in one sentence. */
function reading(scene, table) {
  const i = table.loss.findLastIndex(known);
  if (i < 0) return 'No loss was measured yet.';
  const [loss, epoch, { exact, floor, attained }] = [table.loss[i], table.number[i], scene.loss || {}];
  const at = epoch === 0 ? 'before any update' : `at epoch ${whole(epoch)}`;
  if (known(exact) && floor && attained !== false) return `${num(Math.max(0, loss - exact), 3)} above the exact loss ${num(exact, 6)} ${at}.`;
  const best = Math.min(...table.loss.filter(known));
  return `Loss ${num(loss, 6)} ${at}${known(exact) && attained !== false ? `; the exact answer has ${num(exact, 6)}` : best < loss ? `, the smallest was ${num(best, 6)}` : ''}.`;
}

/** What the run says of itself, or what can be said of it while it goes on. */
function verdictOf(scene, table) {
  const warnings = (scene.verdict || scene).warnings || [];
  const last = table.number[table.number.length - 1];
  if (scene.verdict && scene.status !== 'running') {
    return { kind: KINDS[scene.verdict.name] || 'slow', word: scene.verdict.name.replace('_', ' '), sentence: scene.verdict.sentence, warnings };
  }
  if (scene.status === 'running') return { kind: 'going', word: 'RUNNING', sentence: last === undefined ? 'training begins' : `training goes on, epoch ${whole(last)}`, warnings };
  return { kind: 'slow', word: String(scene.status || 'unknown').toUpperCase(), sentence: scene.trouble || GONE[scene.status] || 'there is no result yet', warnings };
}

function drawVerdict(place, scene, table) {
  const { kind, word, sentence, warnings } = verdictOf(scene, table);
  const key = JSON.stringify([kind, word, sentence, warnings]);
  if (place.dataset.key === key) return;
  const open = place.querySelector('details')?.open;
  place.dataset.key = key;
  place.className = `verdict ${kind}`;
  place.replaceChildren();
  const said = add(place, 'div');
  add(said, 'span', { class: 'sign', 'aria-hidden': 'true' }, SIGNS[kind]);
  add(said, 'strong', {}, ` ${word}`);
  said.append(`  ${sentence}${/[.?!]$/.test(sentence) ? '' : '.'}`);
  if (!warnings.length) return;
  const fold = add(place, 'details', open ? { open: '' } : {});
  add(fold, 'summary', {}, `${warnings.length === 1 ? '1 warning' : `${warnings.length} warnings`}, and what fixes ${warnings.length === 1 ? 'it' : 'them'}`);
  for (const w of warnings) {
    const item = add(fold, 'p');
    add(item, 'b', {}, w.code);
    item.append(` ${w.text}.`);
  }
  for (const fix of new Set(warnings.flatMap((w) => w.fix || []))) add(fold, 'code', {}, fix);
}

function drawNumbers(place, scene, table) {
  place.replaceChildren();
  const i = table.loss.findLastIndex(known);
  const [loss, { exact, attained }] = [i < 0 ? null : table.loss[i], scene.loss || {}];
  const last = table.last || {};
  const shown = [['epoch', table.number.length ? whole(table.number[table.number.length - 1]) : 'none'], ['loss', known(loss) ? num(loss, 6) : 'none']];
  if (known(exact) && attained !== false) shown.push(['exact', num(exact, 6), 'exact-text']);
  if (known(exact) && attained !== false && known(loss)) shown.push(['above', num(scene.loss.floor ? Math.max(0, loss - exact) : loss - exact, 3)]);
  const j = table.valid.findLastIndex(known);
  if (j >= 0) shown.push(['held out', num(table.valid[j], 6)]);
  if (known(last.gradient_norm)) shown.push(['gradient', num(last.gradient_norm, 3)]);
  if (known(last.lr)) shown.push(['rate', label(last.lr)]);
  for (const [name, text, kind] of shown) {
    const pair = add(place, 'div');
    add(pair, 'dt', {}, name);
    add(pair, 'dd', kind ? { class: kind } : {}, text);
  }
}

/** The interval of one coefficient, the exact value in it, and where training is. */
function whisker(cell, line, now) {
  const { exact, low, high } = line;
  if (![exact, low, high].every(known) || !(high > low)) return;
  const reach = Math.max(1.15 * Math.max(high - exact, exact - low), known(now) ? Math.min(1.1 * Math.abs(now - exact), 4 * (high - low)) : 0);
  const x = (v) => 50 + 46 * Math.max(-1, Math.min(1, (v - exact) / reach));
  const svg = add(cell, 'svg', { viewBox: '0 0 100 16', width: 100, height: 16, 'aria-hidden': 'true' });
  add(svg, 'line', { x1: x(low), x2: x(high), y1: 8, y2: 8, class: 'reach' });
  add(svg, 'line', { x1: 50, x2: 50, y1: 2, y2: 14, class: 'tick' });
  if (known(now)) add(svg, 'circle', { cx: x(now), cy: 8, r: 4, class: 'dot' });
}

function drawTable(place, scene, table) {
  place.replaceChildren();
  const lines = scene.coef || [];
  if (!lines.length) return;
  const grid = add(place, 'table');
  const head = add(add(grid, 'thead'), 'tr');
  for (const [i, name] of ['term', 'now', 'exact', 'off by', `${Number((100 * (scene.level || 0.95)).toFixed(2))} % interval`].entries()) add(head, 'th', { scope: 'col', class: i ? 'number' : 'term' }, name);
  const body = add(grid, 'tbody');
  for (const line of lines) {
    const row = add(body, 'tr');
    const now = known(line.estimate) ? line.estimate : (table.parameters || {})[line.term];
    const off = known(now) && known(line.exact) && line.std_error > 0 ? (now - line.exact) / line.std_error : null;
    add(row, 'th', { scope: 'row', class: 'term' }, line.term);
    add(row, 'td', { class: 'number now-text' }, known(now) ? num(now, 5) : '–');
    add(row, 'td', { class: 'number exact-text' }, known(line.exact) ? num(line.exact, 5) : '–');
    add(row, 'td', { class: 'number' }, off === null ? '–' : `${off < 0 ? '−' : '+'}${Math.abs(off) < 1e4 ? Math.abs(off).toFixed(2) : num(Math.abs(off), 2)} se`);
    whisker(add(row, 'td', { class: 'number' }), line, now);
  }
  if (scene.more > 0) add(place, 'p', { class: 'reading' }, `and ${whole(scene.more)} more`);
}

/** Whether the page is dark, by the color that its words have here. */
function isDark(el) {
  const parts = (getComputedStyle(el).color.match(/[\d.]+/g) || []).map(Number);
  return parts.length >= 3 && 0.3 * parts[0] + 0.59 * parts[1] + 0.11 * parts[2] > 140;
}

const filled = (table) => ({ number: [], loss: [], valid: [], parameters: {}, last: {}, ...table });

function render({ model, el }) {
  const root = add(el, 'section', { class: 'sightline-live', 'aria-label': 'a run of sightline' });
  const head = add(root, 'header');
  const title = add(head, 'strong');
  const about = add(head, 'span', { class: 'about' });
  const status = add(head, 'span', { class: 'status' });
  const verdict = add(root, 'div');
  const numbers = add(root, 'dl');
  const panels = add(root, 'div', { class: 'panels' });
  const plot = add(panels, 'div', { class: 'plot' });
  const stage = add(plot, 'div', { class: 'stage' });
  const said = add(plot, 'p', { class: 'reading' });
  const coefficients = add(panels, 'div', { class: 'coefficients', tabindex: 0, role: 'region', 'aria-label': 'coefficients' });
  let waiting = 0;

  function draw() {
    waiting = 0;
    const scene = model.get('scene') || {};
    const table = filled(model.get('table') || {});
    root.dataset.theme = isDark(el) ? 'dark' : 'light';
    title.textContent = scene.formula || scene.name || scene.id || '';
    about.textContent = [`run ${scene.id || ''}`, known(scene.rows) ? `${whole(scene.rows)} rows` : '', scene.missing ? 'no exact answer before the end' : ''].filter(Boolean).join(' · ');
    status.textContent = scene.status === 'running' ? '● live' : 'ended';
    status.className = `status ${scene.status === 'running' ? 'live' : ''}`;
    drawVerdict(verdict, scene, table);
    drawNumbers(numbers, scene, table);
    drawTable(coefficients, scene, table);
    coefficients.hidden = !(scene.coef || []).length;
    drawLoss(stage, scene, table, Math.max(300, Math.min(900, stage.clientWidth || 560)));
    said.textContent = reading(scene, table);
  }
  const ask = () => { waiting ||= requestAnimationFrame(draw); };
  model.on('change:scene', ask);
  model.on('change:table', ask);
  const sizes = new ResizeObserver(ask);
  sizes.observe(stage);
  const tone = matchMedia('(prefers-color-scheme: dark)');
  tone.addEventListener('change', ask);
  draw();
  return () => {
    cancelAnimationFrame(waiting);
    sizes.disconnect();
    tone.removeEventListener('change', ask);
    model.off('change:scene', ask);
    model.off('change:table', ask);
  };
}

export default { render };
