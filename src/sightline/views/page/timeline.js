// The epochs: play, step, scrub, follow.

import { html } from './svg.js';
import { num, known, whole } from './numbers.js';

const STEPS = 1000;
const FAR = 1e9;

export class Timeline {
  constructor(place, page) {
    this.page = page;
    place.replaceChildren();
    const button = (text, name, act) => {
      const node = html(place, 'button', { type: 'button', 'aria-label': name, title: name }, text);
      node.addEventListener('click', act);
      return node;
    };
    button('«', 'First epoch (Home)', () => page.goTo(0));
    button('‹', 'One epoch back (left)', () => page.stepBy(-1));
    this.play = button('▶', 'Play (space)', () => page.playPause());
    button('›', 'One epoch further (right)', () => page.stepBy(1));
    button('»', 'Last epoch (End)', () => page.goTo(page.view.last));
    const label = html(place, 'label', { for: 'epoch' }, 'epoch');
    this.input = html(place, 'input', { type: 'range', id: 'epoch', min: 0, max: STEPS, step: 1 });
    this.input.addEventListener('input', () => page.goTo(this.#epochAt(Number(this.input.value) / STEPS)));
    this.out = html(place, 'output', { for: 'epoch', class: 'number' });
    this.follow = button('follow', 'Follow the newest epoch (f)', () => page.follow());
    this.label = label;
  }

  #end() {
    const { view } = this.page;
    return view.changed ? Math.min(FAR, Math.max(view.horizon, 10)) : Math.max(view.last, 1);
  }

  /** Few epochs are spread evenly, many logarithmically. */
  #epochAt(t) {
    const end = this.#end();
    if (end <= 400) return Math.round(t * end);
    return t === 0 ? 0 : Math.round(10 ** (t * Math.log10(end)));
  }

  draw(view, playing) {
    const end = this.#end();
    const t = end <= 400 ? view.k / end : view.k < 1 ? 0 : Math.log10(view.k) / Math.log10(end);
    this.input.value = Math.round(Math.max(0, Math.min(1, t)) * STEPS);
    const loss = known(view.loss) ? `, loss ${num(view.loss, 6)}` : '';
    this.input.setAttribute('aria-valuetext', `epoch ${whole(Math.max(view.k, 0))}${loss}`);
    this.out.textContent = `${whole(Math.max(view.k, 0))}${view.changed ? '' : ` of ${whole(Math.max(view.last, 0))}`}`;
    this.follow.setAttribute('aria-pressed', String(view.following));
    this.follow.textContent = view.following ? 'following' : 'follow';
    this.play.textContent = playing ? '❚❚' : '▶';
    this.play.setAttribute('aria-label', playing ? 'Pause (space)' : 'Play (space)');
  }
}
