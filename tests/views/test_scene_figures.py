"""The panels as figures: into axes of one's own, the same numbers and sentences as the page, no global state."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import sightline
from sightline.errors import UsageError
from sightline.views import drawing

X = np.column_stack([np.ones(5), [150.0, 160.0, 170.0, 175.0, 185.0]])
Y = np.array([55.0, 70.0, 64.0, 80.0, 75.0])


@pytest.fixture(scope="module")
def run():
    data = {"height": X[:, 1], "weight": Y}
    start = {"Intercept": -35.0, "height": 0.45}
    return sightline.fit(data, "weight ~ height", lr=3e-6, epochs=20, standardize=False, start=start, output=False)


@pytest.fixture(scope="module")
def classes():
    rng = np.random.default_rng(0)
    x = rng.normal(size=80).round(3)
    k = np.where(rng.random(80) < 1 / (1 + np.exp(-2 * x)), "yes", "no").tolist()
    return sightline.fit({"x": x, "k": k}, "k ~ x", output=False)


def test_every_picture_draws_into_given_axes_and_into_its_own(run, classes):
    for one in (run, classes):
        names = dir(one.figures)
        assert len(names) >= 6
        for name in names:
            figure = Figure()
            ax = figure.add_subplot()
            assert getattr(one.figures, name)(ax=ax) is ax
            own = getattr(one.figures, name)()
            assert isinstance(own.figure, Figure)
            assert own.get_xlabel()
            figure.canvas.draw()
            own.figure.canvas.draw()


def test_no_global_state_is_touched(run):
    import sys

    before = dict(mpl.rcParams)
    for name in dir(run.figures):
        getattr(run.figures, name)()
    assert dict(mpl.rcParams) == before
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def test_the_line_and_the_loss_are_those_of_the_records(run):
    ax = run.figures.fit()
    now = next(line for line in ax.lines if line.get_label() == "now")
    b = run.epochs[-1].parameters
    assert now.get_ydata() == pytest.approx(b["Intercept"] + b["height"] * np.asarray(now.get_xdata()))
    assert now.get_color() == drawing.TRAINED
    exact = next(line for line in ax.lines if line.get_label() == "exact")
    slope, intercept = np.polyfit(X[:, 1], Y, 1)
    assert exact.get_ydata() == pytest.approx(intercept + slope * np.asarray(exact.get_xdata()))
    assert exact.get_linestyle() == "--"
    floor = np.mean((Y - X @ np.linalg.lstsq(X, Y, rcond=None)[0]) ** 2)
    (recorded,) = (line for line in run.figures.loss().lines if line.get_label() == "recorded")
    assert recorded.get_ydata() == pytest.approx([e.train_loss - floor for e in run.epochs])


def test_leverage_is_that_of_the_hat_matrix(run):
    points = np.asarray(run.figures.leverage().collections[0].get_offsets())
    assert points[:, 0] == pytest.approx(np.diag(X @ np.linalg.inv(X.T @ X) @ X.T), rel=1e-6)


def test_bars_are_the_eigenvalues(run):
    widths = sorted(bar.get_width() for bar in run.figures.spectrum().patches)
    assert widths == pytest.approx(sorted(np.linalg.eigvalsh(2 / 5 * X.T @ X)), rel=1e-6)


def test_pictures_that_there_are_not_say_why(run, classes):
    with pytest.raises(UsageError, match="it is for classes"):
        run.figures.calibration()
    with pytest.raises(UsageError, match="a target that is a number"):
        classes.figures.qq()
    with pytest.raises(UsageError, match="no coefficient 'width'"):
        run.figures.path(terms=("width", "height"))
    assert "calibration" not in dir(run.figures)


def test_a_solution_has_pictures_but_no_loss():
    solved = sightline.solve({"x": [1, 2, 3, 4], "y": [1, 3, 2, 5]}, "y ~ x")
    with pytest.raises(UsageError, match="solved, without training"):
        solved.figures.loss()
    assert solved.figures.residuals().get_ylabel() == "residual"
