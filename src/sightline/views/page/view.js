// What a moment of the page means: the run, the epoch shown, and what other settings would do.

import { System, Path, rateLimit } from './closed.js';
import { known } from './numbers.js';
import { asks } from './state.js';

const FAR = 1e9; // epochs: the end of every axis

/** The place of the last record at or before epoch k. */
export function placeOf(table, k) {
  let [low, high] = [0, table.number.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (table.number[middle] <= k) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

export class View {
  constructor(scene, table, state, memory = new Map()) {
    Object.assign(this, { scene, table, state, memory });
    this.terms = scene.coef.map((c) => c.term);
    this.exact = scene.coef.some((c) => known(c.exact)) ? scene.coef.map((c) => c.exact ?? 0) : null;
    this.last = table.number.length ? table.number[table.number.length - 1] : -1;
    this.startUnits = table.parameters && table.parameters[0] ? table.parameters[0] : this.terms.map(() => 0);
    this.hidden = state.guess === 1;
    this.changed = asks(state) && !scene.whatif;
    this.recordedStep = stepOf(scene);
    const trained = scene.systems[0];
    this.trained = trained ? this.remembered('trained', () => new System(trained)) : null;
    this.recorded = this.remembered(`recorded ${this.startUnits}`, () => (this.trained && !scene.whatif && scene.step.closed !== false && known(this.recordedStep.lr)
      ? new Path(this.trained, this.startUnits, this.recordedStep, scene.dtype) : null));
    this.#asked();
    this.#moment();
  }

  /** What does not change while the run stays the same is worked out once. */
  remembered(name, make) {
    if (!this.memory.has(name)) this.memory.set(name, make());
    return this.memory.get(name);
  }

  /** The step, coordinates and start in question: those of the run unless the page was asked for others. */
  #asked() {
    const { state, scene } = this;
    this.standardized = state.std === undefined ? Boolean(this.trained && this.trained.standardize) : state.std === 1;
    const system = scene.systems.find((s) => s.standardize === this.standardized) || scene.systems[0];
    this.system = system ? this.remembered(`system ${system.standardize}`, () => new System(system)) : null;
    this.dtype = state.dt || scene.dtype;
    const r = this.recordedStep;
    this.step = {
      lr: state.lr ?? r.lr, momentum: state.m ?? r.momentum, nesterov: state.nest === undefined ? r.nesterov : state.nest === 1,
    };
    if (!known(this.step.lr) && this.system) this.step.lr = 1 / Math.max(...this.system.values);
    this.from = state.start && state.start.length === this.terms.length ? state.start : this.startUnits;
    this.path = this.changed && this.system ? new Path(this.system, this.from, this.step, this.dtype) : this.recorded;
    this.limit = this.system ? rateLimit(Math.max(...this.system.values), this.step.momentum, this.step.nesterov) : null;
  }

  /** The epoch shown, and the parameters and the loss there. */
  #moment() {
    const { state, table } = this;
    this.following = state.k === undefined;
    const newest = known(this.scene.kept) && this.scene.status === 'done' ? this.scene.kept : this.last;
    this.k = this.following ? (this.changed ? Math.max(this.last, 0) : newest) : Math.max(0, Math.min(Math.floor(state.k), this.changed ? FAR : Math.max(this.last, 0)));
    this.place = table.number.length ? placeOf(table, this.k) : -1;
    if (this.changed) {
      this.overflow = null;
      this.#at(this.k);
      if (!this.#canBeWritten()) {
        let [low, high] = [0, this.k];
        while (high - low > 1) {
          const middle = Math.floor((low + high) / 2);
          this.#at(middle);
          if (this.#canBeWritten()) low = middle;
          else high = middle;
        }
        this.overflow = high;
        this.k = low;
        this.#at(low);
      }
      this.loss = this.scene.loss.exact + this.above;
      if (this.system.penalty) this.loss += this.system.penaltyAt(this.system.optimum) - this.system.penaltyAt(this.theta);
      return;
    }
    this.now = this.place >= 0 ? this.nearestParameters(this.place) : null;
    this.theta = this.now && this.trained ? this.trained.toTraining(this.now) : null;
    this.loss = this.place >= 0 ? lossAt(table, this.place) : null;
    this.above = this.aboveAt(this.place);
  }

  /** Parameters and loss in the settings asked for. */
  #at(k) {
    this.theta = this.path.theta(k);
    this.now = this.system.toUnits(this.theta);
    this.above = this.path.excess(k);
  }

  #canBeWritten() {
    return known(this.above) && this.now.every(known);
  }

  nearestParameters(place) {
    for (let i = place; i >= 0; i -= 1) if (this.table.parameters[i]) return this.table.parameters[i];
    return null;
  }

  /** The recorded loss above the exact one, never below what rounding can tell; null where there is no floor. */
  aboveAt(place) {
    const loss = place >= 0 ? lossAt(this.table, place) : null;
    if (!known(loss) || !this.hasFloor) return null;
    return Math.max(loss - this.scene.loss.exact, 4e-16 * Math.abs(loss));
  }

  /** Whether the step is one that the closed form and the limit are of. */
  get descends() {
    return known(this.step.lr) && (this.changed || (this.scene.step.closed !== false && known(this.recordedStep.lr)));
  }

  get hasFloor() {
    return this.scene.loss.floor && known(this.scene.loss.exact) && this.scene.loss.attained !== false;
  }

  /** How far each coefficient is from its exact value, in standard errors. */
  offBy(i) {
    const c = this.scene.coef[i];
    return this.now && known(c.exact) && c.std_error ? (this.now[i] - c.exact) / c.std_error : null;
  }

  /** The epochs that pictures reach. */
  get horizon() {
    if (this.far === undefined) this.far = this.#horizon();
    return this.far;
  }

  #horizon() {
    const ends = [Math.max(this.last, 10), this.k];
    for (const path of [this.path, this.recorded]) {
      if (!path) continue;
      if (path.diverges || path.frozenAt !== null) ends.push(path.frozenAt !== null ? 4 * path.frozenAt : 10);
      else ends.push(Math.min(FAR, 1.2 * path.arrives(1e-10)));
    }
    return Math.min(FAR, Math.max(...ends));
  }
}

/** The loss of a record: at rest where it was measured, else while the parameters moved. */
export const lossAt = (table, i) => (known(table.train_loss[i]) ? table.train_loss[i] : table.running_loss[i]);

function stepOf(scene) {
  const s = scene.step || {};
  return { lr: s.lr, momentum: s.momentum || 0, nesterov: Boolean(s.nesterov) };
}
