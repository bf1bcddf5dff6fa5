"""Rules on hand-made streams of records."""

from __future__ import annotations

import math

import pytest

from sightline.records import Epoch, Stop
from sightline.stopping import converged, diverged, frozen, stop_when, time_limit


def record(number, loss=None, *, running=None, parameters=None, seconds=0.0, stop=None):
    return Epoch(number, running, loss, None, None, 0.1, 5 * number, seconds, parameters or {}, stop)


def stream(losses):
    return [record(i, loss) for i, loss in enumerate(losses)]


def test_without_rules_records_pass_unchanged():
    records = stream([3.0, 2.0, 1.0])
    assert list(stop_when(records)) == records


def test_the_record_that_a_rule_stops_at_is_the_last_and_carries_the_reason():
    def third(r):
        return Stop("third", "enough") if r.number == 2 else None

    got = list(stop_when(stream([5.0, 4.0, 3.0, 2.0]), third))
    assert [r.number for r in got] == [0, 1, 2]
    assert [r.stop for r in got] == [None, None, Stop("third", "enough")]
    assert got[2].train_loss == 3.0


def test_the_first_rule_that_speaks_wins():
    rules = [lambda _: None, lambda _: Stop("a", "first"), lambda _: Stop("b", "second")]
    assert next(iter(stop_when(stream([1.0]), *rules))).stop.reason == "a"


def test_nothing_is_drawn_from_the_stream_after_the_stop():
    drawn = []

    def endless():
        for i in range(100):
            drawn.append(i)
            yield record(i, 1.0)

    list(stop_when(endless(), lambda r: Stop("x", "") if r.number == 3 else None))
    assert drawn == [0, 1, 2, 3]


def test_a_stop_of_the_stream_itself_is_kept():
    own = Stop("epochs", "all 1 epochs were run")
    got = list(stop_when([record(0, 1.0), record(1, 1.0, stop=own)], lambda _: None))
    assert got[-1].stop is own


@pytest.mark.parametrize(
    ("losses", "baseline", "stops_at"),
    [
        ([1.0, 999.0, 1000.0, 1001.0], 0.0, 3),  # 1000 times the start exactly is not above it
        ([1.0, 1500.0, 4999.0, 5001.0], 5.0, 3),  # the baseline is larger than the start
        ([10.0, 5001.0, 9000.0, 10001.0], 5.0, 3),  # the start is larger than the baseline
        ([1.0, math.nan], 0.0, 1),
        ([1.0, math.inf], 0.0, 1),
        ([1.0, -math.inf], 0.0, 1),
        ([math.nan], 1.0, 0),
        ([math.inf], 1.0, 0),
        ([1.0, 0.5, 900.0, 0.1], 0.0, None),
    ],
)
def test_diverged(losses, baseline, stops_at):
    got = list(stop_when(stream(losses), diverged(baseline)))
    if stops_at is None:
        assert len(got) == len(losses)
        assert got[-1].stop is None
    else:
        assert got[-1].number == stops_at
        assert got[-1].stop.reason == "diverged"
        assert f"epoch {stops_at}" in got[-1].stop.sentence


def test_diverged_reads_the_running_loss_where_nothing_was_measured():
    got = list(stop_when([record(0), record(1, running=1.0), record(2, running=1001.0)], diverged()))
    assert [r.number for r in got] == [0, 1, 2]
    assert got[-1].stop.reason == "diverged"


def test_converged_is_within_the_tolerance():
    got = list(stop_when(stream([5.0, 3.5, 3.25, 3.0]), converged(3.0, 0.25)))
    assert [r.number for r in got] == [0, 1, 2]
    assert got[-1].stop.reason == "converged"


@pytest.mark.parametrize("loss", [math.nan, None, 3.26])
def test_converged_needs_a_loss_that_is_near(loss):
    assert converged(3.0, 0.25)(record(1, loss)) is None


def test_frozen_counts_epochs_without_any_change():
    values = [1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0]
    records = [record(i, 1.0, parameters={"a": v, "b": 0.0}) for i, v in enumerate(values)]
    for patience, last in ((1, 2), (2, 5), (3, 6)):
        got = list(stop_when(records, frozen(patience)))
        assert got[-1].number == last
        assert got[-1].stop.reason == "frozen"
    assert f"since epoch {3}" in got[-1].stop.sentence
    assert list(stop_when(records, frozen(4)))[-1].stop is None


def test_frozen_says_nothing_of_records_without_parameters():
    assert list(stop_when(stream([1.0, 1.0, 1.0]), frozen(1)))[-1].stop is None


def test_time_limit():
    records = [record(i, 1.0, seconds=0.5 * i) for i in range(6)]
    got = list(stop_when(records, time_limit(1.5)))
    assert got[-1].number == 3
    assert got[-1].stop.reason == "time"
    assert "1.5 s" in got[-1].stop.sentence
