// Numbers as people read them.

const SUPERSCRIPTS = '⁰¹²³⁴⁵⁶⁷⁸⁹';
const SCALES = [[1e12, 'trillion'], [1e9, 'billion'], [1e6, 'million']];
const COMMAS = new Intl.NumberFormat('en-US', { maximumFractionDigits: 2 });

export const known = (x) => typeof x === 'number' && Number.isFinite(x);

/** A number with so many significant digits: 0.614, 29.0288, 3.525e-5. */
export function num(x, digits = 4) {
  if (x === null || x === undefined || Number.isNaN(x)) return 'unknown';
  if (!Number.isFinite(x)) return x > 0 ? '∞' : '−∞';
  if (x === 0) return '0';
  const size = Math.abs(x);
  if (size >= 1e4 && size < 1e6) return minus(COMMAS.format(Number(x.toPrecision(digits))));
  if (size >= 1e6 || size < 1e-3) {
    const [mantissa, exponent] = x.toExponential(digits - 1).split('e');
    return minus(`${mantissa.includes('.') ? mantissa.replace(/\.?0+$/, '') : mantissa}e${Number(exponent)}`);
  }
  const text = x.toPrecision(digits);
  return minus(text.includes('e') ? String(Number(text)) : text);
}

export const minus = (text) => String(text).replace(/^-/, '−');

/** A whole number with commas. */
export const whole = (x) => (known(x) ? COMMAS.format(Math.round(x)) : 'never');

/** A number of epochs in words: 24, 4,506, 32 million, never. */
export function about(x) {
  if (!known(x)) return 'never';
  for (const [size, word] of SCALES) {
    if (x >= 0.9995 * size) return `${Number((x / size).toPrecision(2))} ${word}`;
  }
  return x >= 1e4 ? whole(Number(x.toPrecision(2))) : whole(x);
}

export const epochs = (x) => (x === 1 ? '1 epoch' : `${about(x)} epochs`);

/** 10 to the power k, for the axis. */
export const power = (k) =>
  k === 0 ? '1' : k === 1 ? '10' : `10${k < 0 ? '⁻' : ''}${[...String(Math.abs(k))].map((c) => SUPERSCRIPTS[c]).join('')}`;

/** With its sign. */
export const signed = (x, digits = 2) =>
  !known(x) ? '' : `${x < 0 ? '−' : '+'}${Math.abs(x) >= 1e4 || (x !== 0 && Math.abs(x) < 0.005) ? num(Math.abs(x), 2) : Math.abs(x).toFixed(digits)}`;

export const percent = (x) => `${x > 0 && x < 0.1 ? (100 * x).toPrecision(2) : (100 * x).toFixed(x > 0.995 && x < 1 ? 1 : 0)} %`;

export const short = (text, most = 24) => (String(text).length > most ? `${String(text).slice(0, most - 1)}…` : String(text));
