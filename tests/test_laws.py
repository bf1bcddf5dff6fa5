"""Laws that hold for all data: what must not change when the same rows are written another way."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

import sightline
from sightline.linear.exact import least_squares
from sightline.linear.moments import Moments
from sightline.linear.squared_error import SquaredError
from tests.plain import linear

SEEDS = st.integers(0, 2**32 - 1)
FORMULA = "y ~ a + b + c"
SLOPES = ("a", "b", "c")


def data(seed, n=25):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)) * rng.uniform(0.5, 5.0, size=3) + rng.uniform(-5.0, 5.0, size=3)
    return {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": X @ rng.uniform(-3.0, 3.0, size=3) + rng.normal(size=n)}


def answers(run, field="exact"):
    return {c.term: getattr(c, field) for c in run.coefficients}


def solved(table, formula=FORMULA):
    return sightline.solve(table, formula)


def close(ours, theirs, table, *, rtol=1e-9):
    """Within rtol of each coefficient or of a thousandth of its standard error: κ here is below 1e3."""
    errors = answers(table, "std_error")
    for term, value in theirs.items():
        assert ours[term] == pytest.approx(value, rel=rtol, abs=1e-3 * rtol * errors[term] + 1e-12), term


# Moments and records


@given(SEEDS, st.integers(2, 60), st.data())
def test_moments_of_a_concatenation_are_the_merged_moments(seed, n, draw):
    """Any split, any order; each merge rounds a few times, so a few eps of the sums of squares."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, 2)) * [1.0, 100.0] + [1e3, 0.0], rng.normal(size=n) - 50.0
    cuts = sorted(draw.draw(st.lists(st.integers(1, n - 1), max_size=5, unique=True)))
    parts = [Moments.of(X[rows], y[rows]) for rows in np.split(rng.permutation(n), cuts)]
    merged = sum(parts[1:], parts[0])
    centred, target = X - X.mean(axis=0), y - y.mean()
    size = np.sqrt(np.outer((centred**2).sum(axis=0), (centred**2).sum(axis=0))) + 1e-9
    assert merged.n == n
    np.testing.assert_allclose(merged.x_mean, X.mean(axis=0), rtol=1e-13, atol=1e-12)
    assert (np.abs(merged.xx - centred.T @ centred) <= 1e-11 * size).all()  # 1e3 · eps of the mean, twice, is 1e-13
    np.testing.assert_allclose(merged.yy, [target @ target], rtol=1e-12)
    assert (np.abs(merged.xy[:, 0] - centred.T @ target) <= 1e-11 * np.sqrt(np.diag(size) * (target @ target))).all()


@given(SEEDS, st.sampled_from(["autograd", "quadratic"]))
@settings(max_examples=30)
def test_order_of_the_rows_does_not_change_full_batch_records(seed, engine):
    """Sums in another order round differently, by n eps; 30 stable epochs do not amplify that."""
    rng = np.random.default_rng(seed)
    x, y = torch.from_numpy(rng.normal(size=(40, 3))), torch.from_numpy(rng.normal(size=(40, 1)))
    order = torch.from_numpy(rng.permutation(40))
    histories = []
    for rows in (slice(None), order):
        model = linear(3)
        sgd = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.5)
        records = sightline.train(model, (x[rows], y[rows]), loss=nn.MSELoss(), optimizer=sgd, epochs=30, engine=engine)
        histories.append(
            [(r.train_loss, r.gradient_norm, *r.parameters["weight"][0], r.parameters["bias"]) for r in records]
        )
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-10, atol=1e-13)


# Columns written in other units


@given(SEEDS, st.floats(-1e6, 1e6).filter(lambda c: abs(c) > 1e-6))
def test_scaling_a_column_divides_its_coefficient_and_changes_nothing_else(seed, c):
    table = data(seed)
    scaled = {**table, "b": table["b"] * c}
    before, after = solved(table), solved(scaled)
    close({**answers(after), "b": answers(after)["b"] * c}, answers(before), before)
    for field in ("std_error",):
        assert answers(after, field)["b"] * abs(c) == pytest.approx(answers(before, field)["b"], rel=1e-9)
        assert answers(after, field)["a"] == pytest.approx(answers(before, field)["a"], rel=1e-9)
    sign = np.sign(c)
    assert answers(after, "t")["b"] * sign == pytest.approx(answers(before, "t")["b"], rel=1e-8, abs=1e-9)
    assert answers(after, "p")["b"] == pytest.approx(answers(before, "p")["b"], rel=1e-6)  # t² ~ 1e3 magnifies t's 1e-9
    np.testing.assert_allclose(after.predict(scaled), before.predict(table), rtol=1e-9, atol=1e-9)


@given(SEEDS, st.floats(-1e4, 1e4))
def test_shifting_a_column_changes_only_the_intercept(seed, shift):
    """1e4 beside a spread of one costs four digits: 1e-16 · 1e4 in each entry of the column."""
    table = data(seed)
    before, after = solved(table), solved({**table, "c": table["c"] + shift})
    for field in ("exact", "std_error", "t"):
        for term in SLOPES:
            assert answers(after, field)[term] == pytest.approx(answers(before, field)[term], rel=1e-8, abs=1e-9), (
                field,
                term,
            )
    moved = answers(before)["Intercept"] - answers(before)["c"] * shift
    assert answers(after)["Intercept"] == pytest.approx(moved, rel=1e-8, abs=1e-7)


@given(SEEDS, st.integers(2, 5))
def test_repeating_every_row_leaves_the_coefficients_and_multiplies_the_residual_sum(seed, times):
    table = data(seed)
    before, after = solved(table), solved({n: np.tile(v, times) for n, v in table.items()})
    close(answers(after), answers(before), before)
    one, many = before.to_dict(), after.to_dict()
    assert many["df"] == times * 25 - 4
    assert many["fit"]["sigma"] ** 2 * many["df"] == pytest.approx(
        times * one["fit"]["sigma"] ** 2 * one["df"], rel=1e-10
    )
    assert many["exact_loss"] == pytest.approx(one["exact_loss"], rel=1e-10)
    assert many["fit"]["r2"] == pytest.approx(one["fit"]["r2"], rel=1e-10)


@given(SEEDS)
def test_two_columns_with_their_names_swapped_swap_their_coefficients(seed):
    table = data(seed)
    before, after = solved(table), solved({**table, "a": table["b"], "b": table["a"]})
    for field in ("exact", "std_error", "t", "p"):
        ours, theirs = answers(after, field), answers(before, field)
        for mine, other in (("a", "b"), ("b", "a"), ("c", "c"), ("Intercept", "Intercept")):
            assert ours[mine] == pytest.approx(theirs[other], rel=1e-7 if field == "p" else 1e-9, abs=1e-11), (
                field,
                mine,
            )


@given(SEEDS, st.permutations(SLOPES))
def test_order_of_the_terms_does_not_matter(seed, order):
    table = data(seed)
    before, after = solved(table), solved(table, f"y ~ {' + '.join(order)}")
    assert [c.term for c in after.coefficients] == ["Intercept", *order]
    close(answers(after), answers(before), before)


@given(SEEDS)
def test_order_of_the_rows_does_not_change_the_answer(seed):
    table = data(seed)
    order = np.random.default_rng(seed + 1).permutation(25)
    before, after = solved(table), solved({n: v[order] for n, v in table.items()})
    close(answers(after), answers(before), before)


@given(SEEDS, st.floats(-100.0, 100.0).filter(lambda c: abs(c) > 1e-3), st.floats(-100.0, 100.0))
def test_the_target_in_other_units_scales_everything(seed, c, shift):
    table = data(seed)
    before, after = solved(table), solved({**table, "y": table["y"] * c + shift})
    size = abs(c) * (1.0 + np.abs(table["y"]).max()) + abs(shift)
    for term in SLOPES:
        assert answers(after)[term] == pytest.approx(c * answers(before)[term], rel=1e-9, abs=1e-12 * size)
        assert answers(after, "std_error")[term] == pytest.approx(abs(c) * answers(before, "std_error")[term], rel=1e-8)
    assert after.to_dict()["fit"]["r2"] == pytest.approx(before.to_dict()["fit"]["r2"], abs=1e-9)


@given(SEEDS)
@settings(max_examples=25)
def test_standardizing_is_only_a_way_to_get_there(seed):
    table = data(seed)
    one, other = (
        sightline.fit(table, FORMULA, output=False, standardize=s, epochs=0) for s in (True, False)
    )  # fmt: skip
    close(answers(other), answers(one), one)
    for field in ("std_error", "t"):
        for term in SLOPES:
            assert answers(other, field)[term] == pytest.approx(answers(one, field)[term], rel=1e-8, abs=1e-9)


# The exact answer


@given(SEEDS, st.booleans())
def test_residuals_are_orthogonal_to_the_columns(seed, intercept):
    table = data(seed)
    run = solved(table, FORMULA if intercept else "y ~ 0 + a + b + c")
    residual = table["y"] - run.predict(table)
    for column in [table[n] for n in SLOPES] + ([np.ones(25)] if intercept else []):
        bound = (
            1e-13 * np.linalg.norm(column) * np.linalg.norm(table["y"]) * 100.0
        )  # 25 products, each rounded, and θ's own
        assert abs(float(residual @ column)) <= bound


@given(SEEDS)
def test_mean_square_of_the_residuals_is_the_exact_loss_and_no_other_is_less(seed):
    table = data(seed)
    run = solved(table)
    residual = table["y"] - run.predict(table)
    loss = float(np.mean(residual**2))
    assert loss == pytest.approx(run.to_dict()["exact_loss"], rel=1e-11)
    for direction in np.random.default_rng(seed).normal(size=(5, 3)):
        step = 1e-3 * sum(d * table[n] for d, n in zip(direction, SLOPES, strict=True))
        assert float(np.mean((residual + step) ** 2)) >= loss


@given(SEEDS)
def test_always_predicting_the_mean_gives_the_baseline_loss(seed):
    table = data(seed)
    result = solved(table).to_dict()
    guess = solved({"y": table["y"]}, "y ~ 1")
    assert float(np.mean((table["y"] - guess.predict({"y": table["y"]})) ** 2)) == pytest.approx(
        result["fit"]["baseline_loss"], rel=1e-12
    )
    assert result["fit"]["r2"] == pytest.approx(1.0 - result["exact_loss"] / result["fit"]["baseline_loss"], abs=1e-14)


@given(SEEDS)
def test_t_squared_is_the_f_of_leaving_the_column_out(seed):
    table = data(seed)
    full, less = solved(table).to_dict(), solved(table, "y ~ a + c").to_dict()
    rss, worse = full["exact_loss"] * 25, less["exact_loss"] * 25
    f = (worse - rss) / (rss / full["df"])
    t = answers(solved(table), "t")["b"]
    assert t * t == pytest.approx(f, rel=1e-8, abs=1e-8)  # the difference of two sums cancels up to seven digits


# Training


@given(SEEDS, st.floats(0.01, 0.999), st.sampled_from(["autograd", "quadratic"]))
@settings(max_examples=40)
def test_below_the_limit_gradient_descent_never_increases_the_loss(seed, share, engine):
    x, y, limit, model = generic(seed)
    sgd = torch.optim.SGD(model.parameters(), lr=share * limit)
    losses = [
        r.train_loss for r in sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=40, engine=engine)
    ]
    assert all(b <= a * (1.0 + 1e-13) for a, b in pairwise(losses))
    assert losses[-1] < losses[0]


@given(SEEDS, st.floats(1.01, 3.0), st.sampled_from(["autograd", "quadratic"]))
@settings(max_examples=40)
def test_above_the_limit_the_loss_grows(seed, share, engine):
    """In the end: the steepest direction is multiplied by 1 - 2 share each epoch, and outgrows the rest."""
    x, y, limit, model = generic(seed)
    lr = share * limit
    sgd = torch.optim.SGD(model.parameters(), lr=lr)
    epochs = 600 if share < 1.2 else 60
    losses = [
        r.train_loss
        for r in sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=epochs, engine=engine)
    ]
    growth = (2.0 * share - 1.0) ** 2
    assert losses[-1] > losses[0]
    assert losses[-1] / losses[-2] == pytest.approx(growth, rel=0.01)


def generic(seed):
    """Rows, the largest stable rate by numpy, and a start far from the optimum in every direction."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(30, 3)), rng.normal(size=(30, 1))
    Z = np.column_stack([X, np.ones(30)])
    values, vectors = np.linalg.eigh(2.0 * Z.T @ Z / 30)
    theta = np.linalg.lstsq(Z, y[:, 0])[0] + 3.0 * vectors.sum(axis=1)
    model = linear(3)
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(theta[None, :3]))
        model.bias.copy_(torch.from_numpy(theta[3:]))
    assume(values[-1] > 1.05 * values[-2])  # so that one direction is the steepest
    return torch.from_numpy(X), torch.from_numpy(y), 2.0 / values[-1], model


@given(SEEDS)
@settings(max_examples=25)
def test_one_newton_step_from_anywhere_is_the_answer(seed):
    """θ - H⁻¹∇L with the gradient of the quadratic form lands on numpy's least squares: the form is the loss."""
    rng = np.random.default_rng(seed)
    X, y, theta = rng.normal(size=(20, 3)), rng.normal(size=20), rng.normal(size=4)
    form = SquaredError.of(X, y)
    by_weight, by_bias = form.gradient(theta[None, :3], theta[3:])
    Z = np.column_stack([X, np.ones(20)])
    landed = theta - np.linalg.solve(2.0 * Z.T @ Z / 20, np.append(by_weight[0], by_bias))
    np.testing.assert_allclose(landed, np.linalg.lstsq(Z, y)[0], rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(least_squares(X, y).theta, np.linalg.lstsq(Z, y)[0], rtol=1e-10, atol=1e-12)


@given(SEEDS, st.integers(1, 12))
@settings(max_examples=15)
def test_going_on_is_the_straight_run(seed, cut):
    """Stopped after `cut` epochs and taken up again with `start`, mini-batches included: the same bits."""
    rng = np.random.default_rng(seed)
    x, y = torch.from_numpy(rng.normal(size=(23, 2))), torch.from_numpy(rng.normal(size=(23, 1)))
    ends = []
    for stops in ([12], [cut, 12]):
        model = linear(2)
        sgd = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
        start = 0
        for stop in stops:
            list(sightline.train(
                model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=stop, batch_size=5, seed=seed % 1000,
                start=start,
            ))  # fmt: skip
            start = stop
        ends.append([p.tolist() for p in model.parameters()])
    assert ends[0] == ends[1]


@pytest.mark.parametrize("seed", range(4))
def test_saved_and_loaded_is_the_same_run(seed, tmp_path):
    table = {**data(seed), "g": np.array(list("uvwxy" * 5))}
    run = sightline.fit(table, "y ~ a * b + g", output=tmp_path, figures="none")
    loaded = sightline.load(run.folder)
    assert [list(vars_of(c)) for c in loaded.coefficients] == [list(vars_of(c)) for c in run.coefficients]
    assert (loaded.verdict.name, loaded.verdict.sentence) == (run.verdict.name, run.verdict.sentence)
    assert [(e.number, e.train_loss, e.gradient_norm) for e in loaded.epochs] == [
        (e.number, e.train_loss, e.gradient_norm) for e in run.epochs
    ]
    assert loaded.predict(table).tobytes() == run.predict(table).tobytes()


def vars_of(c):
    return (c.term, c.estimate, c.exact, c.std_error, c.t, c.p, c.low, c.high, c.off_by)
