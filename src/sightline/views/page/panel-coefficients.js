// E: the table of coefficients: now, exact, standard error, how far off.

import { el, html } from './svg.js';
import { num, known, signed, short } from './numbers.js';

const SHOWN = 200;

export const coefficientsPanel = {
  letter: 'E',
  title: 'Coefficients',
  applies: (scene) => scene.coef.length > 0,
  isTable: true,
  controls: () => [],

  drawTable(place, view, page) {
    const { scene } = view;
    const needle = (page.find || '').toLowerCase();
    let order = scene.coef.map((_, i) => i);
    if (scene.coef.length > 12) {
      const search = place.querySelector('input') || searchField(place, page);
      search.value = page.find || '';
      if (page.byT) order.sort((a, b) => Math.abs(scene.coef[b].t ?? 0) - Math.abs(scene.coef[a].t ?? 0));
      order = order.filter((i) => scene.coef[i].term.toLowerCase().includes(needle));
    }
    let table = place.querySelector('table');
    if (table) table.remove();
    table = html(place, 'table', { class: 'coefficients' });
    const head = html(html(table, 'thead'), 'tr');
    const names = ['term', view.changed ? 'what if' : 'now', ...(view.hidden ? [] : ['exact', 'std. error', 'off by', 'now in the interval'])];
    names.forEach((name, i) => html(head, 'th', { scope: 'col', class: i ? 'number' : '' }, name));
    const body = html(table, 'tbody');
    order.slice(0, SHOWN).forEach((i) => row(body, view, i));
    const rest = order.length - SHOWN;
    const note = rest > 0 ? ` ${SHOWN} of ${order.length} are listed: search for the others.` : '';
    return { sentence: say(view) + note };
  },
};

function searchField(place, page) {
  const bar = html(place, 'p', { class: 'tools' });
  const label = html(bar, 'label', {}, 'find ');
  const input = html(label, 'input', { type: 'search', size: 14 });
  input.addEventListener('input', () => { page.find = input.value; page.draw(); });
  const box = html(html(bar, 'label', {}, ''), 'input', { type: 'checkbox' });
  box.addEventListener('change', () => { page.byT = box.checked; page.draw(); });
  box.parentElement.append(' largest |t| first');
  return input;
}

function row(body, view, i) {
  const c = view.scene.coef[i];
  const tr = html(body, 'tr');
  html(tr, 'th', { scope: 'row', title: c.term }, short(c.term, 30));
  html(tr, 'td', { class: 'number now-text' }, view.now ? num(view.now[i], 6) : '');
  if (view.hidden) return;
  html(tr, 'td', { class: 'number exact-text' }, known(c.exact) ? num(c.exact, 6) : 'none');
  html(tr, 'td', { class: 'number' }, known(c.std_error) ? num(c.std_error, 4) : 'none');
  const off = view.offBy(i);
  html(tr, 'td', { class: 'number' }, known(off) ? `${signed(off)} se` : '');
  whisker(html(tr, 'td', { class: 'whisker' }), view, i, off);
}

/** The interval as a bar, the exact answer as a cross, where training is as a dot. */
function whisker(cell, view, i, off) {
  const c = view.scene.coef[i];
  if (!known(c.low) || !known(c.high) || !c.std_error) return;
  const reach = Math.max((c.high - c.exact) / c.std_error, 1) * 1.25;
  const svg = el(cell, 'svg', { viewBox: '0 0 150 16', width: 150, height: 16, 'aria-hidden': 'true' });
  const x = (v) => 75 + (Math.max(-reach, Math.min(reach, v)) / reach) * 68;
  const [low, high] = [(c.low - c.exact) / c.std_error, (c.high - c.exact) / c.std_error];
  el(svg, 'line', { x1: x(low), x2: x(high), y1: 8, y2: 8, class: 'interval' });
  for (const end of [low, high]) el(svg, 'line', { x1: x(end), x2: x(end), y1: 4, y2: 12, class: 'interval' });
  const zero = -c.exact / c.std_error;
  if (Math.abs(zero) < reach) el(svg, 'line', { x1: x(zero), x2: x(zero), y1: 1, y2: 15, class: 'zero' });
  el(svg, 'path', { d: `M71 8h8M75 4v8`, class: 'exact cross' });
  if (known(off)) el(svg, Math.abs(off) > reach ? 'path' : 'circle', Math.abs(off) > reach ? { d: off > 0 ? 'M142 3l7 5l-7 5z' : 'M8 3l-7 5l7 5z', class: 'now-dot' } : { cx: x(off), cy: 8, r: 4, class: view.changed ? 'asked-dot' : 'now-dot' });
}

function say(view) {
  const { scene } = view;
  if (view.hidden) return 'The exact answer is hidden: guess first, then press h.';
  if (!view.now && scene.coef.some((c) => known(c.exact))) return 'Solved without training: the exact answer, and what it is uncertain by.';
  const offs = scene.coef.map((_, i) => [view.offBy(i), i]).filter(([v]) => known(v));
  if (!offs.length) return known(scene.coef[0]?.exact) ? 'Standard errors are not known here.' : 'No finite exact answer is known.';
  const [worst, at] = offs.reduce((a, b) => (Math.abs(b[0]) > Math.abs(a[0]) ? b : a));
  const size = Math.abs(worst);
  const name = scene.coef[at].term;
  if (size < 5e-7) return 'All coefficients are at their exact values.';
  const amount = size < 0.005 ? num(size, 2) : size.toFixed(size < 10 ? 2 : 0);
  const meaning = size < 0.5 ? 'less than the data can tell' : size < 2 ? 'a difference that matters for the table' : 'far outside what the data allow';
  return `${name} is farthest from its exact value, by ${amount} standard errors: ${meaning}.`;
}
