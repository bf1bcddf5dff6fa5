// The panels of the page in their order, and what each of them is made of on the page.

import { el, html } from './svg.js';
import { dataPanel } from './panel-data.js';
import { lossPanel } from './panel-loss.js';
import { pathPanel } from './panel-path.js';
import { spectrumPanel } from './panel-spectrum.js';
import { coefficientsPanel } from './panel-coefficients.js';
import { residualPanels } from './panel-residuals.js';
import { classPanels } from './panel-classes.js';
import { layerPanels } from './panel-layers.js';
import { gradientPanel, factsPanel } from './facts.js';

const ALL = [dataPanel, ...classPanels.slice(0, 1), lossPanel, pathPanel, ...layerPanels, spectrumPanel, coefficientsPanel, ...residualPanels, ...classPanels.slice(1), gradientPanel, factsPanel];
const ROWS = ['ABC', 'DE', 'FGHI', 'JK'];
const MOST_TABLE = 500;

/** The panels of a scene as sections of the page. */
export class Panels {
  constructor(place, page) {
    this.place = place;
    this.page = page;
    this.made = [];
  }

  build(scene) {
    this.place.replaceChildren();
    this.arranged = null;
    this.made = ALL.filter((panel) => panel.applies(scene)).map((panel) => ({ panel }));
    for (const letters of ROWS) {
      const row = this.made.filter(({ panel }) => letters.includes(panel.letter));
      for (const one of row) this.#section(one, scene, letters, row.length);
    }
  }

  #section(one, scene, letters, many) {
    const { panel } = one;
    const title = typeof panel.title === 'function' ? panel.title(scene) : panel.title;
    const id = `panel-${panel.letter}`;
    const section = html(this.place, 'section', { id, class: `panel row-${letters} of-${many}`, 'aria-labelledby': `${id}-title`, tabindex: '-1' });
    const head = html(section, 'div', { class: 'head' });
    html(head, 'h2', { id: `${id}-title` }, title);
    one.tools = html(head, 'div', { class: 'tools' });
    one.stage = html(section, 'div', { class: panel.isTable ? 'listing' : 'stage' });
    if (panel.isTable) Object.entries({ tabindex: '0', role: 'group', 'aria-label': `${title}, the table` }).forEach(([k, v]) => one.stage.setAttribute(k, v));
    else one.svg = el(one.stage, 'svg', { id: `draw-${panel.letter}`, role: 'img', 'aria-labelledby': `${id}-title ${id}-said` });
    one.said = html(section, 'p', { class: 'reading', id: `${id}-said` });
    if (!panel.isTable) {
      one.fold = html(section, 'details', { class: 'data' });
      html(one.fold, 'summary', {}, 'data');
      one.fold.addEventListener('toggle', () => this.#fill(one));
    }
    one.section = section;
  }

  /** Draw all that can be seen. */
  draw(view, fresh) {
    const hidden = new Set((view.state.hide || '').split(',').map((s) => s.trim().toUpperCase()));
    const big = view.state.big;
    const presenting = view.state.present === 1;
    for (const one of this.made) {
      const { panel } = one;
      const off = hidden.has(panel.letter) || (view.hidden && view.scene.kind === 'line' && 'FGHI'.includes(panel.letter)) || (big ? big !== panel.letter : presenting && !'AC'.includes(panel.letter) && !(panel.letter === 'B' && !this.made.some((o) => o.panel.letter === 'A')));
      one.section.hidden = off;
      one.section.classList.toggle('big', big === panel.letter);
      one.stage.hidden = false;
    }
    const seen = this.made.filter((one) => !one.section.hidden);
    const arranged = `${fresh} ${big} ${presenting} ${view.hidden} ${[...hidden]}`;
    for (const one of arranged === this.arranged ? [] : seen) { // sizes are read only where they may be others: the browser lays out the page for them
      const { clientWidth, clientHeight } = one.stage;
      one.size = [clientWidth, clientHeight];
      if (one.svg) Object.assign(one.svg.dataset, { width: clientWidth, height: clientHeight });
    }
    this.arranged = arranged;
    for (const one of seen) {
      const isStatic = 'FGHIK'.includes(one.panel.letter);
      const key = `${fresh}|${view.state.row}|${view.state.class}|${view.state.cut}|${big}|${presenting}|${one.size}`;
      if (isStatic && one.key === key) {
        one.stage.hidden = Boolean(one.empty);
        continue;
      }
      one.key = key;
      this.#one(one, view);
    }
  }

  #one(one, view) {
    const { panel } = one;
    one.tools.replaceChildren(...this.#kept(one, panel.controls(view, this.page)));
    let found;
    try {
      found = panel.isTable ? panel.drawTable(one.stage, view, this.page) : panel.draw(one.svg, view, this.page);
    } catch (error) {
      console.error(error);
      found = { sentence: `This panel could not be drawn: ${error.message}.` };
    }
    one.said.textContent = found.sentence || '';
    one.empty = one.svg && !found.header;
    if (one.empty) { one.svg.replaceChildren(); one.stage.hidden = true; }
    one.found = found;
    if (one.fold) {
      one.fold.hidden = !found.rows || (typeof found.rows !== 'function' && !found.rows.length);
      if (one.fold.open) this.#fill(one);
    }
  }

  /** Controls that are the same as before stay, so that they keep the focus. */
  #kept(one, fresh) {
    const before = [...one.tools.children];
    return fresh.map((node) => {
      const same = before.find((b) => b.dataset.key === node.dataset.key);
      if (same) same.takeOver(node);
      else node.begin?.();
      return same || node;
    });
  }

  #fill(one) {
    const old = one.fold.querySelector('.scroll');
    if (old) old.remove();
    if (!one.fold.open || !one.found || !one.found.rows) return;
    const wrap = html(one.fold, 'div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': 'data of the picture' });
    const table = html(wrap, 'table');
    const head = html(html(table, 'thead'), 'tr');
    one.found.header.forEach((name) => html(head, 'th', { scope: 'col' }, name));
    const body = html(table, 'tbody');
    const rows = typeof one.found.rows === 'function' ? one.found.rows() : one.found.rows;
    const step = Math.max(1, Math.ceil(rows.length / MOST_TABLE));
    for (let i = 0; i < rows.length; i += step) {
      const tr = html(body, 'tr');
      rows[i].forEach((v) => html(tr, 'td', {}, v));
    }
  }
}
