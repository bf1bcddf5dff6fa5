// The line that says how the run is doing, with buttons that fix it.

import { html } from './svg.js';
import { num, known, whole, about } from './numbers.js';
import { epochsTo } from './closed.js';
import { askNothing } from './state.js';

const CRAWLING = 1e5;
const SIGNS = { good: '✓', bad: '✕', slow: '!', going: '…' };

/** What the settings asked for would do: kind, word, sentence. */
export function askedVerdict(view) {
  const { path, step, system, limit } = view;
  if (path.diverges) {
    return { kind: 'bad', word: 'DIVERGES', sentence: `rate ${num(step.lr, 4)} is above ${num(limit, 4)}, the largest stable rate${step.momentum ? ' with this momentum' : ''}: the loss grows along the steepest direction${view.overflow ? `, and from epoch ${whole(view.overflow)} on its numbers are too large to write down` : ''}` };
  }
  const flat = Math.min(...system.values);
  const factor = epochsTo(Math.exp(-1), flat, step);
  if (path.frozenAt !== null && view.path.excess(path.frozenAt) > 1e-8 * system.excess(path.from)) {
    return { kind: 'bad', word: 'FREEZES', sentence: `float32 rounding swallows every step from epoch ${whole(path.frozenAt)} on, ${num(path.excess(path.frozenAt), 3)} above the exact loss` };
  }
  const needed = path.arrives(1e-10);
  const worst = epochsTo(0.01, flat, step);
  if (worst > CRAWLING) {
    return { kind: 'slow', word: 'CRAWLS', sentence: `the flattest direction needs ${about(factor)} epochs for each factor e, ${about(worst)} to lose 99 % of its error (condition number ${num(Math.max(...system.values) / flat, 3)})` };
  }
  return { kind: 'good', word: 'CONVERGES', sentence: `the loss converges to within 1e-10 of its way by epoch ${about(needed)}; every direction has lost 99 % of its error by epoch ${about(worst)}` };
}

/** What the run itself says, or what can be said of it while it goes on. */
export function recordedVerdict(view) {
  const { scene, table } = view;
  if (view.hidden) return { kind: 'going', word: 'GUESS FIRST', sentence: `at epoch ${whole(Math.max(view.k, 0))} the loss is ${num(view.loss, 6)}; where is the exact answer? h shows it` };
  if (scene.status === 'running') return goingOn(view);
  if (!scene.verdict) {
    const words = { killed: 'the process that wrote the run is gone', failed: 'training ended with an error', interrupted: 'the run was interrupted' };
    return { kind: 'slow', word: scene.status.toUpperCase(), sentence: `${words[scene.status] || 'there is no result yet'}; ${whole(table.of ?? table.number.length)} records are here`, warnings: scene.before || [] };
  }
  const { name, sentence, warnings } = scene.verdict;
  const kind = { CONVERGED: 'good', DIVERGED: 'bad', NOT_CONVERGED: 'slow', STOPPED_EARLY: 'slow' }[name] || 'slow';
  return { kind, word: name.replace('_', ' '), sentence: sentence + lastFinite(view, name), warnings };
}

/** Of a run whose loss is no number: where it was one for the last time. */
function lastFinite(view, name) {
  if (name !== 'DIVERGED') return '';
  const { table } = view;
  for (let i = table.number.length - 1; i >= 0; i -= 1) {
    const loss = known(table.train_loss[i]) ? table.train_loss[i] : table.running_loss[i];
    if (known(loss)) return i === table.number.length - 1 ? '' : `; the last finite loss was ${num(loss, 4)} at epoch ${whole(table.number[i])}`;
  }
  return '';
}

function goingOn(view) {
  const { scene, recorded } = view;
  const warnings = scene.before || [];
  let sentence = `training goes on, epoch ${whole(Math.max(view.last, 0))}`;
  if (recorded) {
    const asked = askedVerdict({ ...view, path: recorded, step: view.recordedStep, system: view.trained, limit: view.limit });
    return { kind: asked.kind === 'good' ? 'going' : asked.kind, word: asked.kind === 'good' ? 'RUNNING' : `RUNNING, ${asked.word}`, sentence: `${sentence}; ${asked.sentence}`, warnings };
  }
  return { kind: 'going', word: 'RUNNING', sentence, warnings };
}

export function drawVerdict(place, view, page) {
  const verdict = view.changed && !view.hidden ? askedVerdict(view) : recordedVerdict(view);
  place.className = `verdict ${verdict.kind}`;
  const key = JSON.stringify([view.changed, verdict, page.buttonsFor(view).map(([text]) => text)]);
  if (place.dataset.key === key) return verdict;
  place.dataset.key = key;
  place.replaceChildren();
  const said = html(place, 'p', { class: 'said' });
  html(said, 'span', { class: 'sign', 'aria-hidden': 'true' }, SIGNS[verdict.kind]);
  html(said, 'strong', {}, ` ${view.changed && !view.hidden ? 'What if: ' : ''}${verdict.word}`);
  said.append(`  ${verdict.sentence}.`);
  const warnings = verdict.warnings || [];
  const main = view.hidden ? null : warnings.find((w) => w.code === 'SL-FROZEN') || warnings.find((w) => w.code !== 'SL-COND') || warnings[0];
  if (main) html(place, 'p', { class: 'why' }, `${main.text}.`);
  const tools = html(place, 'p', { class: 'fixes' });
  for (const [text, act, title] of page.buttonsFor(view)) {
    html(tools, 'button', { type: 'button', title }, text).addEventListener('click', act);
  }
  if (warnings.length) {
    const fold = html(place, 'details');
    html(fold, 'summary', {}, warnings.length === 1 ? '1 warning' : `${warnings.length} warnings, what they mean and what fixes them`);
    for (const w of warnings) {
      const item = html(fold, 'div', { class: 'warning' });
      html(item, 'b', {}, w.code);
      item.append(` ${w.text}`);
      for (const fix of w.fix) html(item, 'code', {}, fix);
    }
  }
  return verdict;
}

/** The buttons that fix what is wrong: text, what it does, and a longer text. */
export function fixes(view, page) {
  const { scene, state } = view;
  if (scene.whatif || !view.system || view.hidden) return [];
  const found = [];
  const done = !view.changed && scene.verdict && scene.verdict.name === 'CONVERGED';
  if (!done) {
    if (!view.standardized && scene.systems.length > 1) found.push(['standardize', () => page.standardize(true), 'Train on standardized columns, at their best rate']);
    found.push(['best rate', () => page.bestRate(), 'The fastest fixed rate, 2 / (λmin + λmax)']);
    if (Math.max(...view.system.values) > 1.5 * Math.min(...view.system.values)) found.push(['best momentum', () => page.bestMomentum(), "Polyak's rate and momentum"]);
    if (view.dtype === 'float32') found.push(['float64', () => page.set({ dt: 'float64', lr: state.lr ?? view.step.lr }), 'Train in double precision']);
    if (page.hasCommand('solve')) found.push(['solve exactly', () => page.showCommand('solve'), 'The exact answer needs no epochs']);
  }
  if (view.changed) {
    if (page.hasCommand('fit')) found.push([page.source.live ? 'start a run with these …' : 'the command for these …', () => page.showCommand('fit'), 'Shows the command line first']);
    found.push(['back to the run', () => page.set((s) => { askNothing(s); delete s.k; }), 'What was recorded']);
  }
  return found;
}
