// The list of runs: what each came to, its loss as a small line, and runs beside each other.

import { el, html, plot, line, legend, range } from './svg.js';
import { num, known, whole, short } from './numbers.js';
import { lossAt } from './view.js';

const MOST_BESIDE = 20;

export class RunList {
  constructor(place, page) {
    this.place = place;
    this.page = page;
    this.tables = new Map();
  }

  async show(found, state) {
    const { place, page } = this;
    place.replaceChildren();
    html(place, 'h2', { class: 'large' }, found.runs.length === 1 ? '1 run' : `${found.runs.length} runs`);
    html(place, 'p', { class: 'reading' }, found.runs.length ? `In ${found.folder}. Choose one to see it, or mark some to lay them over each other.` : `No runs in ${found.folder} yet: train one, and it appears here.`);
    const chosen = (state.with || '').split(',').filter(Boolean);
    const wrap = html(place, 'div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': 'runs' });
    const table = html(wrap, 'table', { class: 'runs' });
    const head = html(html(table, 'thead'), 'tr');
    for (const name of ['beside', 'run', 'state', 'formula or module', 'loss', 'epochs', 'started', 'loss by epoch']) html(head, 'th', { scope: 'col' }, name);
    const body = html(table, 'tbody');
    for (const run of found.runs) this.#row(body, run, chosen);
    if (chosen.length) await this.#beside(html(place, 'section', { class: 'beside' }), found.runs.filter((r) => chosen.includes(r.run)));
  }

  #row(body, run, chosen) {
    const { page } = this;
    const tr = html(body, 'tr');
    const box = html(html(tr, 'td'), 'input', { type: 'checkbox', 'aria-label': `lay ${run.run} over others` });
    box.checked = chosen.includes(run.run);
    box.disabled = !box.checked && chosen.length >= MOST_BESIDE;
    box.addEventListener('change', () => {
      const next = box.checked ? [...chosen, run.run] : chosen.filter((id) => id !== run.run);
      page.set({ with: next.join(',') || undefined });
    });
    html(html(tr, 'th', { scope: 'row' }), 'a', { href: `#run=${encodeURIComponent(run.run)}` }, run.run);
    html(tr, 'td', {}, run.status === 'done' && run.verdict ? run.verdict.replace('_', ' ').toLowerCase() : run.status);
    html(tr, 'td', { title: run.formula || '' }, short(run.formula || 'module', 46));
    html(tr, 'td', { class: 'number' }, known(run.loss) ? num(run.loss, 6) : '');
    html(tr, 'td', { class: 'number' }, known(run.epochs) ? whole(run.epochs) : '');
    html(tr, 'td', {}, (run.started || '').slice(0, 16).replace('T', ' '));
    spark(html(tr, 'td'), run.spark || []);
  }

  async #beside(place, runs) {
    html(place, 'h3', {}, 'Beside each other');
    const stage = html(place, 'div', { class: 'stage tall' });
    const svg = el(stage, 'svg', { id: 'beside', role: 'img', 'aria-label': 'The loss of the marked runs by epoch' });
    const tables = await Promise.all(runs.map((r) => this.page.source.records(r.run)));
    const curves = tables.map((t) => t.number.map((_, i) => lossAt(t, i)));
    const all = curves.flat().filter((v) => known(v) && Math.abs(v) < 1e12);
    const positive = all.length && Math.min(...all) > 0;
    const last = Math.max(1, ...tables.map((t) => t.number[t.number.length - 1] ?? 0));
    const [low, high] = positive ? [Math.min(...all) / 1.5, Math.max(...all) * 1.5] : range(all);
    const p = plot(svg, { x: { kind: 'epochs', low: 0, high: last }, y: { kind: positive ? 'log' : 'linear', low, high }, xName: 'epoch', yName: 'loss', left: 60 });
    curves.forEach((ys, i) => line(p, tables[i].number, ys, { class: `layer l${i % 6}` }));
    legend(p, runs.map((r, i) => [`layer l${i % 6}`, r.run]));
    const names = [...new Set(runs.flatMap((r) => (r.settings || []).map(([n]) => n)))];
    const of = (r, n) => ((r.settings || []).find(([m]) => m === n) || ['', ''])[1];
    const differ = names.filter((n) => new Set(runs.map((r) => of(r, n))).size > 1);
    const best = runs.filter((r) => known(r.loss)).sort((a, b) => a.loss - b.loss)[0];
    html(place, 'p', { class: 'reading' }, `${best ? `The smallest loss, ${num(best.loss, 6)}, is that of ${best.run}. ` : ''}${differ.length ? 'They differ in:' : 'All settings are the same.'}`);
    if (!differ.length) return;
    const table = html(place, 'table', { class: 'differences' });
    const head = html(html(table, 'thead'), 'tr');
    html(head, 'th', { scope: 'col' }, 'setting');
    runs.forEach((r) => html(head, 'th', { scope: 'col' }, r.run));
    const body = html(table, 'tbody');
    for (const n of differ) {
      const tr = html(body, 'tr');
      html(tr, 'th', { scope: 'row' }, n);
      runs.forEach((r) => html(tr, 'td', {}, of(r, n)));
    }
  }
}

function spark(cell, values) {
  const seen = values.filter(known);
  if (seen.length < 2) return;
  const logs = seen.map((v) => Math.log10(Math.max(Math.abs(v), 1e-300)));
  const [low, high] = [Math.min(...logs), Math.max(...logs)];
  const svg = el(cell, 'svg', { viewBox: '0 0 90 20', width: 90, height: 20, 'aria-hidden': 'true' });
  const points = logs.map((v, i) => `${(2 + (86 * i) / (logs.length - 1)).toFixed(1)},${(18 - (16 * (v - low)) / (high - low || 1)).toFixed(1)}`);
  el(svg, 'polyline', { points: points.join(' '), class: 'now', fill: 'none' });
}
