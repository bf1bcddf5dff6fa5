// C: where the parameters went, over the ellipses of equal loss.

import { el, plot, line, legend, range, cross, bounded } from './svg.js';
import { num, known, short, whole } from './numbers.js';
import { logEpochs } from './closed.js';

const STRETCH = 20; // longer valleys are drawn stretched unless asked otherwise
const RINGS = 7;

export const pathPanel = {
  letter: 'C',
  title: 'Where the parameters went',
  applies: (scene) => scene.systems.length > 0 && scene.coef.length > 1,

  controls(view, page) {
    const q = view.terms.length;
    const [a, b] = pairOf(view);
    const found = [page.choice('axes', [['stretched', 'stretched'], ['true', 'true shape'], ['eigen', 'eigen axes']], view.state.axes || defaultAxes(view), (axes) => page.set({ axes }))];
    if (q > 2 && (view.state.axes || defaultAxes(view)) !== 'eigen') {
      const names = view.terms.map((t, i) => [i, t]);
      found.push(page.choice('across', names, a, (v) => page.set({ pair: [Number(v), b] })));
      found.push(page.choice('up', names, b, (v) => page.set({ pair: [a, Number(v)] })));
    }
    return found;
  },

  draw(svg, view, page) {
    return (view.state.axes || defaultAxes(view)) === 'eigen' ? drawEigen(svg, view, page) : drawPair(svg, view, page);
  },
};

const defaultAxes = (view) => (view.terms.length > 2 ? 'eigen' : ratioOf(pairForm(view)) < STRETCH ? 'true' : 'stretched');

/** The two coefficients across and up: the slope and the intercept, unless asked for others. */
function pairOf(view) {
  const q = view.terms.length;
  const asked = view.state.pair;
  if (asked && asked.length === 2 && asked.every((i) => i >= 0 && i < q) && asked[0] !== asked[1]) return asked;
  return [1, 0];
}

/** Loss as a function of two coefficients, the others held where they are: its matrix and its lowest point. */
function pairForm(view) {
  const s = view.system;
  const [a, b] = pairOf(view);
  const along = (i) => { // what θ does when this coefficient grows by 1, along each eigenvector
    const j = s.intercept ? i - 1 : i;
    return s.vectors.map((v) => (j < 0 ? v[v.length - 1] : v[j] * s.scale[j] + (s.intercept ? v[v.length - 1] * s.center[j] : 0)));
  };
  const [u, w] = [along(a), along(b)];
  const product = (x, y) => s.values.reduce((sum, l, i) => sum + l * x[i] * y[i], 0);
  const H = [product(u, u), product(u, w), product(w, w)];
  const now = view.now || view.from;
  const c = s.components(s.toTraining(now));
  const [ga, gb] = [product(c, u), product(c, w)];
  const det = H[0] * H[2] - H[1] * H[1];
  const two = view.terms.length === 2 && view.exact;
  const center = two ? [view.exact[a], view.exact[b]] : [now[a] - (H[2] * ga - H[1] * gb) / det, now[b] - (H[0] * gb - H[1] * ga) / det];
  return { H, det, center };
}

/** How many times longer than wide the ellipses are. */
function ratioOf({ H, det }) {
  const half = (H[0] + H[2]) / 2;
  const top = half + Math.hypot((H[0] - H[2]) / 2, H[1]);
  return top / Math.sqrt(Math.max(det, 1e-300));
}

function drawPair(svg, view, page) {
  const [a, b] = pairOf(view);
  const form = pairForm(view);
  const recorded = view.table.parameters.map((row) => (row ? [row[a], row[b]] : null)).filter(Boolean);
  const asked = view.changed ? curve(view).map((row) => [row[a], row[b]]) : [];
  const here = view.now ? [view.now[a], view.now[b]] : null;
  const start = [view.from[a], view.from[b]];
  const reach = 1e3 * (Math.abs(form.center[0] - start[0]) + Math.abs(form.center[1] - start[1]) + 1e-12);
  const near = ([x, y]) => Math.abs(x - form.center[0]) + Math.abs(y - form.center[1]) < reach;
  const seen = [...recorded, ...asked, start, ...(view.hidden ? [] : [form.center])].filter(near);
  let [x0, x1] = range(seen.map((v) => v[0]), 0.16);
  let [y0, y1] = range(seen.map((v) => v[1]), 0.16);
  const isTrue = (view.state.axes || defaultAxes(view)) === 'true';
  if (isTrue) [x0, x1, y0, y1] = square(svg, [x0, x1, y0, y1]);
  if (page.held) [x0, x1, y0, y1] = [...page.held.x, ...page.held.y];
  const p = plot(svg, { x: { low: x0, high: x1 }, y: { low: y0, high: y1 }, xName: short(view.terms[a]), yName: short(view.terms[b]), left: 58 });
  if (!view.hidden) rings(p, form, start, here);
  drawTrace(p, recorded, asked, here, view);
  if (!view.hidden) cross(p, p.x(form.center[0]), p.y(form.center[1]));
  page.handle(p, start, ([x, y]) => {
    const from = [...view.from];
    [from[a], from[b]] = [Number(x.toPrecision(6)), Number(y.toPrecision(6))];
    page.set({ start: from });
  });
  marks(p, view);
  const ratio = ratioOf(form);
  const slice = view.terms.length > 2 ? `, a slice with the other ${view.terms.length - 2 === 1 ? 'coefficient' : 'coefficients'} held where they are` : '';
  if (view.hidden) return { sentence: sayWay(view), ...tableOf(view, [a, b]) };
  const shape = `The valley is ${ratio >= 100 ? whole(Number(ratio.toPrecision(4))) : num(ratio, 3)} times longer than wide${isTrue ? '' : ', drawn stretched to fit'}${slice}.`;
  const local = view.system.near ? ' The ellipses are those of the loss near its optimum.' : '';
  return { sentence: `${sayWay(view)} ${shape}${local}`, ...tableOf(view, [a, b]) };
}

/** Axes on which one unit is as long across as up, as far as they differ in units: by the room of the picture. */
function square(svg, [x0, x1, y0, y1]) {
  const [w, h] = [(Number(svg.dataset.width) || 400) - 68, (Number(svg.dataset.height) || 240) - 42];
  const unit = Math.max((x1 - x0) / w, (y1 - y0) / h);
  const [cx, cy] = [(x0 + x1) / 2, (y0 + y1) / 2];
  return [cx - (unit * w) / 2, cx + (unit * w) / 2, cy - (unit * h) / 2, cy + (unit * h) / 2];
}

function rings(p, { H, det, center }, start, here) {
  const level = ([x, y]) => H[0] * (x - center[0]) ** 2 + 2 * H[1] * (x - center[0]) * (y - center[1]) + H[2] * (y - center[1]) ** 2;
  const top = Math.max(level(start), here ? level(here) : 0, 1e-300);
  const root = [Math.sqrt(H[0]), H[1] / Math.sqrt(H[0])];
  const rest = Math.sqrt(Math.max(det, 0) / H[0]) || 1e-300;
  for (let i = 0; i < RINGS; i += 1) {
    const size = Math.sqrt(top * 10 ** (1 - i / 1.5));
    let d = '';
    for (let t = 0; t <= 180; t += 1) {
      const [u, v] = [size * Math.cos((t * Math.PI) / 90), size * Math.sin((t * Math.PI) / 90)];
      const y = v / rest;
      const x = (u - root[1] * y) / root[0];
      d += `${t ? 'L' : 'M'}${bounded(p.x(center[0] + x)).toFixed(1)} ${bounded(p.y(center[1] + y)).toFixed(1)}`;
    }
    el(p.inside, 'path', { d, class: 'ring' });
  }
}

/** Parameters by epoch in the settings asked for. */
function curve(view, place = (k) => view.path.units(k)) {
  const most = view.path.rounded ? Math.min(view.horizon, view.path.rounded.length * 2) : view.horizon;
  const early = Array.from({ length: 60 }, (_, k) => k);
  const ks = [...new Set([...early, ...logEpochs(Math.max(most, 60), 300)])].sort((x, y) => x - y);
  return ks.filter((k) => k <= Math.max(view.k, 60) || !view.path.diverges).map(place);
}

function drawTrace(p, recorded, asked, here, view) {
  line(p, recorded.map((v) => v[0]), recorded.map((v) => v[1]), { class: view.changed ? 'now faded' : 'now' });
  if (recorded.length <= 60) recorded.forEach(([x, y]) => el(p.inside, 'circle', { cx: p.x(x), cy: p.y(y), r: 2, class: 'now-dot' }));
  if (asked.length) {
    line(p, asked.map((v) => v[0]), asked.map((v) => v[1]), { class: 'asked' });
    asked.slice(0, 40).forEach(([x, y]) => el(p.inside, 'circle', { cx: p.x(x), cy: p.y(y), r: 1.8, class: 'asked-dot' }));
  }
  if (here && here.every(known)) p.marks.push([p.x(here[0]), p.y(here[1])]);
  if (here && here.every(known)) el(p.inside, 'circle', { cx: p.x(here[0]), cy: p.y(here[1]), r: 5, class: view.changed ? 'asked-dot' : 'now-dot' });
}

function marks(p, view) {
  const entries = [[view.changed ? 'asked' : 'now', view.changed ? 'what if' : 'recorded'], ['dot hollow', view.scene.whatif ? 'start' : 'start: drag it']];
  if (!view.hidden) entries.push(['exact', 'exact']);
  legend(p, entries);
}

function drawEigen(svg, view, page) {
  const s = view.system;
  const [steep, flat] = [0, s.r - 1];
  const of = (units) => {
    const theta = s.toTraining(units);
    return [s.component(flat, theta), s.component(steep, theta)];
  };
  const recorded = view.table.parameters.filter(Boolean).map(of);
  const asked = view.changed ? curve(view, (k) => [view.path.along(flat, k), view.path.along(steep, k)]) : [];
  const here = view.now ? of(view.now) : null;
  const start = of(view.from);
  const reach = 1e3 * (Math.abs(start[0]) + Math.abs(start[1]) + 1e-12);
  const seen = [...recorded, ...asked, start, [0, 0]].filter(([x, y]) => Math.abs(x) + Math.abs(y) < reach);
  let [x0, x1] = range(seen.map((v) => v[0]), 0.16);
  let [y0, y1] = range(seen.map((v) => v[1]), 0.16);
  if (page.held) [x0, x1, y0, y1] = [...page.held.x, ...page.held.y];
  const p = plot(svg, { x: { low: x0, high: x1 }, y: { low: y0, high: y1 }, xName: `along the flattest direction`, yName: 'along the steepest', left: 58 });
  const form = { H: [s.values[flat], 0, s.values[steep]], det: s.values[flat] * s.values[steep], center: [0, 0] };
  if (!view.hidden) rings(p, form, start, here);
  drawTrace(p, recorded, asked, here, view);
  if (!view.hidden) cross(p, p.x(0), p.y(0));
  page.handle(p, start, ([x, y]) => {
    const from = s.toTraining(view.from);
    const c = s.components(from);
    const moved = [...c];
    [moved[flat], moved[steep]] = [x, y];
    page.set({ start: s.toUnits(s.at(moved, from, c)).map((v) => Number(v.toPrecision(9))) });
  });
  marks(p, view);
  if (view.hidden) return { sentence: sayWay(view), ...tableOf(view, [0, Math.min(1, view.terms.length - 1)]) };
  const ratio = Math.sqrt(s.values[steep] / s.values[flat]);
  return { sentence: `${sayWay(view)} The flattest direction is ${num(ratio, 4)} times longer than the steepest; the exact answer is at 0.`, ...tableOf(view, [0, Math.min(1, view.terms.length - 1)]) };
}

/** How much of the way is done. */
function sayWay(view) {
  if (view.hidden) return `At epoch ${whole(view.k)}.`;
  if (!view.system || !view.now) return 'No record yet.';
  const s = view.system;
  const [now, from] = [s.toTraining(view.now), s.toTraining(view.from)];
  const left = (i) => Math.abs(s.component(i, now) / s.component(i, from));
  const flat = s.r - 1;
  if (!(Math.abs(s.component(flat, from)) > 0)) return 'The start has no error along the flattest direction.';
  const done = 1 - left(flat);
  const steepest = Math.abs(s.component(0, from)) > 0 ? 1 - left(0) : 1;
  const say = (v) => (v < 0 ? 'going the wrong way' : v > 0.9995 ? 'done' : v < 5e-5 ? `${num(100 * v, 2)} % done` : `${num(100 * v, 3)} % done`);
  return `At epoch ${whole(view.k)} the way along the steepest direction is ${say(steepest)}, along the flattest ${say(done)}.`;
}

function tableOf(view, [a, b]) {
  const rows = view.table.number.map((k, i) => [k, view.table.parameters[i]]).filter(([, row]) => row);
  return { header: ['epoch', view.terms[a], view.terms[b]], rows: () => rows.map(([k, row]) => [whole(k), num(row[a], 7), num(row[b], 7)]) };
}
