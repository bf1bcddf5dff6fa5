// The panels of a module: curvature against the rate, and the size of gradients and updates by layer.

import { el, plot, line, legend } from './svg.js';
import { num, known, short, whole } from './numbers.js';

export const layerPanels = [
  {
    letter: 'C', title: 'The rate beside the limit of the curvature', controls: () => [],
    applies: (scene) => scene.kind === 'module' && (scene.curvature_by_epoch || []).length > 0,
    draw(svg, view) {
      const found = view.scene.curvature_by_epoch;
      const limits = found.map((c) => c.lr_limit);
      const all = [...limits, ...view.table.lr].filter((v) => known(v) && v > 0);
      const last = Math.max(view.last, 1);
      const p = plot(svg, { x: { low: 0, high: last }, y: { kind: 'log', low: Math.min(...all) / 2, high: Math.max(...all) * 2 }, xName: 'epoch', yName: 'rate' });
      line(p, found.map((c) => c.epoch), limits, { class: 'exact' });
      for (const c of found) el(p.inside, 'circle', { cx: p.x(c.epoch), cy: p.y(c.lr_limit), r: 3.5, class: 'exact-dot' });
      line(p, view.table.number, view.table.lr, { class: 'now' });
      legend(p, [['now', 'rate in use'], ['exact', '2 / λmax']]);
      const c = found[found.length - 1];
      const say = c.lr > c.lr_limit ? 'the rate is above it: plain gradient descent would not stay here' : `the rate is ${num(c.lr_limit / c.lr, 2)} times below it`;
      return { sentence: `At epoch ${whole(c.epoch)} the steepest curvature is ${num(c.value)}, and 2 / λmax is ${num(c.lr_limit)}; ${say}.`, header: ['epoch', 'λmax', '2 / λmax', 'rate'], rows: found.map((d) => [whole(d.epoch), num(d.value), num(d.lr_limit), num(d.lr)]) };
    },
  },
  {
    letter: 'D', title: 'Gradients by layer', controls: () => [],
    applies: (scene) => scene.kind === 'module' && (scene.layers || []).length > 0,
    draw: (svg, view) => byLayer(svg, view, 'gradient', 'gradient norm'),
  },
  {
    letter: 'E', title: 'Updates by layer, in parts of the weights', controls: () => [],
    applies: (scene) => scene.kind === 'module' && (scene.layers || []).length > 0,
    draw: (svg, view) => byLayer(svg, view, 'update', '‖Δw‖ / ‖w‖'),
  },
];

function byLayer(svg, view, what, name) {
  const rows = view.scene.layers;
  const names = Object.keys(rows[rows.length - 1].layers);
  const value = (row, layer) => (row.layers[layer] ? row.layers[layer][what] : null);
  const all = rows.flatMap((r) => names.map((n) => value(r, n))).filter((v) => known(v) && v > 0);
  if (!all.length) return { sentence: 'Nothing was measured yet.' };
  const p = plot(svg, { x: { low: 0, high: Math.max(rows[rows.length - 1].number, 1) }, y: { kind: 'log', low: Math.min(...all) / 2, high: Math.max(...all) * 2 }, xName: 'epoch', yName: name });
  names.slice(0, 12).forEach((layer, i) => {
    const ys = rows.map((r) => value(r, layer));
    line(p, rows.map((r) => r.number), ys, { class: `layer l${i % 6}` });
  });
  legend(p, names.slice(0, 6).map((layer, i) => [`layer l${i % 6}`, short(layer, 18)]));
  const last = rows[rows.length - 1];
  const sizes = names.map((n) => [value(last, n), n]).filter(([v]) => known(v) && v > 0).sort((a, b) => b[0] - a[0]);
  const say = sizes.length > 1 ? `Largest in ${sizes[0][1]} (${num(sizes[0][0], 2)}), smallest in ${sizes[sizes.length - 1][1]} (${num(sizes[sizes.length - 1][0], 2)}).` : '';
  const judge = what === 'update' && sizes.length ? (sizes[0][0] > 0.1 ? ' A layer that changes by more than a tenth in an epoch is moving fast.' : '') : '';
  return { sentence: `${say}${judge}` || (sizes.length ? 'One layer.' : 'Nothing finite was measured.'), header: ['epoch', ...names], rows: rows.map((r) => [whole(r.number), ...names.map((n) => num(value(r, n), 3))]) };
}
