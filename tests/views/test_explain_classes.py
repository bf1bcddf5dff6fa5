"""The sheets of binary cross-entropy and of cross-entropy: every number computed again from the irises, in plain numpy."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from sklearn.datasets import load_iris

from tests.test_explain_recomputed import NUMBER, formulas, table, value
from tests.views.test_explain import classes, text_of

IRIS, KIND = load_iris(return_X_y=True)


class Softmax:
    """L(θ) of K classes; two classes have one row of weights, the log odds of the second."""

    def __init__(self, K):
        keep = KIND > 0 if K == 2 else KIND >= 0
        self.Z = np.column_stack([IRIS[keep][:, 2:4], np.ones(keep.sum())])
        self.own = KIND[keep] - (K == 2)
        self.K, self.m = K, 1 if K == 2 else K

    def probabilities(self, theta):
        W = np.column_stack([theta[: 2 * self.m].reshape(self.m, 2), theta[2 * self.m :]])
        z = self.Z @ W.T
        z = np.column_stack([0 * z, z]) if self.K == 2 else z
        return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)

    def losses(self, theta):
        return -np.log(self.probabilities(theta)[np.arange(len(self.own)), self.own])

    def gradient(self, theta):
        error = (self.probabilities(theta) - np.eye(self.K)[self.own])[:, -self.m :]
        G = error.T @ self.Z / len(self.own)
        return np.concatenate([G[:, :2].ravel(), G[:, 2]])


SHEETS = [("bce", 1, 2), ("cross-entropy", 3, 3)]


@pytest.mark.parametrize(("loss", "outputs", "K"), SHEETS)
def test_every_number_from_prediction_to_step(loss, outputs, K):
    plain, found = Softmax(K), classes(loss, outputs=outputs)
    sheet, before = text_of(found), found.step.before
    P, each, g = plain.probabilities(before), plain.losses(before), plain.gradient(before)
    after = before - 0.1 * g
    rows = [re.split(r"\s{2,}", line.strip()) for line in sheet[sheet.index("    row ") :].splitlines()[1:7]]
    shown = np.array([[value(cell) for cell in row[2:]] for row in rows])
    if K == 2:
        z = np.log(P[:6, 1] / P[:6, 0])
        expected = np.column_stack([z, P[:6, 1], P[:6, 1] - plain.own[:6], each[:6]])
        np.testing.assert_allclose(shown, expected, rtol=1e-8)
    else:
        np.testing.assert_allclose(shown[:, :3], P[:6], atol=5.1e-6)
        np.testing.assert_allclose(shown[:, 3], each[:6], rtol=1e-8)
    numbers = formulas(sheet)
    assert numbers["L"] == [pytest.approx(each.mean(), rel=1e-8)]
    n = len(each)
    assert f"/ {n} = {each.sum():.9g} / {n} = " in re.sub(r"\s+", " ", sheet)
    of_weight = "∂L/∂w[length]" if K == 2 else "∂L/∂w[setosa, length]"
    of_bias = "∂L/∂b" if K == 2 else "∂L/∂b[virginica]"
    later = plain.gradient(after)
    np.testing.assert_allclose(numbers[of_weight], [g[0], g[0] + later[0]], rtol=1e-8)
    np.testing.assert_allclose(numbers[of_bias], [g[-1], g[-1] + later[-1]], rtol=1e-8)
    assert numbers[of_weight[4:]] == [pytest.approx(after[0], rel=1e-8)]


def test_the_table_of_many_parameters():
    plain, found = Softmax(3), classes("cross-entropy", outputs=3)
    before = found.step.before
    g = plain.gradient(before)
    rows = table(text_of(found).replace("    ...\n", ""), "    parameter ")
    at = [*range(7), 8]
    np.testing.assert_allclose(rows, np.column_stack([before, g, -0.1 * g, before - 0.1 * g])[at], rtol=1e-8)
    assert f"All 9 together have the length {np.linalg.norm(g):.9g}." in text_of(found)


@pytest.mark.parametrize(("loss", "outputs", "K"), SHEETS)
def test_what_the_step_did_to_the_loss(loss, outputs, K):
    plain, found = Softmax(K), classes(loss, outputs=outputs)
    before = found.step.before
    g = plain.gradient(before)
    text = text_of(found).replace("\n", " ")

    def along(t):
        return plain.losses(before - t * 0.1 * g).mean()

    told = re.search(
        rf"falls from ({NUMBER}) to ({NUMBER}) .* promised a fall of ({NUMBER}); .* that took ({NUMBER}) of it .* lowest at "
        rf"({NUMBER}) times this step \(({NUMBER})\), and as high as before at ({NUMBER}) times",
        text,
    ).groups()
    lowest = minimize_scalar(along, bounds=(0, 5), method="bounded", options={"xatol": 1e-9})
    again = brentq(lambda t: along(t) - along(0), lowest.x, 10)
    expected = [along(0), along(1), 0.1 * g @ g, 0.1 * g @ g - (along(0) - along(1)), lowest.x, lowest.fun, again]
    for shown, wanted, rel in zip(told, expected, [1e-8, 1e-8, 5e-4, 5e-4, 5e-4, 1e-8, 5e-4], strict=True):
        assert value(shown) == pytest.approx(wanted, rel=rel)
