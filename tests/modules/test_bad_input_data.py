"""Mistakes in data, validation rows, rate tests, folds and run folders are one sentence, and nothing written is lost."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import sightline
from sightline import DataError, RunError, UsageError
from sightline.runs import checkpoint

from .loops import X, Y
from .small import MSE, fitted, net, plainly, sgd, trained


class NoRate(torch.optim.Optimizer):
    def __init__(self, parameters):
        super().__init__(parameters, {})


# Data


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "data is an empty dict"),
        (({"inpt": X}, Y), r"Linear.forward\(input\) cannot take its inputs, inpt by name"),
        ((X, X, Y), r"Linear.forward\(input\) cannot take its inputs, 2 of them"),
        ([(X, X, Y)] * 2, r"Linear.forward\(input\) cannot take its inputs, 2 of them"),
        ((X.to_sparse(), Y), "x is a sparse or nested tensor"),
        ((X.to("meta"), Y), "x is on the meta device"),
        ((X.numpy()[::-1], Y), r"x is a ndarray .* an array from numpy\.array"),
        ([("text", Y)], "the model, Linear.*, is given str, which it cannot take"),
        ([(X, None)], "the target is a NoneType and MSELoss takes a tensor"),
        ([(X, ["a"] * 12)], "the target is a list and MSELoss takes a tensor"),
    ],
)
def test_data_that_the_model_cannot_take(data, sentence):
    with pytest.raises(UsageError, match=sentence):
        trained(data=data)


def test_masked_values_are_not_read_as_numbers():
    masked = np.ma.masked_array(X.numpy(), X.numpy() > 0.5)
    with pytest.raises(DataError, match="x has masked values"):
        trained(data=(masked, Y))


@pytest.mark.parametrize(
    ("valid", "sentence"),
    [
        ((X[:0], Y[:0]), "valid has no batch|at least one row"),
        ((X, Y[:3]), "x has 12 rows and y has 3"),
        ((X.double(), Y), "batch 1 of the validation rows: the model, Linear.*float64, which it cannot take"),
        ([(X, Y), (X[:, :1], Y)], "batch 2 of the validation rows: the model, Linear.*cannot take"),
    ],
)
def test_validation_rows_beside_a_loader(valid, sentence):
    with pytest.raises(UsageError, match=sentence):
        trained(data=DataLoader(TensorDataset(X, Y), batch_size=4), valid=valid)


# Rate tests and folds


@pytest.mark.parametrize(
    ("data", "optimizer", "sentence"),
    [
        ((X.long(), Y), torch.optim.SGD, "layer 0, Linear.*cannot take"),
        ([(X, Y), (X[:, :1], Y)], torch.optim.SGD, "layer 0, Linear.*cannot take"),
        ([(X, Y), (X, Y[:, 0])], torch.optim.SGD, "would broadcast"),
        ((X, Y), NoRate, "NoRate takes no lr"),
        ((X, Y), lambda parameters: sgd(parameters), "optimizer takes .* called with parameters and rate"),
    ],
)
def test_range_tests(data, optimizer, sentence):
    with pytest.raises(UsageError, match=sentence):
        sightline.lr_range_test(net(), data, loss=MSE, optimizer=optimizer)


def made():
    model = net()
    return model, sgd(model)


@pytest.mark.parametrize(
    ("make", "options", "sentence"),
    [
        (None, {}, "make is a NoneType"),
        (net(), {}, "make is a Sequential"),
        (lambda x: x, {}, "make takes .* called with nothing"),
        (made, {"score": 3}, "score is a int"),
        (made, {"score": lambda p: 1.0}, "score takes .* called with prediction and target"),
        (made, {"score": lambda p, y: None}, "score gives a NoneType: return one number"),
        (made, {"score": lambda p, y: p}, "score gives a Tensor: return one number"),
        (made, {"data": (X, Y[:3])}, "x has 12 rows and y has 3"),
    ],
)
def test_folds(make, options, sentence):
    with pytest.raises(UsageError, match=sentence):
        sightline.k_fold_module(make, **{"data": (X, Y), "loss": MSE, "epochs": 1, "folds": 3, **options})


# Run folders


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("run.json", lambda text: json.dumps({**json.loads(text), "settings": [1]})),
        ("run.json", lambda text: json.dumps({**json.loads(text), "result": {"warnings": [], "epochs": 3}})),
        ("epochs.jsonl", lambda text: text.replace('"lr": 0.1', '"lr": "a"')),
    ],
)
def test_an_edited_folder_is_called_damaged(file, change, tmp_path):
    folder = fitted(net(), output=tmp_path).folder
    (folder / file).write_text(change((folder / file).read_text()))
    with pytest.raises(RunError, match="is damaged"):
        sightline.load_module(folder)


def test_what_is_no_name_and_no_model(tmp_path):
    run = fitted(net(), output=tmp_path)
    for name in (None, 3, run):
        with pytest.raises(UsageError, match="give its folder or its id"):
            sightline.load_module(name)
    with pytest.raises(UsageError, match="the model is a NoneType"):
        run.load_into(None)
    with pytest.raises(UsageError, match="meta device"):
        run.load_into(net().to("meta"))


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "PAUSE", 1e9)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill(record):
        if record.number == 2:
            size = (next(tmp_path.glob("*")) / "epochs.jsonl").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (max(size + 100, 1200), limits[1]))

    try:
        with pytest.raises(RunError, match=r"cannot write .*epochs\.jsonl: .*free space"):
            fitted(net(), epochs=30, output=tmp_path, sinks=[fill])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    with pytest.warns(UserWarning, match="was stopped before its first checkpoint: it begins again"):
        again = fitted(net(), epochs=30, resume=next(tmp_path.glob("*")))
    assert len(again.epochs) == 31


def test_a_folder_deleted_while_training(tmp_path):
    def delete(record):
        if record.number == 1:
            shutil.rmtree(tmp_path / os.listdir(tmp_path)[0])

    with pytest.raises(RunError, match="cannot write"):
        fitted(net(), output=tmp_path, sinks=[delete])


def test_a_generator_that_is_left_leaves_the_model_as_it_trains():
    model = net()
    for record in sightline.train(model, [(X, Y)] * 3, loss=MSE, optimizer=sgd(model), epochs=9, valid=(X, Y)):
        if record.number == 2:
            break
    assert model.training
    assert not any(m._forward_hooks or m._backward_hooks for m in model.modules())
    plainly(model, 2)
