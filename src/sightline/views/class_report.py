"""How well classes are told apart, as text of at most 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..words import plain
from .number_report import left_out
from .statistics import wrapped
from .subject import Told
from .tables import table

__all__ = ["distinct", "evaluation_lines", "metrics_lines", "percent", "short"]

WIDTH = 80
MOST_CLASSES = 30
Metrics = Mapping[str, Any]


def percent(value: float | None) -> str:
    """A share of rows.

    >>> percent(0.8125), percent(1.0), percent(None)
    ('81.2 %', '100 %', '-')
    """
    if value is None:
        return "-"
    return f"{100.0 * value:.1f} %" if value not in (0.0, 1.0) else f"{100.0 * value:.0f} %"


def short(text: str, limit: int) -> str:
    """A name on one line, cut at its end.

    >>> short("a long label", 7), short("label", 7)
    ('a long…', 'label')
    """
    clean = "".join(c if c.isprintable() else "?" for c in text)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def distinct(labels: Sequence[str], limit: int) -> tuple[str, ...]:
    """Labels on one line, cut at their end, and at their beginning where only that tells them apart.

    >>> distinct(("number one", "number two"), 8), distinct(("one", "two"), 8)
    (('…one', '…two'), ('one', 'two'))
    """
    cut = tuple(short(label, limit) for label in labels)
    if len(set(cut)) == len(set(labels)):
        return cut
    same = next((i for i, letters in enumerate(zip(*labels, strict=False)) if len(set(letters)) > 1), 0)
    return tuple(short("…" * bool(same) + label[same:], limit) for label in labels)


def metrics_lines(run: Told) -> list[str]:
    """How the estimates do on the rows they were trained on, beside what needs no columns."""
    found = run.result.get("metrics")
    if found is None:
        return []
    weighted = f" (weighted by {run.settings.weights})" if run.settings.weights else ""
    text = (
        f" on the training rows{weighted}: log-loss {plain(found['log_loss'])} (shares of the classes alone "
        f"{plain(found['baseline_log_loss'])}), accuracy {percent(found['accuracy'])} (most frequent class alone "
        f"{percent(found['baseline_accuracy'])}), AUC {plain(found['auc'])}, Brier {plain(found['brier'])}"
    )
    return wrapped(text, indent="   ")


def evaluation_lines(found: Metrics) -> list[str]:
    """All of `class_metrics` for a terminal."""
    labels = distinct([c["label"] for c in found["classes"]], 24)
    return [*_numbers(found), "", *_confusion(found, labels), "", *_calibration(found, labels)]


def _numbers(found: Metrics) -> list[str]:
    most = max(found["classes"], key=lambda c: c["rows"])["label"]
    weighted = f", weighted by {found['weights']}" if found["weights"] else ""
    auc = "" if len(found["classes"]) == 2 else "mean over pairs of classes"
    shares, guess = plain(found["baseline_log_loss"]), percent(found["baseline_accuracy"])
    rows = [
        ("log-loss", plain(found["log_loss"]), f"always stating the shares of the classes: {shares}"),
        ("accuracy", percent(found["accuracy"]), f"always guessing {short(most, 20)}: {guess}"),
        ("balanced accuracy", percent(found["balanced_accuracy"]), "mean of the recalls below"),
        ("AUC", plain(found["auc"]), auc),
        ("Brier score", plain(found["brier"]), ""),
    ]
    lines = [f" {name:<18} {value:>8}   {beside}".rstrip() for name, value, beside in rows]
    return [*wrapped(f"{left_out(found)}{weighted}", indent="   "), *lines]


def _confusion(found: Metrics, labels: Sequence[str]) -> list[str]:
    """The matrix where it fits, with recall beside it and precision below; else the classes one by one."""
    counts, classes = found["confusion"]["counts"], found["classes"]
    cells = [("observed", list(labels))]
    cells += [(labels[k], [_number(line[k]) for line in counts]) for k in range(len(labels))]
    cells += [("recall", [percent(c["recall"]) for c in classes]), ("F1", [_three(c["f1"]) for c in classes])]
    below = ["precision", *(percent(c["precision"]) for c in classes), "", ""]
    columns = [(title, [*column, last]) for (title, column), last in zip(cells, below, strict=True)]
    width = sum(max(len(title), *map(len, column)) + 2 for title, column in columns)
    if len(labels) <= MOST_CLASSES and width <= WIDTH:
        return [" predicted (columns) against observed (lines)", *(row.rstrip() for row in table(columns))]
    return _one_by_one(found, labels)


def _one_by_one(found: Metrics, labels: Sequence[str]) -> list[str]:
    """Each class, the worst recall first where not all are shown, with what it is most often taken for."""
    classes, counts = found["classes"], found["confusion"]["counts"]
    brief = distinct([c["label"] for c in classes], 12)
    order = list(range(len(labels)))
    if len(order) > MOST_CLASSES:
        order = sorted(order, key=lambda k: classes[k]["recall"] if classes[k]["rows"] else 2.0)[:MOST_CLASSES]

    def column(name: str, text: Callable[[float | None], str]) -> list[str]:
        return [text(classes[k][name]) for k in order]

    lines = table([
        ("class", [labels[k] for k in order]),
        ("rows", column("rows", _number)),
        ("recall", column("recall", percent)),
        ("precision", column("precision", percent)),
        ("F1", column("f1", _three)),
        ("most taken for", [_taken_for(counts[k], k, brief) for k in order]),
    ])  # fmt: skip
    hidden = len(labels) - len(order)
    more = [f" the {len(order)} classes of the lowest recall; the other {hidden:,}: --json"] if hidden else []
    return [*lines, *more]


def _taken_for(line: Sequence[float], own: int, labels: Sequence[str]) -> str:
    wrong = [0 if k == own else v for k, v in enumerate(line)]
    most = max(range(len(wrong)), key=lambda k: wrong[k])
    return f"{labels[most]} ({_number(wrong[most])})" if wrong[most] else "-"


def _calibration(found: Metrics, labels: Sequence[str]) -> list[str]:
    bins = found["calibration"]
    what = f"of {labels[1]}" if len(labels) == 2 else "of the predicted class"
    lines = table([
        ("probability", [f"{b['from']:.1f} to {b['to']:.1f}" for b in bins]),
        ("rows", [_number(b["rows"]) for b in bins]),
        ("stated", [_three(b["predicted"]) for b in bins]),
        ("observed", [_three(b["observed"]) for b in bins]),
        ("95 % interval", [f"{b['low']:.3f} .. {b['high']:.3f}" for b in bins]),
    ])  # fmt: skip
    error = f" off by {_three(found['expected_calibration_error'])} on average"
    return [f" calibration: the probability {what} beside the observed share", *lines, error]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _three(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
