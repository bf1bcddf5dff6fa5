"""What cannot be meant is refused by its name before it costs an epoch, and what is said of a run is true."""

from __future__ import annotations

import math
import signal
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

import sightline
from sightline.ejection import eject

X = torch.linspace(-1.0, 1.0, 36).reshape(12, 3)
Y = X.prod(1, keepdim=True)


def made():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def fitted(model=None, data=(X, Y), lr=0.1, **options):
    model = made() if model is None else model
    options = {"loss": nn.MSELoss(), "epochs": 3, "optimizer": torch.optim.SGD(model.parameters(), lr=lr), **options}
    return sightline.fit_module(model, data, **{"output": False} | options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"pateince": 3}, "there is no setting 'pateince': did you mean 'patience'?"),
        ({"min_improvement": 0.1}, "give patience=... as well"),
        ({"target_loss": math.nan}, "target_loss is nan: give a finite number"),
        ({"output": 5}, "output is 5: give a folder, or False for none"),
        ({"output": None, "resume": 5}, "resume is 5: give the folder or the id of a run"),
        ({"data": (X, X, Y)}, r"Sequential.forward\(input\) cannot take its inputs, 2 of them"),
        ({"data": [(X, X, Y)]}, r"Sequential.forward\(input\) cannot take its inputs, 2 of them"),
        ({"data": [(X, Y), (X, Y[:, 0])]}, r"batch 2 of epoch 1: the model predicts shape \(12, 1\) but the target"),
        ({"data": [(X, Y)], "valid": 1}, "a fraction can be held out only of rows in memory"),
        ({"valid": DataLoader(X)}, "batch 1 of the validation rows: a batch of shape"),
    ],
)
def test_a_mistake_is_named(options, sentence):
    with pytest.raises(sightline.UsageError, match=sentence):
        fitted(**options)


def test_what_is_missing_is_named():
    model = made()
    with pytest.raises(sightline.UsageError, match="optimizer is missing"):
        sightline.fit_module(model, (X, Y), loss=nn.MSELoss(), epochs=1)
    with pytest.raises(sightline.UsageError, match="epochs is missing"):
        sightline.fit_module(model, (X, Y), loss=nn.MSELoss(), optimizer=torch.optim.SGD(model.parameters()))


class Both(nn.Linear):
    def forward(self, x):
        return super().forward(x), x


def test_a_prediction_that_is_no_tensor_is_named():
    with pytest.raises(sightline.UsageError, match="the model gives a tuple and MSELoss takes a tensor"):
        fitted(Both(3, 1))
    assert len(fitted(Both(3, 1), loss=lambda both, y: ((both[0] - y) ** 2).mean()).epochs) == 4


class Nothing:
    def __iter__(self):
        return iter(())


def test_validation_rows_that_are_none_are_named():
    with pytest.raises(sightline.DataError, match="valid gave no batch"):
        fitted(valid=Nothing())


class Odd(nn.Linear):
    def get_extra_state(self):
        return {"odd": object()}


def test_a_state_that_no_checkpoint_can_hold_is_refused_before_the_first_step(tmp_path):
    model = Odd(3, 1)
    before = model.weight.clone()
    with pytest.raises(sightline.UsageError, match="holds a object at /module/_extra_state/odd"):
        fitted(model, output=tmp_path)
    assert torch.equal(model.weight, before)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "rate", [np.float32(0.1), np.float64(0.1), torch.tensor(0.1)], ids=["float32", "float64", "tensor"]
)
def test_a_rate_of_numpy_or_torch_goes_on_to_the_bit(rate):
    def trained(epochs, **options):
        model = made()
        adam = torch.optim.Adam(model.parameters(), lr=rate)
        return fitted(model, optimizer=adam, epochs=epochs, output=None, batch_size=5, **options)

    straight = trained(6)
    rest = trained(6, resume=trained(3))
    assert all(torch.equal(p, q) for p, q in zip(straight.model.parameters(), rest.model.parameters(), strict=True))


def test_a_parametrized_weight_is_left_alone():
    def spectral():
        torch.manual_seed(0)
        return nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4)), nn.Tanh(), nn.Linear(4, 1))

    plain = spectral()
    sgd = torch.optim.SGD(plain.parameters(), lr=0.1)
    for _ in range(4):
        plain.train()
        sgd.zero_grad()
        nn.functional.mse_loss(plain(X), Y).backward()
        sgd.step()
    model = spectral()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(model, epochs=4, measure=None)
    assert all(torch.equal(p, q) for p, q in zip(plain.state_dict().values(), model.state_dict().values(), strict=True))


def test_patience_with_an_improvement_says_what_it_waited_for():
    run = fitted(patience=2, min_improvement=0.5, epochs=30)
    assert run.verdict.sentence == "the loss has not fallen by more than 0.5 for 2 epochs, since epoch 0"


def test_a_bad_row_is_not_told_as_a_rate_that_is_too_large():
    x = X.clone()
    x[7, 1] = math.nan
    run = fitted(data=DataLoader(TensorDataset(x, Y), batch_size=4))
    assert run.verdict.name == "DIVERGED"
    assert "x is nan in row 3 of the batch, column 1" in run.verdict.sentence
    assert run.verdict.warnings == ()
    assert "0 rows" not in run.summary()


def test_a_run_that_diverged_says_whose_parameters_the_model_has():
    run = fitted(nn.Linear(3, 1), lr=50.0, epochs=20, valid=(X, Y))
    assert [w.code for w in run.verdict.warnings] == ["SL-DIVERGED"]
    assert f"the model has the parameters of epoch {run.result['kept_epoch']}" in run.verdict.sentence


def folds(make, **options):
    return sightline.k_fold_module(make, (X, Y), folds=3, loss=nn.MSELoss(), **{"epochs": 2} | options)


def at_rate(lr):
    def make():
        model = made()
        return model, torch.optim.SGD(model.parameters(), lr=lr)

    return make


@pytest.mark.parametrize(
    ("make", "options", "sentence"),
    [
        (made(), {}, "make is a Sequential: give a function"),
        (at_rate(0.1), {"score": 5}, "score is a int: give a function"),
        (at_rate(0.1), {"score": lambda p, y: "good"}, "fold 1 of 3: score gives a str: return one number"),
        (at_rate(0.1), {"score": lambda p, y: p}, "fold 1 of 3: score gives a Tensor: return one number"),
    ],
)
def test_a_mistake_with_folds_is_named(make, options, sentence):
    with pytest.raises(sightline.UsageError, match=sentence):
        folds(make, **options)


def test_folds_that_diverge_beyond_all_numbers_are_told():
    def make():
        model = nn.Linear(3, 1)
        return model, torch.optim.SGD(model.parameters(), lr=1e30)

    found = folds(make, epochs=5)
    assert math.isnan(found.sd)
    assert "fold 1, 2, 3 diverged, so there is no mean" in str(found)


class Keeping(nn.Linear):
    """Keeps a plain value in its state beside the tensors."""

    kept = 0

    def get_extra_state(self):
        return {"kept": self.kept}

    def set_extra_state(self, state):
        self.kept = state["kept"]


def test_plain_values_in_the_state_of_a_module_go_on():
    model = Keeping(3, 1)
    model.kept = 7
    half = fitted(model, output=None)
    rest = fitted(Keeping(3, 1), resume=half, epochs=5, output=None)
    assert rest.model.kept == 7
    other = Keeping(3, 1)
    assert torch.equal(rest.load_into(other).weight, rest.model.weight)
    with pytest.raises(sightline.UsageError, match="the model is a str"):
        rest.load_into("model")


def loader(x):
    return DataLoader(TensorDataset(x, Y), batch_size=4)


@pytest.mark.parametrize(
    "given",
    [loader, lambda x: [(x[:6], Y[:6]), (x[6:], Y[6:])], lambda x: DataLoader(Subset(TensorDataset(x, Y), range(6)))],
    ids=["loader", "list", "subset"],
)
def test_changed_rows_of_a_loader_are_noticed(given):
    half = fitted(data=given(X), output=None)
    with pytest.raises(sightline.RunError, match="the data have changed since run"):
        fitted(data=given(X + 1.0), resume=half, epochs=5, output=None)
    assert len(fitted(data=given(X.clone()), resume=half, epochs=5, output=None).epochs) == 6


def test_other_rows_of_a_subset_are_noticed():
    half = fitted(data=DataLoader(Subset(TensorDataset(X, Y), [0, 1, 2])), output=None)
    with pytest.raises(sightline.RunError, match="the data have changed since run"):
        fitted(data=DataLoader(Subset(TensorDataset(X, Y), [0, 1, 3])), resume=half, epochs=5, output=None)


def test_another_activation_is_noticed():
    half = fitted(output=None)
    other = made()
    other[1] = nn.ReLU()
    with pytest.raises(sightline.UsageError, match="was trained with layers Tanh 1 and this call has Tanh None"):
        fitted(other, resume=half, epochs=5, output=None)


@pytest.mark.parametrize("output", [None, False])
def test_ctrl_c_says_that_it_is_saved_only_where_it_is(output):
    def interrupt(record):
        if record.number == 2:
            signal.raise_signal(signal.SIGINT)

    run = fitted(epochs=9, sinks=[interrupt], output=output)
    saved = ", everything so far is saved" if output is None else ""
    assert run.verdict.sentence == f"stopped by Ctrl-C within epoch 3{saved}"


def test_several_groups_are_told():
    model = made()
    groups = [{"params": model[0].parameters(), "lr": 0.2}, {"params": model[2].parameters()}]
    run = fitted(model, optimizer=torch.optim.SGD(groups, lr=0.1), output=None)
    assert "rate 0.2 in the first of 2 groups" in run.summary()
    with pytest.raises(sightline.UsageError, match="with optimizer groups 2 and this call has groups None"):
        fitted(resume=run, lr=0.2, epochs=5, output=None)


def test_a_run_of_a_module_is_not_taken_for_one_of_a_table(tmp_path):
    run = fitted(output=None)
    with pytest.raises(sightline.UsageError, match="a module of your own is code, which no run holds"):
        eject(run, tmp_path / "alone.py")
    with pytest.raises(sightline.UsageError, match="trained a module of your own"):
        sightline.resume(run)
