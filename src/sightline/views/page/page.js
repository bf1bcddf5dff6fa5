// The page: one state, one view of it, panels that draw the view.

import { html } from './svg.js';
import { num, known, whole, short } from './numbers.js';
import { bestRate, bestMomentum } from './closed.js';
import { readState, writeState, askNothing } from './state.js';
import { View } from './view.js';
import { Panels } from './panels.js';
import { WhatIfBar } from './whatif.js';
import { Timeline } from './timeline.js';
import { drawVerdict, fixes } from './verdict.js';
import { RunList } from './runs.js';
import { Stories } from './present.js';
import { bindKeys, KEYS } from './keys.js';

const TOO_MANY = 3800; // records held: then they are thinned again
const COMMANDS = { solve: 'the exact answer alone', fit: 'train it again' };
const SPOKEN = 10000; // ms between sentences to a screen reader
const $ = (id) => document.getElementById(id);

export class Page {
  constructor(source) {
    this.source = source;
    this.state = readState(location.hash);
    this.panels = new Panels($('panels'), this);
    this.list = new RunList($('list'), this);
    this.stories = new Stories($('story'), this);
    this.fresh = 0;
    this.times = [];
    this.line = source.live ? 'open' : 'file';
    this.canCopy = Boolean(navigator.clipboard && window.isSecureContext);
  }

  async begin() {
    this.bar = new WhatIfBar($('whatif'), this);
    this.timeline = new Timeline($('timeline'), this);
    bindKeys(this);
    this.#dialogs();
    addEventListener('hashchange', () => { this.state = readState(location.hash); this.#open(); });
    const redraw = () => { this.fresh += 1; this.schedule(); };
    new ResizeObserver(redraw).observe($('panels'));
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
    for (const when of ['beforeprint', 'afterprint']) addEventListener(when, () => this.#print(when === 'beforeprint'));
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.#catchUp(); });
    this.source.listen((news) => this.#heard(news), (line) => this.#lineIs(line));
    await this.#open();
  }

  // The run, or the list of runs, that the state names.

  async reopen() {
    await this.#open();
  }

  async #open() {
    try {
      let id = this.state.run;
      if (!id && !this.state.story) {
        this.found = await this.source.runs();
        id = this.state.run === '' ? null : this.found.default;
      }
      if (this.state.story) await this.stories.open();
      else if (id) await this.#load(id);
      else this.#showList();
      $('trouble').hidden = true;
    } catch (error) {
      this.#fail(error);
    }
  }

  async #load(id) {
    if (this.scene && this.opened === id) return this.draw();
    $('what').textContent = 'reading the run …';
    this.coming = { id, late: false };
    const { coming } = this;
    const [scene, table] = await Promise.all([this.source.scene(id), this.source.records(id)]);
    this.opened = id;
    if (this.coming === coming) this.coming = null;
    this.show(scene, table);
    if (coming.late) { this.changedScene = true; this.#catchUp(); }
    return undefined;
  }

  /** Take up a scene with its records. */
  show(scene, table) {
    this.scene = scene;
    this.table = table;
    this.fresh += 1;
    $('list').hidden = true;
    $('run').hidden = false;
    this.panels.build(scene);
    document.title = `${scene.formula || scene.name || 'run'} · sightline`;
    this.draw();
  }

  #showList() {
    this.scene = null;
    this.opened = null;
    $('run').hidden = true;
    $('list').hidden = false;
    document.title = 'runs · sightline';
    this.#header(null);
    this.list.show(this.found, this.state);
  }

  #fail(error) {
    const place = $('trouble');
    place.hidden = false;
    place.textContent = `${error.message}.`.replace(/\.\.$/, '.');
    if (!this.scene) { $('run').hidden = true; $('list').hidden = true; $('what').textContent = ''; }
  }

  // News from the server.

  async #heard(news) {
    if (this.coming && this.coming.id === news.run) this.coming.late = true; // while it was read
    if (!this.scene && !this.state.story) this.#listLater();
    if (!this.scene || news.run !== this.opened) return;
    if (news.type === 'changed') {
      this.changedScene = true;
      this.#catchUp();
    } else if (news.type === 'grew') {
      this.newest = news;
      this.#catchUp();
    } else if (news.type === 'gone') {
      this.#fail(new Error('The folder of this run is gone; what was read of it is still shown'));
    }
  }

  /** The list again, at most every second. */
  #listLater() {
    if (this.listing) return;
    this.listing = setTimeout(async () => {
      this.listing = null;
      if (this.scene || document.hidden) return;
      try {
        this.found = await this.source.runs();
        this.#showList();
      } catch (error) {
        if (error.status) this.#fail(error);
      }
    }, 1000);
  }

  /** Fetch what this page lacks; one question at a time, none while it cannot be seen. */
  async #catchUp() {
    if (!this.scene || this.asking || document.hidden || !this.source.live || this.state.story) return;
    this.asking = true;
    let failed = false;
    try {
      const id = this.opened;
      const last = this.table.number.length ? this.table.number[this.table.number.length - 1] : -1;
      const more = await this.source.records(id, last);
      if (id !== this.opened) return;
      if (more.generation !== this.table.generation || this.table.number.length > TOO_MANY) this.table = await this.source.records(id);
      else this.#append(more);
      if (this.changedScene) {
        this.changedScene = false;
        const scene = await this.source.scene(id);
        const shape = (s) => JSON.stringify([s.kind, s.coef.length, s.systems.length, Boolean(s.residuals), Boolean(s.scored), Boolean((s.layers || []).length), (s.curvature_by_epoch || []).length > 0]);
        const rebuilt = shape(scene) !== shape(this.scene);
        this.scene = scene;
        this.fresh += 1;
        if (rebuilt) this.panels.build(scene);
      }
      $('trouble').hidden = true;
      this.schedule();
    } catch (error) {
      failed = true;
      if (error.status) this.#fail(error);
    } finally {
      this.asking = false;
      const newest = this.newest;
      this.newest = null;
      const behind = newest && newest.last > (this.table.number[this.table.number.length - 1] ?? -1);
      if (behind || (this.changedScene && !failed)) this.#catchUp(); // what came meanwhile
    }
  }

  #append(more) {
    const last = this.table.number.length ? this.table.number[this.table.number.length - 1] : -1;
    more.number.forEach((k, i) => {
      if (k <= last) return;
      for (const name of Object.keys(this.table)) if (Array.isArray(this.table[name]) && Array.isArray(more[name])) this.table[name].push(more[name][i]);
    });
  }

  #lineIs(line) {
    const was = this.line;
    this.line = line;
    if (line === 'open' && was !== 'open') { // what was read before may be older than the news
      if (this.coming) this.coming.late = true;
      this.changedScene = true;
      this.#catchUp();
    }
    this.#header(this.view);
  }

  // Drawing.

  /** Change the state; undefined takes a part away. */
  set(change) {
    if (typeof change === 'function') change(this.state);
    else Object.assign(this.state, change);
    for (const [name, value] of Object.entries(this.state)) if (value === undefined) delete this.state[name];
    this.#remember();
    if (!this.scene) { if (this.found) this.list.show(this.found, this.state); }
    else this.schedule();
  }

  #remember() {
    clearTimeout(this.writing);
    this.writing = setTimeout(() => history.replaceState(null, '', location.pathname + location.search + writeState(this.state)), 120);
  }

  schedule() {
    if (this.waiting || !this.scene) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  draw() {
    if (!this.scene) return;
    const began = performance.now();
    const { state } = this;
    const root = document.documentElement;
    root.toggleAttribute('data-present', state.present === 1);
    if (state.dark === undefined) delete root.dataset.theme;
    else root.dataset.theme = state.dark ? 'dark' : 'light';
    if (this.remembers !== this.scene) { this.remembers = this.scene; this.memory = new Map(); }
    this.view = new View(this.scene, this.table, state, this.memory);
    this.#header(this.view);
    this.verdict = drawVerdict($('verdict'), this.view, this);
    $('whatif').hidden = this.scene.kind === 'module' && state.present === 1;
    this.bar.draw(this.view);
    this.panels.draw(this.view, this.fresh);
    this.timeline.draw(this.view, Boolean(this.playing));
    this.stories.draw();
    this.#speak();
    this.times.push(performance.now() - began);
    if (this.times.length > 1000) this.times.shift();
  }

  #header(view) {
    const { scene } = this;
    const state = { open: '', lost: 'reconnecting …', file: '' }[this.line];
    $('line').textContent = state || (!scene ? '' : scene.status === 'running' ? 'LIVE' : scene.status);
    $('line').className = `line ${this.line === 'lost' ? 'lost' : scene && scene.status === 'running' ? 'live' : ''}`;
    $('back').hidden = !this.source.live || !scene;
    $('what').title = scene ? scene.formula || '' : '';
    $('what').textContent = scene ? [scene.name, scene.formula && short(scene.formula, 160), scene.rows ? `${whole(scene.rows)} rows` : null].filter(Boolean).join('   ') : '';
    $('numbers').hidden = !scene;
    if (!scene || !view) return;
    $('n-epoch').textContent = whole(Math.max(view.k, 0));
    $('n-loss').textContent = known(view.loss) ? num(view.loss, 6) : 'none';
    $('n-floor').textContent = view.hidden ? '?' : known(scene.loss.exact) && scene.loss.attained !== false ? num(scene.loss.exact, 6) : 'none';
  }

  /** One sentence for screen readers, seldom. */
  #speak() {
    const now = Date.now();
    if (this.spoken && now - this.spoken < SPOKEN) return;
    this.spoken = now;
    const { view } = this;
    $('spoken').textContent = `Epoch ${whole(Math.max(view.k, 0))}${known(view.loss) ? `, loss ${num(view.loss, 5)}` : ''}. ${this.verdict.word}.`;
  }

  #print(on) {
    for (const fold of document.querySelectorAll('details.data, .verdict details')) {
      if (on) { fold.dataset.was = fold.open ? '1' : ''; if (!fold.classList.contains('data')) fold.open = true; } else fold.open = Boolean(fold.dataset.was);
    }
  }

  // What controls are made of.

  toggle(name, pressed, act) {
    const node = html(null, 'button', { type: 'button', 'data-key': name, 'aria-pressed': String(pressed) }, name);
    node.act = () => act(node.getAttribute('aria-pressed') !== 'true');
    node.addEventListener('click', () => node.act());
    node.takeOver = (other) => { node.setAttribute('aria-pressed', other.getAttribute('aria-pressed')); };
    return node;
  }

  choice(name, options, value, act) {
    const node = html(null, 'select', { 'aria-label': name, 'data-key': `${name} ${options.map(([v]) => v).join()}` });
    node.begin = () => { // not before it is known that it comes onto the page: there may be hundreds of options
      for (const [v, text] of options) html(node, 'option', { value: v }, text);
      node.choose(value);
    };
    node.choose = (chosen) => { if (node.value !== String(chosen)) node.value = String(chosen); };
    node.act = act;
    node.addEventListener('change', () => node.act(node.value));
    node.takeOver = (other) => { node.choose(other.chosen); node.act = other.act; };
    node.chosen = value;
    return node;
  }

  slider(name, value, act) {
    const node = html(null, 'input', { type: 'range', min: 0, max: 1, step: 0.01, 'aria-label': name, title: name, 'data-key': name });
    node.value = value;
    node.addEventListener('input', () => act(Number(node.value)));
    node.takeOver = (other) => { if (document.activeElement !== node) node.value = other.value; };
    return node;
  }

  /** A row as a point; a click marks the row everywhere. */
  point(p, i, x, y, r) {
    if (!Number.isFinite(x) || !Number.isFinite(y)) return;
    const node = document.createElementNS('http://www.w3.org/2000/svg', 'circle');
    const marked = this.state.row === i;
    for (const [k, v] of [['cx', x.toFixed(1)], ['cy', y.toFixed(1)], ['r', marked ? r + 3 : r], ['class', marked ? 'point marked' : 'point'], ['data-row', i]]) node.setAttribute(k, v);
    node.addEventListener('click', () => this.set({ row: this.state.row === i ? undefined : i }));
    p.inside.append(node);
    p.marks.push([x, y], [x, y]);
    if (!marked) return;
    const text = document.createElementNS('http://www.w3.org/2000/svg', 'text');
    text.setAttribute('x', Math.min(x + 9, p.box.right - 40));
    text.setAttribute('y', Math.max(y - 8, p.box.top + 10));
    text.setAttribute('class', 'row-name marked-name');
    text.textContent = this.scene.sample.places[i];
    p.svg.append(text);
  }

  /** The start of training as a button that can be dragged, or moved by arrow keys. */
  handle(p, [x, y], act) {
    const stage = p.svg.parentElement;
    let node = stage.querySelector('.handle');
    if (this.scene.whatif) { if (node) node.remove(); return; }
    if (!node) {
      node = html(stage, 'button', { type: 'button', class: 'handle' });
      node.addEventListener('pointerdown', (event) => {
        node.setPointerCapture(event.pointerId);
        this.held = { x: [node.plot.x.low, node.plot.x.high], y: [node.plot.y.low, node.plot.y.high], plot: node.plot };
      });
      node.addEventListener('pointermove', (event) => {
        if (!this.held || !node.hasPointerCapture(event.pointerId)) return;
        const box = stage.querySelector('svg').getBoundingClientRect();
        const { plot } = this.held;
        node.act([plot.x.invert(event.clientX - box.left), plot.y.invert(event.clientY - box.top)]);
      });
      for (const end of ['pointerup', 'pointercancel']) node.addEventListener(end, () => { this.held = null; this.schedule(); });
      node.addEventListener('keydown', (event) => {
        const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
        if (!move) return;
        event.preventDefault();
        event.stopPropagation();
        const [w, h] = [node.plot.x.high - node.plot.x.low, node.plot.y.high - node.plot.y.low];
        node.act([node.at[0] + 0.02 * w * move[0], node.at[1] + 0.02 * h * move[1]]);
      });
    }
    Object.assign(node, { plot: p, at: [x, y], act });
    node.style.left = `${p.x(x)}px`;
    node.style.top = `${p.y(y)}px`;
    node.hidden = !(p.x(x) >= p.box.left - 1 && p.x(x) <= p.box.right + 1 && p.y(y) >= p.box.top - 1 && p.y(y) <= p.box.bottom + 1);
    node.setAttribute('aria-label', `Start of training at ${num(x)}, ${num(y)}: drag it, or move it by the arrow keys`);
  }

  // What people do.

  buttonsFor(view) { return fixes(view, this); }

  standardize(on) {
    const { scene } = this;
    const same = Boolean(scene.systems[0].standardize) === on;
    if (same) return this.set({ std: undefined, lr: undefined, m: undefined, nest: undefined, dt: undefined });
    const system = scene.systems.find((s) => s.standardize === on);
    return this.set({ std: on ? 1 : 0, lr: bestRate(system.values), m: 0, dt: 'float64' });
  }

  bestRate() {
    this.set({ lr: bestRate(this.view.system.values), m: 0, nest: 0 });
  }

  bestMomentum() {
    const { lr, momentum } = bestMomentum(this.view.system.values);
    this.set({ lr, m: momentum, nest: 0, dt: 'float64' });
  }

  resetAsked() {
    this.set((s) => { askNothing(s); delete s.k; });
  }

  goTo(k) {
    const { view } = this;
    const most = view.changed ? 1e9 : Math.max(view.last, 0);
    this.set({ k: Math.max(0, Math.min(Math.round(k), most)) });
  }

  stepBy(n) {
    const { view, table } = this;
    if (view.changed || Math.abs(n) > 1) return this.goTo(view.k + n);
    const next = table.number[Math.max(0, Math.min(table.number.length - 1, view.place + n))];
    return this.goTo(next ?? 0);
  }

  follow() { this.set({ k: undefined }); }

  playPause() {
    if (this.playing) { clearInterval(this.playing); this.playing = null; this.schedule(); return; }
    const { view } = this;
    const end = view.changed ? Math.min(view.horizon, 1e9) : view.last;
    if (view.k >= end) this.goTo(0);
    const beat = () => {
      const now = this.view;
      if (now.k >= end) { this.playPause(); return; }
      const next = now.changed ? Math.max(now.k + 1, Math.round(now.k * 1.06)) : now.last > 400 ? Math.max(now.k + 1, Math.round(now.k * 1.04)) : now.k + 1;
      this.goTo(Math.min(next, end));
    };
    this.playing = setInterval(beat, 80);
    beat();
  }

  // Dialogs.

  #dialogs() {
    $('skip').addEventListener('click', () => document.querySelector('.panel')?.focus());
    $('help-open').addEventListener('click', () => $('help').showModal());
    $('theme').addEventListener('click', () => this.turnDark());
    $('present').addEventListener('click', () => this.stories.toggle());
    for (const node of document.querySelectorAll('dialog .close')) node.addEventListener('click', () => node.closest('dialog').close());
    const list = $('keys');
    for (const [keys, what] of KEYS) {
      html(list, 'dt', {}, keys);
      html(list, 'dd', {}, what);
    }
    const box = $('keys-on');
    box.checked = this.state.keys !== 0;
    box.addEventListener('change', () => this.set({ keys: box.checked ? undefined : 0 }));
    $('start-run').addEventListener('click', () => this.#start());
    $('copy-command').addEventListener('click', () => this.copy($('command-text').textContent, $('copy-command')));
    $('copy-command').hidden = !this.canCopy;
  }

  turnDark() {
    const dark = this.state.dark ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 1 : 0);
    this.fresh += 1;
    this.set({ dark: dark ? 0 : 1 });
  }

  hasCommand(kind) {
    return this.scene.commands.some((c) => c.what === COMMANDS[kind]);
  }

  /** The command line for what the page was asked; a run starts only from there. */
  showCommand(kind) {
    const { scene, view } = this;
    const base = scene.commands.find((c) => c.what === COMMANDS[kind]);
    const text = kind === 'solve' || !view.changed ? base.command : commandOf(scene, view, base.command);
    $('command-text').textContent = text;
    $('command-error').textContent = '';
    $('start-run').hidden = kind === 'solve' || !this.source.live;
    $('command').showModal();
  }

  async #start() {
    const { scene, view } = this;
    try {
      const body = {
        run: scene.id, lr: view.step.lr, momentum: view.step.momentum, nesterov: view.step.nesterov, standardize: view.standardized,
        dtype: view.dtype, start: view.from, terms: view.terms, epochs: Math.max(1, Math.min(Math.round(view.k) || 20, 1e5)),
      };
      const said = await this.source.start(body);
      $('command').close();
      this.state = { run: said.run };
      history.replaceState(null, '', location.pathname + location.search + writeState(this.state));
      await this.#open();
    } catch (error) {
      $('command-error').textContent = error.message;
    }
  }

  async copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = 'copied';
    } catch {
      button.textContent = 'select it';
    }
    setTimeout(() => { button.textContent = 'copy'; }, 1500);
  }

  copyLink() {
    history.replaceState(null, '', location.pathname + location.search + writeState(this.state));
    if (this.canCopy) navigator.clipboard.writeText(location.href).catch(() => {});
  }

  /** What tests and curious people read. */
  facts() {
    const { view, scene, verdict, table } = this;
    return {
      state: { ...this.state }, epoch: view.k, loss: view.loss, floor: scene.loss.exact, above: view.above, now: view.now,
      limit: view.limit, step: view.step, verdict, table, sentences: this.panels.made.map((o) => o.said.textContent),
      predicted: (k) => view.recorded && { excess: view.recorded.excess(k), units: view.recorded.units(k) },
      asked: (k) => view.path && { excess: view.path.excess(k), units: view.path.units(k), frozenAt: view.path.frozenAt },
      times: this.times,
    };
  }
}

/** The command of the run with the settings asked for in place of its own. */
export function commandOf(scene, view, base) {
  const drop = /\s--(lr|momentum|epochs|dtype|start|optimizer|opt|batch-size|schedule|schedule-opt|warmup|clip-norm|clip-value|accumulate|patience|min-improvement|time-limit|target-loss|engine|figures)\s+('[^']*'|\S+)|\s--(no-)?(nesterov|standardize|restore-best)(?=\s|$)/g;
  const { step } = view;
  const parts = [base.replace(drop, ''), `--lr ${step.lr}`];
  if (step.momentum) parts.push(`--momentum ${step.momentum}`);
  if (step.momentum && step.nesterov) parts.push('--nesterov');
  if (!view.standardized) parts.push('--no-standardize');
  if (view.dtype !== 'float64') parts.push(`--dtype ${view.dtype}`);
  if (view.from.some((v) => v !== 0)) parts.push(`--start '${view.terms.map((t, i) => `${t}=${view.from[i]}`).join(',').replaceAll("'", "'\\''")}'`);
  parts.push(`--epochs ${Math.max(1, Math.min(Math.round(view.k) || 20, 1e5))}`);
  return parts.join(' ');
}
