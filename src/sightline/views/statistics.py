"""What stands below the table of coefficients: fit statistics, what kind they are of, the distance from the answer."""

from __future__ import annotations

import math
import textwrap

from ..words import count, plain
from .subject import Told

__all__ = ["above", "accuracy_lines", "distance_lines", "p_value", "statistics_lines", "wrapped"]

WIDTH = 80


def wrapped(text: str, indent: str = "") -> list[str]:
    """Text broken to the width of the screen, later lines indented."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=True) or [""]


def p_value(p: float) -> str:
    """A p value as it is usually printed.

    >>> p_value(0.11543), p_value(0.00002), p_value(1e-30)
    ('0.115', '2.0e-05', '<2e-16')
    """
    if p < 2e-16:
        return "<2e-16"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def statistics_lines(run: Told) -> list[str]:
    """The statistics, which belong to the exact answer, never to a half-trained state."""
    errors = " (as are the standard errors)" if any(c.std_error for c in run.coefficients) else ""
    lines = [f"of the exact answer{errors}:"] if run.verdict.name != "CONVERGED" else []
    loss = run.result["loss_name"]
    likelihood = "lr" in run.result["fit"] and bool(run.design.classes)
    lines += _of_classes(run) if likelihood else _of_numbers(run) if loss == "mse" else _of_others(run)
    return [part for line in [*lines, *_kind(run)] for part in wrapped(f" {line}", indent="   ")]


def _of_numbers(run: Told) -> list[str]:
    s, lines = run.result["fit"], []
    if s["sigma"] is not None:
        r2 = "R2 not defined (the target is constant)" if s["r2"] is None else f"R2 {_share(s['r2'])}"
        adjusted = "" if s["adj_r2"] is None else f" (adjusted {_share(s['adj_r2'])})"
        lines.append(f"residual standard error {plain(s['sigma'])}, {r2}{adjusted}")
    if s["f"] is not None:
        information = "" if s["aic"] is None else f", AIC {s['aic']:.2f}, BIC {s['bic']:.2f}"
        lines.append(f"F({s['df_model']}, {s['df_resid']}) {plain(s['f'])}, p {p_value(s['f_p'])}{information}")
    if s["sigma"] == 0:
        lines.append("a perfect fit: no residuals are left to measure chance by, so t and p are not defined")
    return [*lines, f"always predicting the mean: loss {plain(s['baseline_loss'], 6)}"]


CONSTANT = {
    "mse": "mean",
    "hinge": "same class",
    "l1": "median",
    "poisson-nll": "mean",
    "gaussian-nll": "mean and variance",
}


def _of_others(run: Told) -> list[str]:
    """Of losses that are neither squared error nor a likelihood of classes: what of these is known."""
    s, lines = run.result["fit"], []
    if (deviance := s.get("deviance")) is not None:
        lines.append(f"deviance {plain(deviance, 6)}, without columns {plain(s['null_deviance'], 6)}")
    if s.get("pseudo_r2") is not None:
        lines.append(f"pseudo-R2 {s['pseudo_r2']:.4f}, the share of the loss without columns")
    if s.get("aic") is not None:
        lines.append(f"log-likelihood {plain(s['log_likelihood'], 6)}, AIC {s['aic']:.2f}, BIC {s['bic']:.2f}")
    loss = run.result["loss_name"]
    what = CONSTANT.get(loss, "shares of the classes" if run.design.classes else "best number")
    return [*lines, f"always predicting the {what}: loss {plain(s['baseline_loss'], 6)}"]


def _of_classes(run: Told) -> list[str]:
    s, labels = run.result["fit"], run.design.classes
    others = ", ".join(labels[1:3]) + (", ..." if len(labels) > 3 else "")
    lines = [f"log odds of {others} against {labels[0]}; deviance {plain(s['deviance'], 6)}, without columns "]
    lines[0] += plain(s["null_deviance"], 6)
    if s["lr"] is not None:
        lines.append(
            f"chi-squared({s['df_model']}) {plain(s['lr'])}, p {p_value(s['lr_p'])}, AIC {s['aic']:.2f}, "
            f"BIC {s['bic']:.2f}"
        )
    if s["mcfadden"] is not None:
        lines.append(
            f"pseudo-R2: McFadden {s['mcfadden']:.4f}, Cox-Snell {s['cox_snell']:.4f}, Nagelkerke {s['nagelkerke']:.4f}"
        )
    return lines


def _kind(run: Told) -> list[str]:
    """What the standard errors allow for, and what a penalty makes of the table."""
    s, fit, lines = run.settings, run.result["fit"], []
    if "why" in fit:
        return [fit["why"] if fit["errors"] is None else f"standard errors: {fit['why']}"]
    others = "F and AIC" if fit["f"] is not None else "chi-squared and AIC" if fit.get("lr") is not None else ""
    if s.cluster is not None:
        lines.append(
            f"standard errors allow for correlation within each {s.cluster}" + f"; {others} do not" * bool(others)
        )
    elif s.robust is not None:
        kind = f"standard errors are robust to unequal variances ({s.robust.upper()})"
        lines.append(kind + f"; {others} are not" * bool(others))
    if s.penalizes:
        what = " and ".join(
            f"{name} {plain(v)}"
            for name, v in (("l2", s.l2), ("weight decay", not s.decoupled and s.weight_decay))
            if v
        )
        lines.append(
            f"penalized ({what}): estimates are pulled to zero, and standard errors and intervals measure their "
            "spread, not that pull"
        )
    return lines


def distance_lines(run: Told) -> list[str]:
    """Where training is, beside where the answer is."""
    result = run.result
    exact = plain(result["exact_loss"], 8)
    if result["engine"]["name"] == "exact":
        return [f" exact answer, no training: loss {exact}", *accuracy_lines(run)]
    if result["loss"] is None or result["excess"] is None or not math.isfinite(result["excess"]):
        return [f" trained loss not finite, exact {exact}"]
    lines = [
        f" trained loss {plain(result['loss'], 8)}, exact {exact}, {above(result['excess'], result['loss'])} above"
    ]
    if run.settings.penalizes:
        lines = [
            f" trained loss {plain(result['loss'], 8)}; penalized, it is {plain(result['excess'], 3)} above its optimum"
        ]
    offs = [abs(c.off_by) for c in run.coefficients if c.off_by is not None]
    if offs and max(offs) >= 5e-4:
        lines.append(f" coefficients up to {_small(max(offs))} standard errors from the exact ones")
    return lines


def accuracy_lines(run: Told) -> list[str]:
    """To how many digits the exact numbers hold, and why."""
    a = run.result.get("accuracy")
    if not a or any(w.code == "SL-SEPARABLE" for w in run.verdict.warnings):
        return []
    digits = count(math.floor(a["digits"]), "digit")
    return wrapped(f" right to {digits}: {a['reason']}", indent="   ")


def above(excess: float | None, loss: float | None) -> str:
    """How far a loss is above the exact one; rounding counts as nothing."""
    if excess is None or loss is None:
        return "-"
    return "0" if excess <= 2e-15 * abs(loss) < math.inf else plain(excess)


def _share(r2: float) -> str:
    return f"{r2:.4f}" if r2 > -10.0 else plain(r2)


def _small(value: float) -> str:
    return f"{value:.2f}" if 0.01 <= value < 1e6 else f"{value:.1e}"
