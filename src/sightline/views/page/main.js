// Where the page begins.

import { Page } from './page.js';
import { LiveSource, InlineSource } from './stream.js';

const written = document.getElementById('data');
const page = new Page(written ? new InlineSource(JSON.parse(written.textContent)) : new LiveSource());
window.sightline = { state: () => page.facts(), page };
page.begin();
