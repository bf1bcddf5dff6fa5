"""Options that ask a solved fit more than its table, and their answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import UsageError, shown

if TYPE_CHECKING:
    from ..run import Run

__all__ = ["Findings", "ask", "question_options"]

F = TypeVar("F", bound=Callable[..., Any])
TYPES = {"I": 1, "II": 2, "III": 3, "1": 1, "2": 2, "3": 3}


def question_options(function: F) -> F:
    """--digits, --test, --versus, --anova, --vif, --diagnose and --cross-validate."""
    for option in reversed(
        [
            click.option(
                "--digits",
                type=click.IntRange(1, 31),
                metavar="N",
                help="Print coefficients and standard errors to N digits.",
            ),
            click.option(
                "--test",
                "tests",
                metavar="HYPOTHESIS",
                multiple=True,
                help='Test hypotheses, such as "a = b, c = 0.5".',
            ),
            click.option(
                "--versus",
                metavar="OTHER",
                help="Test against a smaller or larger model: its formula, for show its RUN.",
            ),
            click.option("--anova", metavar="I|II|III", help="Analysis of variance, type I, II or III."),
            click.option("--vif", is_flag=True, help="Collinear columns: variance inflation, condition indices."),
            click.option(
                "--diagnose", is_flag=True, help="Influential rows, tests of assumptions; pictures in the run folder."
            ),
            click.option(
                "--cross-validate", metavar="K|loo", help="Errors on rows left out: in K folds, or loo, one at a time."
            ),
        ]
    ):
        function = option(function)
    return function


@dataclass
class Findings:
    """Answers as lines for a terminal and as values for JSON."""

    lines: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def add(self, key: str, value: Any, lines: list[str]) -> None:
        """One more answer, set apart from the one before."""
        self.values[key] = value
        self.lines += ["", *lines]


def ask(run: Run, options: dict[str, Any], other: Callable[[str], Run]) -> Findings:
    """Answer what the options ask; `other` finds the run that --versus names."""
    found = Findings()
    if options["digits"]:
        from ..views.tables import digits_table

        trusted = run.result["accuracy"]["digits"]
        lines = digits_table(run.coefficients, options["digits"], trusted)
        found.lines += ["", *lines]
    for hypothesis in options["tests"]:
        _test(run, hypothesis, found)
    if options["versus"]:
        _versus(run, other(options["versus"]), found)
    if options["anova"]:
        _anova(run, options["anova"], found)
    if options["vif"]:
        _vif(run, found)
    if options["diagnose"]:
        _diagnose(run, found)
    if options["cross_validate"]:
        _cross_validate(run, options["cross_validate"], found)
    return found


def _test(run: Run, hypothesis: str, found: Findings) -> None:
    from ..comparisons import wald_test
    from ..views.tables import test_lines

    read, test = wald_test(run, hypothesis)
    values = found.values.get("tests", [])
    values.append({"hypothesis": list(read.texts), "dropped": list(read.dropped), **asdict(test)})
    found.add("tests", values, test_lines(read, test))


def _versus(run: Run, other: Run, found: Findings) -> None:
    from ..comparisons import nested_test
    from ..views.tables import comparison_lines

    small, large = sorted((run, other), key=lambda r: -r.result["df"])
    test = nested_test(small, large)
    names = small.design.formula, large.design.formula
    found.add("versus", {"small": names[0], "large": names[1], **asdict(test)}, comparison_lines(*names, test))


def _anova(run: Run, kind: str, found: Findings) -> None:
    from ..comparisons import anova
    from ..views.tables import anova_table

    if kind.upper() not in TYPES:
        raise UsageError(f"--anova cannot be {shown(kind)}: give I, II or III")
    table = anova(run, TYPES[kind.upper()])
    found.add("anova", asdict(table), anova_table(table))


def _vif(run: Run, found: Findings) -> None:
    from ..analysis import conditioning, vif
    from ..views.tables import collinearity_table

    inflation, condition = vif(run), conditioning(run)
    values = {
        "inflation": [asdict(one) for one in inflation],
        "indices": condition.indices.tolist(),
        "proportions": condition.proportions.tolist(),
        "dependencies": [asdict(one) for one in condition.dependencies],
    }
    found.add("collinearity", values, collinearity_table(inflation, condition))


def _diagnose(run: Run, found: Findings) -> None:
    from ..analysis import diagnose, training_rows
    from ..views.tables import assumption_table, influence_table

    tests, rows = diagnose(run)
    found.add("assumptions", [asdict(t) for t in tests], assumption_table(tests))
    found.add("influence", dict(vars(rows)), influence_table(rows, training_rows(run).place))
    if run.folder is None:
        found.lines += ["", "the four pictures of the residuals: add --output DIR"]
        return
    from ..scenes.figures import figures_of
    from ..views.diagnostics import save_diagnostics

    path = save_diagnostics(figures_of(run, rows.row), run.design.formula, run.folder)
    found.lines += ["", f"pictures of the residuals: {path}"]


def _cross_validate(run: Run, folds: str, found: Findings) -> None:
    from ..analysis import cross_validate
    from ..views.tables import validation_lines

    if folds != "loo" and not folds.isdecimal():
        raise UsageError(f"--cross-validate cannot be {shown(folds)}: give a number of folds such as 10, or loo")
    result = cross_validate(run, folds if folds == "loo" else int(folds))
    found.add("cross_validation", dict(vars(result)), validation_lines(result))
