"""The files of the page, as they are sent, and all of them in one file."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["TYPES", "page_file", "page_names", "report_html", "widget_script"]

TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
IMPORT = re.compile(r"^import \{([^}]*)\} from '\./([\w-]+)\.js';$", re.M)
LITERAL = re.compile(r"['\"`/]")  # a line with a text or an expression in it is left as it is
SPACED = re.compile(r" ?(=>|===|!==|&&|\|\||<=|>=|[=?:<>{}(),;*]) ?")
EXPORT = re.compile(r"^export ((?:async )?(?:function|class|const)) (\w+)", re.M)


@cache
def page_names() -> tuple[str, ...]:
    """The names of all files of the page."""
    found = [entry.name for entry in (files("sightline") / "views" / "page").iterdir()]
    return tuple(sorted(name for name in found if name.rpartition(".")[2] in TYPES))


@cache
def page_file(name: str) -> str:
    """One of them, without the comments and the spaces that only its authors need."""
    text = (files("sightline") / "views" / "page" / name).read_text(encoding="utf-8")
    if name.endswith(".css"):
        return re.sub(r"\s*([{};])\s*", r"\1", re.sub(r"/\*.*?\*/", "", text, flags=re.S))
    if not name.endswith(".js"):
        return text
    lines = (line.strip() for line in text.splitlines())
    kept = (line for line in lines if line and not line.startswith(("//", "/**")))
    return "\n".join(line if LITERAL.search(line) else SPACED.sub(r"\1", line) for line in kept)


def report_html(data: Mapping[str, Any], title: str) -> str:
    """The page with its data written into it: one file that asks no server for anything.

    What is written there cannot end its element, whatever the names of columns are.
    """
    script, style = _bundle("main"), page_file("style.css")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; base-uri 'none'; "
        "form-action 'none'"
    )
    written = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    for character, escaped in (("<", "\\u003c"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029")):
        written = written.replace(character, escaped)
    escaped_title = title.replace("&", "&amp;").replace("<", "&lt;")
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    element = f'<script type="application/json" id="data">{written}</script>'
    return (
        page_file("index.html")
        .replace("<title>sightline</title>", f"<title>{escaped_title}</title>")
        .replace('<link rel="icon" href="icon.svg">', meta)
        .replace('<link rel="stylesheet" href="style.css">', f"<style>{style}</style>")
        .replace('<script type="module" src="main.js"></script>\n', "")
        .replace("</body>", f'{element}\n<script type="module">{script}</script>\n</body>')
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()


@cache
def widget_script() -> str:
    """The module of the widget in notebooks, with what it shares with the page written into it."""
    text = (files("sightline") / "views" / "widget" / "widget.js").read_text(encoding="utf-8")
    return f"{_bundle(*(name for _, name in IMPORT.findall(text)))}\n{_inside(text)}"


@cache
def _bundle(*names: str) -> str:
    """Modules and all that they need, each as a function that is called once, those that others need first."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        for _, needed in IMPORT.findall(page_file(f"{name}.js")):
            visit(needed)
        order.append(name)

    for name in names:
        visit(name)
    return "const made = {};\n" + "\n".join(_wrapped(name) for name in order)


def _wrapped(name: str) -> str:
    text = page_file(f"{name}.js")
    names = [found for _, found in EXPORT.findall(text)]
    body = EXPORT.sub(r"\1 \2", _inside(text))
    return f"made['{name}'] = (() => {{\n{body}\nreturn {{ {', '.join(names)} }};\n}})();"


def _inside(text: str) -> str:
    """A module with what it imports taken from those that were made before."""
    return IMPORT.sub(lambda m: f"const {{{m[1]}}} = made['{m[2]}'];", text)
