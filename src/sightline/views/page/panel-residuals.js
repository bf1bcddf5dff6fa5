// F to I: the four pictures of residuals, of the exact answer, brushed together.

import { el, plot, line, range } from './svg.js';
import { num, known } from './numbers.js';

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
      const sentence = view.scene.said.residuals;
      return r.rounding ? { sentence, header: [], rows: [] } : { sentence, ...table(view, ['fitted', 'residual'], [r.fitted, r.residual]) };
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
      return { sentence: view.scene.said.qq, ...table(view, ['quantile', 'standardized'], [r.quantile, r.standardized]) };
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
      return { sentence: view.scene.said.scale_location, ...table(view, ['fitted', '√|standardized|'], [r.fitted, root]) };
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
      const sentence = view.scene.said.leverage;
      return !r.cook ? { sentence, header: [] } : { sentence, ...table(view, ['leverage', 'standardized', "Cook's distance"], [r.leverage, ys, r.cook]) };
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
