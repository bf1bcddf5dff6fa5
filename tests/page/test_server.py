"""The server of the page: who may ask it, what it does when runs grow, vanish or are damaged, and behind a proxy."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import uvicorn

from sightline.cli import main
from sightline.live.app import make_app
from sightline.live.shelf import Shelf
from sightline.live.starts import Starts

from .conftest import READY, Server


def ask(server, path, *, method="GET", body=None, host=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if host is not None:
        named["Host"] = host
    connection.request(method, path, body=body, headers=named)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content, dict(answer.getheaders())


def copied(runs, name, to: Path) -> Path:
    folder = to / "runs" / name
    shutil.copytree(runs.folder / getattr(runs, name), folder)
    return folder


@contextmanager
def served(*arguments: str) -> Iterator[Server]:
    server = Server(*arguments)
    try:
        yield server
    finally:
        server.stop()


def test_a_foreign_host_is_refused_everywhere(server):
    for path in ("/", "/api/runs", "/api/events", "/style.css"):
        status, content, _ = ask(server, path, host="evil.example")
        assert status == 403
        assert "evil.example" in json.loads(content)["error"]
    status, *_ = ask(
        server, "/api/start", method="POST", body="{}", host="evil.example", X_Sightline_Token=server.token
    )
    assert status == 403
    for host in (f"localhost:{server.port}", f"127.0.0.1:{server.port}"):
        assert ask(server, "/api/runs", host=host)[0] == 200


def test_starting_a_run_needs_the_token_and_the_page(server, runs):
    body = json.dumps({"run": runs.plain})
    own = f"http://127.0.0.1:{server.port}"
    for headers in (
        {},
        {"Origin": own},
        {"Origin": own, "X_Sightline_Token": "wrong"},
        {"X_Sightline_Token": server.token},
        {"Origin": "http://evil.example", "X_Sightline_Token": server.token},
    ):
        assert ask(server, "/api/start", method="POST", body=body, **headers)[0] == 403
    status, content, _ = ask(server, "/api/start", method="POST", body=body, Origin=own, X_Sightline_Token=server.token)
    assert status == 400
    assert "start runs from the page" in json.loads(content)["error"]
    assert ask(server, "/api/runs", method="DELETE", X_Sightline_Token=server.token)[0] == 405


def test_other_machines_need_a_token(runs):
    with pytest.raises(SystemExit) as ended:
        main(["live", str(runs.folder), "--host", "0.0.0.0", "--port", "0", "--no-browser"])
    assert ended.value.code == 2
    with served(str(runs.folder), "--host", "0.0.0.0", "--token", "a secret") as server:
        assert ask(server, "/api/runs")[0] == 403
        assert ask(server, "/api/runs?token=wrong")[0] == 403
        assert ask(server, "/api/runs", X_Sightline_Token="a secret")[0] == 200
        assert ask(server, "/?token=a%20secret")[0] == 200


def test_headers_forbid_everything_that_is_not_ours(server):
    _, content, headers = ask(server, "/")
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert b"<script>" not in content
    assert b"style=" not in content


def test_what_is_not_there_is_said(server, runs):
    status, content, _ = ask(server, "/api/scene/nonsense")
    assert status == 404
    assert runs.plain[:1] in json.loads(content)["error"]
    for path in ("/nothing.js", "/../pyproject.toml", "/%2e%2e/pyproject.toml", "/api/scene/..%2f..%2fetc", "/a/b/c"):
        status, content, _ = ask(server, path)
        assert status == 404
        assert json.loads(content)["error"]
    assert ask(server, f"/api/records/{runs.plain}?after=x")[0] == 400


def test_the_page_is_small(server):
    from sightline.views.page_files import page_names

    assert sum(len(ask(server, f"/{name}")[1]) for name in page_names()) < 150_000


def test_a_port_in_use_is_passed_over(runs):
    with served(str(runs.folder)) as first, served(str(runs.folder), "--port", str(first.port)) as second:
        assert second.port > first.port
        second.process.terminate()
        _, said = second.process.communicate(timeout=10)
        assert f"port {first.port} is in use" in said


def test_places_that_are_no_runs(tmp_path, capsys, runs):
    (tmp_path / "some.txt").write_text("hello")
    for words, code, needle in (
        (["live", str(tmp_path)], 3, "holds no runs"),
        (["live", "nothing-here"], 3, "no run"),
        (["live", runs.files["heights"]], 2, "give a formula too"),
        (["live", str(runs.folder), "--port", "99999"], 2, "port"),
        (["live", str(runs.folder), "--host", "no.such.host.example", "--token", "x"], 2, "cannot listen"),
        (["report", "nothing-here"], 3, "no run"),
        (["report", str(runs.folder / runs.plain), "-o", str(tmp_path / "no" / "r.html")], 3, "cannot write"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([*words, "--no-browser"] if words[0] == "live" else words)
        said = capsys.readouterr().err
        assert ended.value.code == code, said
        assert needle in said
        assert "Traceback" not in said


def test_an_empty_folder_waits_for_its_first_run(tmp_path, runs, open_page):
    (tmp_path / "runs").mkdir()
    with served(str(tmp_path / "runs")) as server:
        page = open_page(server.base, ready=False)
        page.wait_for_function("() => document.querySelector('#list h2')")
        assert "No runs" in page.locator("#list").inner_text()
        copied(runs, "plain", tmp_path)
        page.wait_for_function("() => document.querySelector('#list tbody tr')", timeout=10_000)
        assert page.locator("#list tbody a").inner_text() == "plain"


class Writer:
    """Somebody who trains: appends lines to a copied run."""

    def __init__(self, folder: Path, begin: int) -> None:
        self.path = folder / "epochs.jsonl"
        self.lines = self.path.read_text().splitlines(keepends=True)
        self.at = begin
        self.path.write_text("".join(self.lines[:begin]))

    def write(self, n: int) -> None:
        with open(self.path, "a") as file:
            file.write("".join(self.lines[self.at : self.at + n]))
        self.at += n


NUMBERS = "() => window.sightline.page.table.number"


def waits_for(page, last):
    page.wait_for_function(f"() => window.sightline.page.table.number.at(-1) === {last}", timeout=15_000)


def test_new_records_arrive_and_the_page_follows(tmp_path, runs, open_page):
    folder = copied(runs, "plain", tmp_path)
    writer = Writer(folder, 50)
    with served(str(folder)) as server:
        page = open_page(server.base)
        page.wait_for_timeout(600)
        writer.write(30)
        waits_for(page, 79)
        assert page.evaluate("() => window.sightline.page.view.k") == 79
        page.evaluate("() => window.sightline.page.goTo(10)")
        writer.write(10)
        waits_for(page, 89)
        assert page.evaluate("() => window.sightline.page.view.k") == 10
        page.keyboard.press("f")
        page.wait_for_function("() => window.sightline.page.view.k === 89")
        with open(writer.path, "a") as file:
            file.write(writer.lines[90][:40])  # half a line
        page.wait_for_timeout(700)
        with open(writer.path, "a") as file:
            file.write(writer.lines[90][40:])
        waits_for(page, 90)
        assert page.evaluate(NUMBERS) == list(range(91))


def with_status(folder, status):
    """The run folder as a run leaves it that is written to: another file takes the place of run.json."""
    manifest = json.loads((folder / "run.json").read_text())
    part = folder / "run.json.part"
    part.write_text(json.dumps({**manifest, "status": status}))
    part.rename(folder / "run.json")


@pytest.mark.parametrize("when", ["while it is opened", "while it is asked for again"])
def test_what_changes_while_the_page_asks_is_not_lost(tmp_path, runs, open_page, when):
    """The news comes before the answer that it makes old."""
    other, folder = copied(runs, "example", tmp_path), copied(runs, "plain", tmp_path)
    with_status(folder, "stopped")
    answered = []

    def late(route):
        answer = route.fetch()
        if not answered:
            answered.append(answer.json()["status"])
            with_status(folder, "done")
            time.sleep(1.5)  # the news is there long before
        route.fulfill(response=answer)

    with served(str(tmp_path / "runs")) as server:
        page = open_page(f"{server.base}#run={(other if when == 'while it is opened' else folder).name}")
        page.wait_for_timeout(600)
        page.route(f"**/api/scene/{folder.name}", late)
        if when == "while it is opened":
            page.evaluate(f"() => {{ location.hash = 'run={folder.name}'; }}")
        else:
            with_status(folder, "interrupted")
        seen = "window.sightline.page.opened, window.sightline.page.scene.status"
        page.wait_for_function(f"() => [{seen}].join() === '{folder.name},done'", timeout=15_000)
        assert answered[0] != "done"
        page.unroute(f"**/api/scene/{folder.name}")


def test_a_server_that_comes_back_leaves_no_gap(tmp_path, runs, open_page):
    folder = copied(runs, "plain", tmp_path)
    writer = Writer(folder, 40)
    with served(str(folder)) as server:
        page = open_page(server.base)
        port = server.port
        page.wait_for_timeout(600)
        writer.write(5)
        waits_for(page, 44)
        server.stop()
        page.wait_for_function(
            "() => document.getElementById('line').textContent.includes('reconnecting')", timeout=10_000
        )
        writer.write(20)
    page.context.pages[0].wait_for_timeout(200)
    with served(str(folder), "--port", str(port)) as server:
        assert server.port == port
        writer.write(5)
        waits_for(page, 69)
        assert page.evaluate(NUMBERS) == list(range(70))
        page.wait_for_function("() => !document.getElementById('line').textContent.includes('reconnecting')")


@pytest.fixture
def forgiving(open_page, browser):
    """A page of which the browser may complain that the server is away."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()


def test_a_folder_that_is_deleted_while_it_is_shown(tmp_path, runs, forgiving):
    folder = copied(runs, "plain", tmp_path)
    with served(str(tmp_path / "runs")) as server:
        forgiving.goto(f"{server.base}#run=plain")
        forgiving.wait_for_function(READY, timeout=20_000)
        forgiving.wait_for_timeout(600)
        shutil.rmtree(folder)
        forgiving.wait_for_function("() => !document.getElementById('trouble').hidden", timeout=10_000)
        assert "gone" in forgiving.locator("#trouble").inner_text()
        assert forgiving.locator("#panel-A").is_visible()
        forgiving.goto(f"{server.base}#run=plane")
        forgiving.reload()
        forgiving.wait_for_function("() => document.getElementById('trouble').textContent.includes('no run')")


@contextmanager
def counted(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """The page of one run, and how many streams of news are open at this moment."""
    shelf, streams = Shelf(folder.parent, only=folder.name), [0]
    app = make_app(shelf, Starts(shelf), default=folder.name, token="t", shared=False)

    async def counting(scope, receive, send):
        news = scope["type"] == "http" and scope["path"] == "/api/events"
        streams[0] += news
        try:
            await app(scope, receive, send)
        finally:
            streams[0] -= news

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(counting, log_level="critical", lifespan="off", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/", streams
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()


def test_nine_pages_have_one_stream(tmp_path, runs, browser):
    folder = copied(runs, "plain", tmp_path)
    writer = Writer(folder, 50)
    with counted(folder) as (base, streams):
        context = browser.new_context()
        pages = [context.new_page() for _ in range(9)]
        for page in pages:
            began = time.monotonic()
            page.goto(base)
            page.wait_for_function(READY, timeout=20_000)
            assert time.monotonic() - began < 10.0
        pages[0].wait_for_timeout(600)
        writer.write(7)
        for page in pages:
            page.bring_to_front()
            waits_for(page, 56)
        assert streams[0] == 1
        context.close()


class Proxy(BaseHTTPRequestHandler):
    """Answers under a path of its own, which the server behind it never sees."""

    target = 0
    prefix = "/user/x/proxy/8765"

    def do_GET(self):
        if not self.path.startswith(self.prefix):
            self.send_error(404)
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.target, timeout=30)
        connection.request("GET", self.path[len(self.prefix) :], headers={"Host": f"127.0.0.1:{self.target}"})
        answer = connection.getresponse()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.getheader("Content-Type"))
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            while part := answer.read1(65536):
                self.wfile.write(part)
                self.wfile.flush()
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        self.close_connection = True

    def log_message(self, *arguments):
        pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # sockets of the proxy's last threads
def test_behind_a_proxy_that_takes_a_prefix_away(tmp_path, runs, open_page):
    folder = copied(runs, "plain", tmp_path)
    writer = Writer(folder, 50)
    with served(str(folder)) as server:
        proxy = ThreadingHTTPServer(("127.0.0.1", 0), type("P", (Proxy,), {"target": server.port}))
        proxy.daemon_threads = True
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        page = open_page(f"http://127.0.0.1:{proxy.server_port}{Proxy.prefix}/")
        page.wait_for_timeout(800)
        writer.write(3)
        waits_for(page, 52)
        proxy.shutdown()
        proxy.server_close()


HOSTILE = "<img src=x onerror=alert(1)>"


def test_hostile_names_are_only_text(tmp_path, open_page, capsys):
    import sightline
    from sightline.pages.report import write_report

    text = f'"{HOSTILE}","</script><script>alert(2)</script>"\n' + "\n".join(f"{i},{2 * i + i % 3}" for i in range(9))
    (tmp_path / "h.csv").write_text(text + "\n")
    formula = f"`</script><script>alert(2)</script>` ~ `{HOSTILE}`"
    run = sightline.fit(tmp_path / "h.csv", formula, output=tmp_path / "runs", figures="none")
    write_report(run.folder, tmp_path / "r.html")
    with served(str(run.folder)) as server:
        for url in (server.base, f"file://{tmp_path / 'r.html'}"):
            page = open_page(url)
            page.on("dialog", lambda d: pytest.fail("a name was run as a script"))
            assert HOSTILE in page.locator("#panel-E table").inner_text()
            assert page.locator("img").count() == 0
            assert "</script>" in page.locator("#what").inner_text()


def test_a_million_epochs(tmp_path, runs, open_page):
    folder = copied(runs, "plain", tmp_path)
    first = json.loads((folder / "epochs.jsonl").read_text().splitlines()[0])
    n = 1_000_000
    with open(folder / "epochs.jsonl", "w") as file:
        tail = json.dumps({**first, "valid_loss": 900.0})
        head, rest = tail.split('"number": 0')
        before, after = rest.split('"train_loss": ')
        _, after = after.split(",", 1)
        for i in range(n):
            file.write(f'{head}"number": {i}{before}"train_loss": {1000.0 / (1 + i):.6g},{after}\n')
    with served(str(folder)) as server:
        page = open_page(server.base)
        table = page.evaluate("() => window.sightline.page.table")
        assert len(table["number"]) <= 2000
        assert table["number"][-1] == n - 1
        assert table["train_loss"][-1] == pytest.approx(1e-3, rel=1e-5)
        assert 0 < page.evaluate("() => performance.memory.usedJSHeapSize") < 100e6
        assert page.evaluate("() => Math.max(...window.sightline.page.times)") < 500.0


def test_a_million_rows(tmp_path, open_page):
    import numpy as np

    import sightline

    rng = np.random.default_rng(0)
    x = rng.normal(170, 10, 1_000_000).round(2)
    np.savetxt(tmp_path / "m.csv", np.column_stack([x, (0.6 * x - 30 + rng.normal(0, 7, len(x))).round(2)]),
               delimiter=",", header="height,weight", comments="", fmt="%.2f")  # fmt: skip
    run = sightline.fit(tmp_path / "m.csv", "weight ~ height", output=tmp_path / "runs", figures="none")
    with served(str(run.folder)) as server:
        sent = len(ask(server, f"/api/scene/{run.folder.name}")[1])
        assert sent < 200_000
        page = open_page(server.base)
        assert page.locator("#draw-A .cell").count() > 100
        assert "1,000,000 rows" in page.locator("#panel-A .reading").inner_text()


def test_a_run_is_started_from_the_page(tmp_path, open_page):
    import sightline

    (tmp_path / "h.csv").write_text("height,weight\n150,55\n160,70\n170,64\n175,80\n185,75\n")
    run = sightline.fit(tmp_path / "h.csv", "weight ~ height", output=tmp_path / "runs", figures="none")
    with served(str(run.folder)) as server:
        page = open_page(f"{server.url}#run={run.folder.name}")
        page.evaluate("() => window.sightline.page.set({lr: 0.125, k: 12})")
        page.get_by_role("button", name="start a run with these …").click()
        command = page.locator("#command-text").inner_text()
        assert "--lr 0.125" in command
        assert "--epochs 12" in command
        page.get_by_role("button", name="start it").click()
        page.wait_for_function(f"() => window.sightline.page.opened !== '{run.folder.name}'", timeout=30_000)
        new = page.evaluate("() => window.sightline.page.opened")
        page.wait_for_function("() => window.sightline.page.scene.status === 'done'", timeout=30_000)
        settings = json.loads((tmp_path / "runs" / new / "run.json").read_text())["settings"]
        assert (settings["lr"], settings["epochs"], settings["standardize"]) == (0.125, 12, True)


def test_runs_beside_each_other(server, runs, open_page):
    page = open_page(f"{server.base}#run=", ready=False)
    page.wait_for_function("() => document.querySelectorAll('#list tbody tr').length > 5")
    assert page.locator("#list tbody tr").count() == len(list(runs.folder.glob("*/run.json")))
    page.get_by_label(f"lay {runs.plain} over others").check()
    page.get_by_label(f"lay {runs.example} over others").check()
    page.wait_for_function("() => document.querySelectorAll('#beside path.layer').length === 2")
    words = page.locator(".differences").inner_text()
    assert "precision" in words
    assert "float32" in words
    page.get_by_role("link", name=runs.plain).click()
    page.wait_for_function(READY)
    assert page.locator("#what").inner_text().endswith("5 rows")


def test_without_locks_a_page_that_cannot_be_seen_holds_no_stream(tmp_path, runs, open_page):
    """Under a name that is no secure place a browser has no locks."""
    folder = copied(runs, "plain", tmp_path)
    with counted(folder) as (base, streams):
        page = open_page(base, before="delete Navigator.prototype.locks")
        page.wait_for_timeout(600)
        assert streams[0] == 1
        hide = "(h) => { Object.defineProperty(document, 'hidden', {value: h, configurable: true}); document.dispatchEvent(new Event('visibilitychange')); }"
        page.evaluate(hide, True)
        page.wait_for_timeout(900)
        assert streams[0] == 0
        page.evaluate(hide, False)
        page.wait_for_timeout(600)
        assert streams[0] == 1


def test_a_run_that_comes_is_news_to_a_page_that_has_read_it_already(tmp_path, runs):
    """Between what a page reads and the first look at the folder it may have ended."""
    copied(runs, "example", tmp_path)
    shelf, seen = Shelf(tmp_path / "runs"), {}
    assert list(shelf.news(seen)) == []
    folder = copied(runs, "plain", tmp_path)
    assert list(shelf.news(seen)) == [{"type": "runs"}, {"type": "changed", "run": folder.name}]
    assert list(shelf.news(seen)) == []
    with_status(folder, "stopped")
    assert list(shelf.news(seen)) == [{"type": "changed", "run": folder.name}]
