// Drawing: elements, axes, and plots that are as large as their place on the page.

import { known } from './numbers.js';
import { scale, enlarged } from './scales.js';

const NS = 'http://www.w3.org/2000/svg';

/** A new SVG element; text is only ever text. */
export function el(parent, tag, attributes = {}, text = null) {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== undefined) node.setAttribute(name, value);
  if (text !== null) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

/** A new HTML element. */
export function html(parent, tag, attributes = {}, text = null) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  if (text !== null) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

/** The ends of some numbers with room around them. */
export function range(values, room = 0.06) {
  let [low, high] = [Infinity, -Infinity];
  for (const v of values) if (known(v)) { if (v < low) low = v; if (v > high) high = v; }
  if (!(high >= low)) return [0, 1];
  const pad = (high - low) * room || Math.abs(high) * 0.1 || 1;
  return [low - pad, high + pad];
}

/** An empty plot with axes in `svg`: `x`, `y` are scales, `inside` is what is clipped to the frame. */
export function plot(svg, { x, y, xName = '', yName = '', left: l = 52, bottom: b = 34, top = 8, right: r = 10 }) {
  svg.replaceChildren();
  const big = enlarged();
  const yLabels = y.ticks || scale(y.kind || 'linear', y.low, y.high, 200, 0).ticks;
  const widest = Math.max(0, ...yLabels.map(([, text]) => String(text).length));
  const [left, bottom, right] = [Math.max(l * big, (6.4 * widest + 26) * big), b * big, r > 20 ? r * big : r * big + (big > 1 ? 14 : 0)];
  const width = Math.max(120, Number(svg.dataset.width) || svg.clientWidth || 400);
  const height = Math.max(80, Number(svg.dataset.height) || svg.clientHeight || 240);
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  const box = { left, right: width - right, top, bottom: height - bottom, width, height };
  const sx = scale(x.kind || 'linear', x.low, x.high, box.left, box.right);
  const sy = scale(y.kind || 'linear', y.low, y.high, box.bottom, box.top);
  const axes = el(svg, 'g', { class: 'axes' });
  let beyond = -Infinity;
  for (const [v, text] of x.ticks || sx.ticks) {
    const at = sx(v);
    if (at < box.left - 1 || at > box.right + 1) continue;
    el(axes, 'line', { x1: at, x2: at, y1: box.top, y2: box.bottom, class: 'grid' });
    const half = 3.6 * big * String(text).length;
    if (at - half > beyond + 4) {
      el(axes, 'text', { x: at, y: box.bottom + 13 * big, 'text-anchor': 'middle' }, text);
      beyond = at + half;
    }
  }
  for (const [v, text] of y.ticks || sy.ticks) {
    const at = sy(v);
    if (at < box.top - 1 || at > box.bottom + 1) continue;
    el(axes, 'line', { x1: box.left, x2: box.right, y1: at, y2: at, class: 'grid' });
    el(axes, 'text', { x: box.left - 5, y: at + 3.5 * big, 'text-anchor': 'end' }, text);
  }
  if (xName) el(axes, 'text', { x: (box.left + box.right) / 2, y: height - 4, 'text-anchor': 'middle', class: 'name' }, xName);
  if (yName) {
    const middle = (box.top + box.bottom) / 2;
    el(axes, 'text', { x: 11 * big, y: middle, 'text-anchor': 'middle', transform: `rotate(-90 ${11 * big} ${middle})`, class: 'name' }, yName);
  }
  const id = `clip-${svg.id}`;
  const clip = el(svg, 'clipPath', { id });
  el(clip, 'rect', { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top });
  const inside = el(svg, 'g', { 'clip-path': `url(#${id})` });
  return { svg, box, x: sx, y: sy, inside, marks: [] };
}

/** A place that can be written down, however far outside of the picture it is. */
export const bounded = (v) => Math.max(-1e4, Math.min(1e4, v));

/** A line through points; gaps where a number is missing. */
export function line(p, xs, ys, attributes) {
  let d = '';
  let pen = false;
  let last = null;
  for (let i = 0; i < xs.length; i += 1) {
    const [a, b] = known(ys[i]) ? [p.x(xs[i]), p.y(ys[i])] : [NaN, NaN];
    if (!Number.isFinite(a) || !Number.isFinite(b)) { pen = false; continue; }
    const held = bounded(b);
    p.marks.push([a, held]);
    if (pen && last && Math.abs(a - last[0]) > 24) for (let t = 1; t < 8; t += 1) p.marks.push([last[0] + ((a - last[0]) * t) / 8, last[1] + ((held - last[1]) * t) / 8]);
    last = [a, held];
    d += `${pen ? 'L' : 'M'}${bounded(a).toFixed(1)} ${held.toFixed(1)}`;
    pen = true;
  }
  return d ? el(p.inside, 'path', { d, fill: 'none', ...attributes }) : null;
}

/** The mark of the exact answer: a cross. */
export function cross(p, x, y, size = 7) {
  for (let i = 0; i < 6; i += 1) p.marks.push([x, y]);
  return el(p.inside, 'path', { d: `M${x - size} ${y}h${2 * size}M${x} ${y - size}v${2 * size}`, class: 'exact cross' });
}

/** What the marks mean, in the corner of the plot that has the fewest of them. */
export function legend(p, entries) {
  const g = el(p.svg, 'g', { class: 'legend', 'aria-hidden': 'true' });
  const big = enlarged();
  const row = 15 * big;
  const width = Math.max(...entries.map(([, text]) => text.length)) * 6.1 * big + 34;
  const height = row * entries.length + 4;
  const corners = [[p.box.right - width, p.box.top], [p.box.left + 2, p.box.top], [p.box.right - width, p.box.bottom - height], [p.box.left + 2, p.box.bottom - height]];
  const crowd = corners.map(([x, y]) => p.marks.filter(([a, b]) => a > x - 4 && a < x + width + 4 && b > y - 4 && b < y + height + 4).length);
  const [left, top] = corners[crowd.indexOf(Math.min(...crowd))];
  const [x0, y0] = [left + 4, top + row - 3];
  el(g, 'rect', { x: left, y: top, width, height, class: 'ground' });
  entries.forEach(([kind, text], i) => {
    const y = y0 + row * i;
    if (kind.startsWith('dot')) el(g, 'circle', { cx: x0 + 9, cy: y - 3, r: 3.5, class: kind.slice(4) || 'point' });
    else if (kind.startsWith('area')) el(g, 'rect', { x: x0, y: y - 8, width: 18, height: 9, class: kind.slice(5) });
    else el(g, 'line', { x1: x0, x2: x0 + 18, y1: y - 3.5 * big, y2: y - 3.5 * big, class: kind });
    el(g, 'text', { x: x0 + 23, y }, text);
  });
}
