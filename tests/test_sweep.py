"""Sweeps of the learning rate: record by record what single runs give, the limit where the closed form has it."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
import torch

import sightline
from sightline.engines.stacked import Stacked
from sightline.errors import DataError, RunError, UsageError
from sightline.lr_sweep import read_rates
from sightline.views.figures import save
from sightline.views.rates import sweep_table

GRID = (1e-3, 3.0, 9)


@pytest.fixture(scope="module")
def table():
    """60 rows: three columns of unequal size, a number, two classes, three classes, weights."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)) * [1.0, 2.0, 5.0]
    signal = X @ [1.0, 0.5, -0.2]
    return {
        "a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "w": rng.uniform(0.5, 2.0, 60),
        "y": signal + rng.normal(size=60),
        "two": np.where(signal + 2.0 * rng.normal(size=60) > 0.0, "yes", "no"),
        "three": np.array(["u", "v", "w"])[rng.integers(0, 3, 60)],
    }  # fmt: skip


def numbers(record):
    return [record.running_loss or 0.0, record.train_loss, record.gradient_norm, *record.parameters.values()]


def worst_difference(swept, fits):
    """The largest relative difference of two lists of runs, in all their records; everything else must be equal."""
    worst = 0.0
    for mine, run in zip(swept, fits, strict=True):
        assert [(e.number, e.lr, e.rows, e.stop) for e in mine] == [
            (e.number, e.lr, e.rows, e.stop) for e in run.epochs
        ]
        for a, b in zip(mine, run.epochs, strict=True):
            x, y = np.array(numbers(a)), np.array(numbers(b))
            finite = np.isfinite(y)
            assert np.array_equal(finite, np.isfinite(x))
            scale = np.maximum(np.abs(y), 1e-3)  # of losses and coefficients that are around 1
            worst = max(worst, np.max((np.abs(x - y) / scale)[finite], initial=0.0))
    return worst


@pytest.mark.parametrize(
    ("formula", "settings"),
    [
        ("y ~ a + b + c", {}),
        ("y ~ a + b + c", {"engine": "autograd"}),
        ("y ~ 0 + a + b + c", {"momentum": 0.9, "l2": 0.1, "weights": "w"}),
        ("y ~ a + b + c", {"momentum": 0.9, "nesterov": True, "engine": "autograd", "weights": "w"}),
        ("y ~ a + b", {"standardize": False, "start": {"Intercept": 3.0, "a": -1.0}}),
        ("y ~ a + b + c", {"optimizer": "adam", "weight_decay": 0.1, "opt": {"betas": (0.8, 0.99)}}),
        ("y ~ a + b + c", {"optimizer": "rmsprop"}),
        ("y ~ a + b + c", {"optimizer": "adamw", "batch_size": 16, "seed": 3}),
        ("two ~ a + b + c", {"optimizer": "adam"}),
        ("two ~ a + b + c", {"momentum": 0.9, "weights": "w", "class_weight": "balanced"}),
        ("two ~ a + b + c", {"batch_size": 7, "seed": 4, "momentum": 0.5}),
        ("three ~ a + b + c", {}),
        ("three ~ a + b + c", {"optimizer": "rmsprop", "batch_size": 25, "weights": "w", "lr": (1e-3, 0.3, 6)}),
        ("y ~ 1", {}),
    ],
)  # fmt: skip
def test_a_sweep_gives_the_records_of_single_runs(table, formula, settings):
    """Losses, gradient norms, coefficients, stops: equal to 1e-12 of their size (or of 1e-3 where smaller).

    RMSprop on mini-batches is chaotic at rates around 1, where any two ways to round part; it is compared below.
    """
    settings = {"lr": GRID, "epochs": 30, "output": False, **settings}
    found = sightline.sweep(table, formula, **settings)
    fits = [sightline.fit(table, formula, **{**settings, "lr": lr}) for lr in found.rates]
    assert worst_difference(found.runs, fits) < 1e-12


@pytest.mark.parametrize("settings", [{}, {"optimizer": "adam"}, {"engine": "autograd"}, {"batch_size": 7}])
def test_in_float32_they_are_equal_to_its_rounding(table, settings):
    """Below the stable rate, where rounding is not blown up, to 2e-5."""
    settings = {**settings, "dtype": "float32", "epochs": 30, "output": False}
    found = sightline.sweep(table, "y ~ a + b + c", lr=(1e-3, 0.1, 6), **settings)
    fits = [sightline.fit(table, "y ~ a + b + c", lr=lr, **settings) for lr in found.rates]
    assert worst_difference(found.runs, fits) < 2e-5


def test_the_last_record_is_that_of_the_loop_everyone_writes(heights):
    """Against plain PyTorch, not against ourselves."""
    found = sightline.sweep(
        heights, "weight ~ height", lr=[1e-6, 3e-6, 3e-5], epochs=20, standardize=False,
        start={"Intercept": -35.0, "height": 0.45}, output=False,
    )  # fmt: skip
    x = torch.tensor(heights["height"], dtype=torch.float64)[:, None]
    y = torch.tensor(heights["weight"], dtype=torch.float64)[:, None]
    for lr, records in zip(found.rates, found.runs, strict=True):
        model = torch.nn.Linear(1, 1, dtype=torch.float64)
        torch.nn.init.constant_(model.weight, 0.45)
        torch.nn.init.constant_(model.bias, -35.0)
        sgd = torch.optim.SGD(model.parameters(), lr=lr)
        for _ in range(20):
            sgd.zero_grad()
            torch.nn.functional.mse_loss(model(x), y).backward()
            sgd.step()
        assert records[-1].parameters["height"] == pytest.approx(model.weight.item(), rel=1e-12)
        assert records[-1].parameters["Intercept"] == pytest.approx(model.bias.item(), rel=1e-12)


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.5}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
def test_the_limit_that_is_seen_brackets_the_computed_one(table, settings):
    """2 / λmax, (2 + 2β) / λmax and Nesterov's, from the Hessian by torch; to the grid, then to a thousandth."""
    X = np.column_stack([table["a"], table["b"], table["c"]])
    X = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(60)])
    top = 2.0 / 60 * np.linalg.eigvalsh(X.T @ X)[-1]
    beta = settings.get("momentum", 0.0)
    limit = 2.0 * (1.0 + beta) / (1.0 + 2.0 * beta if settings.get("nesterov") else 1.0) / top
    coarse = sightline.sweep(table, "y ~ a + b + c", lr=(1e-2, 10.0, 13), output=False, **settings)
    assert coarse.limit == pytest.approx(limit, rel=1e-6)
    i = coarse.rates.index(coarse.found[0])
    assert coarse.found == (coarse.rates[i], coarse.rates[i + 1])
    assert coarse.found[0] < limit < coarse.found[1]
    fine = sightline.sweep(
        table, "y ~ a + b + c", lr=(1e-2, 10.0, 13), refine=True, epochs=300, output=False, **settings
    )
    assert fine.found[0] < limit < fine.found[1] < 1.0011 * fine.found[0]
    assert len(fine.rates) > 13
    assert set(coarse.rates) <= set(fine.rates)


def test_a_logistic_loss_stops_settling_at_the_limit_of_its_optimum(table):
    """Beyond 2 / λmax at the optimum the epochs never come to rest, though no loss leaves all bounds."""
    found = sightline.sweep(table, "two ~ a + b + c", lr=(0.1, 100.0, 13), refine=True, epochs=1000, output=False)
    X = np.column_stack([table["a"], table["b"], table["c"]])
    Z = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(60)])
    y = (table["two"] == "yes").astype(float)
    theta = np.zeros(4)
    for _ in range(30):  # Newton
        p = 1.0 / (1.0 + np.exp(-Z @ theta))
        H = (Z * (p * (1.0 - p))[:, None]).T @ Z / 60
        theta -= np.linalg.solve(H, Z.T @ (p - y) / 60)
    limit = 2.0 / np.linalg.eigvalsh(H)[-1]
    assert found.limit == pytest.approx(limit, rel=1e-9)
    assert found.found[0] < limit < found.found[1] < 1.0011 * found.found[0]
    assert "near the answer below" in found.verdict
    unsettled = [o for o in found.judged.outcomes if not o.settles]
    assert unsettled
    assert all(o.diverged is None and o.word == "too large" for o in unsettled)


def test_words_and_verdict(heights):
    found = sightline.sweep(heights, "weight ~ height", lr=(1e-3, 10.0, 24), output=False)
    assert found.words == ("too small",) * 11 + ("just right",) * 7 + ("too large",) * 6
    assert found.best == found.rates[15]
    assert found.verdict == "use --lr 0.4062 (reaches the answer in 9 epochs); stable below 1"
    run = sightline.fit(heights, "weight ~ height", lr=found.best, epochs=9, output=False)
    assert run.verdict.name == "CONVERGED"
    almost = sightline.fit(heights, "weight ~ height", lr=found.best, epochs=8, output=False)
    assert almost.verdict.name != "CONVERGED"


def test_where_no_rate_arrives_the_epochs_are_told_and_the_cure_works(heights):
    """26.6 million epochs at the best stable rate, by the closed form; standardized it takes few."""
    raw = {"standardize": False, "start": {"Intercept": -35.0, "height": 0.45}, "output": False}
    found = sightline.sweep(heights, "weight ~ height", lr=(1e-6, 1e-3, 12), **raw)
    best = found.judged.best
    assert best is not None
    lam = 0.0102922  # of the running example; its flat direction holds what is left
    left = best.excess
    needed = 100 + math.log(left / found.judged.ground.tolerance) / (2.0 * best.lr * lam)
    assert best.needs == pytest.approx(needed, rel=0.03)
    assert found.verdict.endswith("sweep again with --standardize --lr 0.001:10:24")
    assert "stable below 3.525e-05" in found.verdict
    cured = sightline.sweep(heights, "weight ~ height", lr="0.001:10:24", output=False)
    assert cured.verdict.startswith("use --lr")


def test_momentum_is_named_where_it_helps_more_than_epochs(table):
    data = {**table, "d": table["a"] + 0.02 * table["b"]}
    found = sightline.sweep(data, "y ~ a + d", lr=(1e-2, 10.0, 8), output=False)
    assert found.verdict.endswith("sweep again with --momentum 0.9")
    cured = sightline.sweep(data, "y ~ a + d", lr=(1e-2, 10.0, 8), momentum=0.9, output=False)
    assert cured.judged.best.needs < found.judged.best.needs / 5.0


@pytest.mark.parametrize(
    ("lr", "settings", "words"),
    [
        ((1e-6, 1e-5, 3), {}, "every rate is too small for 100 epochs; stable below 1: sweep higher, --lr 1e-05:2:24"),
        ((10.0, 100.0, 3), {}, "every rate is too large; stable below 1: sweep lower, --lr 0.0001:1:24"),
        ([0.01, 0.1], {"start": {"Intercept": -26.2465753424657534, "height": 0.5657534246575342}}, "starts at the answer"),
        ([1e-4, 1e-3], {"optimizer": "adam"}, "sweep higher, --lr 0.001:1:24"),
    ],
)  # fmt: skip
def test_verdicts_of_sweeps_that_miss_the_good_rates(heights, lr, settings, words):
    assert words in sightline.sweep(heights, "weight ~ height", lr=lr, output=False, **settings).verdict


def test_the_epochs_that_are_told_are_enough_and_few_too_many(heights):
    """(1 - 0.03 λ)²ᵗ of the loss above exact, λ = 2: 220 epochs until 1e-10 of the baseline is left."""
    found = sightline.sweep(heights, "weight ~ height", lr=[0.001, 0.03, 1.5], epochs=40, output=False)
    needed = math.ceil(math.log(1e-10 * 75.76 / (4809.2 - 29.0287671233)) / (2.0 * math.log(0.94)))
    assert needed == 220
    told = int(found.verdict.split("--epochs ")[1].split(";")[0])
    assert needed <= told <= 1.03 * needed
    run = sightline.fit(heights, "weight ~ height", lr=found.best, epochs=told, output=False)
    assert run.verdict.name == "CONVERGED"


def test_what_diverged_is_trained_no_more(heights, monkeypatch, tmp_path):
    seen = []
    original = Stacked.run_epoch
    monkeypatch.setattr(Stacked, "run_epoch", lambda self, n: seen.append(len(self.models)) or original(self, n))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = sightline.sweep(heights, "weight ~ height", lr=[0.3, 2.0, 1e300], epochs=50, output=False)
    assert seen[:2] == [3, 2]
    assert seen[-1] == 1
    assert len(found.runs[0]) == 51
    assert [run[-1].stop.reason for run in found.runs] == ["epochs", "diverged", "diverged"]
    assert not math.isfinite(found.runs[2][-1].train_loss)
    assert found.judged.outcomes[2].excess is None
    save(found.figure(), tmp_path / "wide.png")


def test_the_folder_holds_everything(heights, tmp_path):
    found = sightline.sweep(heights, "weight ~ height", lr=[0.1, 0.3, 3.0], epochs=20, output=tmp_path / "out")
    assert found.folder is not None
    assert found.folder.name.startswith("sweep-")
    values = json.loads((found.folder / "sweep.json").read_text())
    assert values["limit"]["computed"] == pytest.approx(1.0)
    assert [r["word"] for r in values["rates"]] == list(found.words)
    assert values["sweep"] == found.folder.name == found.to_dict()["sweep"]
    lines = [json.loads(line) for line in (found.folder / "epochs.jsonl").read_text().splitlines()]
    assert [(v["lr"], v["number"]) for v in lines] == [(e.lr, e.number) for run in found.runs for e in run]
    assert (found.folder / "figures" / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_cannot_be_made_is_told(heights, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write sweeps to .*choose another place with --output"):
        sightline.sweep(heights, "weight ~ height", lr=[0.1, 0.3], output=tmp_path / "file" / "below")


@pytest.mark.parametrize("bars", ["█░", "#."])
@pytest.mark.parametrize("count", [5, 200])
def test_the_table_fits_a_screen(table, bars, count):
    found = sightline.sweep(table, "y ~ a + b + c", lr=(1e-7, 1e3, count), epochs=10, output=False)
    lines = sweep_table(found.judged, found.subject, bars=bars)
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 40
    assert sum("-- the limit: 2 / λmax" in line for line in lines) == 1
    assert sum("best: " in line for line in lines) == 1
    shown = [float(line[:10]) for line in lines[1 : lines.index("")]]
    assert shown == sorted(shown)
    assert found.rates[0] == pytest.approx(shown[0], rel=1e-3)


def test_rates_as_they_may_be_given():
    grid = read_rates("1e-6:1e-1:24")
    assert np.allclose(np.diff(np.log(grid)), np.log(1e5) / 23, rtol=1e-9)
    assert (grid[0], grid[-1], len(grid)) == (1e-6, 1e-1, 24)
    assert read_rates((1e-6, 1e-1, 24)) == grid
    assert read_rates((np.float64(1e-6), 1e-1, np.int64(24))) == grid
    assert read_rates("0.3, 0.1") == read_rates([0.3, 0.1]) == read_rates(np.array([0.1, 0.3])) == (0.1, 0.3)
    assert read_rates([1, 2, 3]) == (1.0, 2.0, 3.0)
    assert read_rates((0.5, 0.1)) == (0.1, 0.5)


BAD_RATES = [
    ("1e-1:1e-6:24", "goes from 0.1 to 1e-06, and the first must be the smaller one: give 1e-06:0.1:24"),
    ("0.1:0.1:5", "the first must be the smaller one: give a higher end"),
    ("1e-6:1e-1:1", "asks for '1' rates: give a whole number from 2 to 1,000"),
    ("1e-6:1e-1:0", "asks for '0' rates"),
    ("1e-6:1e-1:-3", "asks for '-3' rates"),
    ("1e-6:1e-1:2.5", "asks for '2.5' rates"),
    ("1e-6:1e-1:1001", "asks for '1001' rates"),
    ("1e-6:1e-1:many", "asks for 'many' rates"),
    ("1e-6:1e-1:", "asks for '' rates"),
    ("1e-6:1e-1", "has 2 parts between its colons, not 3"),
    ("1:2:3:4", "has 4 parts between its colons, not 3"),
    (":1e-1:5", "holds an empty place"),
    ("", "holds an empty place"),
    ("low:1:5", "holds 'low', which is no number"),
    ("nan:1:5", "holds nan: give finite rates above 0"),
    ("-1e-3:1:5", "holds -0.001: give finite rates above 0"),
    ("0:1:5", "holds 0: give finite rates above 0"),
    ("1e-3:inf:5", "holds inf: give finite rates above 0"),
    ("1e-3:1e400:5", "holds inf"),
    ("0.1", "has 1 rate, and a sweep compares them"),
    ("0.1,0.2,0.1", "lists 0.1 twice: leave one of them out"),
    ("auto", "--lr auto is one rate, and a sweep compares many"),
    (0.1, "'0.1' is no range of rates"),
    (None, "'None' is no range of rates"),
    ([], "has 0 rates"),
    ([0.1, True], "holds 'True', which is no number"),
    ([0.1, None], "holds 'None', which is no number"),
    ([0.1, 10**400], "holds inf"),
    ([0.1, float("nan")], "holds nan"),
    ((0.1, 1.0, 5000), "asks for '5000' rates"),
    (list(range(1, 1002)), "lists 1,001 rates: give at most 1,000"),
]  # fmt: skip


@pytest.mark.parametrize(("lr", "words"), BAD_RATES, ids=[str(lr)[:20] for lr, _ in BAD_RATES])
def test_rates_that_mean_nothing_are_refused_before_anything_is_read(lr, words):
    with pytest.raises(UsageError) as told:
        sightline.sweep("no such file.csv", "y ~ x", lr=lr)
    assert words in str(told.value)
    assert "--lr" in str(told.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"optimizer": "lbfgs"}, "lbfgs searches the rate of each step itself"),
        ({"optimizer": "sgdd"}, "no optimizer 'sgdd': did you mean 'sgd'"),
        ({"momentum": "auto"}, "--momentum auto is made for one rate"),
        ({"schedule": "cosine"}, "sweep takes no setting 'schedule', for every rate stays what it is"),
        ({"robust": "hc3"}, "sweep takes no setting 'robust'"),
        ({"epoch": 3}, "sweep takes no setting 'epoch': did you mean 'epochs'"),
        ({"epochs": 0}, "--epochs 0 trains nothing"),
        ({"epochs": -1}, "--epochs cannot be -1"),
        ({"dtype": "float32", "lr": [1.0, 1e39]}, "--lr 1e+39 is more than float32 holds"),
        ({"engine": "quadratic", "optimizer": "adam", "batch_size": 2}, "the quadratic engine cannot train this"),
        ({"batch_size": 0}, "--batch-size cannot be 0"),
        ({"nesterov": True}, "--nesterov needs a momentum above 0"),
        ({"opt": {"beta": 1}}, "takes no option 'beta'"),
        ({"start": {"width": 1.0}}, "--start names no coefficient with 'width'"),
    ],
)  # fmt: skip
def test_settings_that_mean_nothing_are_refused(heights, settings, words):
    with pytest.raises(UsageError) as told:
        sightline.sweep(heights, "weight ~ height", output=False, **{"lr": [0.1, 0.3], **settings})
    assert words in str(told.value)


def test_data_that_cannot_be_used_are_refused(heights):
    with pytest.raises(DataError, match="no column 'heigth' in the data: did you mean 'height'"):
        sightline.sweep(heights, "weight ~ heigth", lr=[0.1, 0.3], output=False)
    with pytest.raises(DataError, match="no column 'width'"):
        sightline.sweep(heights, target="width", lr=[0.1, 0.3], output=False)


def test_separated_classes_have_no_answer_to_arrive_at():
    data = {"x": [1.0, 2.0, 3.0, 4.0], "y": ["a", "a", "b", "b"]}
    found = sightline.sweep(data, "y ~ x", lr=(1e-3, 100.0, 6), output=False)
    assert found.limit is None
    assert found.best is not None
    assert "reaches" in found.verdict or "sweep higher" in found.verdict


@pytest.mark.parametrize("loss", ["l1", "huber", "smooth-l1", "hinge", "poisson-nll", "gaussian-nll"])
def test_every_loss_is_swept_as_it_is_fitted(loss):
    rng = np.random.default_rng(5)
    x = rng.normal(size=50)
    y = np.where(x + rng.normal(size=50) > 0, "a", "b") if loss == "hinge" else rng.poisson(np.exp(1.0 + 0.5 * x))
    data, rates = {"x": x, "y": y}, [0.01, 0.1, 0.3]
    found = sightline.sweep(data, "y ~ x", lr=rates, loss=loss, epochs=60, output=False)
    for rate, records in zip(rates, found.runs, strict=True):
        single = sightline.fit(data, "y ~ x", loss=loss, lr=rate, epochs=60, output=False)
        assert len(records) == len(single.epochs) == 61
        for a, b in zip(records, single.epochs, strict=True):
            assert a.train_loss == pytest.approx(b.train_loss, rel=1e-12, abs=1e-14)
            assert a.parameters == pytest.approx(b.parameters, rel=1e-11, abs=1e-13)


@pytest.mark.parametrize("setting", [{"validation": 0.3}, {"patience": 3}, {"time_limit": 1.0}, {"target_loss": 0.1}])
def test_settings_that_would_do_nothing_are_refused(setting):
    with pytest.raises(UsageError, match="sweep takes no setting"):
        sightline.sweep({"x": [1.0, 2.0, 4.0], "y": [1.0, 3.0, 2.0]}, "y ~ x", lr=[0.1, 0.2], output=False, **setting)
