// What the page shows is one object, and the address holds all of it: any moment is a link.

const FIELDS = {
  run: String, // the id of the run; empty: the list of runs
  lr: Number, m: Number, nest: Number, std: Number, dt: String, start: numbers, // what if; absent: as recorded
  k: Number, // epoch shown; absent: follows the newest
  log: Number, // 1: logarithmic loss above the exact one (default), 0: plain loss
  axes: String, // of the path: stretched, true, eigen
  pair: numbers, // coefficients of the path, by place
  col: Number, // column of the data panel, by place; −1: observed against predicted
  row: Number, // the row that is marked everywhere
  sq: Number, // 1: squares for residuals
  class: Number, // class of the panels with one class each
  cut: Number, // threshold of the confusion matrix
  guess: Number, // 1: the exact answer is hidden
  present: Number, // 1: for a projector
  story: Number, // from 1
  scene: Number, // of the story, from 1
  dark: Number, // 1, 0; absent: as the system
  keys: Number, // 0: shortcuts are off
  big: String, // the panel that fills the page
  hide: String, // letters of panels, separated by commas
  with: String, // other runs, for comparison
};

function numbers(text) {
  const found = String(text).split(',').map(Number);
  return found.every(Number.isFinite) ? found : undefined;
}

/** The state in the part of an address after #. */
export function readState(hash) {
  const state = {};
  for (const [name, value] of new URLSearchParams(hash.replace(/^#/, ''))) {
    const read = Object.hasOwn(FIELDS, name) ? FIELDS[name] : null;
    if (!read) continue;
    const got = read(value);
    if (got === undefined || Number.isNaN(got)) continue;
    state[name] = got;
  }
  return state;
}

/** The address of a state. */
export function writeState(state) {
  const parts = new URLSearchParams();
  for (const name of Object.keys(FIELDS)) {
    const value = state[name];
    if (value === undefined || value === null || value === '') continue;
    parts.set(name, Array.isArray(value) ? value.join(',') : String(value));
  }
  return `#${parts}`;
}

/** Whether anything differs from what was recorded. */
export const asks = (state) => ['lr', 'm', 'nest', 'std', 'dt', 'start'].some((name) => state[name] !== undefined);

export function askNothing(state) {
  for (const name of ['lr', 'm', 'nest', 'std', 'dt', 'start']) delete state[name];
}
