// What the page shows is one object, and the address holds all of it: any moment is a link.

const within = (x, low, high) => (x >= low && x <= high ? x : undefined);
const whole = (text) => (Number.isInteger(Number(text)) && Number(text) >= 0 ? Number(text) : undefined);
const flag = (text) => (text === '0' || text === '1' ? Number(text) : undefined);

function numbers(text) {
  const found = String(text).split(',').map(Number);
  return found.every(Number.isFinite) ? found : undefined;
}

const FIELDS = {
  run: String, // the id of the run; empty: the list of runs
  lr: (t) => within(Number(t), 1e-300, 1e300), m: (t) => within(Number(t), 0, 0.999999), nest: flag, std: flag, dt: (t) => (['float32', 'float64'].includes(t) ? t : undefined), start: numbers, // what if; absent: as recorded
  k: whole, // epoch shown; absent: follows the newest
  log: Number, // 1: logarithmic loss above the exact one (default), 0: plain loss
  axes: String, // of the path: stretched, true, eigen
  pair: (t) => (numbers(t) || [0.5]).every(Number.isInteger) ? numbers(t) : undefined, // coefficients of the path, by place
  col: (t) => (Number.isInteger(Number(t)) ? Number(t) : undefined), // column of the data panel, by place; −1: observed against predicted
  find: String, // part of the names of the coefficients that are listed
  byt: flag, // 1: largest |t| first
  row: whole, // the row that is marked everywhere
  sq: Number, // 1: squares for residuals
  class: whole, // class of the panels with one class each
  cut: (t) => within(Number(t), 0, 1), // threshold of the confusion matrix
  guess: Number, // 1: the exact answer is hidden
  present: Number, // 1: for a projector
  story: whole, // from 1
  scene: whole, // of the story, from 1
  dark: Number, // 1, 0; absent: as the system
  keys: Number, // 0: shortcuts are off
  big: String, // the panel that fills the page
  hide: String, // letters of panels, separated by commas
  with: String, // other runs, for comparison
};

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
