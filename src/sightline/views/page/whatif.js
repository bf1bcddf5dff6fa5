// The bar of settings: rate, momentum, start, coordinates, precision, single steps. The state is the number, the
// slider only a view of it.

import { html } from './svg.js';
import { num, known, whole } from './numbers.js';

const STEPS = 400;

export class WhatIfBar {
  constructor(place, page) {
    this.page = page;
    this.place = place;
    place.replaceChildren();
    this.title = html(place, 'h2', {}, 'What if');
    this.rate = this.#slider('learning rate', 'rate', (t) => page.set({ lr: this.#rateAt(t) }));
    this.momentum = this.#slider('momentum', 'momentum', (t) => page.set({ m: Number((1 - 10 ** (-4 * t)).toFixed(4)) }));
    const checks = html(place, 'div', { class: 'checks' });
    this.std = this.#check(checks, 'standardize', (on) => page.standardize(on));
    this.nest = this.#check(checks, 'Nesterov', (on) => page.set({ nest: on ? 1 : 0 }));
    this.f32 = this.#check(checks, 'float32', (on) => page.set({ dt: on ? 'float32' : 'float64' }));
    const tools = html(place, 'div', { class: 'tools' });
    this.stepButtons = [1, 10, 100].map((n) => {
      const button = html(tools, 'button', { type: 'button', title: n === 1 ? 'One epoch further (n)' : `${n} epochs further` }, n === 1 ? 'step 1' : `${n}`);
      button.addEventListener('click', () => page.stepBy(n));
      return button;
    });
    this.reset = html(tools, 'button', { type: 'button', title: 'Back to what was recorded' }, 'reset');
    this.reset.addEventListener('click', () => page.resetAsked());
    this.note = html(place, 'p', { class: 'reading' });
  }

  #slider(name, id, act) {
    const box = html(this.place, 'div', { class: `slider ${id}` });
    const label = html(box, 'label', { for: `what-${id}` }, `${name} `);
    const out = html(label, 'output', { for: `what-${id}` });
    const track = html(box, 'div', { class: 'track' });
    const input = html(track, 'input', { type: 'range', id: `what-${id}`, min: 0, max: STEPS, step: 1 });
    const mark = html(track, 'span', { class: 'mark', 'aria-hidden': 'true' });
    input.addEventListener('input', () => act(Number(input.value) / STEPS));
    return { box, input, out, mark };
  }

  #check(parent, name, act) {
    const label = html(parent, 'label', {}, '');
    const input = html(label, 'input', { type: 'checkbox' });
    label.append(` ${name}`);
    input.addEventListener('change', () => act(input.checked));
    return { label, input };
  }

  /** The ends of the rate slider: far below what anybody needs, and beyond the limit. */
  #ends() {
    const top = Math.log10(2 / Math.max(...this.view.system.values));
    return [top - 5, top + 1];
  }

  #rateAt(t) {
    const [low, high] = this.#ends();
    return Number((10 ** (low + t * (high - low))).toPrecision(3));
  }

  draw(view) {
    this.view = view;
    const able = !view.scene.whatif && view.system;
    this.place.classList.toggle('off', !able);
    for (const node of this.place.querySelectorAll('input, button')) node.disabled = !able;
    if (!able) {
      this.note.textContent = `What-if is not at hand here: ${view.scene.whatif || 'the exact answer is not known'}.`;
      this.rate.out.textContent = known(view.step.lr) ? num(view.step.lr) : '';
      return;
    }
    const [low, high] = this.#ends();
    const { lr, momentum } = view.step;
    const at = Math.max(0, Math.min(1, (Math.log10(lr) - low) / (high - low)));
    this.rate.input.value = Math.round(at * STEPS);
    this.rate.out.textContent = num(lr, 4);
    const stable = lr < view.limit;
    this.rate.input.setAttribute('aria-valuetext', `${num(lr, 4)}, ${stable ? 'stable' : 'diverges'}`);
    this.rate.box.classList.toggle('beyond', !stable);
    const limitAt = (Math.log10(view.limit) - low) / (high - low);
    this.rate.mark.style.setProperty('--at', String(Math.max(0, Math.min(1, limitAt))));
    this.rate.mark.textContent = `stable below ${num(view.limit, 4)}`;
    this.momentum.input.value = Math.round((Math.min(1, -Math.log10(Math.max(1 - momentum, 1e-4)) / 4)) * STEPS);
    this.momentum.out.textContent = num(momentum, 4);
    this.momentum.input.setAttribute('aria-valuetext', num(momentum, 4));
    this.std.input.checked = view.standardized;
    this.std.input.disabled = view.scene.systems.length < 2;
    this.std.label.title = view.scene.systems.length < 2 ? 'Only the coordinates of the run are known here' : 'Changes the rate too: rates of other coordinates cannot be compared';
    this.nest.input.checked = view.step.nesterov;
    this.nest.input.disabled = !view.step.momentum;
    this.f32.input.checked = view.dtype === 'float32';
    this.reset.disabled = !view.changed;
    this.note.textContent = view.changed
      ? `Worked out in closed form, not trained: the dotted line. From ${short(view.from)}.`
      : 'As recorded. Move anything to ask what it would do; nothing is changed in the run.';
  }
}

const short = (values) => (values.length <= 3 ? `(${values.map((v) => num(v, 4)).join(', ')})` : `a start of ${whole(values.length)} coefficients`);
