"""The front end of the widget in a page of its own, with a model as small as anywidget's protocol allows."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from sightline.views.page_files import widget_script

HOME = "http://widget.test/"
HTML = """<!doctype html><title>widget</title><link rel="icon" href="data:,"><style>{css}</style>
<body style="margin:0;padding:14px;font:14px sans-serif;background:{ground};color:{words}"><div id="el"></div>
<script type="module">
import widget from './widget.js';
const seen = {{}};
const values = {values};
window.model = {{
  get: (name) => values[name],
  on: (name, f) => {{ (seen[name] ||= new Set()).add(f); }},
  off: (name, f) => seen[name]?.delete(f),
  save_changes: () => {{}},
  put: (name, value) => {{ values[name] = value; for (const f of seen[`change:${{name}}`] || []) f(); }},
  count: () => Object.values(seen).reduce((n, s) => n + s.size, 0),
}};
window.end = widget.render({{ model: window.model, el: document.getElementById('el') }});
window.ready = true;
</script>"""


def part(name: str) -> str:
    return (files("sightline") / "views" / "widget" / name).read_text(encoding="utf-8")


def show(context: Any, scene: dict[str, Any], table: dict[str, Any], *, dark: bool = False) -> Any:
    """A page with the widget in it; what it asks for elsewhere, and errors, are in `page.complaints`."""
    page = context.new_page()
    page.complaints = []
    values = json.dumps({"scene": scene, "table": table}).replace("<", "\\u003c")
    ground, words = ("#111418", "#e4e4e4") if dark else ("#fff", "#111")
    html = HTML.format(css=part("widget.css"), ground=ground, words=words, values=values)

    def answer(route: Any) -> None:
        asked = route.request.url
        if asked == HOME:
            route.fulfill(body=html, content_type="text/html")
        elif asked == f"{HOME}widget.js":
            route.fulfill(body=widget_script(), content_type="text/javascript")
        else:
            page.complaints.append(asked)
            route.abort()

    page.route("**/*", answer)
    page.on("console", lambda m: page.complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: page.complaints.append(str(e)))
    page.goto(HOME)
    page.wait_for_function("() => window.ready")
    return page
