"""`watch`: records pass unchanged, the training is the same bits, and no display can stop it."""

from __future__ import annotations

import io
import itertools
import math
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import sightline
from sightline.records import Epoch, Stop
from sightline.views import watching
from sightline.views.loss_plot import Seen, block_plot, loss_svg, sparkline

from .plain import linear, plain_loop


def record(number, loss=1.0, **values):
    given = {"running_loss": None, "valid_loss": None, "gradient_norm": 0.5, "lr": 0.1, "rows": 0, "seconds": 0.0}
    return Epoch(number, train_loss=loss, **{**given, **values})


class Screen(io.StringIO):
    """A terminal that keeps what was written to it."""

    encoding = "utf-8"

    def isatty(self):
        return True


class Broken(Screen):
    def write(self, text):
        raise OSError(f"no such screen for {text!r}")


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still but for what a test adds to it."""
    now = SimpleNamespace(time=100.0)
    monkeypatch.setattr(watching, "perf_counter", lambda: now.time)
    return now


def lines_of(written):
    """What a terminal shows in the end of text with carriage returns."""
    shown = [line.rpartition("\r")[2] for line in written.split("\n")]
    return [re.sub("\x1b\\[K", "", line) for line in shown]


def test_the_very_records_come_in_their_order(capsys):
    records = [record(k, 10.0 / (k + 1)) for k in range(50)]
    assert all(a is b for a, b in zip(sightline.watch(records), records, strict=True))
    assert capsys.readouterr().out == ""  # all that is shown goes to stderr


def test_what_the_loop_returns_comes_through():
    def loop():
        yield record(0)
        return "the end"

    watched = sightline.watch(loop())
    next(watched)
    with pytest.raises(StopIteration) as end:
        next(watched)
    assert end.value.value == "the end"


def test_an_error_in_the_loop_comes_through_and_the_last_record_is_shown(capsys):
    def loop():
        yield from map(record, range(4))
        raise ZeroDivisionError("of the loop")

    with pytest.raises(ZeroDivisionError, match="of the loop"):
        list(sightline.watch(loop()))
    assert capsys.readouterr().err.splitlines()[-1].split()[0] == "3"


def test_closing_it_closes_the_loop():
    ended = []

    def loop():
        try:
            yield from map(record, range(100))
        finally:
            ended.append(True)

    watched = sightline.watch(loop())
    next(watched)
    assert not ended
    watched.close()
    assert ended


@pytest.mark.parametrize("screen", [Screen, Broken, io.StringIO])
def test_the_training_is_the_same_bits(screen, monkeypatch):
    torch.manual_seed(1)
    x = torch.randn(40, 3, dtype=torch.float64)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]], dtype=torch.float64)

    def trained(wrap):
        torch.manual_seed(2)
        model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.3), nn.Linear(8, 1)).double()
        sgd = torch.optim.SGD(model.parameters(), lr=0.05)
        loop = sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=12, batch_size=8, measure=1)
        seen = [(e.number, e.train_loss, e.running_loss) for e in wrap(loop)]
        return seen, torch.nn.utils.parameters_to_vector(model.parameters()), torch.get_rng_state()

    plain = trained(lambda loop: loop)
    monkeypatch.setattr(sys, "stderr", screen())
    watched = trained(sightline.watch)
    assert watched[0] == plain[0]
    assert torch.equal(watched[1], plain[1])
    assert torch.equal(watched[2], plain[2])


def test_a_watched_loop_ends_where_the_plain_loop_ends():
    x, y = torch.arange(6.0, dtype=torch.float64).reshape(-1, 1), torch.ones(6, 1, dtype=torch.float64)
    plain, ours = linear(1), linear(1)
    plain_loop(plain, x, y, nn.MSELoss(), torch.optim.SGD(plain.parameters(), lr=0.01), 30)
    sgd = torch.optim.SGD(ours.parameters(), lr=0.01)
    for _ in sightline.watch(sightline.train(ours, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=30)):
        pass
    assert ours.weight.item() == pytest.approx(plain.weight.item(), rel=1e-12)


def test_a_display_that_breaks_says_so_once_and_the_loop_goes_on(monkeypatch, capsys):
    monkeypatch.setattr(watching._Lines, "draw", lambda self, seen: 1 / 0)
    assert len(list(sightline.watch(map(record, range(20))))) == 20
    said = capsys.readouterr().err
    assert said.count("the display of progress has ended (ZeroDivisionError: division by zero)") == 1


def test_a_program_without_a_screen(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert len(list(sightline.watch(map(record, range(20))))) == 20


def test_interrupts_are_no_errors_of_the_display(monkeypatch):
    def interrupted(self, seen):
        raise KeyboardInterrupt

    monkeypatch.setattr(watching._Lines, "draw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(sightline.watch(map(record, range(3))))


def test_off_a_terminal_lines_at_powers_of_two_and_at_the_last(capsys):
    list(sightline.watch([record(k, 5.0 + k) for k in range(101)]))
    head, *lines = capsys.readouterr().err.splitlines()
    assert head.split() == ["epoch", "loss", "gradient"]
    assert [line.split()[0] for line in lines] == ["0", "1", "2", "4", "8", "16", "32", "64", "100"]
    assert lines[-1].split() == ["100", "105.0000", "0.5"]


def test_a_loop_that_is_left_shows_where(capsys):
    for epoch in (watched := sightline.watch(map(record, range(100)))):
        if epoch.number == 5:
            break
    watched.close()
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()[1:]] == ["0", "1", "2", "4", "5"]


def test_losses_of_rows_held_out_have_a_column(capsys):
    list(sightline.watch([record(k, 5.0, valid_loss=7.0 - k) for k in range(3)]))
    head, *lines = capsys.readouterr().err.splitlines()
    assert head.split() == ["epoch", "loss", "gradient", "held", "out"]
    assert lines[-1].split() == ["2", "5.0000", "0.5", "5.0000"]


def test_a_terminal_has_one_line_while_the_loop_runs_and_a_plot_at_its_end(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    watched = sightline.watch((record(k, 100.0 / (1 + k)) for k in range(41)), total=40)
    for epoch in watched:
        clock.time += 0.5
        if epoch.number == 20:
            assert "\n" not in screen.getvalue()
            (line,) = lines_of(screen.getvalue())
            assert line.startswith("epoch 20 of 40  loss 4.7619  █")
            assert line.endswith("▁  2 epochs/s  10 s left")
    first, *plot = lines_of(screen.getvalue())
    assert first.startswith("epoch 40 of 40  loss 2.4390")
    assert "left" not in first
    assert plot[0].startswith("loss 100.0 │█")
    assert plot[5].startswith("     2.439 │█")
    assert plot[7].split() == ["0", "epoch", "40"]
    assert max(map(len, [first, *plot])) < 80


def test_a_terminal_is_drawn_at_most_ten_times_a_second(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    for _ in sightline.watch(map(record, range(1000))):
        clock.time += 0.001
    assert 9 <= screen.getvalue().count("\r") <= 12


def test_a_terminal_without_block_characters(monkeypatch):
    screen = Screen()
    screen.encoding = "ascii"
    monkeypatch.setattr(sys, "stderr", screen)
    list(sightline.watch(map(record, range(30))))
    assert screen.getvalue().isascii()
    assert "epoch 29  loss 1.0000" in screen.getvalue()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_real_terminal():
    import pty

    code = (
        "import sightline, sys\n"
        "from sightline.records import Epoch\n"
        "for e in sightline.watch([Epoch(k, None, 9.0 - k, None, 1.0, 0.1, 0, 0.0) for k in range(9)], total=8): pass\n"
        "print(sorted({'torch', 'numpy', 'matplotlib', 'IPython'} & set(sys.modules)))"
    )
    ours, theirs = pty.openpty()
    env = {**os.environ, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=theirs, env=env, check=True)
    os.close(theirs)
    written = os.read(ours, 65536).decode().replace("\r\n", "\n")
    os.close(ours)
    assert done.stdout.decode().strip() == "[]"  # none of them is loaded for it
    assert lines_of(written)[0].startswith("epoch 8 of 8  loss 1.0000  █")
    assert "└────" in written


class Handle:
    def __init__(self, shown):
        self.shown = shown

    def update(self, page, raw):
        assert raw
        self.shown.append(page)


@pytest.fixture
def notebook(monkeypatch):
    """What a kernel was told to display."""
    shown = []

    def display(page, *, raw, display_id):
        assert raw
        assert display_id
        shown.append(page)
        return Handle(shown)

    shell = SimpleNamespace(kernel=object())
    fake = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython", fake)
    return shown


def test_a_notebook_is_drawn_at_most_five_times_a_second_and_always_at_the_end(notebook, clock, capsys):
    for _ in sightline.watch([record(k, 50.0 - k) for k in range(41)]):
        clock.time += 0.05
    assert 10 <= len(notebook) <= 12  # two seconds
    assert set(notebook[-1]) == {"text/plain", "text/html"}
    assert notebook[-1]["text/plain"].startswith("epoch 40  loss 10.0000")
    assert "<svg" in notebook[-1]["text/html"]
    assert capsys.readouterr().err == ""


def test_what_a_notebook_is_given_holds_no_scripts_and_escapes_what_was_said(notebook):
    list(sightline.watch([record(0), record(1, stop=Stop("other", "<img src=x onerror=alert(1)>"))]))
    assert "<img" not in notebook[-1]["text/html"]
    assert "&lt;img src=x onerror=alert(1)&gt;" in notebook[-1]["text/html"]
    assert "script" not in notebook[-1]["text/html"]


def test_a_python_shell_with_ipython_loaded_is_no_notebook(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    list(sightline.watch(map(record, range(3))))
    assert len(capsys.readouterr().err.splitlines()) == 4


def test_marimo_has_its_output_replaced(monkeypatch):
    shown = []
    fake = SimpleNamespace(
        running_in_notebook=lambda: True, Html=lambda text: text, output=SimpleNamespace(replace=shown.append)
    )
    monkeypatch.setitem(sys.modules, "marimo", fake)
    list(sightline.watch([record(k, 9.0 - k) for k in range(5)]))
    assert "epoch 4 · loss 5.0000" in shown[-1]
    assert "<svg" in shown[-1]


@pytest.mark.parametrize("total", [0, -3, True, 2.5, "20"])
def test_a_total_that_is_no_number_of_epochs(total):
    with pytest.raises(sightline.UsageError, match="give the number of the last epoch"):
        sightline.watch([], total=total)


def test_something_that_is_no_loop():
    with pytest.raises(sightline.UsageError, match=r"no records in a int: give the loop, watch\(sightline.train"):
        sightline.watch(3)


@pytest.mark.parametrize("loss", [None, math.nan, math.inf, -math.inf, 0.0, -4.0, 1e300, 5e-324])
def test_any_loss_is_shown(loss, monkeypatch, notebook, capsys):
    list(sightline.watch([record(k, loss if k != 1 else 2.0, valid_loss=loss) for k in range(400)]))
    assert "nan" not in notebook[-1]["text/html"]
    assert "inf" not in notebook[-1]["text/html"]
    monkeypatch.delitem(sys.modules, "IPython")
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    list(sightline.watch([record(k, loss if k != 1 else 2.0) for k in range(400)]))
    assert "has ended" not in screen.getvalue()


def test_of_a_million_records_a_few_thousand_are_kept_and_both_ends_are_among_them():
    seen = Seen()
    for k in (*range(2000), *range(2000, 1_000_001, 100)):
        seen.take(record(k, 1.0))
    points = seen.points()
    assert len(points) < 3000
    assert [k for k, _ in points[:100]] == list(range(100))
    assert points[-1][0] == 1_000_000
    gaps = [b - a for (a, _), (b, _) in itertools.pairwise(points)]
    assert max(gaps) <= 1_000_000 / 100


def test_the_plot_in_characters_falls_as_the_loss_falls():
    points = [(k, 100.0 * 0.9**k) for k in range(60)]
    line = sparkline(points, 24)
    assert list(line) == sorted(line, reverse=True)
    assert (line[0], line[-1], len(line)) == ("█", "▁", 24)
    rows = block_plot(points, 79, 6)
    filled = [sum(c != " " for c in row.partition("│")[2]) for row in rows[:6]]
    assert filled == sorted(filled)
    assert len({len(row) for row in rows[6:]}) == 1


def test_the_picture_has_a_point_for_each_record_where_there_are_few():
    seen = Seen()
    for k in range(5):
        seen.take(record(7 + k, 5.0 - k, valid_loss=6.0 - k))
    drawn = loss_svg(seen)
    assert drawn.count('r="2.5"') == 5
    assert "held out" in drawn
    assert re.findall(r'text-anchor="middle"[^>]*>(\d+)<', drawn) == ["7", "8", "9", "10", "11"]


def test_the_axis_of_many_epochs_is_logarithmic_and_begins_at_the_first():
    seen = Seen()
    for k in range(500, 1501):
        seen.take(record(k, 1e6 / k))
    assert re.findall(r'text-anchor="middle"[^>]*>([\d,]+)<', loss_svg(seen)) == ["500", "501", "510", "600", "1,500"]


def test_why_a_loop_ended_is_told_where_it_is_no_matter_of_course(monkeypatch, clock):
    for stop, told in ((Stop("diverged", "the loss grew"), True), (Stop("epochs", "the loss grew"), False)):
        monkeypatch.setattr(sys, "stderr", screen := Screen())
        list(sightline.watch([record(0), record(1, stop=stop)]))
        assert screen.getvalue().endswith("the loss grew\n") is told
