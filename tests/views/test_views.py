"""What people see: lines that fit, figures with names, nothing interpreted that is only a name."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from matplotlib import image

import sightline
from sightline.records import Epoch
from sightline.views import figures as draw
from sightline.views.console import Progress


def texts(figure):
    from matplotlib.text import Text

    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]


def test_figure_of_one_feature(heights):
    run = sightline.fit(heights, "weight ~ height", lr=3e-6, epochs=20, standardize=False, output=False)
    figure = run.figure()
    left, right = figure.axes
    assert (left.get_xlabel(), left.get_ylabel(), right.get_xlabel()) == ("height", "weight", "epoch")
    assert right.get_yscale() == "log"
    trained, exact = left.get_lines()[:2]
    assert exact.get_linestyle() == "--"
    assert trained.get_linestyle() == "-"
    ends = exact.get_xdata()
    assert ends.tolist() == [145.0, 190.0]
    assert exact.get_ydata() == pytest.approx(-26.246575342 + 0.565753424657 * ends, rel=1e-9)
    assert trained.get_ydata() == pytest.approx(run.coefficients[0].estimate + run.coefficients[1].estimate * ends)
    loss = right.get_lines()[0]
    assert loss.get_ydata() == pytest.approx([e.train_loss - 29.0287671232877 for e in run.epochs], rel=1e-9)


def test_figure_of_an_epoch(heights):
    run = sightline.fit(
        heights,
        "weight ~ height",
        lr=3e-6,
        epochs=5,
        standardize=False,
        start={"Intercept": -35, "height": 0.45},
        output=False,
    )
    figure = draw.epoch_figure(run, run.epochs[3])
    (axes,) = figure.axes
    assert axes.get_title() == "Epoch 3"
    assert axes.get_xlim() == (145.0, 190.0)
    line = axes.get_lines()[0]
    p = run.epochs[3].parameters
    assert line.get_ydata() == pytest.approx(p["Intercept"] + p["height"] * np.array([145.0, 190.0]))
    assert line.get_color() == "#d62728"  # red
    assert axes.get_legend() is not None
    points = axes.collections[0]
    assert points.get_offsets().tolist() == [[h, w] for h, w in zip(heights["height"], heights["weight"], strict=True)]


def test_figures_of_several_features(tmp_path):
    rng = np.random.default_rng(0)
    data = {"a": rng.normal(size=40), "b": rng.normal(size=40)}
    data["y"] = data["a"] - 2 * data["b"] + 0.1 * rng.normal(size=40)
    run = sightline.fit(data, "y ~ a + b", output=tmp_path)
    assert sorted(p.name for p in (run.folder / "figures").iterdir()) == ["coefficients.png", "overview.png"]
    left = run.figure().axes[0]
    assert (left.get_xlabel(), left.get_ylabel()) == ("predicted y", "observed y")
    shown = np.asarray(left.collections[0].get_offsets())
    assert shown[:, 1] == pytest.approx(data["y"])
    assert shown[:, 0] == pytest.approx(run.predict(data), rel=1e-9)
    for path in (run.folder / "figures").iterdir():
        assert image.imread(path).std() > 0.05  # not an empty canvas


def test_a_loaded_run_draws_its_file_again_and_says_when_it_cannot(tmp_path):
    path = tmp_path / "h.csv"
    path.write_text("height,weight\n150,55\n160,70\n170,64\n175,80\n185,75\n")
    folder = sightline.fit(path, "weight ~ height", output=tmp_path / "r", figures="none").folder
    assert len(sightline.load(folder).figure().axes[0].collections) == 1
    path.write_text("height,weight\n150,55\n160,70\n")
    assert "the training data are not at hand" in texts(sightline.load(folder).figure())


@pytest.mark.parametrize(
    "name", ["cost $a$ and $b^2 \\badmacro$", "<script>alert(1)</script>", "x" * 500, "größe_π", "a\nb", "100%"]
)
def test_names_are_text_in_figures_and_tables(name, tmp_path):
    rng = np.random.default_rng(1)
    x = rng.normal(size=12)
    run = sightline.fit({name: x, "y": 2 * x + rng.normal(size=12)}, target="y", output=tmp_path)
    assert (run.folder / "figures" / "overview.png").stat().st_size > 10_000
    assert "CONVERGED" in run.verdict.name
    assert all(len(line) <= 80 for line in run.summary().splitlines())
    assert "\x1b" not in run.summary()


def test_no_global_state_of_matplotlib_is_touched(heights):
    import sys

    sightline.fit(heights, "weight ~ height", output=False).figure()
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def test_progress_redraws_one_line_on_a_terminal_and_none_elsewhere():
    def lines(animate):
        stream = io.StringIO()
        progress = Progress(stream, exact_loss=1.0, epochs=100, every=False, animate=animate)
        for number in range(101):
            progress(Epoch(number, None, 2.0, None, 1.0, 0.1, 0, number * 0.05))
        return stream.getvalue()

    assert "\r" not in lines(False)
    shown = lines(True)
    assert 20 < shown.count("\x1b[K") < 110
    assert all(len(part) < 80 for part in shown.replace("\x1b[K", "").replace("\r", "\n").split("\n"))


def test_summary_fits_80_columns_with_long_names_and_large_numbers():
    rng = np.random.default_rng(2)
    data = {f"a rather long name of a column {i}": rng.normal(size=30) * 10.0 ** (6 * i - 6) for i in range(4)}
    data["y"] = rng.normal(size=30) * 1e7
    run = sightline.solve(data, target="y")
    assert all(len(line) <= 80 for line in run.summary().splitlines())
    assert "a rather long name of a column 3" in run.summary()


@pytest.mark.parametrize(("loss", "unit"), [("mse", ", in (weight)²"), ("l1", ", in weight"), ("huber", "")])
def test_the_loss_is_drawn_in_its_own_unit(loss, unit):
    data = {"height": [150, 160, 170, 175, 185], "weight": [55, 70, 64, 80, 75]}
    run = sightline.fit(data, "weight ~ height", loss=loss, epochs=3, lr=1e-3, output=False)
    assert draw.loss_figure(run).axes[0].get_ylabel() == f"loss - exact loss{unit}"


def test_a_loss_within_one_power_of_ten_has_short_numbers_beside_it():
    data = {"x": [1, 1, 2, 2, 3, 3], "y": ["no", "no", "yes", "no", "yes", "yes"]}
    run = sightline.fit(data, "y ~ x", epochs=5, lr=0.1, standardize=False, output=False)
    figure = draw.loss_figure(run)
    figure.draw_without_rendering()
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels(which="both") if t.get_text()]
    assert labels
    assert all(re.fullmatch(r"\d*\.?\d+", label) for label in labels)


def test_equal_rows_of_raw_classes_are_stacked():
    from sightline.views.figures import scatter_figure

    x, y = np.array([1.0, 1.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0, 1.0])
    (axes,) = scatter_figure(x, y, "hours", "passed", labels=("no", "yes")).axes
    drawn = {tuple(np.round(point, 9)) for point in axes.collections[0].get_offsets().tolist()}
    assert drawn == {(1.0, 0.0), (1.0, 0.07), (1.0, 1.0), (2.0, 1.0)}


def test_the_loss_of_a_penalized_run_is_not_measured_from_the_exact_one(tmp_path):
    """It passes below the loss of the penalized optimum on its way, where nothing can be drawn above that."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=40)
    data = {"x": x, "y": 3.0 * x + rng.normal(size=40)}
    run = sightline.fit(data, "y ~ x", l2=1.0, lr=0.9, momentum=0.5, epochs=30, output=False)
    losses = [e.train_loss for e in run.epochs]
    assert min(losses) < run.result["exact_loss"]
    (axes,) = draw.loss_figure(run).axes
    assert axes.lines[0].get_ydata().tolist() == losses
    assert axes.get_title() == "Loss"
    plain = sightline.fit(data, "y ~ x", lr=0.1, epochs=30, output=False)
    assert "above the exact" in draw.loss_figure(plain).axes[0].get_title()
