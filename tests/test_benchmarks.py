"""The benchmark suite's own logic: agreement gates speed, losing and missing peers are told, ratios and tables are right."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from benchmarks import gpu_moments
from benchmarks.suite import child, page, processes, report, rows
from benchmarks.suite.__main__ import main
from benchmarks.suite.data import SCALE, scaled, table
from benchmarks.suite.measure import FASTEST, Found, Measured, Peer, Row, measure
from benchmarks.suite.scaling import Plot, slope

ROOT = Path(__file__).resolve().parent.parent
MACHINE = {"read": 10e9, "float32": 100e9, "float64": 50e9}


def nothing() -> None:
    """A work of no time."""


def fail() -> None:
    raise ValueError("no such solver")


def row(*peers: Peer, deviation: float | tuple[float, float] = 0.0, **options: object) -> Row:
    return Row("9", "a row", Peer("ours", nothing), peers, lambda: deviation, 1e-6, **options)


def measured(ours: list[float], *peers: Found, **about: object) -> Measured:
    plain = measure(row(**about), rounds=1)
    return Measured(plain.about, 2, 1e-9, None, Found("ours", times=ours), list(peers))


def test_a_row_that_misses_its_tolerance_is_not_timed():
    def never() -> None:
        raise AssertionError("timed")

    found = measure(Row("9", "a row", Peer("ours", never), [Peer("theirs", never)], lambda: 1e-3, 1e-6))
    assert not found.agrees
    assert not found.ours.times
    assert "DISAGREE" in "\n".join(report.lines(found, MACHINE))
    assert "DISAGREE 1e-03" in report.summary([found], MACHINE)


def test_a_deviation_that_is_no_number_disagrees():
    assert not measure(row(deviation=float("nan"))).agrees


@pytest.mark.parametrize(("pair", "agrees"), [((3e-6, 2e-6), True), ((5e-6, 2e-6), False), ((5e-7, 0.0), True)])
def test_twice_the_rounding_of_the_plain_loop_is_granted_and_told(pair, agrees):
    found = measure(row(deviation=pair, within=1e-6), rounds=3)
    assert found.agrees is agrees
    if agrees:
        told = "asked within 1e-06: 3.0e-06, short 67 %" in "\n".join(report.lines(found, MACHINE))
        assert told is (pair[0] > 1e-6)


def test_a_peer_that_is_not_installed_or_fails_is_a_line_and_the_others_are_timed():
    found = measure(row(Peer("absent", nothing, needs=["no_such_module"]), Peer("broken", fail), Peer("here", nothing)))
    absent, broken, here = found.peers
    assert absent.missing == "not installed: no_such_module"
    assert broken.missing == "failed: ValueError: no such solver"
    assert len(here.times) == len(found.ours.times) == 7
    text = "\n".join(report.lines(found, MACHINE))
    assert "not installed: no_such_module" in text
    assert "no such solver" in text


def test_a_target_of_a_peer_that_did_not_run_is_not_measured():
    found = measure(row(Peer("absent", nothing, needs=["no_such_module"]), targets={"absent": 2.0, FASTEST: 3.0}))
    assert report.summary([found], MACHINE).count("not measured") == 2


def test_ratios_are_those_of_the_same_round_and_parts_are_multiplied():
    found = measured([1.0, 2.0, 4.0], Found("theirs", times=[3.0, 4.0, 4.0]))
    assert found.ratios(found.peers[0]) == [3.0, 2.0, 1.0]
    assert "2.00 (1.00 to 3.00)" in "\n".join(report.lines(found, MACHINE))
    part = measure(row(Peer("part", nothing, 1e6)), rounds=3)
    assert part.peers[0].seconds > 100 * part.ours.seconds


def test_the_fastest_is_no_yardstick():
    peers = Found("slow", times=[5.0]), Found("quick", times=[2.0]), Found("product", times=[0.1], role="yardstick")
    found = measured([1.0], *peers, targets={FASTEST: 4.0, "product": 0.05})
    assert found.fastest().name == "quick"
    told = report.summary([found], MACHINE)
    assert "2.00 s quick" in told
    assert re.search(r"4 × the fastest +\| 2.00 ×, short 50 %", told)
    assert re.search(r"≤ 20 × product +\| 10.0 ×, reached", told)


def test_a_ratio_just_short_of_its_target_is_never_called_reached():
    assert report.verdict(2.999, 3.0) == "short 1 %"
    assert report.verdict(3.0, 3.0) == "reached"
    assert report.verdict(0.001, 3.0) == "short 99 %"


def test_the_limit_is_the_slower_of_memory_and_arithmetic():
    reading = measured([2.0], bytes=10e9, flops=10e9)
    counting = measured([2.0], bytes=1e9, flops=100e9, dtype="float64")
    assert report.limit_of(reading, MACHINE) == ("memory", 1.0)
    assert report.limit_of(counting, MACHINE) == ("arithmetic", 2.0)
    assert "50 % of the limit, memory" in "\n".join(report.lines(reading, MACHINE))
    assert report.limit_of(measured([2.0]), MACHINE) is None


def test_results_survive_the_way_through_json():
    found = measure(row(Peer("theirs", nothing, check=lambda _: 1e-9), deviation=(0.0, 1e-7)), rounds=2)
    assert Measured.of(json.loads(json.dumps(found.to_dict()))) == found


def test_the_peers_take_turns_in_changing_order():
    order: list[str] = []
    peers = [Peer(name, lambda name=name: order.append(name)) for name in "ab"]
    measure(Row("9", "a row", peers[0], peers[1:], lambda: 0.0, 1e-6), rounds=3)
    assert "".join(order) == "ab" + "ba" + "ab" + "ba"


def test_rounds_end_with_the_budget_but_not_before_three():
    assert len(measure(row(), rounds=7, budget=0.0).ours.times) == 3


def test_the_page_has_every_row_within_120_columns_and_a_picture(tmp_path):
    peers = (
        Found("a peer of rather a long name", times=[5.0], cold=9.0, memory=2e9),
        Found("b", missing="not installed: b"),
    )
    rows = [
        measured([1e-6], *peers, targets={FASTEST: 2.0}, short="short", bytes=1e6, steps=3),
        measure(row(deviation=1.0)),
    ]
    plot = Plot("rows", "rows", "rows", "1", {"ours": [(1.0, 1.0), (10.0, 10.0)]})
    machines = {1: MACHINE, 2: MACHINE}
    page.written(tmp_path / "page.md", rows, machines, plots=[plot], scale=0.5)
    text = (tmp_path / "page.md").read_text()
    assert max(map(len, text.splitlines())) <= 120
    assert "DISAGREE" in text
    assert "not installed: b" in text
    assert "slope 1.00" in text
    assert (tmp_path / "growth-rows.png").stat().st_size < 100_000
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {8}


def test_slopes_are_those_of_powers():
    assert slope([(k, 3.0 * k**2) for k in (1, 2, 4, 8)]) == pytest.approx(2.0)
    two = Plot("p", "p", "p", "", {"ours": [(k, float(max(k, k * k / 8))) for k in (1, 2, 4, 16, 32, 64)]}, ends=3)
    assert two.slopes() == {"ours": "slope 1.00, then 2.00"}


def test_memory_is_that_beyond_what_was_held():
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the system does not tell the highest mark")
    script = "from benchmarks.suite.child import peak_during; print(peak_during(lambda: bytearray(b'1') * 64_000_000))"
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 60e6 < float(told.stdout) < 120e6


def test_tables_shrink_by_the_scale(monkeypatch):
    monkeypatch.setenv(SCALE, "0.01")
    assert scaled(5_000_000) == 50_000
    assert scaled(100, 0.5) == 10
    x, y = table(7, 3)
    assert x.shape == (7, 3)
    assert y.shape == (7,)


def test_a_row_of_another_file_is_registered_by_one_line(monkeypatch):
    monkeypatch.setitem(rows.ROWS, "mine", lambda: row())
    assert rows.row("mine").title == "a row"
    assert all(callable(entry) or (ROOT / f"benchmarks/suite/{entry[0]}.py").exists() for entry in rows.ROWS.values())


def test_a_child_tells_what_it_found_through_a_file(monkeypatch, tmp_path):
    ready: list[int] = []
    ours = Peer("ours", nothing, ready=lambda: ready.append(1))
    one = Row("9", "a row", ours, [Peer("absent", nothing, needs=["no_such_module"])], lambda: 0.0, 1e-6)
    monkeypatch.setitem(rows.ROWS, "mine", lambda: one)
    result = tmp_path / "result.json"
    child.main(str(result), "cold", "mine", "ours")
    assert json.loads(result.read_text())["made"] >= 0.0
    assert ready == [1]
    child.main(str(result), "warm", "mine", "2", "3")
    found = Measured.of(json.loads(result.read_text()))
    assert (found.threads, len(found.ours.times), found.peers[0].times) == (2, 3, [])


def test_cold_seconds_are_those_of_the_process_without_its_rows_and_with_the_rest_of_the_work(monkeypatch):
    monkeypatch.setattr(processes, "_child", lambda *_, **__: ({"made": 2.0, "memory": 5.0}, 10.0))
    peer = processes._with_cold("9", Found("part", scale=4.0, times=[8.0]), threads=1, scale=1.0)
    assert (peer.cold, peer.memory) == (10.0 - 2.0 + 6.0, 5.0)


def test_a_child_keeps_to_its_threads(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "mine")
    found = processes.environment(3, 0.5)
    assert {found[f"{name}_NUM_THREADS"] for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")} == {"3"}
    assert found["POLARS_MAX_THREADS"] == "3"
    assert found["PYTHONPATH"].endswith("mine")


def test_a_row_without_such_a_name_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["no-such-row"])
    assert "no row no-such-row" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_the_script_for_a_gpu_measures_or_says_why_not(device, monkeypatch, capsys):
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    arguments = ["gpu_moments.py", "--device", device, "--rows", "3000", "--columns", "4", "--epochs", "20"]
    monkeypatch.setattr(sys, "argv", arguments)
    gpu_moments.main()
    said = capsys.readouterr().out
    if device == "cuda":
        assert re.fullmatch(r"nothing is measured: torch .*, so there is no cuda: .* use --device cpu\n", said)
        return
    assert said.startswith("3,000 rows of 4 float32 columns, 60 kB, on the CPU; torch ")
    assert float(re.search(r"apart by (\S+)", said)[1]) < gpu_moments.TOLERANCE
    assert "% of the read" in said
    assert "20 epochs of Adam with moments and checks" in said
