// Gradient descent on a quadratic in closed form: x(k) along each eigenvector of the Hessian.
//
// SGD, heavy ball and Nesterov as in torch: x(k+1) = T x(k) − D x(k−1) with x(1) = first · x(0), where
//   T = 1 + β − αλ,        D = β,           first = 1 − αλ           (heavy ball)
//   T = 1 + β − αλ(1 + β), D = β (1 − αλ),  first = 1 − αλ (1 + β)   (Nesterov)
// and in both (1 − r₁)(1 − r₂) = αλ for the roots, which keeps the digits of roots near 1.

const F32_ROUNDS = 2e6; // multiplications that a simulation in float32 may take
const F32_EPOCHS = 20000;

function roots(curvature, step) {
  const { lr: a, momentum: b, nesterov } = step;
  const al = a * curvature;
  const T = nesterov ? 1 + b - al * (1 + b) : 1 + b - al;
  const D = nesterov ? b * (1 - al) : b;
  const first = nesterov ? 1 - al * (1 + b) : 1 - al;
  return { al, T, D, first, disc: T * T - 4 * D };
}

/** How an error along a direction of this curvature goes on, with all that does not depend on the epoch worked out. */
function motion(curvature, step) {
  const { al, T, D, first, disc } = roots(curvature, step);
  if (D === 0) return { kind: 'power', root: power(1 - al, al), share: 1, small: 0 };
  const edge = 1e-13 * Math.max(1, T * T);
  if (disc > edge) {
    const s = Math.sqrt(disc);
    const large = T > 0 ? (T + s) / 2 : (T - s) / 2;
    const small = D / large;
    return { kind: 'power', root: power(large, large > 0 ? al / (1 - small) : 1 - large), share: (first - small) / (large - small), small };
  }
  if (disc < -edge) {
    const r = Math.sqrt(D);
    const angle = Math.acos(Math.max(-1, Math.min(1, T / (2 * r))));
    return { kind: 'wave', log: Math.log(r), angle, other: (first / r - Math.cos(angle)) / Math.sin(angle) };
  }
  return { kind: 'double', root: power(T / 2, 1 - T / 2), slope: first / (T / 2) - 1 };
}

/** A root r = 1 − pull with its logarithm: by the pull where r is near 1, which keeps the digits. */
const power = (r, pull) => ({ negative: r < 0, log: pull > 0 && pull < 0.5 ? Math.log1p(-pull) : Math.log(Math.abs(r)) });
const raised = ({ negative, log }, k) => (negative && k % 2 ? -Math.exp(k * log) : Math.exp(k * log));

/** What remains of an error of 1 after k epochs. */
function remains(m, k) {
  if (k === 0) return 1;
  if (m.kind === 'power') return m.small ? m.share * raised(m.root, k) + (1 - m.share) * Math.pow(m.small, k) : raised(m.root, k);
  if (m.kind === 'wave') return Math.exp(k * m.log) * (Math.cos(k * m.angle) + m.other * Math.sin(k * m.angle));
  return raised(m.root, k) * (1 + m.slope * k);
}

/** The largest size that it can have from k on: the wave around it taken away. */
const envelope = (m, k) => (m.kind === 'wave' ? Math.exp(k * m.log) * Math.hypot(1, m.other) : Math.abs(remains(m, k)));

/** The factor by which an epoch shrinks the error in the long run, as its distance from 1: 1 − factor. */
export function shrinks(curvature, step) {
  const { al, T, D, disc } = roots(curvature, step);
  if (D === 0) return al < 1 ? al : 2 - al;
  if (disc < 0) return 1 - Math.sqrt(D);
  const s = Math.sqrt(disc);
  const large = T > 0 ? (T + s) / 2 : (T - s) / 2;
  return large > 0 ? al / (1 - D / large) : 1 + large;
}

/** Epochs in which the error shrinks to that share; ∞ where it does not. */
export function epochsTo(share, curvature, step) {
  const pull = shrinks(curvature, step);
  if (!(pull > 0)) return Infinity;
  if (pull >= 1) return 1;
  return Math.max(1, Math.ceil(Math.log(share) / Math.log1p(-pull)));
}

/** The largest stable rate for this momentum: 2 (1 + β) / λmax; with Nesterov's 2 (1 + β) / ((1 + 2β) λmax). */
export function rateLimit(largest, momentum, nesterov) {
  if (!momentum) return 2 / largest;
  return (2 * (1 + momentum)) / ((nesterov ? 1 + 2 * momentum : 1) * largest);
}

export const bestRate = (values) => 2 / (Math.min(...values) + Math.max(...values));

/** The fastest rate and momentum for the worst direction (Polyak 1964). */
export function bestMomentum(values) {
  const low = Math.sqrt(Math.min(...values));
  const high = Math.sqrt(Math.max(...values));
  return { lr: (2 / (low + high)) ** 2, momentum: ((high - low) / (high + low)) ** 2 };
}

/** One quadratic with its coordinates: θ = (β ⊙ scale, β₀ + β·center), the intercept last; β as the table has it. */
export class System {
  constructor(data) {
    Object.assign(this, data);
    this.r = this.values.length;
    this.q = this.optimum.length;
  }

  toTraining(units) {
    const p = this.scale.length;
    const slopes = this.intercept ? units.slice(1) : units;
    const theta = this.scale.map((s, j) => slopes[j] * s);
    if (this.intercept) theta.push(units[0] + this.center.reduce((sum, c, j) => sum + c * slopes[j], 0));
    return theta.slice(0, p + (this.intercept ? 1 : 0));
  }

  toUnits(theta) {
    const slopes = this.scale.map((s, j) => theta[j] / s);
    if (!this.intercept) return slopes;
    return [theta[theta.length - 1] - this.center.reduce((sum, c, j) => sum + c * slopes[j], 0), ...slopes];
  }

  /** The error along each eigenvector. */
  components(theta) {
    const error = this.optimum.map((v, j) => theta[j] - v);
    return this.vectors.map((v) => {
      let sum = 0;
      for (let j = 0; j < error.length; j += 1) sum += v[j] * error[j];
      return sum;
    });
  }

  component(i, theta) {
    return this.vectors[i].reduce((sum, x, j) => sum + x * (theta[j] - this.optimum[j]), 0);
  }

  /** θ with these errors; what the data leave open stays as it was at `base`. */
  at(components, base, baseComponents) {
    const theta = base ? [...base] : [...this.optimum];
    this.vectors.forEach((v, i) => {
      const move = components[i] - (base ? baseComponents[i] : 0);
      if (move) for (let j = 0; j < v.length; j += 1) theta[j] += move * v[j];
    });
    return theta;
  }

  /** ½ Σ λ c². */
  excess(components) {
    return 0.5 * components.reduce((sum, c, i) => sum + this.values[i] * c * c, 0);
  }

  penaltyAt(theta) {
    return this.penalty ? 0.5 * this.penalty.reduce((sum, p, j) => sum + p * theta[j] * theta[j], 0) : 0;
  }
}

/** Training from a start with a step, at any epoch, in closed form; in float32 as it rounds, where that is feasible. */
export class Path {
  constructor(system, startUnits, step, dtype) {
    this.system = system;
    this.step = step;
    this.start = system.toTraining(startUnits);
    this.from = system.components(this.start);
    this.motions = system.values.map((l) => motion(l, step));
    this.diverges = system.values.some((l, i) => this.from[i] !== 0 && !(shrinks(l, step) > 0));
    this.rounded = dtype === 'float32' ? roundedPath(this) : null;
  }

  get frozenAt() {
    return this.rounded ? this.rounded.frozenAt : null;
  }

  /** The place in the table of float32 where that is known to hold at this epoch, else null. */
  #roundedAt(k) {
    const seen = this.rounded;
    return seen && (k < seen.length || seen.frozenAt !== null) ? seen.at(Math.min(k, seen.length - 1)) : null;
  }

  theta(k) {
    return this.#roundedAt(k) || this.system.at(this.components(k), this.start, this.from);
  }

  /** The error along each direction. */
  components(k) {
    const theta = this.#roundedAt(k);
    return theta ? this.system.components(theta) : this.motions.map((m, i) => this.from[i] * remains(m, k));
  }

  /** The error along one direction. */
  along(i, k) {
    const theta = this.#roundedAt(k);
    return theta ? this.system.component(i, theta) : this.from[i] * remains(this.motions[i], k);
  }

  /** The objective above its optimum. */
  excess(k) {
    return this.system.excess(this.components(k));
  }

  /** The same without its waves, which no picture can show. */
  envelope(k) {
    if (this.rounded) return this.excess(k);
    return this.motions.reduce((sum, m, i) => sum + this.#share(m, i, k), 0);
  }

  /** The part of each direction in the excess. */
  shares(k) {
    return this.motions.map((m, i) => this.#share(m, i, k));
  }

  #share(m, i, k) {
    const left = this.from[i] * envelope(m, k);
    return 0.5 * this.system.values[i] * left * left;
  }

  units(k) {
    return this.system.toUnits(this.theta(k));
  }


  /** Epochs until the excess is that share of its start; ∞ if never. */
  arrives(share) {
    if (this.diverges) return Infinity;
    const goal = share * this.system.excess(this.from);
    if (!(goal > 0)) return 0;
    if (this.envelope(1) <= goal) return 1;
    let low = 1;
    let high = 2;
    while (high < 1e15 && this.envelope(high) > goal) { low = high; high *= 2; }
    if (high >= 1e15) return Infinity;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.envelope(middle) > goal) low = middle;
      else high = middle;
    }
    return high;
  }
}

/** Every epoch in float32: the gradient in float64, rounded once, then torch's step in float32. */
function roundedPath(path) {
  const { system, step } = path;
  const { q, r } = system;
  const most = Math.max(10, Math.min(F32_EPOCHS, Math.floor(F32_ROUNDS / (2 * q * Math.max(r, 1)))));
  const f = Math.fround;
  const rows = [Float32Array.from(path.start)];
  const [a, b] = [step.lr, step.momentum];
  let buffer = null;
  let frozenAt = null;
  for (let k = 0; k < most; k += 1) {
    const theta = rows[k];
    const components = system.components(theta);
    const next = new Float32Array(q);
    const moved = new Float32Array(q);
    let still = true;
    for (let j = 0; j < q; j += 1) {
      let g = 0;
      for (let i = 0; i < r; i += 1) g += system.values[i] * components[i] * system.vectors[i][j];
      g = f(g);
      let move = g;
      if (b) {
        moved[j] = buffer ? f(f(f(b) * buffer[j]) + g) : g;
        move = step.nesterov ? f(g + f(f(b) * moved[j])) : moved[j];
      }
      next[j] = f(theta[j] - f(f(a) * move));
      if (next[j] !== theta[j]) still = false;
      if (!Number.isFinite(next[j])) return found(rows, null);
    }
    buffer = b ? moved : null;
    if (still && !b) { frozenAt = k; break; }
    rows.push(next);
  }
  return found(rows, frozenAt);
}

const found = (rows, frozenAt) => ({ frozenAt, length: rows.length, at: (k) => Array.from(rows[k]) });

/** Distinct whole epochs from 0 to `last`, evenly spread on a logarithmic axis. */
export function logEpochs(last, most = 240) {
  const found0 = new Set([0]);
  const top = Math.log10(Math.max(last, 1));
  for (let i = 0; i <= most; i += 1) found0.add(Math.round(10 ** ((top * i) / most)));
  return [...found0].filter((k) => k <= last).sort((x, y) => x - y);
}
