// Where the page has its runs from: a server that reads run folders, or the page itself.

/** A local server; every address is relative, so that any proxy may stand before it. */
export class LiveSource {
  constructor() {
    this.live = true;
    this.token = new URLSearchParams(location.search).get('token') || sessionStorage.getItem('sightline-token') || '';
    if (this.token) sessionStorage.setItem('sightline-token', this.token);
  }

  async #get(path) {
    const answer = await fetch(path, { headers: this.token ? { 'X-Sightline-Token': this.token } : {}, cache: 'no-store' });
    const body = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
    if (!answer.ok) throw Object.assign(new Error(body.error || `the server answered ${answer.status}`), { status: answer.status });
    return body;
  }

  runs() { return this.#get('api/runs'); }

  scene(id) { return this.#get(`api/scene/${encodeURIComponent(id)}`); }

  records(id, after = -1) { return this.#get(`api/records/${encodeURIComponent(id)}?after=${after}`); }

  stories() { return this.#get('api/stories'); }

  async start(body) {
    const answer = await fetch('api/start', {
      method: 'POST', body: JSON.stringify(body),
      headers: { 'Content-Type': 'application/json', 'X-Sightline-Token': this.token },
    });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.error);
    return said;
  }

  /** News of runs, by one stream for all pages of this browser; `heard` gets each, `state` whether there is a line. */
  listen(heard, state) {
    const channel = 'BroadcastChannel' in window ? new BroadcastChannel(`sightline ${location.pathname}`) : null;
    const tell = (news) => { heard(news); };
    if (channel) channel.onmessage = (event) => (event.data.line ? state(event.data.line) : tell(event.data));
    const open = (shares) => {
      const stream = new EventSource(`api/events${this.token ? `?token=${encodeURIComponent(this.token)}` : ''}`);
      const say = (line) => { state(line); if (shares && channel) channel.postMessage({ line }); };
      stream.onopen = () => say('open');
      stream.onerror = () => {
        say('lost');
        if (stream.readyState === EventSource.CLOSED) setTimeout(() => { stream.close(); again(); }, 1000);
      };
      stream.onmessage = (event) => {
        const news = JSON.parse(event.data);
        tell(news);
        if (shares && channel) channel.postMessage(news);
      };
      return stream;
    };
    let again;
    if (channel && navigator.locks) {
      navigator.locks.request(`sightline ${location.pathname}`, () => new Promise(() => { again = () => open(true); again(); }));
    } else { // without locks, one stream for each page that can be seen
      let stream = null;
      again = () => { stream = open(false); };
      const look = () => {
        if (document.hidden && stream) { stream.close(); stream = null; } else if (!document.hidden && !stream) again();
      };
      document.addEventListener('visibilitychange', look);
      look();
    }
  }
}

/** What was written into this very file. */
export class InlineSource {
  constructor(data) {
    this.live = false;
    this.data = data;
  }

  async runs() { return { runs: this.data.runs, default: this.data.default }; }

  #one(id) { return this.data.scenes[id] || this.data.scenes[this.data.default]; }

  async scene(id) { return this.#one(id).scene; }

  async records(id) { return this.#one(id).table; }

  async stories() { return this.data.stories; }

  listen() {}
}
