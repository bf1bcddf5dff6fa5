"""Pictures of classes: every kind is drawn with a title, a sentence made from its numbers, and nothing outside."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as skm
from matplotlib import image
from matplotlib.backends.backend_agg import FigureCanvasAgg

import sightline
from sightline.views.class_panels import calibration_reading, confusion_reading
from sightline.views.class_view import CLASS_COLORS
from sightline.views.drawing import save
from sightline.views.figures import epoch_figure, save_figures
from tests.test_class_solve import SEPARATED, election, iris, spector, two
from tests.views.class_runs import trained


def words(axes):
    """Title and sentence of a panel, unbroken."""
    return [t.get_text().replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ") for t in heads(axes)]


def heads(axes):
    return [next(t for t in axes.texts if t.get_gid() == name) for name in ("title", "reading")]


def others(axes):
    return [t for t in axes.texts if t.get_gid() is None]


def letters():
    rng = np.random.default_rng(1)
    k, centers = rng.permutation(np.arange(650) % 26), rng.normal(size=(26, 4))
    frame = pd.DataFrame(centers[k] + 0.5 * rng.normal(size=(650, 4)), columns=list("wxyz"))
    return frame.assign(letter=[f"letter {chr(65 + i)} of the alphabet" for i in k])


def hostile():
    names = np.array(['a $x^2$ long label, with "quotes", and more', "b\n2"])
    return two().assign(species=names[(two().species == "virginica").astype(int)])


RUNS = {
    "sigmoid": lambda: trained(two(), "species ~ petal_width", epochs=20),
    "sigmoid of numbers": lambda: sightline.solve(election(), "vote ~ selfLR", loss="bce"),
    "curves": lambda: trained(iris(), "species ~ sepal_length", epochs=20),
    "map of two": lambda: trained(two(), "species ~ petal_width + sepal_width", epochs=20),
    "map of three": lambda: sightline.solve(iris(), "species ~ sepal_length + sepal_width", l2=0.01),
    "scores": lambda: sightline.solve(spector(), "GRADE ~ GPA + TUCE + PSI", loss="bce"),
    "scores of hostile labels": lambda: trained(
        hostile(), "species ~ petal_width + sepal_width + petal_length", epochs=9
    ),
    "sureness": lambda: sightline.solve(election(), "selfLR ~ age + educ + TVnews", loss="cross-entropy"),
    "letters": lambda: trained(letters(), "letter ~ w + x + y + z", epochs=5, l2=0.01),
    "one column of text": lambda: sightline.solve({"x": list("aabbaabb"), "c": list("uvvuuvvv")}, "c ~ x"),
    "no columns": lambda: sightline.solve({"c": list("uvvuuvvv"), "x": range(8)}, "c ~ 1"),
    "weights": lambda: sightline.solve(spector().assign(w=1.5), "GRADE ~ GPA", loss="bce", weights="w"),
    "separated": lambda: sightline.solve(SEPARATED, "y ~ x", loss="bce"),
    "separated, trained": lambda: trained(SEPARATED, "y ~ x", loss="bce", epochs=20),
    "separated in two columns": lambda: sightline.solve(iris(), "species ~ petal_length + sepal_width"),
    "separated in more": lambda: sightline.solve(
        two().assign(one=lambda d: d.petal_width + 9 * d.late), "species ~ one + sepal_width + sepal_length"
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_every_panel_has_a_title_and_a_sentence_that_fit(name, tmp_path):
    run = RUNS[name]()
    figure = run.figure()
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    renderer, (width, height) = figure.canvas.get_renderer(), figure.get_size_inches() * figure.dpi
    assert len(figure.axes) == (4 if run.epochs else 3)
    for axes in figure.axes:
        title, reading = words(axes)
        assert title
        assert "…" not in reading[-2:]
        blank = axes.get_facecolor() == pytest.approx((246 / 255,) * 3 + (1.0,))  # the reason stands in the panel
        assert reading.endswith(".") or (blank and others(axes)[0].get_text().endswith("finite."))
        above = heads(axes)[1].get_window_extent(renderer)
        assert above.y0 >= axes.get_window_extent().y1 - 1 or not reading
        assert heads(axes)[0].get_window_extent(renderer).y1 <= height
        assert max(t.get_window_extent(renderer).x1 for t in heads(axes)) <= width
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    for i, a in enumerate(boxes):
        assert (a.x0, a.y0) >= (0, 0)
        for b in boxes[:i]:
            overlap = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
            assert min(overlap) <= 1
    save(figure, tmp_path / "figure.png")
    assert image.imread(tmp_path / "figure.png").std() > 0.03


def test_the_sigmoid_is_that_of_the_model_and_crosses_where_it_says():
    run = trained(two(), "species ~ petal_width", epochs=20)
    axes = run.figure().axes[0]
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert (lines["trained"].get_linestyle(), lines["exact"].get_linestyle()) == ("-", "--")
    x, y = lines["trained"].get_data()
    b, w = (c.estimate for c in run.coefficients)
    assert y == pytest.approx(1 / (1 + np.exp(-(b + w * x))), rel=1e-9)
    b, w = (c.exact for c in run.coefficients)
    assert lines["exact"].get_ydata() == pytest.approx(1 / (1 + np.exp(-(b + w * x))), rel=1e-9)
    at = -run.coefficients[0].estimate / run.coefficients[1].estimate
    assert any(t.get_text() == f"petal_width = {at:.4g}" for t in axes.texts)
    right = np.mean(np.where(two().petal_width > at, "virginica", "versicolor") == two().species)
    assert words(axes)[1] == (
        f"Below petal_width = {at:.4g} the model says versicolor, above it virginica: right for {100 * right:.1f} % of "
        "rows (always guessing versicolor: 50.0 %)."
    )


def test_the_roc_curve_and_its_sentence():
    frame = election()
    run = sightline.solve(frame, "vote ~ selfLR + age + educ", loss="bce")
    axes = run.figure().axes[2]
    P = run.probabilities(frame)[:, 1]
    fpr, tpr, _ = skm.roc_curve(frame.vote, P, drop_intermediate=False)
    line = next(x for x in axes.get_lines() if str(x.get_label()).startswith("exact"))
    np.testing.assert_allclose(np.column_stack(line.get_data()), np.column_stack([fpr, tpr]), atol=1e-14)
    found, alarms = np.mean(P[frame.vote == 1] > 0.5), np.mean(P[frame.vote == 0] > 0.5)
    assert (
        f"At 0.5 it finds {100 * found:.1f} % of vote 1 and calls {100 * alarms:.1f} % of vote 0 so" in words(axes)[1]
    )


def test_the_map_draws_the_line_of_the_coefficients():
    run = trained(two(), "species ~ petal_width + sepal_width", epochs=20)
    axes = run.figure().axes[0]
    trained_line, exact_line = (c for c in axes.collections if hasattr(c, "levels"))
    for contour, which in ((trained_line, "estimate"), (exact_line, "exact")):
        b, w, v = (getattr(c, which) for c in run.coefficients)
        points = np.vstack([p.vertices for p in contour.get_paths()])
        assert b + points @ [w, v] == pytest.approx(0.0, abs=0.02 * abs(b))


def test_separated_classes_are_a_step_between_them():
    axes = sightline.solve({"x": [1, 2, 4, 5], "y": list("aabb")}, "y ~ x").figure().axes[0]
    exact = next(line for line in axes.get_lines() if line.get_label() == "exact")
    x, y = exact.get_data()
    assert set(y) == {0.0, 1.0}
    assert x[y == 1].min() == pytest.approx(3.0, abs=0.02)
    assert words(axes)[1].startswith("x = 3 separates the classes, a below and b above")


def test_readings_of_calibration():
    inside = {"from": 0.1, "rows": 10, "predicted": 0.15, "observed": 0.2, "low": 0.06, "high": 0.51}
    outside = {"from": 0.8, "rows": 100, "predicted": 0.85, "observed": 0.6, "low": 0.5, "high": 0.69}
    assert calibration_reading([inside], "P(a)") == (
        "P(a) is off by 5.0 points on average, and every interval holds what was stated: nothing in these 10 rows speaks "
        "against it."
    )
    assert calibration_reading([inside, outside], "P(a)").endswith(
        "1 of 2 intervals misses it. Where it says 0.85, 0.60 came true (0.50 to 0.69): lower than stated."
    )


def test_readings_of_confusion():
    counts = np.array([[8.0, 2.0], [0.0, 5.0]])
    assert confusion_reading(counts, ("a", "b")) == (
        "86.7 % of rows are on the diagonal (always guessing a: 66.7 %). The most common mistake: a taken for b, 20.0 % "
        "of its rows."
    )
    assert confusion_reading(np.diag([3.0, 1.0]), ("a", "b")).endswith("; no class is taken for another.")


def test_a_run_folder_gets_the_figures(tmp_path):
    path = tmp_path / "two.csv"
    two().to_csv(path, index=False)
    run = sightline.solve(path, "species ~ petal_width + sepal_width", output=tmp_path / "runs")
    assert [p.name for p in save_figures(sightline.load(run.folder), every=False)] == ["overview.png"]
    path.write_text("gone")
    messages = [others(axes)[0].get_text() for axes in sightline.load(run.folder).figure().axes]
    assert messages == ["the training data are not at hand"] * 3


def test_an_epoch_is_drawn_with_its_own_coefficients():
    run = trained(two(), "species ~ petal_width", epochs=20)
    (axes,) = epoch_figure(run, run.epochs[3]).axes
    line = next(x for x in axes.get_lines() if x.get_label() == "trained")
    p = run.epochs[3].parameters
    x = np.asarray(line.get_xdata())
    assert line.get_ydata() == pytest.approx(1 / (1 + np.exp(-(p["Intercept"] + p["petal_width"] * x))), rel=1e-9)


MACHADO = {  # simulated dichromacy in linear RGB (Machado, Oliveira and Fernandes 2009, severity 1)
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("vision", MACHADO)
def test_class_colors_are_told_apart(vision):
    def lab(color):
        srgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        seen = np.clip(np.array(MACHADO[vision]) @ linear, 0, 1)
        xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]] @ seen
        f = np.cbrt(xyz / [0.9505, 1.0, 1.089])
        return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])

    colors = [lab(c) for c in CLASS_COLORS]
    assert min(np.linalg.norm(a - b) for i, a in enumerate(colors) for b in colors[:i]) > 20


def test_every_exact_curve_is_inside_the_picture():
    (axes, *_) = trained(iris(), "species ~ sepal_length", epochs=1).figure().axes
    highest = max(np.max(line.get_ydata(orig=False)) for line in axes.lines if len(line.get_ydata()))
    assert highest > 0.9
    assert axes.get_ylim()[1] >= highest


def test_rows_are_counted_in_whole_numbers():
    (axes, *_) = sightline.solve(spector(), "GRADE ~ GPA + TUCE + PSI", loss="bce").figure().axes
    assert [tick for tick in axes.get_yticks() if tick != round(tick)] == []
