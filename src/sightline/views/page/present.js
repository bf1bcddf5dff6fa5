// For a projector: larger type, fewer panels, the exact answer hidden until it is asked for, and stories to walk.

import { html } from './svg.js';
import { STORIES } from './stories.js';

const OWN = ['lr', 'm', 'nest', 'std', 'dt', 'start', 'k', 'axes', 'guess', 'row', 'big', 'sq', 'col', 'pair'];

export class Stories {
  constructor(place, page) {
    this.place = place;
    this.page = page;
    this.data = null;
    this.shown = null;
  }

  get on() { return this.page.state.present === 1; }

  /** Present what is shown, or stop. */
  toggle() {
    const { page } = this;
    if (this.on) {
      const story = page.state.story;
      if (story) for (const name of OWN) delete page.state[name];
      page.set({ present: undefined, story: undefined, scene: undefined, guess: undefined, big: undefined });
      this.shown = null;
      if (story) page.reopen();
    } else page.set({ present: 1, guess: page.state.story ? undefined : 1 });
  }

  /** The story and the moment that the state names. */
  async open() {
    const { page } = this;
    page.state.story = Math.max(1, Math.min(page.state.story, STORIES.length));
    const story = STORIES[page.state.story - 1];
    page.state.scene = Math.max(1, Math.min(page.state.scene || 1, story.moments.length));
    if (!this.data) this.data = await page.source.stories();
    if (this.shown !== story.scene) {
      const { scene, table } = this.data[story.scene];
      this.shown = story.scene;
      page.opened = null;
      page.show(structuredClone(scene), structuredClone(table));
    } else page.draw();
  }

  async go(story, moment, state) {
    const { page } = this;
    for (const name of OWN) delete page.state[name];
    page.set({ ...state, story, scene: moment, present: 1 });
    await this.open();
  }

  #at() {
    const { state } = this.page;
    return [state.story || 0, state.scene || 1];
  }

  async next() {
    const [story, moment] = this.#at();
    if (!story) return this.go(1, 1, STORIES[0].moments[0].state);
    if (moment < STORIES[story - 1].moments.length) return this.go(story, moment + 1, STORIES[story - 1].moments[moment].state);
    return this.nextStory();
  }

  async nextStory() {
    const story = (this.#at()[0] % STORIES.length) + 1;
    return this.go(story, 1, STORIES[story - 1].moments[0].state);
  }

  async previous() {
    const [story, moment] = this.#at();
    if (!story) return undefined;
    if (moment > 1) return this.go(story, moment - 1, STORIES[story - 1].moments[moment - 2].state);
    const before = ((story - 2 + STORIES.length) % STORIES.length) + 1;
    const last = STORIES[before - 1].moments.length;
    return this.go(before, last, STORIES[before - 1].moments[last - 1].state);
  }

  draw() {
    const { place, page } = this;
    place.hidden = !this.on;
    if (!this.on) return;
    const [story, moment] = this.#at();
    const key = `${story} ${moment} ${page.state.guess}`;
    if (place.dataset.key === key) return;
    place.dataset.key = key;
    place.replaceChildren();
    const words = html(place, 'div', { class: 'words' });
    if (story) {
      html(words, 'p', { class: 'chapter' }, `${story} of ${STORIES.length}   ${STORIES[story - 1].title}`);
      html(words, 'p', { class: 'say', role: 'status' }, STORIES[story - 1].moments[moment - 1].say);
    } else html(words, 'p', { class: 'say' }, 'Guess the line first, then press h.');
    const tools = html(place, 'div', { class: 'tools' });
    for (const [text, act] of [['back', () => this.previous()], ['next', () => this.next()]]) {
      html(tools, 'button', { type: 'button' }, text).addEventListener('click', act);
    }
    for (const n of [1, 10, 100]) html(tools, 'button', { type: 'button' }, `${n} ${n === 1 ? 'step' : 'steps'}`).addEventListener('click', () => page.stepBy(n));
    html(tools, 'button', { type: 'button' }, page.state.guess === 1 ? 'show the exact answer' : 'hide the exact answer').addEventListener('click', () => page.set({ guess: page.state.guess === 1 ? undefined : 1 }));
    html(tools, 'button', { type: 'button' }, 'end').addEventListener('click', () => this.toggle());
  }
}
