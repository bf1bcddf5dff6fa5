// J and K: how large the gradient is, and what the run is made of.

import { html, plot, line } from './svg.js';
import { num, known, whole } from './numbers.js';

export const gradientPanel = {
  letter: 'J', title: 'Gradient norm', applies: () => true, controls: () => [],
  draw(svg, view) {
    const { table } = view;
    const values = table.gradient_norm.filter((v) => known(v) && v > 0);
    if (!values.length) return { sentence: 'The gradient was not measured at rest.' };
    const last = Math.max(view.last, 1);
    const p = plot(svg, {
      x: last > 200 ? { kind: 'epochs', low: 0, high: last } : { low: 0, high: last },
      y: { kind: 'log', low: Math.min(...values) / 2, high: Math.max(...values) * 2 }, xName: 'epoch', yName: 'gradient norm',
    });
    line(p, table.number, table.gradient_norm, { class: 'now' });
    const seen = table.gradient_norm.filter(known);
    const [first, end] = [values[0], seen[seen.length - 1]];
    const seconds = table.seconds[table.seconds.length - 1];
    const rows = table.rows[table.rows.length - 1];
    const pace = known(seconds) && seconds > 0 && rows ? ` ${whole(rows)} rows were used in ${num(seconds, 3)} s of training.` : '';
    return { sentence: `From ${num(first)} to ${num(end)}${end === 0 ? '' : ', '}${end === 0 ? '' : end < first ? `${num(first / end, 3)} times smaller` : `${num(end / first, 3)} times larger`}.${pace}`, header: ['epoch', 'gradient norm'], rows: table.number.map((k, i) => [whole(k), num(table.gradient_norm[i], 5)]) };
  },
};

export const factsPanel = {
  letter: 'K', title: 'The run', isTable: true, applies: () => true, controls: () => [],
  drawTable(place, view, page) {
    const { scene } = view;
    place.replaceChildren();
    const pair = (name, value) => {
      const row = html(list, 'div');
      html(row, 'dt', {}, name);
      html(row, 'dd', {}, value);
    };
    const list = html(place, 'dl', { class: 'facts' });
    scene.settings.forEach(([name, value]) => pair(name, value));
    if (scene.fingerprint) pair('data', `${scene.name}, SHA-256 ${scene.fingerprint.slice(0, 16)}…`);
    if (scene.engine) pair('engine', `${scene.engine.name}: ${scene.engine.reason}`);
    if (scene.fit && known(scene.fit.r2)) pair('fit', `R² ${num(scene.fit.r2, 4)}, σ ${num(scene.fit.sigma)}${known(scene.fit.aic) ? `, AIC ${num(scene.fit.aic, 6)}` : ''}`);
    pair('versions', Object.entries(scene.versions).map(([k, v]) => `${k} ${v}`).join(', '));
    pair('started', `${scene.started || 'unknown'}${scene.finished ? `, ended ${scene.finished}` : ''}`);
    if ((scene.resumed || []).length) pair('gone on with', `after epoch ${scene.resumed.join(', ')}`);
    if (scene.missing) pair('rows', scene.missing);
    if (scene.commands.length) html(place, 'h3', {}, 'Do it again');
    for (const c of scene.commands) {
      const row = html(place, 'p', { class: 'command' });
      html(row, 'span', {}, c.what);
      html(row, 'code', {}, c.command);
      if (page.canCopy) {
        const button = html(row, 'button', { type: 'button', 'aria-label': `Copy the command: ${c.what}` }, 'copy');
        button.addEventListener('click', () => page.copy(c.command, button));
      }
    }
    return { sentence: `${scene.rows ? `${whole(scene.rows)} rows; ` : ''}everything here was read from the run folder ${scene.id}.` };
  },
};
