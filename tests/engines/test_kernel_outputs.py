"""The kernel engine on models with several outputs, in machine code and in torch, against the plain loop."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn

import sightline
from sightline.engines.kernels import engine
from sightline.engines.losses import Weighted
from tests.engines.mini_batches import BATCH, EPOCHS, OPTIMIZERS, ROWS, compared, plain

COLUMNS = 5
OF_CLASSES = [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(label_smoothing=0.2)]
OF_NUMBERS = [nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(delta=0.5), nn.SmoothL1Loss(beta=0.3), nn.BCEWithLogitsLoss()]


def table(loss, k, dtype=torch.float64, *, columns=COLUMNS, rows=ROWS):
    """Rows with the targets that the loss takes."""
    draw = torch.Generator().manual_seed(3)
    x = torch.randn(rows, columns, generator=draw, dtype=dtype)
    z = x @ torch.randn(columns, k, generator=draw, dtype=dtype) + torch.randn(rows, k, generator=draw, dtype=dtype)
    if isinstance(loss, nn.CrossEntropyLoss):
        return x, z.argmax(1)
    return x, (z > 0).to(dtype) if isinstance(loss, nn.BCEWithLogitsLoss) else z


def layer(k, dtype=torch.float64, *, columns=COLUMNS, bias=True):
    torch.manual_seed(1)
    return nn.Linear(columns, k, bias=bias, dtype=dtype)


@pytest.mark.parametrize(("optimizer", "loss"), [*itertools.product(OPTIMIZERS, OF_CLASSES + OF_NUMBERS)], ids=str)
def test_every_loss_with_every_optimizer(how, optimizer, loss):
    compared(layer(3), OPTIMIZERS[optimizer], loss, *table(loss, 3), tolerance=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("k", "columns"), [(2, 1), (7, 8), (8, 7), (9, 15), (16, 16), (17, 31), (33, 100), (64, 9)])
@pytest.mark.parametrize("bias", [True, False])
def test_any_number_of_outputs_and_columns(how, k, columns, dtype, bias):
    """In float32 to some dozens of roundings of 6e-8, of sums of up to 100 products over 39 steps."""
    model, tolerance = layer(k, dtype, columns=columns, bias=bias), 1e-12 if dtype == torch.float64 else 5e-6
    rows = table(nn.CrossEntropyLoss(), k, dtype, columns=columns)
    compared(model, lambda q: torch.optim.SGD(q, lr=0.1), nn.CrossEntropyLoss(), *rows, tolerance=tolerance)


@pytest.mark.parametrize("batch", [1, 7, 64, 65, 150])
def test_batches_of_any_size(how, batch):
    x, y = table(nn.CrossEntropyLoss(), 4)
    model, other = layer(4), layer(4)
    running, _ = plain(other, OPTIMIZERS["adam"](other.parameters()), nn.CrossEntropyLoss(), x, y, batch=batch)
    call = {"loss": nn.CrossEntropyLoss(), "optimizer": OPTIMIZERS["adam"](model.parameters()), "engine": "kernel"}
    records = list(sightline.train(model, (x, y), epochs=EPOCHS, batch_size=batch, **call))
    assert [r.running_loss for r in records[1:]] == pytest.approx(running, rel=1e-12)
    torch.testing.assert_close(model.weight, other.weight, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_weights_of_the_rows(how, smoothing):
    x, y = table(nn.CrossEntropyLoss(), 3)
    weight = torch.rand(ROWS, generator=torch.Generator().manual_seed(4), dtype=torch.float64) + 0.1
    target = torch.stack([y.double(), weight / weight.mean()], 1)
    loss = Weighted(nn.CrossEntropyLoss(reduction="none", label_smoothing=smoothing))
    compared(layer(3), OPTIMIZERS["momentum"], loss, x, target, tolerance=1e-12)


def test_scores_far_apart_and_infinitely_sure(how):
    """Probabilities that round to 0 and 1, and exponentials below the smallest number."""
    x, y = table(nn.CrossEntropyLoss(), 4)
    compared(layer(4), lambda p: torch.optim.SGD(p, lr=1e-7), nn.CrossEntropyLoss(), x * 3000.0, y, tolerance=1e-10)


def test_groups_of_their_own_for_weight_and_bias(how):
    def groups(parameters):
        weight, bias = parameters
        return torch.optim.AdamW([{"params": [weight], "weight_decay": 0.1}, {"params": [bias], "lr": 0.1}], lr=0.02)

    compared(layer(3), groups, nn.CrossEntropyLoss(), *table(nn.CrossEntropyLoss(), 3), tolerance=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_optimizer_is_left_as_torch_leaves_it_and_goes_on_in_the_plain_loop(how, name):
    loss, rows = nn.CrossEntropyLoss(), table(nn.CrossEntropyLoss(), 3)
    model, other = layer(3), layer(3)
    own, theirs = OPTIMIZERS[name](model.parameters()), OPTIMIZERS[name](other.parameters())
    call = {"loss": loss, "optimizer": own, "batch_size": BATCH}
    list(sightline.train(model, rows, epochs=2, engine="kernel", **call))
    copied = copy.deepcopy(own.state_dict())
    plain(other, theirs, loss, *rows, epochs=2)
    want = theirs.state_dict()["state"]
    assert {k: sorted(v) for k, v in copied["state"].items()} == {k: sorted(v) for k, v in want.items()}
    for number, held in want.items():
        for key, value in held.items():
            torch.testing.assert_close(copied["state"][number][key], value, rtol=1e-10, atol=1e-13)
    own.load_state_dict(copied)
    list(sightline.train(model, rows, epochs=4, start=2, engine="autograd", **call))
    list(sightline.train(model, rows, epochs=5, start=4, engine="kernel", **call))
    last, theirs = layer(3), OPTIMIZERS[name]
    plain(last, theirs(last.parameters()), loss, *rows, epochs=5)
    torch.testing.assert_close(model.weight, last.weight, rtol=1e-10, atol=1e-12)


def test_the_loss_at_rest_does_not_depend_on_threads(monkeypatch):
    pytest.importorskip("numba", reason="machine code needs numba")
    monkeypatch.setattr(engine, "LONG", 0.0)
    rows, found = table(nn.CrossEntropyLoss(), 5, torch.float32, rows=5000), set()
    for threads in (1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        model = layer(5, torch.float32)
        call = {"loss": nn.CrossEntropyLoss(), "optimizer": OPTIMIZERS["adam"](model.parameters()), "engine": "kernel"}
        records = sightline.train(model, rows, epochs=2, batch_size=50, **call)
        found.add(tuple((r.train_loss, r.gradient_norm) for r in records))
    assert len(found) == 1


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("what", ["parameter", "rate", "rows"])
def test_a_loss_that_is_not_finite_ends_the_run_as_in_the_plain_loop(how, what, optimizer):
    ends = []
    for name in ("autograd", "kernel"):
        model, (x, y) = layer(3), table(nn.CrossEntropyLoss(), 3)
        if what == "parameter":
            model.weight.data[1, 0] = torch.nan
        if what == "rows":
            x[150] = 1.7e308
            model.weight.data += 1.0
        own = OPTIMIZERS[optimizer](model.parameters())
        if what == "rate":
            own.param_groups[0]["lr"] = 1e308
        call = {"loss": nn.CrossEntropyLoss(), "optimizer": own, "epochs": 40, "batch_size": BATCH, "measure": None}
        records = list(sightline.train(model, (x, y), engine=name, **call))
        ends.append((records[-1].number, records[-1].stop, [repr(p) for p in model.parameters()]))
    assert ends[0][1].reason == "diverged"
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    ("loss", "k", "change", "why"),
    [
        (nn.CrossEntropyLoss(weight=torch.ones(3, dtype=torch.float64)), 3, None, "weights by class"),
        (nn.CrossEntropyLoss(reduction="sum"), 3, None, "with a mean"),
        (nn.CrossEntropyLoss(), 3, lambda y: nn.functional.one_hot(y, 3).double(), "class numbers"),
        (nn.MSELoss(), 65, None, "more than 64 outputs"),
    ],
)
def test_what_only_the_plain_loop_can_do_is_refused(loss, k, change, why):
    x, y = table(loss, k)
    model = layer(k)
    call = {"optimizer": OPTIMIZERS["sgd"](model.parameters()), "epochs": 1, "batch_size": BATCH}
    with pytest.raises(sightline.UsageError, match=why):
        list(sightline.train(model, (x, change(y) if change else y), loss=loss, engine="kernel", **call))


def test_a_class_without_an_output_never_reaches_machine_code(how):
    x, y = table(nn.CrossEntropyLoss(), 3)
    y[7] = 1_000_000_000
    for name, why in (("kernel", "has no output"), ("auto", "row 7 of y is class 1000000000")):
        model = layer(3)
        call = {"optimizer": OPTIMIZERS["sgd"](model.parameters()), "epochs": 1, "batch_size": BATCH, "engine": name}
        with pytest.raises(sightline.UsageError, match=why):
            list(sightline.train(model, (x, y), loss=nn.CrossEntropyLoss(), **call))
