// F to I: the four pictures of residuals, of the exact answer, brushed together.

import { el, plot, line, range } from './svg.js';
import { num, known, listed, whole } from './numbers.js';

const has = (name) => (scene) => Boolean(scene.residuals && scene.residuals[name]);

/** Points of one picture: rows that lack a number are left out, the most extreme are named. */
function cloud(p, page, view, xs, ys, extreme) {
  const { places } = view.scene.sample;
  xs.forEach((v, i) => {
    if (known(v) && known(ys[i])) page.point(p, i, p.x(v), p.y(ys[i]), xs.length > 200 ? 2.2 : 3.5);
  });
  const taken = [];
  for (const i of extreme) {
    if (!known(xs[i]) || !known(ys[i]) || view.state.row === i) continue;
    const right = p.x(xs[i]) < p.box.right - 60;
    const x = p.x(xs[i]) + (right ? 7 : -7);
    const beside = [-5, 12, -17, 24].map((dy) => Math.max(p.box.top + 9, p.y(ys[i]) + dy));
    const y = beside.find((at) => !taken.some(([a, b]) => Math.abs(a - x) < 56 && Math.abs(b - at) < 11)) ?? beside[0];
    taken.push([x, y]);
    el(p.svg, 'text', { x, y, 'text-anchor': right ? 'start' : 'end', class: 'row-name' }, places[i]);
  }
}

const named = (view, rows) => listed(rows.map((i) => view.scene.sample.places[i]));

const table = (view, header, columns) => ({
  header: ['row', ...header],
  rows: view.scene.sample.places.map((place, i) => [place, ...columns.map((c) => num(c[i], 5))]),
});

export const residualPanels = [
  {
    letter: 'F', title: 'Residuals against fitted', applies: has('residual'), controls: () => [],
    draw(svg, view, page) {
      const r = view.scene.residuals;
      const [x, y] = [range(r.fitted), range(r.residual, 0.12)];
      const p = plot(svg, { x: { low: x[0], high: x[1] }, y: { low: y[0], high: y[1] }, xName: 'fitted (exact answer)', yName: 'residual' });
      line(p, x, [0, 0], { class: 'exact' });
      if (r.smooth) line(p, r.smooth.x, r.smooth.y, { class: 'smooth' });
      cloud(p, page, view, r.fitted, r.residual, r.extreme.residual);
      const bend = r.smooth ? Math.max(...r.smooth.y) - Math.min(...r.smooth.y) : 0;
      const spread = Math.max(...r.residual.filter(known).map(Math.abs)) || 1;
      if (r.rounding) return { sentence: 'The exact answer goes through every row: what is left is rounding.', header: [], rows: [] };
      const shape = r.fitted.length < 10 ? 'too few rows to see a bend' : r.penalized ? 'the penalty tilts the smooth line' : bend > 0.5 * spread ? 'the smooth line bends: something is missing from the formula' : 'the smooth line stays near zero';
      return { sentence: `Farthest from their prediction: ${named(view, r.extreme.residual)}; ${shape}.`, ...table(view, ['fitted', 'residual'], [r.fitted, r.residual]) };
    },
  },
  {
    letter: 'G', title: 'Normal quantiles', applies: has('quantile'), controls: () => [],
    draw(svg, view, page) {
      const r = view.scene.residuals;
      const [x, y] = [range(r.quantile), range(r.standardized, 0.12)];
      const p = plot(svg, { x: { low: x[0], high: x[1] }, y: { low: y[0], high: y[1] }, xName: 'normal quantile', yName: 'standardized residual' });
      line(p, x, x, { class: 'exact' });
      cloud(p, page, view, r.quantile, r.standardized, r.extreme.standardized);
      const far = r.standardized.filter((v) => known(v) && Math.abs(v) > 3).length;
      const say = far ? `${whole(far)} of the rows shown ${far === 1 ? 'is' : 'are'} beyond 3 standard deviations` : 'none of the rows shown is beyond 3 standard deviations';
      return { sentence: `On the dashed line residuals would be normal; ${say}.`, ...table(view, ['quantile', 'standardized'], [r.quantile, r.standardized]) };
    },
  },
  {
    letter: 'H', title: 'Scale and location', applies: has('standardized'), controls: () => [],
    draw(svg, view, page) {
      const r = view.scene.residuals;
      const root = r.standardized.map((v) => (known(v) ? Math.sqrt(Math.abs(v)) : null));
      const [x, y] = [range(r.fitted), range([0, ...root], 0.1)];
      const p = plot(svg, { x: { low: x[0], high: x[1] }, y: { low: 0, high: y[1] }, xName: 'fitted (exact answer)', yName: '√|standardized residual|' });
      if (r.spread) line(p, r.spread.x, r.spread.y, { class: 'smooth' });
      cloud(p, page, view, r.fitted, root, r.extreme.standardized);
      const ends = r.spread ? [r.spread.y[0], r.spread.y[r.spread.y.length - 1]] : null;
      if (!ends) return { sentence: 'There are too few rows for a smooth line.', ...table(view, ['fitted', '√|standardized|'], [r.fitted, root]) };
      const say = Math.max(...ends) > 1.6 * Math.min(...ends) ? `the spread ${ends[1] > ends[0] ? 'grows' : 'falls'} along the fitted values: robust standard errors (--robust hc3) are safer` : 'the spread is about even';
      return { sentence: `By the smooth line ${say}.`, ...table(view, ['fitted', '√|standardized|'], [r.fitted, root]) };
    },
  },
  {
    letter: 'I', title: 'Leverage', applies: has('leverage'), controls: () => [],
    draw(svg, view, page) {
      const r = view.scene.residuals;
      const ys = r.standardized || r.residual;
      const most = Math.max(...r.leverage.filter(known));
      const [y0, y1] = range(ys, 0.15);
      const p = plot(svg, { x: { low: 0, high: 1.1 * most }, y: { low: y0, high: y1 }, xName: 'leverage', yName: r.standardized ? 'standardized residual' : 'residual' });
      const q = view.scene.rank || view.scene.coef.length;
      if (r.standardized) cookCurves(p, q, most);
      cloud(p, page, view, r.leverage, ys, r.extreme.cook || []);
      const top = (r.extreme.cook || [])[0];
      if (top === undefined) return { sentence: 'Standardized residuals are not defined here.', header: [] };
      const size = r.cook[top];
      const say = size > 1 ? 'the fit hangs on it' : size > 0.5 ? 'look at it' : 'no row decides the fit';
      return { sentence: `Largest Cook's distance: ${view.scene.sample.places[top]} with ${num(size, 3)}; ${say}.`, ...table(view, ['leverage', 'standardized', "Cook's distance"], [r.leverage, ys, r.cook]) };
    },
  },
];

/** Where Cook's distance is 0.5 and 1. */
function cookCurves(p, q, most) {
  for (const level of [0.5, 1]) {
    for (const sign of [1, -1]) {
      const hs = Array.from({ length: 60 }, (_, i) => (1.1 * most * (i + 1)) / 60).filter((h) => h < 1);
      line(p, hs, hs.map((h) => sign * Math.sqrt((level * q * (1 - h)) / h)), { class: 'cook' });
    }
  }
}
