// D: one bar for each direction of the loss: how steep it is, how long it takes, and how it is doing.

import { el, plot, legend } from './svg.js';
import { enlarged } from './scales.js';
import { num, known, whole, about, epochs, short } from './numbers.js';
import { epochsTo, shrinks } from './closed.js';

const BARS = 8;
const CRAWLING = 1e5; // epochs to 1 %

export const spectrumPanel = {
  letter: 'D',
  title: (scene) => (scene.systems[0].near ? 'Curvature at the optimum' : 'Curvature: one bar for each direction'),
  applies: (scene) => scene.systems.length > 0,
  controls: () => [],

  draw(svg, view) {
    const found = directionStates(view);
    const values = view.system.values;
    const limit = view.descends ? (2 * (1 + view.step.momentum)) / ((view.step.nesterov ? 1 + 2 * view.step.momentum : 1) * view.step.lr) : null;
    const bars = values.length <= BARS;
    const low = 10 ** Math.floor(Math.log10(Math.min(...values)) - 0.3);
    const high = 10 ** Math.ceil(Math.log10(Math.max(...values, limit && limit < 1e4 * Math.max(...values) ? limit : 0)) + 0.05);
    const p = plot(svg, {
      x: { kind: 'log', low, high: high > low ? high : low * 10 }, y: { low: 0, high: values.length, ticks: [] },
      xName: 'curvature', left: bars ? 62 : 20, right: bars ? 190 : 12,
    });
    if (bars) drawBars(p, found, view);
    else drawDots(p, found);
    if (limit && limit >= low && limit <= high) {
      el(p.svg, 'line', { x1: p.x(limit), x2: p.x(limit), y1: p.box.top, y2: p.box.bottom, class: 'limit' });
      el(p.svg, 'text', { x: p.x(limit), y: p.box.top + 9, 'text-anchor': limit > Math.sqrt(low * high) ? 'end' : 'start', dx: limit > Math.sqrt(low * high) ? -4 : 4, class: 'limit-text' }, 'stable up to here');
    }
    return { sentence: say(view, found), header: ['direction', 'curvature', 'epochs to 1 %', 'state', 'mostly'], rows: () => found.map((d, i) => [nameOf(i, found.length), num(d.curvature, 5), needs(d), d.state, mixOf(view, i)]) };
  },
};

const nameOf = (i, n) => (i === 0 && n > 1 ? 'steepest' : i === n - 1 ? (n > 1 ? 'flattest' : 'only one') : `${i + 1}`);

/** Each direction with its state in a word: done, moving, crawling, frozen or diverging. */
export function directionStates(view) {
  const { system, path, step } = view;
  const start = path ? path.from : system.components(system.toTraining(view.from));
  const now = view.changed ? path.components(view.k) : view.now ? system.components(system.toTraining(view.now)) : start;
  const frozenAt = path ? path.frozenAt : null;
  return system.values.map((curvature, i) => {
    const epochs1 = view.descends || system.near ? epochsTo(0.01, curvature, step) : Infinity;
    const left = start[i] ? Math.abs(now[i] / start[i]) : 0;
    const diverging = known(step.lr) && !(shrinks(curvature, step) > 0);
    let state = epochs1 > CRAWLING ? 'crawling' : 'moving';
    if (left <= 0.01) state = 'done';
    else if (frozenAt !== null && path.rounded && Math.abs(atFreeze(path, i) / (start[i] || 1)) > 0.01) state = 'frozen';
    if (diverging) state = 'diverging';
    return { curvature, state, frozenAt, epochs: epochs1, left };
  });
}

/** How long a direction needs, in words. */
const needs = (d) => (d.state === 'diverging' ? 'never' : d.state === 'frozen' ? `frozen at ${whole(d.frozenAt)}` : about(d.epochs));

const atFreeze = (path, i) => path.system.components(path.rounded.at(path.frozenAt))[i];

/** The columns that make up a direction most. */
function mixOf(view, i) {
  const v = view.system.vectors[i];
  const names = view.system.intercept ? [...view.terms.slice(1), view.terms[0]] : view.terms;
  const order = v.map((x, j) => [Math.abs(x), j]).sort((a, b) => b[0] - a[0]).filter(([x], place) => place === 0 || x > 0.3).slice(0, 2);
  return order.map(([, j]) => short(names[j], 14)).join(', ');
}

function drawBars(p, found, view) {
  const room = (p.box.bottom - p.box.top) / found.length;
  const tall = Math.min(24, 0.62 * room);
  found.forEach((d, i) => {
    const y = p.box.top + room * (i + 0.5);
    const end = p.x(d.curvature);
    el(p.svg, 'rect', { x: p.box.left, y: y - tall / 2, width: Math.max(2, end - p.box.left), height: tall, class: `bar ${d.state}` });
    if (d.state === 'crawling' || d.state === 'frozen') {
      for (let x = p.box.left + 4; x < end - 2; x += 7) el(p.svg, 'line', { x1: x, x2: x + 4, y1: y + tall / 2 - 1, y2: y - tall / 2 + 1, class: 'hatch' });
    }
    el(p.svg, 'text', { x: p.box.left - 6, y: y + 4, 'text-anchor': 'end' }, nameOf(i, found.length));
    if (!view.descends && !view.system.near) return;
    const words = d.state === 'diverging' ? 'grows' : d.state === 'frozen' ? `frozen from ${whole(d.frozenAt)} on` : `${epochs(d.epochs)} to 1 %`;
    const high = 13 * enlarged();
    const two = room > 2.2 * high;
    const g = el(p.svg, 'text', { x: p.box.right + 8, y: two ? y - 2 : y + 4 });
    el(g, 'tspan', { class: `word ${d.state}` }, d.state.toUpperCase());
    if (two) el(p.svg, 'text', { x: p.box.right + 8, y: y - 2 + high }, words);
    else el(g, 'tspan', { dx: 6 }, words);
  });
}

const STATES = ['done', 'moving', 'crawling', 'frozen', 'diverging'];

/** Many directions: one path for all dots of a state, as hundreds of elements take longer than a frame. */
function drawDots(p, found) {
  const tall = p.box.bottom - p.box.top;
  const places = new Map();
  found.forEach((d, i) => {
    const y = p.box.top + (tall * (i + 0.5)) / found.length;
    places.set(d.state, `${places.get(d.state) || ''}M${p.x(d.curvature).toFixed(1)} ${y.toFixed(1)}h0`);
  });
  const present = STATES.filter((state) => places.has(state));
  for (const state of present) el(p.svg, 'path', { d: places.get(state), class: `dots ${state}`, 'stroke-width': found.length > 150 ? 4 : 6.4 });
  legend(p, present.map((s) => [`dot bar ${s}`, `${s}: ${found.filter((d) => d.state === s).length}`]));
}

function say(view, found) {
  const [low, high] = [found[found.length - 1].curvature, found[0].curvature];
  const base = `Curvature ${num(low, 3)} to ${num(high, 4)}, condition number ${num(high / low, 3)}`;
  if (!view.descends && !view.system.near) return `${base}: plain gradient descent is stable up to the rate ${num(2 / high, 4)}.`;
  const lead = `${base}: the largest stable rate is ${num(view.limit, 4)}`;
  const slow = found[found.length - 1];
  if (view.system.near) return `Near the optimum: curvature ${num(low, 3)} to ${num(high, 4)}, condition number ${num(high / low, 3)}. Farther away the loss has another shape.`;
  const tail = found.some((d) => d.state === 'diverging') ? `; rate ${num(view.step.lr, 4)} is beyond it` : slow.state === 'done' ? '; every direction has arrived' : slow.state === 'frozen' ? `; rounding stops the flattest at epoch ${whole(slow.frozenAt)}` : `; the flattest needs ${about(slow.epochs)} epochs to lose 99 % of its error`;
  const stretch = found.every((d) => d.left <= 0.01) ? '; every direction has arrived' : tail;
  return `${lead}${stretch}.`;
}
