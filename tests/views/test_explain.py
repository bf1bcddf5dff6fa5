"""The sheet of an epoch: its numbers, its three formats, its width; the blackboard; the picture of the step."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from matplotlib.mathtext import MathTextParser
from matplotlib.text import Text
from sklearn.datasets import load_iris

import sightline
from sightline.explanation import explain
from sightline.linear.curvature import Curvature
from sightline.linear.row_losses import row_loss
from sightline.linear.steps import take_step
from sightline.prepare import prepare
from sightline.records import Epoch
from sightline.views.blackboard import blackboard
from sightline.views.explain import explanation
from sightline.views.notation import as_tex, broken, named, number, substituted
from sightline.views.sheet import Formulas, Grid, Heading, Words, written
from sightline.views.step_figure import save_step_figure, step_figure
from sightline.worked import Step, Worked

START = {"Intercept": -35, "height": 0.45}


@pytest.fixture
def heights_csv(tmp_path):
    path = tmp_path / "heights.csv"
    path.write_text("height,weight,people\n150,55,1\n160,70,2\n170,64,3\n175,80,1\n185,75,2\n")
    return path


@pytest.fixture
def worked(heights_csv):
    """The step of an epoch of a fit with these options."""

    def call(epoch=1, *, formula="weight ~ height", path=heights_csv, **options):
        given = {"standardize": False, "start": START, "epochs": 4, "figures": "none", "lr": 3e-6, **options}
        return explain(sightline.load(sightline.fit(path, formula, **given).folder), epoch)

    return call


def text_of(worked, form="text"):
    return written(explanation(worked), form)


def classes(loss, *, outputs, formula="kind ~ length + width", theta=None):
    """A step on irises; classes are not trained from tables yet, so it is put together here."""
    X, y = load_iris(return_X_y=True)
    keep = slice(None) if outputs > 1 else y > 0
    kinds = np.array(["setosa", "versicolor", "virginica"])[y[keep]]
    table = {"kind": kinds.tolist(), "length": X[keep][:, 2].tolist(), "width": X[keep][:, 3].tolist()}
    prepared = prepare(table, formula, standardize=False)
    rows = row_loss(loss)(prepared.rows.X, prepared.rows.y, True, None, outputs)
    before = np.linspace(-0.3, 0.4, outputs * (prepared.rows.X.shape[1] + 1)) if theta is None else theta
    gradient = rows.gradient(before)
    taken = take_step("sgd", {"lr": 0.1}, before, gradient, {})
    record = Epoch(0, None, None, None, None, 0.1, 0, 0.0)
    return Worked(
        "ab12", 1, 1, prepared.design, "float64", "sgd", {"lr": 0.1}, Step(before, gradient, None, {}, taken.after, {}),
        rows, range(len(rows.y)), rows, np.zeros(len(before)), [], 1,
        Curvature.of(np.eye(len(before)), rows=1, rank=1), None, None, record, record, 0.0,
    )  # fmt: skip


EXAMPLES = {
    "sgd": {},
    "second": {"epoch": 2},
    "too large": {"lr": 4e-5, "epoch": 2, "epochs": 15},
    "float32": {"dtype": "float32"},
    "frozen": {"dtype": "float32", "epochs": 80, "epoch": 75},
    "momentum": {"momentum": 0.9, "epoch": 3},
    "nesterov": {"momentum": 0.9, "nesterov": True, "epoch": 3},
    "adam": {"optimizer": "adam", "lr": 0.1, "epoch": 3},
    "adamw": {"optimizer": "adamw", "lr": 0.1, "epoch": 3, "weight_decay": 0.1},
    "rmsprop": {"optimizer": "rmsprop", "lr": 0.01, "epoch": 2},
    "adagrad": {"optimizer": "adagrad", "lr": 0.5, "epoch": 2},
    "nadam": {"optimizer": "nadam", "lr": 0.1, "epoch": 2},
    "ridge": {"l2": 0.5},
    "weights": {"weights": "people"},
    "far too large": {"lr": 1.0},
    "far too large in float32": {"lr": 1e20, "dtype": "float32"},
    "no step to speak of": {"lr": 1e-300},
    "float32 noise": {"dtype": "float32", "epochs": 80, "epoch": 75, "engine": "autograd"},
    "batches": {"batch_size": 2, "epoch": 2},
    "standardized": {"standardize": True, "start": {}, "lr": 0.3},
    "arrived": {"standardize": True, "start": {}, "lr": None, "epochs": 3, "epoch": 3},
    "no intercept": {"formula": "weight ~ height - 1", "start": {}},
    "many": {
        "formula": "weight ~ height + people + I(height^2) + log(height)",
        "start": {},
        "standardize": True,
        "lr": 0.1,
    },
}


@pytest.mark.parametrize("options", EXAMPLES.values(), ids=EXAMPLES)
def test_every_sheet_fits_a_terminal_and_parses_as_tex(worked, options):
    found = worked(**options)
    text = text_of(found)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert not re.search(r"nan|None|\binf\b|[\x00-\x08]|`", text)
    headings = re.findall(r"^(\d)  ", text, re.M)
    assert headings == [str(i) for i in range(1, len(headings) + 1)]
    check_tex(text_of(found, "latex"))
    check_tex(text_of(found, "markdown"))


@pytest.mark.parametrize(("loss", "outputs"), [("bce", 1), ("cross-entropy", 3)])
def test_classes_have_their_sheet_too(loss, outputs):
    found = classes(loss, outputs=outputs)
    text = text_of(found)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert not re.search(r"nan|None|\binf\b|`", text)
    check_tex(text_of(found, "latex"))
    check_tex(text_of(found, "markdown"))
    at = torch.tensor(found.step.before, requires_grad=True)
    X, y = torch.tensor(found.loss.X), torch.tensor(found.loss.y)
    z = X @ at[: 2 * outputs].reshape(outputs, 2).T + at[2 * outputs :]
    if outputs == 1:
        value = torch.nn.functional.binary_cross_entropy_with_logits(z[:, 0], y)
    else:
        value = torch.nn.functional.cross_entropy(z, y.long())
    value.backward()
    assert f"= {number(value.item(), 9)}\n" in text
    for j in (0, 1, -1):
        assert f"= {number(at.grad[j].item(), 9)}\n" in text
    assert "The loss falls forever" in text  # the fixture has no optimum, as separated classes have none
    figure = step_figure(found)
    assert figure.axes[0].get_xlabel() == "steps (0 before, 1 after this one)"


def check_tex(text):
    """Every formula is TeX that matplotlib, which knows nothing of this code, can set."""
    found = re.findall(r"\$([^$]+)\$", text.replace("$$", "").replace(r"\$", ""))
    for block in re.findall(r"\\begin\{aligned\}\n(.*?)\n\\end\{aligned\}", text, re.S):
        found += [line.replace("&", "") for line in block.split("\\\\\n")]
    assert found
    for formula in found:
        formula = re.sub(r"\\text\{((?:[^{}\\]|\\[%&#_{}$])*)\}", r"\\mathrm{x}", formula)
        MathTextParser("path").parse(f"${formula.strip()}$")
    for bare in "ŷΣ←·√∂λμβεα²ᵢₖ":
        assert bare not in text


def test_the_running_example_is_right_to_the_last_digit(worked):
    text = text_of(worked(epochs=20))
    for line in (
        "ŷ₁ = 0.45 · 150 - 35 = 32.5",
        "ŷ₁ - y₁ = 32.5 - 55 = -22.5",
        "      4  175  80  43.75  -36.25  1314.0625",
        "L = (506.25 + 1089 + 506.25 + 1314.0625 + 715.5625) / 5 = 4131.125 / 5",
        "= 826.225\n",
        "2/5 · (-23772.5) = -9509",
        "∂L/∂b = 2/5 · (-22.5 - 33 - 22.5 - 36.25 - 26.75) = 2/5 · (-141) = -56.4",
        "w ← 0.45 - 3e-6 · (-9509) = 0.45 + 0.028527 = 0.478527",
        "b ← -35 - 3e-6 · (-56.4) = -35 + 0.0001692 = -34.9998308",
        "The loss falls from 826.225 to 578.041051 (-30 %)",
        "8  The learning rate, 3e-6: too small",
        "lr < 2 / λ = 2 / 56742 = 3.52473e-5",
    ):
        assert line in text


def test_what_zero_grad_prevents(worked):
    first, second = text_of(worked(1)), text_of(worked(2))
    assert "nothing\nto forget yet" in first or "there is nothing to forget yet" in first.replace("\n", " ")
    assert "∂L/∂w = -9509 - 7890.32117 = -17399.3212" in first
    assert "∂L/∂w = -9509 - 7890.32117 = -17399.3212" in second
    astray = 0.478527 + 3e-6 * 17399.32117
    assert f"the step would have led to w = {number(astray, 9)}, not to 0.502197964." in second.replace("\n", " ")


def test_a_swallowed_step_says_so(worked):
    text = text_of(worked(75, dtype="float32", epochs=80)).replace("\n", " ")
    assert "w stays at 0.617583." in text
    assert "Rounding swallows the whole step." in text
    assert "the run is frozen since epoch 74, however many epochs follow." in text
    assert "Nothing: the loss stays at 29.423." in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": 4e-5, "epochs": 15}, "4e-5: too large"),
        ({"standardize": True, "start": {}, "lr": 0.5}, "0.5: right"),
        ({"standardize": True, "start": {}, "lr": 1e-4}, "0.0001: too small"),
        (
            {"standardize": True, "start": {}, "lr": 1e-4},
            "0.01 % of the limit, and an epoch leaves 100 % of the error in",
        ),
        (
            {"lr": 4e-5, "epochs": 15},
            "every epoch multiplies the error along the steepest direction by 1.27, so the run diverges",
        ),
        ({"optimizer": "adam", "lr": 0.1}, "2 / λ is no limit for it"),
        ({"optimizer": "adam", "lr": 1e-6}, "The rate is too small for that way."),
        ({"batch_size": 2}, "a batch has a curvature, and a limit, of its own"),
    ],
)
def test_what_the_rate_is_worth(worked, options, words):
    assert words in text_of(worked(**options)).replace("\n", " ")


def test_an_optimizer_that_is_not_written_out(worked):
    text = text_of(worked(2, optimizer="nadam", lr=0.1)).replace("\n", " ")
    assert "The formula of nadam is not written out here, so this is what torch did, not why." in text


def test_names_cannot_break_the_formats(tmp_path):
    path = tmp_path / "names.csv"
    path.write_text('a_1%,"b|c$",y\n1,2,3\n2,1,5\n3,5,4\n4,4,8\n')
    run = sightline.fit(path, "y ~ `a_1%` + `b|c$`", epochs=2, lr=0.1, figures="none")
    found = explain(sightline.load(run.folder), 2)
    assert r"w_{\text{a\_1\%}}" in text_of(found, "latex")
    check_tex(text_of(found, "latex"))
    cells = [line for line in text_of(found, "markdown").splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) in (6, 7) for line in cells)


def test_the_pieces_of_a_sheet():
    blocks = [
        Heading("T", 1), Words("say `w ← 3e-6`, 5 %"), Formulas(("a = b",)), Grid(("`x`", "n"), (("k", "1"), ("long", "22"))),
    ]  # fmt: skip
    assert written(blocks, "text").splitlines()[-3:] == ["    x          n", "    k          1", "    long      22"]
    markdown, latex = written(blocks, "markdown"), written(blocks, "latex")
    assert "say $w \\leftarrow 3 \\cdot 10^{-6}$, 5 %" in markdown
    assert "| $x$ | n |\n| :-- | --: |\n| k | 1 |" in markdown
    assert r"\section*{T}" in latex
    assert "5 \\%" in latex
    assert latex.count(r"\begin{") == latex.count(r"\end{")


@pytest.mark.parametrize(
    ("formula", "values", "expected"),
    [
        ("w - lr · m̂ / (√v̂ + ε)", {"w": "-1", "lr": "0.1", "m̂": "-2", "m": "M", "v̂": "4", "v": "V", "ε": "1e-8"},
         "-1 - 0.1 · (-2) / (√4 + 1e-8)"),
        ("β₂ · v + (1 - β₂) · g²", {"β₂": "0.999", "v": "0", "g": "-9"}, "0.999 · 0 + (1 - 0.999) · (-9)²"),
        ("m / (1 - β₁ᵗ)", {"m": "2", "β₁": "0.9", "t": "12"}, "2 / (1 - 0.9¹²)"),
        ("lr / (1 + (t - 1) · η)", {"lr": "0.5", "t": "3", "η": "0.1"}, "0.5 / (1 + (3 - 1) · 0.1)"),
    ],
)  # fmt: skip
def test_numbers_in_place_of_symbols(formula, values, expected):
    assert substituted(formula, values) == expected


def test_long_formulas_break_at_signs_but_not_in_roots_or_names():
    formula = "w" + named("a + b") + " = 11111 + √(22222 - 33333) - 44444"
    assert broken(formula, 20) == ["w" + named("a + b") + " = 11111", "+ √(22222 - 33333)", "- 44444"]
    assert as_tex("√(s - ḡ²) + ε") == r"\sqrt{s - \bar{g}^{2}} + \varepsilon"


@pytest.mark.parametrize("loss", ["mse", "bce", "cross-entropy"])
@pytest.mark.parametrize("optimizer", [None, "sgd", "adam", "rmsprop", "nadam"])
def test_the_blackboard_has_no_numbers_but_those_of_the_formulas(loss, optimizer):
    sheet = blackboard(loss=loss, optimizer=optimizer, options={"lr": 0.123, "weight_decay": 0.456})
    text = written(sheet, "text")
    assert all(len(line) <= 80 for line in text.splitlines())
    assert not re.search(r"0\.\d", text)
    check_tex(written(sheet, "markdown"))
    assert ("not written out" in text) == (optimizer == "nadam")


def lines_of(axes):
    return {re.sub(":.*", "", line.get_label()): line for line in axes.get_lines()}


def test_the_picture_shows_the_parabola_and_its_points(worked):
    found = worked()
    whole, near = step_figure(found).axes
    lines = lines_of(whole)
    t, phi = lines["loss along the step"].get_data()
    x, y = np.array([150.0, 160.0, 170.0, 175.0, 185.0]), np.array([55.0, 70.0, 64.0, 80.0, 75.0])
    w, b = 0.45 + t * 0.028527, -35.0 + t * 0.0001692
    expected = ((np.outer(w, x) + b[:, None] - y) ** 2).mean(axis=1)
    assert phi == pytest.approx(expected, rel=1e-11)
    assert lines["before"].get_data() == ([0.0], [pytest.approx(826.225)])
    assert lines["after"].get_data() == ([1.0], [pytest.approx(578.0410505545407)])
    best, low = lines["lowest"].get_xdata()[0], lines["lowest"].get_ydata()[0]
    assert low == pytest.approx(expected.min(), abs=0.5)
    assert low <= expected.min()
    assert lines["limit"].get_xdata()[0] == pytest.approx(2.0 * best)
    ends, tangent = lines_of(near)["tangent"].get_data()
    assert np.diff(tangent)[0] / np.diff(ends)[0] == pytest.approx(-3e-6 * (9509.0**2 + 56.4**2), rel=1e-12)


def test_the_pictures_of_other_steps(worked):
    def title(**options):
        figure = step_figure(worked(**options))
        return next(t.get_text() for t in figure.findobj(Text) if t.get_text().startswith("Epoch"))

    assert title() == "Epoch 1: 17 % of the way to the lowest point of its line"
    assert title(lr=4e-5, epochs=15) == "Epoch 1: too long, beyond the limit"
    assert title(lr=2.5e-5) == "Epoch 1: past the lowest point"
    assert title(epoch=75, epochs=80, dtype="float32") == "Epoch 75: swallowed by rounding: nothing moves"
    assert title(epoch=3, optimizer="adam", lr=0.1) == "Epoch 3: a step uphill"
    assert title(batch_size=2).startswith("Epoch 1, first of 3 steps: ")


@pytest.mark.parametrize("options", EXAMPLES.values(), ids=EXAMPLES)
def test_every_picture_can_be_drawn_and_saved(worked, options):
    found = worked(**options)
    path = save_step_figure(found)
    assert path.parent == found.folder / "figures"
    assert path.stat().st_size > 10_000


def test_a_gradient_that_rounding_has_changed_is_shown_beside_the_true_one(worked):
    found = worked(75, dtype="float32", epochs=80, engine="autograd")
    text = text_of(found).replace("\n", " ")
    had = re.search(r"The arithmetic of the training, in float32, had (\S+) for w", text)[1]
    assert float(had) == pytest.approx(found.step.gradient[0], rel=1e-6)
    assert abs(found.step.gradient[0] - found.gradient[0]) > 1e-4 * abs(found.gradient[0])
    assert f"w ← 0.617583 - 3e-6 · ({had})" in text


def test_a_softmax_row_is_worked_out():
    found = classes("cross-entropy", outputs=3)
    z = [float(v) for v in found.loss.predictor(found.step.before)[0]]
    p = np.exp(z[0]) / sum(np.exp(v) for v in z)
    powers = [f"exp({number(v, 9)})" for v in z]
    assert f"p₁₁ = {powers[0]} / ({' + '.join(powers)}) = {number(p, 9)}" in text_of(found)
