// From data to pixels, with round numbers for the ticks.

import { num, power, minus } from './numbers.js';

/** How much larger text is on a projector. */
export const enlarged = () => (document.documentElement.hasAttribute('data-present') ? 1.8 : 1);

/** Round numbers between two ends, about `count` of them. */
export function ticks(low, high, count = 5) {
  if (!(high > low)) return [low];
  const raw = (high - low) / count;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = size * [1, 2, 5, 10].find((m) => m * size >= raw * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k += 1) found.push(Number((k * step).toPrecision(12)));
  return found;
}

/** A number at a tick. */
export const label = (v) => {
  if (v === 0) return '0';
  const size = Math.abs(v);
  return size >= 1e5 || size < 1e-3 ? num(v, 2) : minus(String(Number(v.toPrecision(6))));
};

/** A scale from data to pixels, linear or logarithmic (with 0 to the left of 1 where `zero`). */
export function scale(kind, low, high, from, to) {
  if (kind === 'log') {
    const [a, b] = [Math.log10(low), Math.log10(high)];
    const f = (v) => from + ((Math.log10(v) - a) / (b - a || 1)) * (to - from);
    const step = Math.max(1, Math.ceil((b - a) / 6));
    f.ticks = [];
    for (let k = Math.ceil(a - 1e-9); k <= b + 1e-9; k += step) f.ticks.push([10 ** k, power(k)]);
    if (f.ticks.length < 2) f.ticks = ticks(low, high, 3).filter((v) => v > 0).map((v) => [v, label(v)]);
    f.invert = (p) => 10 ** (a + ((p - from) / (to - from)) * (b - a));
    return Object.assign(f, { low, high, kind });
  }
  if (kind === 'epochs') { // 0 has a place of its own beside the logarithm of 1 and more
    const gap = 18;
    const inner = scale('log', 1, Math.max(high, 10), from + gap, to);
    const f = (v) => (v < 1 ? from + gap * Math.max(0, v) : inner(v));
    f.ticks = [[0, '0'], ...inner.ticks];
    f.invert = (p) => (p < from + gap / 2 ? 0 : Math.max(1, inner.invert(Math.max(p, from + gap))));
    return Object.assign(f, { low: 0, high, kind });
  }
  const f = (v) => from + ((v - low) / (high - low || 1)) * (to - from);
  f.ticks = ticks(low, high, Math.max(3, Math.abs(to - from) / ((to < from ? 38 : 64) * enlarged()))).map((v) => [v, label(v)]);
  f.invert = (p) => low + ((p - from) / (to - from)) * (high - low);
  return Object.assign(f, { low, high, kind });
}
