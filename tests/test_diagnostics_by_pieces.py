"""--diagnose, --anova and --cross-validate loo of files that are read piece by piece: as of rows in memory."""

from __future__ import annotations

import json

import numpy as np
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats import diagnostic, stattools

import sightline
from sightline import coded_rows, filed, streaming
from sightline.analysis import assumptions, cross_validate, diagnose, influence, residuals
from sightline.comparisons import anova
from sightline.data import chosen
from sightline.errors import DataError, UsageError
from sightline.solution import solved

from .cli.conftest import cli as cli
from .linear.test_block_fit import same_influence, same_tests
from .test_by_pieces_losses import FORMULA, ROWS, counted, data, frame  # noqa: F401
from .test_codes import table


@pytest.fixture(params=[97, 65_536])
def block(request, monkeypatch):
    """Rows that are read at a time."""
    monkeypatch.setattr(coded_rows, "UNIT", request.param)
    for module in (chosen, filed, streaming):
        monkeypatch.setattr(module, "BLOCK", request.param)


@pytest.mark.parametrize("settings", [{}, {"weights": "w"}, {"robust": "hc3"}])
@pytest.mark.parametrize("terms", [FORMULA, "~ x * g", "~ 0 + x + z"])
def test_as_in_memory(block, data, settings, terms):  # noqa: F811
    a, b = (sightline.solve(data, f"y {terms}", memory=memory, **settings) for memory in (None, 1))
    (want_tests, want_rows), (tests, rows) = diagnose(a), diagnose(b)
    same_tests(tests, want_tests)
    same_influence(rows, want_rows.largest(100))
    same_tests(assumptions(b), want_tests)
    same_influence(influence(b, most=3), influence(a, most=3))
    want, found = (cross_validate(run, "loo") for run in (a, b))
    assert (found.folds, found.undetermined) == (want.folds, want.undetermined)
    assert (found.rmse, found.r2) == pytest.approx((want.rmse, want.r2), rel=1e-12)
    np.testing.assert_allclose(found.residual, want.residual, rtol=1e-10, atol=1e-10)
    for kind in (1, 2, 3):
        want, found = anova(a, kind), anova(b, kind)
        for one, other in zip((*found.terms, found.residuals), (*want.terms, want.residuals), strict=True):
            assert (one.term, one.df) == (other.term, other.df)
            assert one.sum_squares == pytest.approx(other.sum_squares, rel=1e-9)
            assert (one.f is None) == (other.f is None)
            if one.f is not None:
                assert (one.f, one.p) == (pytest.approx(other.f, rel=1e-9), pytest.approx(other.p, rel=1e-8))


def test_as_statsmodels(data):  # noqa: F811
    """The statistics of another library, which has all rows in memory."""
    table = frame()
    want = smf.ols(f"y {FORMULA}", table).fit()
    run = sightline.solve(data, f"y {FORMULA}", memory=1)
    tests, rows = diagnose(run)
    watson, pagan, white, bera, reset = tests
    assert watson.statistic == pytest.approx(stattools.durbin_watson(want.resid), rel=1e-9)
    assert (pagan.statistic, pagan.p) == pytest.approx(
        diagnostic.het_breuschpagan(want.resid, want.model.exog)[:2], rel=1e-8
    )
    Z = want.model.exog
    left, right = np.triu_indices(Z.shape[1])
    products = Z[:, left] * Z[:, right]
    u = want.resid**2
    explained = products @ np.linalg.lstsq(products, u, rcond=None)[0] - u.mean()
    assert white.statistic == pytest.approx(
        len(u) * (explained @ explained) / ((u - u.mean()) @ (u - u.mean())), rel=1e-8
    )
    assert bera.statistic == pytest.approx(stattools.jarque_bera(want.resid)[0], rel=1e-9)
    ramsey = diagnostic.linear_reset(want, power=3, use_f=True)
    assert (reset.statistic, reset.p) == pytest.approx((float(ramsey.fvalue), float(ramsey.pvalue)), rel=1e-8)
    measured = want.get_influence()
    for name, values in (
        ("leverage", measured.hat_matrix_diag),
        ("standardized", measured.resid_studentized_internal),
        ("studentized", measured.resid_studentized_external),
        ("cook", measured.cooks_distance[0]),
        ("dffits", measured.dffits[0]),
        ("dfbetas", measured.dfbetas[:, [want.params.index.get_loc(term) for term in run.design.terms]]),
    ):
        np.testing.assert_allclose(getattr(rows, name), values[rows.row], rtol=1e-8, atol=1e-11)
    assert rows.row.tolist() == np.argsort(-measured.cooks_distance[0], kind="stable")[:100].tolist()


# the factor; the sums of the residuals; their squares and the powers of the fitted values; products of columns; influence
PASSES = {diagnose: 5, assumptions: 4, influence: 3, anova: 1}


@pytest.mark.parametrize("ask", PASSES)
@pytest.mark.parametrize("weights", [None, "w"])
def test_passes(data, ask, weights):  # noqa: F811
    prepared, chosen_settings, X = counted(data, f"y {FORMULA}", weights=weights)
    run = solved(prepared, chosen_settings, None)
    before, rows = X.read, len(prepared.rows)
    ask(run)
    assert X.read - before == PASSES[ask] * rows
    before = X.read
    cross_validate(run, "loo")
    assert X.read - before == 3 * rows


def test_one_more_pass_for_a_leverage_near_1(tmp_path):
    rows = frame()
    rows.loc[1000, "x"] = 1e4
    rows.to_csv(tmp_path / "d.csv", index=False)
    prepared, chosen_settings, X = counted(tmp_path / "d.csv", f"y {FORMULA}")
    run = solved(prepared, chosen_settings, None)
    before = X.read
    assert influence(run).row[0] == 1000
    assert X.read - before == 4 * ROWS
    same_influence(influence(run), influence(sightline.solve(tmp_path / "d.csv", f"y {FORMULA}"), most=100))


@pytest.mark.parametrize("kept", [False, True])
def test_of_a_run_that_is_loaded(data, tmp_path, kept):  # noqa: F811
    """Its rows are read again, into files that are there as long as they are asked."""
    run = sightline.solve(
        data, f"y {FORMULA}", memory=1, output=tmp_path / "runs", cache=tmp_path / "cache" if kept else None
    )
    want = diagnose(run), cross_validate(run, "loo"), anova(run, 2)
    loaded = sightline.load(run.folder)
    found = diagnose(loaded), cross_validate(loaded, "loo"), anova(loaded, 2)
    same_tests(found[0][0], want[0][0])
    same_influence(found[0][1], want[0][1])
    same_tests(assumptions(loaded), want[0][0])
    same_influence(influence(loaded), want[0][1])
    np.testing.assert_allclose(found[1].residual, want[1].residual, rtol=1e-12)
    assert found[2] == want[2]


def test_categories_as_codes():
    """In memory, of which no column is ever made."""
    rows = table(n=1500, seed=3)
    a, b = (sightline.solve(rows, "y ~ g0 + g1 + x", weights="w", memory=m) for m in (None, 100_000))
    assert (a.training_rows().on_disk, b.training_rows().on_disk) == (False, True)
    same_tests(assumptions(b), assumptions(a))
    same_influence(influence(b), influence(a, most=100))


def test_many_categories_by_their_counts(monkeypatch):
    """The factor of their columns comes from one Cholesky factor of counts, as the answer does."""
    rows = table(n=1500, seed=4)
    want = sightline.solve(rows, "y ~ g0 + g1 + x", weights="w")
    monkeypatch.setattr(sightline.answer_of_many, "MANY_COLUMNS", 5)
    monkeypatch.setattr(sightline.analysis, "MANY_COLUMNS", 5)
    found = sightline.solve(rows, "y ~ g0 + g1 + x", weights="w", memory=100_000)
    assert found.result["accuracy"]["path"] == "counts"
    same_tests(assumptions(found), assumptions(want))
    same_influence(influence(found), influence(want, most=100))


def test_columns_that_nearly_repeat_each_other_beside_many_categories(monkeypatch):
    """Their factor is that of the rows, and has one row more than columns."""
    rows = table(n=1500, seed=5)
    rows["z"] = rows["x"] + 1e-5 * np.random.default_rng(0).normal(size=len(rows))
    want = sightline.solve(rows, "y ~ g0 + g1 + x + z")
    monkeypatch.setattr(sightline.answer_of_many, "MANY_COLUMNS", 5)
    monkeypatch.setattr(sightline.analysis, "MANY_COLUMNS", 5)
    found = sightline.solve(rows, "y ~ g0 + g1 + x + z", memory=100_000)
    assert found.result["accuracy"]["path"] == "QR by blocks"
    for one, other in zip(assumptions(found), assumptions(want), strict=True):
        assert (one.name, one.df) == (other.name, other.df)
        assert one.statistic == pytest.approx(other.statistic, rel=1e-6)
    np.testing.assert_array_equal(influence(found).row, influence(want, most=100).row)


def test_the_command(cli, tmp_path):
    path = tmp_path / "d.csv"
    rows = frame()
    rows.to_csv(path, index=False)
    asked = ("solve", path, f"y {FORMULA}", "--diagnose", "--anova", "II", "--cross-validate", "loo")
    a, b = cli(*asked), cli(*asked, "--memory", "1")
    assert (a.code, b.code) == (0, 0)
    begin = "analysis of variance"
    assert b.out[b.out.index(begin) :] == a.out[a.out.index(begin) :]
    found = json.loads(cli(*asked, "--memory", "1", "--json").out)
    assert len(found["influence"]["row"]) == len(found["influence"]["cook"]) == 100
    done = cli(*asked, "--memory", "1", "--output", tmp_path / "runs")
    assert done.code == 0
    assert list((tmp_path / "runs").glob("*/figures/diagnostics.png"))


def test_pictures_name_the_rows_of_a_large_file_without_reading_it_for_each(data, monkeypatch):  # noqa: F811
    """Which line a row is on follows from the lines on which pieces begin; the last piece is read once."""
    monkeypatch.setattr(sightline.data.slices, "PIECE", 4096)
    run = sightline.solve(data, f"y {FORMULA}", memory=1)
    at_once = sightline.solve(data, f"y {FORMULA}").training_rows()
    rows, opened = run.training_rows(), []
    real = sightline.data.slices.TextPieces.places

    def watched(self, mark, count, after=None):
        opened.append(after)
        return real(self, mark, count, after)

    monkeypatch.setattr(sightline.data.slices.TextPieces, "places", watched)
    assert [rows.place(i) for i in range(ROWS)] == [at_once.place(i) for i in range(ROWS)]
    assert len(opened) > 10
    assert opened.count(None) == 1
    for row in (0, ROWS - 1, 5, ROWS - 2):
        assert rows.place(row) == at_once.place(row)


def test_where_rows_stand_once_the_file_is_gone(tmp_path):
    """By their numbers in the file, of which five were of no use."""
    path = tmp_path / "d.csv"
    path.write_text("x,y\n" + "".join(f'{i},"{"" if i < 5 else i % 7}"\n\n' for i in range(300)))
    rows = sightline.solve(path, "y ~ x", memory=1).training_rows()
    again = sightline.solve(path, "y ~ x", memory=1).training_rows()
    assert rows.place(10) == "line 32"
    path.unlink()
    assert again.place(10) == "row 15"


@pytest.mark.parametrize("formula", ["y ~ a", "y ~ log(a + 1) + b", "y ~ a * b"])
def test_a_number_that_is_not_finite_is_told_as_in_memory(tmp_path, formula):
    """Behind the rows that the encoding learns from."""
    path = tmp_path / "d.csv"
    path.write_text("a,b,y\n" + "".join(f"{'inf' if i == 5000 else i % 13},{i % 3},{i % 7}\n" for i in range(9000)))
    for memory in (None, 1):
        with pytest.raises(
            DataError, match=r"d\.csv line 5002, column a: inf is no finite number; fill it in or remove"
        ):
            sightline.solve(path, formula, memory=memory)


def test_what_still_needs_all_rows(data, tmp_path):  # noqa: F811
    run = sightline.solve(data, f"y {FORMULA}", memory=1)
    with pytest.raises(
        UsageError, match=r"needs all rows at once, and d\.csv is read in blocks: give a larger --memory$"
    ):
        residuals(run)
    kept = sightline.solve(data, f"y {FORMULA}", cache=tmp_path)
    with pytest.raises(UsageError, match=r"give a larger --memory without --cache$"):
        residuals(kept)
    with pytest.raises(UsageError, match=r"eject needs all rows at once, .* give a larger --memory without --cache$"):
        sightline.eject(
            sightline.fit(data, f"y {FORMULA}", cache=tmp_path, epochs=2, output=tmp_path), tmp_path / "s.py"
        )
    for most in (0, 2.5, "3", True):
        with pytest.raises(UsageError, match=r"most is .*: give how many rows are wanted, a whole number from 1 on"):
            influence(run, most=most)
    with pytest.raises(UsageError, match="the influence of rows belongs to least squares without a penalty"):
        influence(sightline.solve(data, f"y {FORMULA}", memory=1, l2=0.1))


def test_texts_where_the_training_rows_have_numbers(tmp_path):
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{i},{i % 7}\n" for i in range(60)))
    (tmp_path / "v.csv").write_text("a,y\n" + "".join(f"abc{i},{i % 7}\n" for i in range(60)))
    for memory in (None, 1):
        with pytest.raises(DataError, match=r"column '?a'? of v\.csv is text"):
            sightline.fit(
                tmp_path / "t.csv", "y ~ a", validation=str(tmp_path / "v.csv"), memory=memory, epochs=2, output=False
            )
