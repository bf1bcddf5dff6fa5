"""The addresses of the page, all of them relative: any proxy may stand before it under any path."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ..errors import SightlineError
from ..views.page_files import TYPES, page_file, page_names
from .shelf import Shelf
from .starts import Starts

__all__ = ["make_app"]

TICK = 0.25  # seconds: at most four pieces of news a second
BEAT = 15.0  # seconds after which a silent stream says that it is there


def make_app(shelf: Shelf, starts: Starts, *, default: str | None, token: str, shared: bool) -> Starlette:
    """The application: `default` is the run shown first, None for the list; `shared` where others than this machine can
    ask, whose browsers are given the token as a cookie.
    """

    async def page(request: Request) -> Response:
        name = request.path_params.get("name") or "index.html"
        if name not in page_names():
            return _error(404, f"there is no {name[:60]!r} here: open / for the page")
        answer = Response(page_file(name), headers={"Content-Type": TYPES[name.rpartition(".")[2]]})
        answer.headers["Cache-Control"] = "no-cache"
        if shared and name == "index.html":
            answer.set_cookie("sightline-token", quote(token, safe=""), httponly=True, samesite="strict")
        return answer

    async def runs(_: Request) -> Response:
        found = await run_in_threadpool(shelf.listed)
        return JSONResponse({"runs": found, "default": default, "folder": str(shelf.folder)})

    async def scene(request: Request) -> Response:
        return await _asked(shelf.scene, request.path_params["run"])

    async def records(request: Request) -> Response:
        after = request.query_params.get("after", "-1")
        if not re.fullmatch(r"-?\d{1,15}", after):
            return _error(400, "after is no whole number: give the number of the last record that is known")
        return await _asked(shelf.records, request.path_params["run"], int(after))

    async def tales(_: Request) -> Response:
        from ..pages.stories import stories

        return await _asked(stories)

    async def start(request: Request) -> Response:
        body = await request.body()
        if len(body) > 1_000_000:
            return _error(413, "the settings are too long: at most a megabyte")
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError):
            return _error(400, "the settings are no JSON: start runs from the page")
        return await _asked(starts.start, asked)

    async def events(_: Request) -> Response:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_news(shelf), media_type="text/event-stream", headers=headers)

    async def unknown(request: Request, _: Exception) -> Response:
        return _error(404, f"there is nothing at {request.url.path[:80]!r}: open / for the page")

    return Starlette(
        routes=[
            Route("/", page), Route("/api/runs", runs), Route("/api/scene/{run}", scene),
            Route("/api/records/{run}", records), Route("/api/stories", tales), Route("/api/events", events),
            Route("/api/start", start, methods=["POST"]), Route("/{name}", page),
        ],
        exception_handlers={404: unknown},
        middleware=[Middleware(GZipMiddleware, minimum_size=1000)],
    )  # fmt: skip


async def _asked(question: Any, *arguments: Any) -> Response:
    """The answer to a question that reads files, in a thread; an error as its sentence."""
    try:
        found = await run_in_threadpool(question, *arguments)
    except SightlineError as error:
        return _error(404 if error.exit_code == 3 else 400, error.message)
    return JSONResponse(found)


def _error(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status_code=status)


async def _news(shelf: Shelf) -> AsyncIterator[str]:
    """Server-sent events: what has changed, as it changes."""
    seen: dict[str, Any] = {}
    await run_in_threadpool(lambda: list(shelf.news(seen)))  # from here on, before anyone hears that the line is open
    yield "retry: 1000\n\n"
    silent = 0.0
    while True:
        news = await run_in_threadpool(lambda: list(shelf.news(seen)))
        for one in news:
            yield f"data: {json.dumps(one)}\n\n"
        silent = 0.0 if news else silent + TICK
        if silent >= BEAT:
            silent = 0.0
            yield ": here\n\n"
        await asyncio.sleep(TICK)
