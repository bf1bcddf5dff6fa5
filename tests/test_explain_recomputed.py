"""Every number of a sheet, computed again from the records of the run and the file alone, in plain numpy.

The sheet is read as a person reads it: the last number of each formula, the rows of its tables, the numbers in its
sentences. Nothing of the package is used but the text and `run.epochs`.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

import sightline
from sightline.explanation import explain
from sightline.views.explain import explanation
from sightline.views.sheet import written

X = np.array([150.0, 160.0, 170.0, 175.0, 185.0])
Y = np.array([55.0, 70.0, 64.0, 80.0, 75.0])
Z = np.column_stack([X, np.ones(5)])
H = 2.0 / 5.0 * Z.T @ Z
BEST = np.linalg.solve(H, 2.0 / 5.0 * Z.T @ Y)
NUMBER = r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?"

OPTIMIZERS = {
    "sgd": {"lr": 3e-6},
    "momentum": {"lr": 3e-6, "momentum": 0.9},
    "nesterov": {"lr": 3e-6, "momentum": 0.9, "nesterov": True},
    "adam": {"optimizer": "adam", "lr": 0.1},
    "rmsprop": {"optimizer": "rmsprop", "lr": 0.01},
}


def value(text):
    return float(text.replace(",", ""))


def formulas(sheet):
    """For what stands on the left of each formula, the numbers that its lines end with."""
    lines: list[str] = []
    for line in sheet.splitlines():
        if line.startswith("        ") and lines and lines[-1]:
            lines[-1] += " " + line.strip()
        else:
            lines.append(line.strip() if line.startswith("    ") else "")
    found: dict[str, list[float]] = {}
    for line in lines:
        parts = re.split(r" = | ← ", line)
        if len(parts) > 1 and re.fullmatch(NUMBER, parts[-1]):
            found.setdefault(parts[0], []).append(value(parts[-1]))
    return found


def table(sheet, heading):
    """The rows of numbers under a heading, without their labels."""
    lines = sheet[sheet.index(heading) :].splitlines()[1:]
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines[: lines.index("")]]
    return np.array([[value(cell.replace(" %", "")) for cell in row[1:]] for row in rows])


def loss(theta):
    return np.mean((Z @ theta - Y) ** 2)


def gradient(theta):
    return 2.0 / 5.0 * Z.T @ (Z @ theta - Y)


def stepped(name, options, thetas):
    """The lines of the last step, by symbol, when the gradients are those at these parameters; torch's defaults."""
    g, lr = [gradient(theta) for theta in thetas], options["lr"]
    if name == "sgd":
        return {}, thetas[-1] - lr * g[-1]
    if name in ("momentum", "nesterov"):
        v = g[0]
        for later in g[1:]:
            v = 0.9 * v + later
        pull = g[-1] + 0.9 * v if name == "nesterov" else v
        return {"v": v}, thetas[-1] - lr * pull
    t = len(g)
    if name == "adam":
        m = sum(0.1 * 0.9 ** (t - 1 - k) * g[k] for k in range(t))
        v = sum(0.001 * 0.999 ** (t - 1 - k) * g[k] ** 2 for k in range(t))
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        return {"m": m, "v": v, "m̂": m_hat, "v̂": v_hat}, thetas[-1] - lr * m_hat / (np.sqrt(v_hat) + 1e-8)
    s = sum(0.01 * 0.99 ** (t - 1 - k) * g[k] ** 2 for k in range(t))
    return {"s": s, "a": np.sqrt(s) + 1e-8}, thetas[-1] - lr * g[-1] / (np.sqrt(s) + 1e-8)


@pytest.fixture(params=[(n, d, k) for n in OPTIMIZERS for d in ("float64", "float32") for k in (1, 2, 5)], ids=str)
def case(request, tmp_path):
    name, dtype, epoch = request.param
    path = tmp_path / "heights.csv"
    path.write_text("height,weight\n" + "".join(f"{x:g},{y:g}\n" for x, y in zip(X, Y, strict=True)))
    run = sightline.fit(
        path, "weight ~ height", standardize=False, start={"Intercept": -35, "height": 0.45}, epochs=6, dtype=dtype,
        figures="none", **OPTIMIZERS[name],
    )  # fmt: skip
    run = sightline.load(run.folder)
    thetas = [np.array([r.parameters["height"], r.parameters["Intercept"]]) for r in run.epochs]
    return name, dtype, epoch, thetas, run, written(explanation(explain(run, epoch)), "text")


def test_every_number_of_the_sheet(case):
    name, dtype, epoch, thetas, run, sheet = case
    before, after = thetas[epoch - 1], thetas[epoch]
    digits = 1e-8 if dtype == "float64" else 1e-6
    found = formulas(sheet)
    error = Z @ before - Y

    def near(numbers, expected, rel=digits, atol=0.0):
        np.testing.assert_allclose(numbers, expected, rtol=rel, atol=atol)

    # 1 and 2: each row, and the loss
    near(table(sheet, "    row "), np.column_stack([X, Y, Z @ before, error, error**2]))
    near([found["ŷ₁"][0], found["ŷ₁ - y₁"][0], found["L"][0]], [Z[0] @ before, error[0], loss(before)])
    near(run.epochs[epoch - 1].train_loss, loss(before))
    # 3 and 4: the gradient, and what zero_grad throws away
    g, left = gradient(before), gradient(thetas[epoch - 2]) if epoch > 1 else gradient(after)
    near([found["∂L/∂w"][0], found["∂L/∂b"][0]], g)
    unit = np.finfo(dtype).eps * np.abs(left).max()  # .grad holds numbers of the dtype, and the sum may cancel
    near([found["∂L/∂w"][1], found["∂L/∂b"][1]], g + left, atol=unit)
    # 5: the optimizer's lines, and the parameters that they lead to
    state, expected = stepped(name, OPTIMIZERS[name], thetas[:epoch])
    for symbol, numbers in state.items():
        near(found[symbol], numbers, 5 * digits)
    near([found["w"][-1], found["b"][-1]], expected)
    near([found["w"][-1], found["b"][-1]], after)
    # 6: the grid of the dtype
    spacing = value(re.search(rf"has its neighbors\s({NUMBER}) away", sheet)[1])
    parameter = value(re.search(rf"number near\s({NUMBER})", sheet)[1])
    assert parameter in (float(f"{p:.{9 if dtype == 'float64' else 7}g}") for p in before)
    near(spacing, np.spacing(np.abs(np.asarray(parameter, dtype=dtype))), 5e-3)


def test_what_the_step_did(case):
    """Section 7: the fall of the loss, its tangent, the lowest point of its line, the directions of the bowl."""
    name, dtype, epoch, thetas, _, sheet = case
    before, after = thetas[epoch - 1], thetas[epoch]
    step = stepped(name, OPTIMIZERS[name], thetas[:epoch])[1] - before
    text = sheet.replace("\n", " ")
    coarse = 1e-3 if dtype == "float64" else 2e-3
    fell = re.search(rf"The loss (?:falls|rises) from ({NUMBER}) to ({NUMBER}) \(([+-]{NUMBER[2:]}) %\)", text)
    rel = 1e-8 if dtype == "float64" else 1e-6
    np.testing.assert_allclose([value(fell[1]), value(fell[2])], [loss(before), loss(after)], rtol=10 * rel)
    assert value(fell[3]) == pytest.approx(100 * (loss(after) / loss(before) - 1), rel=6e-3)
    slope = gradient(before) @ step
    if promised := re.search(rf"promised a fall of ({NUMBER}); the loss is curved, and that took ({NUMBER})", text):
        assert value(promised[1]) == pytest.approx(-slope, rel=coarse)
        assert value(promised[2]) == pytest.approx(step @ H @ step / 2, rel=coarse)
    if lowest := re.search(rf"the loss is lowest at ({NUMBER}) times this step \(({NUMBER})\)", text):
        best = -slope / (step @ H @ step)
        assert value(lowest[1]) == pytest.approx(best, rel=coarse)
        assert value(lowest[2]) == pytest.approx(loss(before + best * step), rel=10 * rel)
    curvature, directions = np.linalg.eigh(H)
    a, b = ((directions.T @ (theta - BEST))[::-1] for theta in (before, after))
    size = curvature[::-1]
    expected = np.column_stack([size, size * a**2 / 2, size * b**2 / 2, 100 * (1 - b / a)])
    rows = table(sheet, "    direction ")
    np.testing.assert_allclose(rows[:, :3], expected[:, :3], rtol=coarse)
    np.testing.assert_allclose(rows[:, 3], expected[:, 3], rtol=6e-3)


def test_what_the_rate_is_worth(case):
    """Section 8 of plain SGD: the limit 2 / λ, how much of it the rate is, what an epoch leaves of the error."""
    name, _, _, _, _, sheet = case
    text, steepest = sheet.replace("\n", " "), np.linalg.eigvalsh(H)[-1]
    if name in ("adam", "rmsprop"):
        assert "so 2 / λ is no limit for it" in text
        return
    limit = value(re.search(rf"lr < 2 / λ = 2 / {NUMBER} = ({NUMBER})", text)[1])
    assert limit == pytest.approx(2 / steepest, rel=1e-5)
    if name == "sgd":
        share, leaves = re.search(rf"This rate is ({NUMBER}) % of .* leaves ({NUMBER}) % of", text).groups()
        assert value(share) == pytest.approx(100 * 3e-6 * steepest / 2, rel=1e-3)
        assert value(leaves) == pytest.approx(100 * (1 - 3e-6 * steepest), rel=2e-3)
