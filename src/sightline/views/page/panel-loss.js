// B: the loss, above the exact one where that is known; recorded solid, computed dashed.

import { el, plot, line, legend, range } from './svg.js';
import { num, known, whole, epochs } from './numbers.js';
import { logEpochs } from './closed.js';
import { lossAt } from './view.js';

const TINY = 1e-12; // of the start: where a picture of the excess ends
const MOST_SHARES = 6;

export const lossPanel = {
  letter: 'B',
  title: (scene) => (known(scene.loss.exact) && scene.loss.floor && scene.loss.attained !== false ? 'Loss above the exact loss' : 'Loss'),
  applies: () => true,

  controls(view, page) {
    return view.hasFloor ? [page.toggle('log', view.state.log !== 0, (on) => page.set({ log: on ? undefined : 0 }))] : [];
  },

  draw(svg, view) {
    return view.hasFloor && view.state.log !== 0 && !view.hidden ? drawAbove(svg, view) : drawPlain(svg, view);
  },
};

function recordedAbove(view) {
  return view.table.number.map((_, i) => view.aboveAt(i));
}

function drawAbove(svg, view) {
  const { table, recorded, path, scene } = view;
  const seen = recordedAbove(view);
  const far = view.horizon;
  const ks = logEpochs(far, path && path.system.r > 100 ? 90 : 240);
  const lines = [];
  if (recorded) lines.push(['predicted', view.remembered(`envelope ${far} ${ks.length}`, () => ks.map((k) => recorded.envelope(k)))]);
  if (view.changed && path) lines.push(['asked', ks.map((k) => path.envelope(k))]);
  const values = [...seen, ...lines.flatMap(([, ys]) => ys)].filter((v) => known(v) && v > 0);
  const first = seen.find(known) || Math.max(...values, 1);
  const high = Math.min(Math.max(...values, 1e-300) * 3, first * 1e6);
  const low = Math.max(Math.min(...values, high) / 3, first * TINY);
  const p = plot(svg, { x: { kind: 'epochs', low: 0, high: far }, y: { kind: 'log', low, high }, xName: 'epoch', yName: `loss above ${num(scene.loss.exact, 5)}` });
  if (path && path.system.r <= MOST_SHARES && path.system.r > 1) drawShares(p, view, ks);
  for (const [name, ys] of lines) line(p, ks, ys, { class: name });
  line(p, table.number, seen, { class: 'now' });
  if (table.number.length <= 40) table.number.forEach((k, i) => dot(p, k, seen[i], 2.4));
  drawValidation(p, view, scene.loss.exact);
  if (known(view.above)) dot(p, view.k, view.above, 5, view.changed ? 'asked-dot' : 'now-dot');
  const entries = [['now', 'recorded']];
  if (recorded) entries.push(['predicted', 'computed']);
  if (view.changed) entries.push(['asked', 'what if']);
  if (path && path.system.r <= MOST_SHARES && path.system.r > 1) entries.push(['share', 'each direction']);
  legend(p, entries);
  return { sentence: sayAbove(view), ...tableOf(view) };
}

function sayAbove(view) {
  if (!known(view.above)) return 'No loss was measured yet.';
  const at = view.k < 1 ? 'before any update' : `at epoch ${whole(view.k)}`;
  const base = view.scene.loss.baseline;
  const lead = `${num(view.above, 3)} above the exact loss ${num(view.scene.loss.exact, 6)} ${at}`;
  const part = view.scene.intercept && view.scene.loss.name === 'mse' && known(base) && base > view.scene.loss.exact * (1 + 1e-9)
    ? `, ${num((100 * view.above) / (base - view.scene.loss.exact), 2)} % of what there is to gain over always predicting the mean` : '';
  return `${lead}${part}. ${parting(view)}`;
}

/** Where the recorded line and the computed one part, and why. */
function parting(view) {
  const { recorded, scene, table } = view;
  if (view.changed) return '';
  if (!recorded) {
    const step = scene.step || {};
    if (scene.loss.name !== 'mse') return 'The loss is no quadratic: only what was recorded is drawn.';
    if (!scene.systems.length) return '';
    return `No closed form for ${step.name || 'this optimizer'}${step.closed === false ? ' as it was used' : ''}: only what was recorded is drawn.`;
  }
  const worst = view.remembered(`parting ${table.number.length}`, () => table.number.reduce((most, k, i) => {
    const seen = view.aboveAt(i);
    return known(seen) && seen > Math.max(1e-9 * scene.loss.exact, 1e-12 * (view.aboveAt(0) || 0)) ? Math.max(most, Math.abs(seen - recorded.excess(k)) / seen) : most;
  }, 0));
  if (recorded.frozenAt !== null) return `In float32 the steps are swallowed by rounding from epoch ${whole(recorded.frozenAt)} on.`;
  if (worst < 1e-3) return 'Recorded and computed agree.';
  if (scene.dtype === 'float32') return 'Recorded and computed part where float32 rounds the steps.';
  return 'Recorded and computed part: batches, a schedule or a changed rate are not in the closed form.';
}

function drawShares(p, view, ks) {
  const { path } = view;
  path.system.values.forEach((_, i) => {
    const ys = ks.map((k) => path.shares(k)[i]);
    if (!(ys[0] > 0)) return;
    line(p, ks, ys, { class: 'share' });
    const goal = 1e-2 * ys[0];
    const at = ks.find((k, j) => j && ys[j] <= goal);
    if (at) el(p.inside, 'line', { x1: p.x(at), x2: p.x(at), y1: p.box.bottom - 7, y2: p.box.bottom, class: 'milestone' });
  });
}

function drawValidation(p, view, floor) {
  const held = view.table.valid_loss.map((v) => (known(v) && v > floor ? v - floor : null));
  if (held.some(known)) line(p, view.table.number, held, { class: 'valid' });
}

function dot(p, k, v, r, name = 'now-dot') {
  const [x, y] = [p.x(k), p.y(v)];
  if (Number.isFinite(x) && Number.isFinite(y)) el(p.inside, 'circle', { cx: x, cy: Math.max(p.box.top, Math.min(p.box.bottom, y)), r, class: name });
}

function drawPlain(svg, view) {
  const { table, scene, state } = view;
  const losses = table.number.map((_, i) => lossAt(table, i));
  const finite = losses.filter(known);
  const first = finite[0] ?? 1;
  const shown = finite.filter((v) => Math.abs(v) <= 1e6 * Math.max(Math.abs(first), 1e-300));
  const logarithmic = !view.hasFloor && shown.length && Math.min(...shown) > 0 && Math.max(...shown) > 20 * Math.min(...shown);
  const floor = view.hasFloor && !view.hidden ? scene.loss.exact : null;
  const asked = view.changed && view.path ? logEpochs(Math.max(view.last, 20), 120) : [];
  const ys = asked.map((k) => scene.loss.exact + view.path.envelope(k));
  const all = [...shown, ...table.valid_loss.filter(known), ...(known(floor) ? [floor] : []), ...ys.filter((v) => v < 10 * Math.abs(first))];
  let [low, high] = range(all, 0.08);
  if (logarithmic) [low, high] = [Math.min(...shown) / 1.5, Math.max(...shown) * 1.5];
  const last = Math.max(view.last, 1);
  const p = plot(svg, {
    x: last > 200 ? { kind: 'epochs', low: 0, high: last } : { low: 0, high: last },
    y: { kind: logarithmic ? 'log' : 'linear', low, high }, xName: 'epoch', yName: 'loss', left: 60,
  });
  if (known(floor)) {
    line(p, [0, last], [floor, floor], { class: 'exact' });
    el(p.inside, 'text', { x: p.box.left + 6, y: p.y(floor) - 4, class: 'on-line exact-text' }, `exact ${num(floor, 6)}`);
  }
  const best = [];
  losses.forEach((v) => best.push(known(v) ? Math.min(v, best.length ? best[best.length - 1] : Infinity) : best[best.length - 1] ?? null));
  if (!view.hasFloor && !scene.coef.length) line(p, table.number, best, { class: 'predicted' });
  if (asked.length) line(p, asked, ys, { class: 'asked' });
  line(p, table.number, losses, { class: 'now' });
  line(p, table.number, table.valid_loss, { class: 'valid' });
  if (losses.length <= 40) table.number.forEach((k, i) => dot(p, k, losses[i], 2.4));
  dot(p, view.k, view.loss, 5, view.changed ? 'asked-dot' : 'now-dot');
  const entries = [['now', 'recorded']];
  if (table.valid_loss.some(known)) entries.push(['valid', 'validation rows']);
  if (!view.hasFloor && !scene.coef.length) entries.push(['predicted', 'best so far']);
  legend(p, entries);
  return { sentence: sayPlain(view, losses), ...tableOf(view) };
}

function sayPlain(view, losses) {
  const { table, scene } = view;
  const finite = losses.map((v, i) => [v, table.number[i]]).filter(([v]) => known(v));
  if (!finite.length) return 'No finite loss was recorded.';
  const bad = table.number.find((_, i) => i > 0 && !known(losses[i]));
  const [lastLoss, lastEpoch] = finite[finite.length - 1];
  if (bad !== undefined && bad > lastEpoch) return `The loss is no number from epoch ${whole(bad)} on; the last one was ${num(lastLoss, 6)} at epoch ${whole(lastEpoch)}.`;
  const now = known(view.loss) ? `Loss ${num(view.loss, 6)} at epoch ${whole(view.k)}` : `Loss ${num(lastLoss, 6)} at epoch ${whole(lastEpoch)}`;
  const [bestLoss, bestEpoch] = finite.reduce((a, b) => (b[0] < a[0] ? b : a));
  if (view.hasFloor) return `${now}${view.hidden ? '' : `; the exact answer has ${num(scene.loss.exact, 6)}`}.`;
  const why = scene.kind === 'module' ? 'a module has no exact floor' : scene.loss.attained === false ? 'the loss falls for ever, it has no floor' : 'no exact floor is drawn, as the objective has a penalty';
  return `${now}, best so far ${num(bestLoss, 6)} at epoch ${whole(bestEpoch)}; ${why}.`;
}

function tableOf(view) {
  const { table } = view;
  const rows = () => table.number.map((k, i) => [whole(k), num(lossAt(table, i), 7), ...(view.hasFloor ? [num(view.aboveAt(i), 4)] : []), num(table.gradient_norm[i], 4), num(table.lr[i], 4)]);
  const header = ['epoch', 'loss', ...(view.hasFloor ? ['above exact'] : []), 'gradient', 'rate'];
  return { header, rows };
}
