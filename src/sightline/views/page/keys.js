// Single keys, alive only where no field has the focus, and only if wanted.

export const KEYS = [
  ['space', 'play, pause'], ['← →', 'one epoch back, further; with shift ten'], ['Home, End', 'first, last epoch'], ['n', 'one step'],
  ['f', 'follow the newest epoch'], ['b, m', 'best rate, best momentum'], ['s', 'standardize'], ['l', 'logarithmic or plain loss'],
  ['1 to 9', 'go to a panel; Enter enlarges it, Esc goes back'], ['q', 'squares in place of residuals'], ['h', 'hide or show the exact answer'],
  ['p', 'present'], ['Page Down, .', 'next moment, next story'], ['d', 'dark or light'], ['c', 'copy the link'], ['?', 'this help'],
];

export function bindKeys(page) {
  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || page.state.keys === 0) return;
    if (document.querySelector('dialog[open]')) return;
    const at = event.target;
    if (at.closest && at.closest('input, select, textarea, [contenteditable]')) return;
    if (['Enter', ' '].includes(event.key) && at.closest && at.closest('button, summary, a')) return;
    const act = actions(page, event);
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function actions(page, event) {
  const { state, view, scene } = page;
  if (event.key === '?') return () => document.getElementById('help').showModal();
  if (!scene || !view) return null;
  const asking = !scene.whatif && view.system;
  if (/^[1-9]$/.test(event.key)) {
    const one = page.panels.made.filter((o) => !o.section.hidden)[Number(event.key) - 1];
    return one ? () => one.section.focus() : null;
  }
  if (event.key === 'Enter') {
    const section = event.target.closest ? event.target.closest('section.panel') : null;
    return section ? () => page.set({ big: state.big ? undefined : section.id.slice(6) }) : null;
  }
  const n = event.shiftKey ? 10 : 1;
  const found = {
    ' ': () => page.playPause(), ArrowLeft: () => page.stepBy(-n), ArrowRight: () => page.stepBy(n),
    Home: () => page.goTo(0), End: () => page.goTo(view.last), n: () => page.stepBy(1), f: () => page.follow(),
    b: asking && (() => page.bestRate()), m: asking && (() => page.bestMomentum()), s: asking && (() => page.standardize(!view.standardized)),
    l: () => page.set({ log: state.log === 0 ? undefined : 0 }), q: () => page.set({ sq: state.sq === 1 ? undefined : 1 }),
    h: () => page.set({ guess: state.guess === 1 ? undefined : 1 }), p: () => page.stories.toggle(), d: () => page.turnDark(),
    c: () => page.copyLink(), Escape: () => page.set({ big: undefined }),
    PageDown: page.stories.on && (() => page.stories.next()), PageUp: page.stories.on && (() => page.stories.previous()), '.': () => page.stories.nextStory(),
  };
  return found[event.key] || null;
}
