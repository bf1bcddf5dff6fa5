// E: the table of coefficients: now, exact, standard error, how far off.

import { el, html } from './svg.js';
import { num, known, signed, short } from './numbers.js';

const SHOWN = 200;
const AT_ONCE = 40; // rows: more than the box of the table shows
const REST = 120; // ms without a change until the rows out of sight are filled in

export const coefficientsPanel = {
  letter: 'E',
  title: 'Coefficients',
  applies: (scene) => scene.coef.length > 0,
  isTable: true,
  controls: () => [],

  drawTable(place, view, page) {
    const { scene, state } = view;
    const needle = (state.find || '').toLowerCase();
    let order = scene.coef.map((_, i) => i);
    if (scene.coef.length > 12) {
      searchField(place, page);
      if (state.byt) order.sort((a, b) => Math.abs(scene.coef[b].t ?? 0) - Math.abs(scene.coef[a].t ?? 0));
      order = order.filter((i) => scene.coef[i].term.toLowerCase().includes(needle));
    }
    const shown = order.slice(0, SHOWN);
    const key = `${view.changed} ${view.hidden} ${shown}`;
    if (place.scene !== scene || place.key !== key || !place.querySelector('table')) {
      Object.assign(place, { scene, key });
      place.rows = makeTable(place, view, shown);
    }
    fill(place, view);
    const rest = order.length - SHOWN;
    const note = rest > 0 ? ` ${SHOWN} of ${order.length} are listed: search for the others.` : '';
    return { sentence: say(view) + note };
  },
};

function searchField(place, page) {
  let search = place.querySelector('input');
  if (!search) {
    const bar = html(place, 'p', { class: 'tools' });
    search = html(html(bar, 'label', {}, 'find '), 'input', { type: 'search', size: 14 });
    search.addEventListener('input', () => page.set({ find: search.value || undefined }));
    const box = html(html(bar, 'label', {}, ''), 'input', { type: 'checkbox' });
    box.addEventListener('change', () => page.set({ byt: box.checked ? 1 : undefined }));
    box.parentElement.append(' largest |t| first');
  }
  if (document.activeElement !== search) search.value = page.state.find || '';
  place.querySelector('input[type=checkbox]').checked = page.state.byt === 1;
}

/** The table for these coefficients; what changes with the epoch is filled in by `update`. */
function makeTable(place, view, shown) {
  place.querySelector('table')?.remove();
  place.onscroll = () => { place.first = Math.floor((place.rows.length * place.scrollTop) / place.scrollHeight) - 8; };
  const table = html(place, 'table', { class: 'coefficients' });
  const head = html(html(table, 'thead'), 'tr');
  const names = ['term', view.changed ? 'what if' : 'now', ...(view.hidden ? [] : ['exact', 'std. error', 'off by', 'now in the interval'])];
  names.forEach((name, i) => html(head, 'th', { scope: 'col', class: i ? 'number' : '' }, name));
  const body = html(table, 'tbody');
  return shown.map((i) => row(body, view, i));
}

function row(body, view, i) {
  const c = view.scene.coef[i];
  const tr = html(body, 'tr');
  html(tr, 'th', { scope: 'row', title: c.term }, short(c.term, 30));
  const made = { i, now: html(tr, 'td', { class: 'number now-text' }) };
  if (view.hidden) return made;
  html(tr, 'td', { class: 'number exact-text' }, known(c.exact) ? num(c.exact, 6) : 'none');
  html(tr, 'td', { class: 'number' }, known(c.std_error) ? num(c.std_error, 4) : 'none');
  made.off = html(tr, 'td', { class: 'number' });
  return Object.assign(made, whisker(html(tr, 'td', { class: 'whisker' }), view, i));
}

/** The interval as a bar, the exact answer as a cross, a dot for where training is. */
function whisker(cell, view, i) {
  const c = view.scene.coef[i];
  if (!known(c.low) || !known(c.high) || !c.std_error) return {};
  const reach = Math.max((c.high - c.exact) / c.std_error, 1) * 1.25;
  const svg = el(cell, 'svg', { viewBox: '0 0 150 16', width: 150, height: 16, 'aria-hidden': 'true' });
  const x = (v) => 75 + (Math.max(-reach, Math.min(reach, v)) / reach) * 68;
  const [low, high] = [(c.low - c.exact) / c.std_error, (c.high - c.exact) / c.std_error].map(x);
  el(svg, 'path', { d: `M${low} 8H${high}M${low} 4v8M${high} 4v8`, class: 'interval' });
  const zero = -c.exact / c.std_error;
  if (Math.abs(zero) < reach) el(svg, 'line', { x1: x(zero), x2: x(zero), y1: 1, y2: 15, class: 'zero' });
  el(svg, 'path', { d: 'M71 8h8M75 4v8', class: 'exact cross' });
  return { x, reach, dot: el(svg, 'path', { class: view.changed ? 'asked-dot' : 'now-dot' }) };
}

/** The rows that can be seen at once, the others when nothing moved for a moment: a table that changes is slow to lay out. */
function fill(place, view) {
  const { rows } = place;
  const all = rows.length <= AT_ONCE || view.state.big;
  const first = all ? 0 : Math.max(0, Math.min(place.first || 0, rows.length - AT_ONCE));
  rows.slice(first, all ? rows.length : first + AT_ONCE).forEach((one) => update(one, view));
  clearTimeout(place.later);
  if (!all) place.later = setTimeout(() => rows.forEach((one) => update(one, view)), REST);
}

/** What a row says of this moment; what is as it was is not touched, as the browser then lays out nothing again. */
function update(one, view) {
  const write = (cell, text) => { if (cell.textContent !== text) cell.textContent = text; };
  write(one.now, view.now ? num(view.now[one.i], 6) : '');
  if (!one.off) return;
  const off = view.offBy(one.i);
  write(one.off, known(off) ? `${signed(off)} se` : '');
  if (!one.dot) return;
  const beyond = off > 0 ? 'M142 3l7 5l-7 5z' : 'M8 3l-7 5l7 5z';
  const d = !known(off) ? '' : Math.abs(off) > one.reach ? beyond : `M${(one.x(off) - 4).toFixed(1)} 8a4 4 0 1 0 8 0a4 4 0 1 0-8 0z`;
  if (one.d !== d) one.dot.setAttribute('d', d);
  one.d = d;
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
