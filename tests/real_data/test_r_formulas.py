"""Formulas as R's help pages write them, on the data that they use: coefficients in R's order.

Two witnesses for each formula. Where R's documentation, or a textbook that shows R's output, prints the coefficients (or the
means of groups that they are differences of), they must agree to the last printed digit. And every formula has its design written out here by hand, in numpy: treatment
contrasts by R's rule, `poly` by the QR that R's own function does, `bs` by the recursion of de Boor with knots at R's
quantiles (type 7). Least squares on it is solved in 60 digits, a logistic regression by statsmodels; both must agree to
1e-8. Ids are R's way of writing it; ours differs in `C(g)` for `factor(g)` and in `reference=` for `relevel`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import mpmath
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import sightline
from tests.real_data.reference import close
from tests.real_data.tables import classic, iris, shipped
from tests.real_data.test_printed import prints


def ones(d):
    return np.ones(len(d))


def treated(labels, *levels):
    """Indicators of all levels but the first, as contr.treatment."""
    labels = np.asarray(labels)
    assert set(labels) == set(levels)
    return [(labels == level).astype(float) for level in levels[1:]]


def each(labels, *levels):
    """Indicators of all levels."""
    return [(np.asarray(labels) == levels[0]).astype(float), *treated(labels, *levels)]


def times(left, right):
    """Products of every column of the left with every one of the right, those of the left varying fastest."""
    return [a * b for b in right for a in left]


def poly(x, degree):
    """As R's poly: QR of the powers of x less its mean, columns of length 1 that begin with a positive power."""
    x = np.asarray(x, dtype=float)
    Q, R = np.linalg.qr((x - x.mean())[:, None] ** np.arange(degree + 1))
    return list((Q * np.sign(np.diag(R)))[:, 1:].T)


def quantile(x, p):
    """Type 7, the default of R's quantile."""
    x, place = np.sort(x), (len(x) - 1) * p
    low = int(place)
    return x[low] + (place - low) * (x[min(low + 1, len(x) - 1)] - x[low])


def bs(x, df=None, knots=(), degree=3):
    """As R's bs: inner knots at even quantiles, the first B-spline left out; the recursion of Cox and de Boor."""
    x = np.asarray(x, dtype=float)
    inner = knots or [quantile(x, k / (df - degree + 1)) for k in range(1, df - degree + 1)]
    t = [x.min()] * (degree + 1) + list(inner) + [x.max()] * (degree + 1)
    last = max(i for i in range(len(t) - 1) if t[i] < t[i + 1])  # the one interval that is closed on the right
    B = [((t[i] <= x) & ((x < t[i + 1]) | ((i == last) & (x == t[i + 1])))).astype(float) for i in range(len(t) - 1)]
    for k in range(1, degree + 1):
        up = [(x - t[i]) / (t[i + k] - t[i]) if t[i + k] > t[i] else 0 * x for i in range(len(B))]
        B = [up[i] * B[i] + (1 - up[i + 1]) * (t[i + k + 1] > t[i + 1]) * B[i + 1] for i in range(len(B) - 1)]
    return B[1:]


@dataclass(frozen=True)
class R:
    """`load` gives the table, `columns` the design of its complete rows in R's order, `y` the response, `printed` what R
    prints, `?` for what is not known here.
    """

    load: Callable[[], pd.DataFrame]
    formula: str
    y: Callable[[pd.DataFrame], object]
    columns: Callable[[pd.DataFrame], list]
    printed: str = ""
    weights: str | None = None
    loss: str | None = None


def of(name):
    return lambda: classic(name)


def plant_pair():
    """The data of help(lm): the control and the first treatment, called Ctl and Trt there."""
    return classic("plantgrowth").query("group != 'trt2'").reset_index(drop=True)


def doses():
    return classic("toothgrowth").assign(dose=lambda d: d.dose.astype(float))


def inverse_speed():
    return classic("cars").assign(w=lambda d: 1.0 / d.speed)


def tumors():
    """Cases and controls of esoph as two rows each, with their counts as weights."""
    d = classic("esoph")
    both = [d.assign(sick=sick, n=d[column]) for sick, column in (("no", "ncontrols"), ("yes", "ncases"))]
    return pd.concat(both, ignore_index=True).query("n > 0").reset_index(drop=True)


SPECIES = ("setosa", "versicolor", "virginica")
AGES = ("25-34", "35-44", "45-54", "55-64", "65-74", "75+")
FEEDS = ("casein", "horsebean", "linseed", "meatmeal", "soybean", "sunflower")


def thousandths(values, by=1000):
    """Exact quotients, as the least-squares problem of Longley is too delicate for rounded ones."""
    return np.array([Fraction(int(v), by) for v in values], dtype=object)


FORMULAS = {
    # cars: help(cars), help(poly), help(predict.lm)
    "lm(dist ~ speed, cars)": R(
        of("cars"), "dist ~ speed", lambda d: d.dist, lambda d: [ones(d), d.speed], "-17.5791 3.9324"),
    "lm(dist ~ 0 + speed, cars)": R(of("cars"), "dist ~ 0 + speed", lambda d: d.dist, lambda d: [d.speed], "2.9091"),
    "lm(log(dist) ~ log(speed), cars)": R(
        of("cars"), "log(dist) ~ log(speed)", lambda d: np.log(d.dist), lambda d: [ones(d), np.log(d.speed)],
        "-0.7297 1.6024"),
    "lm(sqrt(dist) ~ speed, cars)": R(
        of("cars"), "sqrt(dist) ~ speed", lambda d: np.sqrt(d.dist), lambda d: [ones(d), d.speed], "1.27705 0.32241"),
    "lm(dist ~ speed + I(speed^2), cars)": R(
        of("cars"), "dist ~ speed + I(speed^2)", lambda d: d.dist, lambda d: [ones(d), d.speed, d.speed**2],
        "2.47014 0.91329 0.09996"),
    "lm(dist ~ poly(speed, 3), cars)": R(
        of("cars"), "dist ~ poly(speed, 3)", lambda d: d.dist, lambda d: [ones(d), *poly(d.speed, 3)],
        "42.98 145.55 23.00 13.80"),
    "lm(dist ~ poly(speed, 2, raw = TRUE), cars)": R(
        of("cars"), "dist ~ poly(speed, 2, raw = TRUE)", lambda d: d.dist, lambda d: [ones(d), d.speed, d.speed**2],
        "2.47014 0.91329 0.09996"),
    "lm(dist ~ scale(speed), cars)": R(
        of("cars"), "dist ~ scale(speed)", lambda d: d.dist,
        lambda d: [ones(d), (d.speed - d.speed.mean()) / d.speed.std(ddof=1)], "42.98"),
    "lm(dist ~ I(speed - mean(speed)), cars)": R(
        of("cars"), "dist ~ center(speed)", lambda d: d.dist, lambda d: [ones(d), d.speed - d.speed.mean()],
        "42.9800 3.9324"),
    "lm(dist ~ bs(speed, df = 5), cars)": R(
        of("cars"), "dist ~ bs(speed, df = 5)", lambda d: d.dist, lambda d: [ones(d), *bs(d.speed, df=5)]),
    "lm(dist ~ speed, cars, weights = 1/speed)": R(
        inverse_speed, "dist ~ speed", lambda d: d.dist, lambda d: [ones(d), d.speed], weights="w"),
    "lm(dist ~ 1 + offset(3 * speed), cars)": R(
        of("cars"), "dist ~ 1 + offset(3 * speed)", lambda d: d.dist - 3 * d.speed, lambda d: [ones(d)], "-3.22"),
    # women: help(women), help(bs)
    "lm(weight ~ bs(height, df = 5), women)": R(
        of("women"), "weight ~ bs(height, df = 5)", lambda d: d.weight, lambda d: [ones(d), *bs(d.height, df=5)],
        "? 3.4657 13.0300 27.6161 40.8481 ?"),
    "lm(weight ~ bs(height, knots = c(62, 66.5), degree = 2), women)": R(
        of("women"), "weight ~ bs(height, knots = c(62, 66.5), degree = 2)", lambda d: d.weight,
        lambda d: [ones(d), *bs(d.height, knots=(62, 66.5), degree=2)]),
    "lm(weight ~ height + I(height^2), women)": R(
        of("women"), "weight ~ height + I(height^2)", lambda d: d.weight, lambda d: [ones(d), d.height, d.height**2],
        "261.87818 -7.34832 0.08306"),
    "lm(weight ~ poly(height, 4), women)": R(
        of("women"), "weight ~ poly(height, 4)", lambda d: d.weight, lambda d: [ones(d), *poly(d.height, 4)], "136.7333"),
    # help(lm)
    "lm(weight ~ group)": R(
        plant_pair, "weight ~ group", lambda d: d.weight, lambda d: [ones(d), *treated(d.group, "ctrl", "trt1")],
        "5.032 -0.371"),
    "lm(weight ~ group - 1)": R(
        plant_pair, "weight ~ group - 1", lambda d: d.weight, lambda d: each(d.group, "ctrl", "trt1"), "5.032 4.661"),
    # PlantGrowth, InsectSprays, chickwts
    "lm(weight ~ group, PlantGrowth)": R(
        of("plantgrowth"), "weight ~ group", lambda d: d.weight,
        lambda d: [ones(d), *treated(d.group, "ctrl", "trt1", "trt2")], "5.0320 -0.3710 0.4940"),
    "lm(count ~ spray, InsectSprays)": R(
        of("insectsprays"), "count ~ spray", lambda d: d["count"], lambda d: [ones(d), *treated(d.spray, *"ABCDEF")],
        "14.5000 0.8333 -12.4167 -9.5833 -11.0000 2.1667"),
    'lm(sqrt(count) ~ relevel(spray, ref = "C"), InsectSprays)': R(
        of("insectsprays"), 'sqrt(count) ~ C(spray, reference="C")', lambda d: np.sqrt(d["count"]),
        lambda d: [ones(d), *treated(d.spray, *"CABDEF")]),
    "lm(weight ~ feed, chickwts)": R(
        of("chickwts"), "weight ~ feed", lambda d: d.weight, lambda d: [ones(d), *treated(d.feed, *FEEDS)],
        "323.583 -163.383 -104.833 -46.674 -77.155 5.333"),
    # warpbreaks: help(warpbreaks), help(contrasts)
    "lm(breaks ~ wool * tension, warpbreaks)": R(
        of("warpbreaks"), 'breaks ~ wool * C(tension, reference="L")', lambda d: d.breaks,
        lambda d: [ones(d), *treated(d.wool, *"AB"), *treated(d.tension, *"LHM"),
                   *times(treated(d.wool, *"AB"), treated(d.tension, *"LHM"))],
        "44.556 -16.333 -20.000 -20.556 10.556 21.111"),
    "lm(breaks ~ wool + tension, warpbreaks)": R(
        of("warpbreaks"), 'breaks ~ wool + C(tension, reference="L")', lambda d: d.breaks,
        lambda d: [ones(d), *treated(d.wool, *"AB"), *treated(d.tension, *"LHM")], "39.278 -5.778 -14.722 -10.000"),
    "lm(breaks ~ wool + wool:tension, warpbreaks)": R(
        of("warpbreaks"), 'breaks ~ wool + wool:C(tension, reference="L")', lambda d: d.breaks,
        lambda d: [ones(d), *treated(d.wool, *"AB"), *times(each(d.wool, *"AB"), treated(d.tension, *"LHM"))],
        "44.556 -16.333 -20.000 -9.444 -20.556 0.556"),
    "lm(breaks ~ wool:tension - 1, warpbreaks)": R(
        of("warpbreaks"), 'breaks ~ wool:C(tension, reference="L") - 1', lambda d: d.breaks,
        lambda d: times(each(d.wool, *"AB"), each(d.tension, *"LHM")), "44.556 28.222 24.556 18.778 24.000 28.778"),
    # ToothGrowth: help(ToothGrowth)
    "lm(len ~ supp * dose, ToothGrowth)": R(
        doses, "len ~ supp * dose", lambda d: d.len,
        lambda d: [ones(d), *treated(d.supp, "OJ", "VC"), d.dose, treated(d.supp, "OJ", "VC")[0] * d.dose],
        "11.550 -8.255 7.811 3.904"),
    "lm(len ~ supp * factor(dose), ToothGrowth)": R(
        doses, "len ~ supp * C(dose)", lambda d: d.len,
        lambda d: [ones(d), *treated(d.supp, "OJ", "VC"), *treated(d.dose, 0.5, 1, 2),
                   *times(treated(d.supp, "OJ", "VC"), treated(d.dose, 0.5, 1, 2))],
        "13.230 -5.250 9.470 12.830 -0.680 5.330"),
    "lm(len ~ supp + log2(dose), ToothGrowth)": R(
        doses, "len ~ supp + log2(dose)", lambda d: d.len,
        lambda d: [ones(d), *treated(d.supp, "OJ", "VC"), np.log2(d.dose)]),
    # swiss: help(swiss), help(step); stackloss; attitude; airquality; trees; longley; rock
    "lm(Fertility ~ ., swiss)": R(
        lambda: classic("swiss").drop(columns="province"), "Fertility ~ .", lambda d: d.Fertility,
        lambda d: [ones(d), *(d[c] for c in d.columns[1:])],
        "66.91518 -0.17211 -0.25801 -0.87094 0.10412 1.07705"),
    "lm(Fertility ~ . - Examination, swiss)": R(
        lambda: classic("swiss").drop(columns="province"), "Fertility ~ . - Examination", lambda d: d.Fertility,
        lambda d: [ones(d), d.Agriculture, d.Education, d.Catholic, d["Infant.Mortality"]],
        "62.10131 -0.15462 -0.98026 0.12467 1.07844"),
    "lm(stack.loss ~ ., stackloss)": R(
        lambda: shipped("stackloss"), "STACKLOSS ~ .", lambda d: d.STACKLOSS,
        lambda d: [ones(d), d.AIRFLOW, d.WATERTEMP, d.ACIDCONC], "-39.9197 0.7156 1.2953 -0.1521"),
    "lm(rating ~ ., attitude)": R(
        of("attitude"), "rating ~ .", lambda d: d.rating, lambda d: [ones(d), *(d[c] for c in d.columns[1:])],
        "10.78708 0.61319 -0.07305 0.32033 0.08173 0.03838 -0.21706"),
    "lm(log(Ozone) ~ Solar.R + Wind + Temp, airquality)": R(
        of("airquality"), "log(Ozone) ~ Solar.R + Wind + Temp", lambda d: np.log(d.Ozone),
        lambda d: [ones(d), d["Solar.R"], d.Wind, d.Temp], "-0.2621323 0.0025152 -0.0615625 0.0491711"),
    "lm(Ozone ~ Wind * factor(Month), airquality)": R(
        of("airquality"), "Ozone ~ Wind * C(Month)", lambda d: d.Ozone,
        lambda d: [ones(d), d.Wind, *treated(d.Month, *range(5, 10)), *times([d.Wind], treated(d.Month, *range(5, 10)))]),
    "lm(Volume ~ Girth * Height, trees)": R(
        of("trees"), "Volume ~ Girth * Height", lambda d: d.Volume,
        lambda d: [ones(d), d.Girth, d.Height, d.Girth * d.Height], "69.39632 -5.85585 -1.29708 0.13465"),
    "lm(log(Volume) ~ log(Girth) + log(Height), trees)": R(
        of("trees"), "log(Volume) ~ log(Girth) + log(Height)", lambda d: np.log(d.Volume),
        lambda d: [ones(d), np.log(d.Girth), np.log(d.Height)], "-6.63162 1.98265 1.11712"),
    "lm(Employed ~ ., longley)": R(
        lambda: shipped("longley"),
        "I(TOTEMP/1000) ~ GNPDEFL + I(GNP/1000) + I(UNEMP/10) + I(ARMED/10) + I(POP/1000) + YEAR",
        lambda d: thousandths(d.TOTEMP),
        lambda d: [ones(d), thousandths(10 * d.GNPDEFL.round(1) + 0.5, 10), thousandths(d.GNP), thousandths(d.UNEMP, 10),
                   thousandths(d.ARMED, 10), thousandths(d.POP), d.YEAR],
        "-3482.2586 0.0150619 -0.0358192 -0.0202023 -0.0103323 -0.0511041 1.8291515"),
    "lm(log(perm) ~ I(area/10000) + I(peri/10000) + shape, rock)": R(
        of("rock"), "log(perm) ~ I(area/10000) + I(peri/10000) + shape", lambda d: np.log(d.perm),
        lambda d: [ones(d), d.area / 10000, d.peri / 10000, d["shape"]]),
    # mtcars
    "lm(mpg ~ wt * hp, mtcars)": R(
        of("mtcars"), "mpg ~ wt * hp", lambda d: d.mpg, lambda d: [ones(d), d.wt, d.hp, d.wt * d.hp],
        "49.80842 -8.21662 -0.12010 0.02785"),
    "lm(mpg ~ wt + factor(cyl), mtcars)": R(
        of("mtcars"), "mpg ~ wt + C(cyl)", lambda d: d.mpg, lambda d: [ones(d), d.wt, *treated(d.cyl, 4, 6, 8)],
        "33.9908 -3.2056 -4.2556 -6.0709"),
    "lm(mpg ~ wt:factor(cyl), mtcars)": R(
        of("mtcars"), "mpg ~ wt:C(cyl)", lambda d: d.mpg, lambda d: [ones(d), *times([d.wt], each(d.cyl, 4, 6, 8))]),
    "lm(mpg ~ ., mtcars)": R(
        lambda: classic("mtcars").drop(columns="model"), "mpg ~ .", lambda d: d.mpg,
        lambda d: [ones(d), *(d[c] for c in d.columns[1:])],
        "12.30337 -0.11144 0.01334 -0.02148 0.78711 -3.71530 0.82104 0.31776 2.52023 0.65541 -0.19942"),
    "lm(mpg ~ (wt + hp + qsec)^2 - wt:hp, mtcars)": R(
        of("mtcars"), "mpg ~ (wt + hp + qsec)^2 - wt:hp", lambda d: d.mpg,
        lambda d: [ones(d), d.wt, d.hp, d.qsec, d.wt * d.qsec, d.hp * d.qsec]),
    "lm(mpg ~ log10(disp) + log1p(carb) + exp(-wt), mtcars)": R(
        of("mtcars"), "mpg ~ log10(disp) + log1p(carb) + exp(-wt)", lambda d: d.mpg,
        lambda d: [ones(d), np.log(d.disp) / np.log(10), np.log(1 + d.carb), np.exp(-d.wt)]),
    "lm(mpg ~ poly(disp, 2):factor(am) + abs(qsec - 18), mtcars)": R(
        of("mtcars"), "mpg ~ abs(qsec - 18) + poly(disp, 2):C(am)", lambda d: d.mpg,
        lambda d: [ones(d), np.abs(d.qsec - 18), *times(poly(d.disp, 2), each(d.am, 0, 1))]),
    # iris
    "lm(Sepal.Length ~ Species, iris)": R(
        iris, "sepal_length ~ species", lambda d: d.sepal_length, lambda d: [ones(d), *treated(d.species, *SPECIES)],
        "5.006 0.930 1.582"),
    'lm(Sepal.Length ~ relevel(Species, "versicolor"), iris)': R(
        iris, 'sepal_length ~ C(species, reference="versicolor")', lambda d: d.sepal_length,
        lambda d: [ones(d), *treated(d.species, "versicolor", "setosa", "virginica")], "5.936 -0.930 0.652"),
    "lm(Petal.Width ~ Petal.Length, iris)": R(
        iris, "petal_width ~ petal_length", lambda d: d.petal_width, lambda d: [ones(d), d.petal_length],
        "-0.363076 0.415755"),
    "lm(Sepal.Width ~ 0 + Species + Species:Sepal.Length, iris)": R(
        iris, "sepal_width ~ 0 + species + species:sepal_length", lambda d: d.sepal_width,
        lambda d: [*each(d.species, *SPECIES), *times(each(d.species, *SPECIES), [d.sepal_length])]),
    # sunspots of the years 1700 to 2008
    "lm(x ~ sin(2*pi*t/11) + cos(2*pi*t/11))": R(
        lambda: shipped("sunspots"), "SUNACTIVITY ~ sin(6.283185307179586*YEAR/11) + cos(6.283185307179586*YEAR/11)",
        lambda d: d.SUNACTIVITY,
        lambda d: [ones(d), np.sin(2 * np.pi * d.YEAR / 11), np.cos(2 * np.pi * d.YEAR / 11)]),
    # help(glm), help(esoph)
    "glm(am ~ wt, binomial, mtcars)": R(
        of("mtcars"), "am ~ wt", lambda d: d.am, lambda d: [ones(d), d.wt], "12.040 -4.024", loss="bce"),
    "glm(vs ~ wt + disp, binomial, mtcars)": R(
        of("mtcars"), "vs ~ wt + disp", lambda d: d.vs, lambda d: [ones(d), d.wt, d.disp], "1.60859 1.62635 -0.03443",
        loss="bce"),
    "glm(cbind(ncases, ncontrols) ~ agegp + alcgp, binomial, esoph)": R(
        tumors, "sick ~ agegp + alcgp", lambda d: d.sick == "yes",
        lambda d: [ones(d), *treated(d.agegp, *AGES), *treated(d.alcgp, *sorted(set(d.alcgp)))], weights="n", loss="bce"),
}  # fmt: skip


def as_exact(value):
    return mpmath.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else mpmath.mpf(float(value))


def least_squares(columns, y, weight):
    """The normal equations in 60 digits."""
    with mpmath.workdps(60):
        A = [[as_exact(v) for v in np.asarray(column)] for column in columns]
        target, w = [as_exact(v) for v in np.asarray(y)], [as_exact(v) for v in weight]
        heavy = [[a * b for a, b in zip(column, w, strict=True)] for column in A]
        M = mpmath.matrix([[mpmath.fdot(a, b) for b in A] for a in heavy])
        return [float(v) for v in mpmath.lu_solve(M, mpmath.matrix([mpmath.fdot(a, target) for a in heavy]))]


def solved(case):
    """Coefficients by sightline, and the complete rows of the table."""
    frame = case.load()
    run = sightline.solve(frame, case.formula, weights=case.weights, loss=case.loss)
    used = [*run.design.columns, *run.design.target_columns]
    return np.array([c.exact for c in run.coefficients], dtype=float), frame.dropna(subset=used)


def test_there_are_enough():
    assert len(FORMULAS) > 50
    assert sum(bool(case.printed) for case in FORMULAS.values()) > 35


@pytest.mark.parametrize("case", FORMULAS.values(), ids=FORMULAS)
def test_coefficients_are_those_of_the_design_by_hand(case):
    ours, rows = solved(case)
    weight = ones(rows) if case.weights is None else rows[case.weights].to_numpy(dtype=float)
    if case.loss is None:
        theirs = least_squares(case.columns(rows), case.y(rows), weight)
    else:
        X, y = np.column_stack(case.columns(rows)), np.asarray(case.y(rows), dtype=float)
        fit = sm.GLM(y, X, family=sm.families.Binomial(), freq_weights=weight).fit(tol=1e-15, maxiter=200)
        theirs = fit.params
    close(ours, theirs, 1e-8)


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in FORMULAS.items() if case.printed])
def test_coefficients_are_what_r_prints(case):
    ours, _ = solved(case)
    texts = case.printed.split()
    assert len(texts) in (1, len(ours))
    for value, text in zip(ours, texts, strict=False):
        assert text == "?" or prints(value, text), (value, text)


@pytest.mark.parametrize("case", FORMULAS.values(), ids=FORMULAS)
def test_a_run_that_is_read_back_predicts_the_same_in_one_piece_and_in_blocks(case, tmp_path):
    frame = case.load()
    run = sightline.solve(frame, case.formula, weights=case.weights, loss=case.loss, output=tmp_path)
    again = sightline.load(run.folder)
    of = "probabilities" if case.loss else "predict"
    whole = getattr(run, of)(frame)
    np.testing.assert_array_equal(getattr(again, of)(frame), whole)
    parts = [getattr(again, of)(frame.iloc[start : start + 7]) for start in range(0, len(frame), 7)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-13)  # a product of matrices rounds by its size
