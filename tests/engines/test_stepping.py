"""What goes around a step: clipping, accumulation, the proximal step of L1; and targets of classes."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import sightline
from sightline.data.batches import epoch_order
from sightline.engines.choose import choose
from sightline.engines.feeds import TensorFeed
from sightline.engines.problem import Problem
from sightline.engines.stepping import Stepping, settings_used
from sightline.loop import run
from tests.plain import linear, table

MSE = nn.MSELoss()


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()


def same_bits(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def plain(model, x, y, optimizer, epochs, around, *, size=None):
    """The plain loop; `around` is called between backward and step."""
    norms = []
    for epoch in range(1, epochs + 1):
        order = torch.arange(len(x)) if size is None else epoch_order(len(x), seed=0, epoch=epoch)
        for rows in order.split(size or len(x)):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(x[rows]), y[rows]).backward()
            norms.append(float(torch.cat([p.grad.reshape(-1) for p in model.parameters()]).norm()))
            around(model)
            optimizer.step()
    return norms


CLIPPING = {
    "clip_norm": (0.3, lambda model: nn.utils.clip_grad_norm_(model.parameters(), 0.3)),
    "clip_value": (0.1, lambda model: nn.utils.clip_grad_value_(model.parameters(), 0.1)),
}


@pytest.mark.parametrize("size", [None, 12])
@pytest.mark.parametrize("name", CLIPPING)
@pytest.mark.parametrize("make", [mlp, lambda: linear(3)])
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_clipping_is_that_of_torch(size, name, make, optimizer):
    bound, clip = CLIPPING[name]
    x, y = table(40, 3)
    ours, theirs = make(), make()
    norms = plain(theirs, x, y, getattr(torch.optim, optimizer)(theirs.parameters(), lr=0.05), 20, clip, size=size)
    mine = getattr(torch.optim, optimizer)(ours.parameters(), lr=0.05)
    stream = sightline.train(
        ours, (x, y), loss=MSE, optimizer=mine, epochs=20, batch_size=size, engine="autograd", **{name: bound}
    )
    records = list(stream)
    assert same_bits(ours, theirs)
    if size is None:  # the gradient of the record is the one before clipping
        assert [r.gradient_norm for r in records[:-1]] == pytest.approx(norms, rel=1e-12)
        assert norms[0] > bound


@pytest.mark.parametrize("name", CLIPPING)
def test_the_quadratic_engine_clips_too(name):
    bound, clip = CLIPPING[name]
    x, y = table(40, 3)
    ours, theirs = linear(3), linear(3)
    norms = plain(theirs, x, y, torch.optim.SGD(theirs.parameters(), lr=0.3, momentum=0.5), 60, clip)
    sgd = torch.optim.SGD(ours.parameters(), lr=0.3, momentum=0.5)
    records = list(
        sightline.train(ours, (x, y), loss=MSE, optimizer=sgd, epochs=60, engine="quadratic", **{name: bound})
    )
    assert [r.gradient_norm for r in records[:20]] == pytest.approx(norms[:20], rel=1e-9)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-9)


def test_a_clipped_gradient_is_not_taken_for_the_gradient_where_nothing_moves():
    """At a rate that float32 swallows the same gradient is clipped again and again, and stays what it is."""
    x, y = table(40, 3, dtype=torch.float32)
    model = linear(3, dtype=torch.float32, fill=1.0)
    sgd = torch.optim.SGD(model.parameters(), lr=1e-30)
    stream = sightline.train(model, (x, y), loss=MSE, optimizer=sgd, epochs=3, engine="quadratic", clip_norm=1e-3)
    assert len({r.gradient_norm for r in stream}) == 1


LOSSES = {
    "MSELoss": nn.MSELoss(),
    "summed": nn.MSELoss(reduction="sum"),
    "function": lambda p, t: (p - t).abs().mean(),
    "weighted classes": nn.CrossEntropyLoss(weight=torch.tensor([0.3, 1.0, 4.0], dtype=torch.float64), label_smoothing=0.1),
}  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("size", "accumulate"), [(8, 2), (8, 3), (8, 100), (7, 4)])
def test_accumulation_equals_the_bigger_batch(loss, size, accumulate):
    """53 rows: the last batch of an epoch, and the last group, are short."""
    x, y = table(53, 3, seed=1)
    k, loss_function = 1, LOSSES[loss]
    if loss == "weighted classes":
        y, k = torch.bucketize(y.reshape(-1), torch.tensor([-0.5, 1.5], dtype=torch.float64)), 3
    ends = []
    for batch, group in ((size, accumulate), (size * accumulate, 1)):
        model = linear(3, k)
        sgd = torch.optim.SGD(model.parameters(), lr=0.003 if loss == "summed" else 0.05, momentum=0.9)
        stream = sightline.train(
            model, (x, y), loss=loss_function, optimizer=sgd, epochs=12, batch_size=batch, accumulate=group
        )
        ends.append(([r.running_loss for r in stream][1:], model))
    if loss != "weighted classes":  # a running loss is the mean of batches by their rows
        assert ends[0][0] == pytest.approx(ends[1][0], rel=1e-10)
    for p, q in zip(ends[0][1].parameters(), ends[1][1].parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-12)


def test_accumulation_is_the_plain_recipe_bit_for_bit():
    x, y = table(50, 3)
    ours, theirs = mlp(), mlp()
    reference = torch.optim.Adam(theirs.parameters(), lr=0.01)
    for epoch in range(1, 6):
        parts = epoch_order(50, seed=0, epoch=epoch).split(8)
        for i in range(0, len(parts), 3):
            group = parts[i : i + 3]
            whole = sum(len(rows) for rows in group)
            reference.zero_grad()
            for rows in group:
                (nn.functional.mse_loss(theirs(x[rows]), y[rows]) * (len(rows) / whole)).backward()
            reference.step()
    adam = torch.optim.Adam(ours.parameters(), lr=0.01)
    list(sightline.train(ours, (x, y), loss=MSE, optimizer=adam, epochs=5, batch_size=8, accumulate=3))
    assert same_bits(ours, theirs)


def test_a_schedule_by_steps_counts_steps_of_the_optimizer():
    x, y = table(50, 3)
    model = linear(3)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(sgd, max_lr=0.1, total_steps=6)  # 7 batches in groups of 3, 2 epochs
    list(
        sightline.train(model, (x, y), loss=MSE, optimizer=sgd, epochs=2, batch_size=8, accumulate=3, schedule=schedule)
    )
    assert schedule.last_epoch == 6


def ista(x, y, *, lr, l1, epochs, momentum=0.0, decay=0.0):
    """Proximal gradient descent with a heavy ball, in numpy: w ← soft(w - lr g + β (w - w_before), lr l1)."""
    n, p = x.shape
    w, b = np.zeros(p), 0.0
    w_before, b_before = w, b
    states = []
    for _ in range(epochs):
        residual = x @ w + b - y
        w_to = w - lr * (2.0 * x.T @ residual / n + decay * w) + momentum * (w - w_before)
        b_to = b - lr * (2.0 * residual.mean() + decay * b) + momentum * (b - b_before)
        w_before, b_before = w, b
        w, b = np.sign(w_to) * np.maximum(np.abs(w_to) - lr * l1, 0.0), b_to
        states.append(np.append(w, b))
    return np.array(states)


@pytest.mark.parametrize("engine", ["autograd", "quadratic"])
@pytest.mark.parametrize("options", [{}, {"momentum": 0.8}, {"momentum": 0.5, "decay": 0.2}])
def test_the_proximal_step_is_ista_with_a_heavy_ball(engine, options):
    x, y = table(60, 6, seed=3)
    model, l1 = linear(6), 0.9
    decay = {"weight_decay": options["decay"]} if "decay" in options else {}
    sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=options.get("momentum", 0.0), **decay)
    states = ista(x.numpy(), y.numpy().ravel(), lr=0.1, l1=l1, epochs=200, **options)
    records = list(sightline.train(model, (x, y), loss=MSE, optimizer=sgd, epochs=200, engine=engine, l1=l1))
    ours = np.array([np.append(np.ravel(r.parameters["weight"]), r.parameters["bias"]) for r in records[1:]])
    np.testing.assert_allclose(ours, states, rtol=1e-9, atol=1e-11)
    assert 0 < int((ours[-1, :-1] == 0.0).sum()) < 6  # exact zeros, and not all


@pytest.mark.parametrize("engine", ["autograd", "quadratic"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_the_fixed_point_is_the_lasso(engine, momentum, l2):
    """scikit-learn minimizes |y - Xw - b|²/(2n) + α ρ |w|₁ + α (1 - ρ) |w|²/2, half of the objective here."""
    from sklearn.linear_model import ElasticNet

    x, y = table(80, 6, seed=3)
    model, l1 = linear(6), 0.8
    alpha = (l1 + l2) / 2.0
    theirs = ElasticNet(alpha=alpha, l1_ratio=l1 / (l1 + l2), tol=1e-14, max_iter=100_000).fit(
        x.numpy(), y.numpy().ravel()
    )
    groups = [{"params": [model.weight], "weight_decay": l2}, {"params": [model.bias]}]
    sgd = torch.optim.SGD(groups, lr=0.1, momentum=momentum)
    list(sightline.train(model, (x, y), loss=MSE, optimizer=sgd, epochs=500, engine=engine, l1=l1, measure=None))
    np.testing.assert_allclose(model.weight.detach().numpy().ravel(), theirs.coef_, rtol=0, atol=1e-9)
    assert model.bias.item() == pytest.approx(theirs.intercept_, abs=1e-9)
    np.testing.assert_array_equal(model.weight.detach().numpy().ravel() == 0.0, theirs.coef_ == 0.0)


def test_a_rate_of_zero_leaves_all_as_it_is():
    x, y = table(40, 3)
    model = linear(3, fill=0.5)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    down = torch.optim.lr_scheduler.LambdaLR(sgd, lambda epoch: 1.0 if epoch < 2 else 0.0)
    seen = [
        r.parameters for r in sightline.train(model, (x, y), loss=MSE, optimizer=sgd, epochs=5, l1=0.1, schedule=down)
    ]
    assert seen[1] != seen[2] == seen[3] == seen[5]


def test_l1_thresholds_all_weights_of_a_module_and_no_bias():
    x, y = table(40, 3)
    model = mlp()
    biases = [copy.deepcopy(model[i].bias) for i in (0, 2)]
    sgd = torch.optim.SGD(model.parameters(), lr=1e-3)
    list(sightline.train(model, (x, y), loss=MSE, optimizer=sgd, epochs=1, l1=1e6))
    assert not model[0].weight.any()
    assert not model[2].weight.any()
    assert all(0.0 < (a - b).abs().max() < 0.1 for a, b in zip(biases, (model[0].bias, model[2].bias), strict=True))


def options_of(make, **more):
    model = linear(3)
    data = table(40, 3)
    options = {"loss": MSE, "epochs": 2, **more}
    return sightline.train(model, data, optimizer=make(model.parameters()), **options)


SGD, ADAM, LBFGS = (lambda p, c=c: c(p, lr=0.1) for c in (torch.optim.SGD, torch.optim.Adam, torch.optim.LBFGS))
REFUSED = [
    (ADAM, {"l1": 0.1}, "l1 is a soft threshold after a step of SGD, and for Adam that is not the lasso: use SGD"),
    (LBFGS, {"l1": 0.1}, "for LBFGS that is not the lasso"),
    (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True), {"l1": 0.1}, "l1 with nesterov"),
    (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.1), {"l1": 0.1}, "l1 with dampening"),
    (LBFGS, {"clip_norm": 1.0}, "clip_norm has no meaning for LBFGS"),
    (LBFGS, {"clip_value": 1.0}, "clip_value has no meaning for LBFGS"),
    (LBFGS, {"accumulate": 2, "batch_size": 8}, "accumulate has no meaning for LBFGS"),
    (SGD, {"accumulate": 2}, "accumulate 2 has no effect, for one batch holds all rows: give a batch size"),
    (SGD, {"accumulate": 2, "batch_size": 40}, "accumulate 2 has no effect"),
    (SGD, {"clip_norm": 1.0, "clip_value": 1.0}, "two ways to clip a gradient: leave one of them out"),
    (SGD, {"clip_norm": 1.0, "engine": "quadratic", "batch_size": 8}, "use engine autograd or auto"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "more", "sentence"), REFUSED)
def test_what_has_no_effect_or_no_meaning_is_refused(make, more, sentence):
    with pytest.raises(sightline.UsageError) as caught:
        options_of(make, **more)
    assert sentence in str(caught.value)


def test_what_was_used_is_told_as_plain_values():
    model = linear(3)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    one_cycle = torch.optim.lr_scheduler.OneCycleLR(sgd, max_lr=0.2, total_steps=9)
    from sightline.engines.stepping import as_stepping

    told = settings_used(sgd, as_stepping(one_cycle, clip_norm=2.0, clip_value=None, accumulate=1, l1=0.0))
    assert told == {
        "lr": 0.1, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False,
        "schedule": {"name": "OneCycleLR"}, "clip_norm": 2.0,
    }  # fmt: skip
    assert settings_used(sgd, Stepping(accumulate=3, l1=0.5))["accumulate"] == 3
    assert "schedule" not in settings_used(sgd, Stepping())


def test_clipping_and_l1_go_on_from_a_saved_state():
    x, y = table(40, 3)

    def make():
        model = linear(3)
        sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        return choose(
            Problem(model, MSE, sgd, TensorFeed(x, y, 8), stepping=Stepping(None, 0.5, None, 2, 0.1)), epochs=9
        )[0]

    whole, half, fresh = list(run(make(), epochs=8)), make(), make()
    list(run(half, epochs=3))
    fresh.load_state_dict(half.state_dict())
    rest = list(run(fresh, epochs=8, start=3))
    assert [(r.parameters, r.lr, r.running_loss) for r in rest[1:]] == [
        (r.parameters, r.lr, r.running_loss) for r in whole[4:]
    ]


def test_the_biases_of_a_recurrent_layer_are_biases():
    """They are called bias_ih_l0 and bias_hh_l0 there."""
    torch.manual_seed(0)
    model = nn.RNN(3, 2).double()
    x, y = torch.randn(6, 3, dtype=torch.float64), torch.randn(6, 2, dtype=torch.float64)
    sgd = torch.optim.SGD(model.parameters(), lr=1e-3)
    list(sightline.train(model, (x, y), loss=lambda out, target: MSE(out[0], target), optimizer=sgd, epochs=1, l1=1e6))
    assert {name: bool(p.any()) for name, p in model.named_parameters()} == {
        "weight_ih_l0": False, "weight_hh_l0": False, "bias_ih_l0": True, "bias_hh_l0": True,
    }  # fmt: skip


def test_each_group_is_thresholded_by_its_own_rate():
    model = mlp()
    first, second = (model[i].weight.detach().clone() for i in (0, 2))
    x = torch.zeros(8, 3, dtype=torch.float64)
    groups = [{"params": [model[0].weight], "lr": 0.1}, {"params": [model[2].weight], "lr": 0.01}]
    sgd = torch.optim.SGD(groups)
    with pytest.warns(sightline.errors.LoopWarning, match=r"lacks 2 trainable parameters \(0.bias, 2.bias\)"):
        list(sightline.train(model, (x, x[:, :1]), loss=lambda p, t: 0.0 * p.sum(), optimizer=sgd, epochs=1, l1=2.0))
    for before, after, rate in ((first, model[0].weight, 0.1), (second, model[2].weight, 0.01)):
        torch.testing.assert_close(after, before.sign() * (before.abs() - rate * 2.0).clamp(min=0.0))


CLASSES = torch.tensor([0, 1, 2, 0, 1, 2])
WEIGHTS = torch.ones(2)
BAD_CLASSES = [
    (nn.CrossEntropyLoss(), [0, 1, -100, 0, 1, 2], "row 2 of y is class -100, and classes are numbered from 0"),
    (nn.CrossEntropyLoss(), [0, 1, 2, -1, 1, 2], "row 3 of y is class -1"),
    (nn.CrossEntropyLoss(ignore_index=2), [0, 1, 0, 0, 1, 2], "row 5 of y is class 2, which is the ignore_index"),
    (nn.NLLLoss(ignore_index=1), [0, 1, 0, 0, 1, 2], "row 1 of y is class 1, which is the ignore_index, so NLLLoss"),
    (nn.CrossEntropyLoss(), [0, 1, 2, 0, 3, 7], "row 4 of y is class 3 and the model predicts 3 classes, 0 to 2: number the classes from 0, or give the model 8 outputs"),
    (nn.CrossEntropyLoss(weight=WEIGHTS), [0, 1, 2, 0, 1, 2], "row 2 of y is class 2, for which the loss has no weight"),
    (nn.CrossEntropyLoss(weight=WEIGHTS), [0, 1, 0, 0, 1, 1], "2 weights and the model predicts 3 classes"),
    (nn.CrossEntropyLoss(), np.array([0, 1, 2, 0, 1, 2], dtype=np.int32), "needs class numbers as int64 and y is torch.int32: convert it with y.long()"),
    (nn.CrossEntropyLoss(), [True, False] * 3, "y is torch.bool"),
    (nn.CrossEntropyLoss(), [0.0, 1.0, 2.0, 0.0, 1.0, 2.0], "needs class numbers and y is torch.float32"),
    (nn.CrossEntropyLoss(), [[0.5, 0.5]] * 6, "needs a probability for each class, and the model predicts shape (6, 3)"),
]  # fmt: skip


@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize(("loss", "y", "sentence"), BAD_CLASSES)
def test_a_class_is_never_passed_over_in_silence(loss, y, sentence, batch):
    model = nn.Sequential(nn.Linear(2, 3), nn.LogSoftmax(1)) if isinstance(loss, nn.NLLLoss) else nn.Linear(2, 3)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    sentence = sentence.replace("(6, 3)", "(2, 3)") if batch else sentence
    with pytest.raises(sightline.UsageError) as caught:
        list(
            sightline.train(
                model, (torch.ones(6, 2), torch.as_tensor(y)), loss=loss, optimizer=sgd, epochs=1, batch_size=batch
            )
        )
    assert sentence in str(caught.value)


def test_one_class_and_probabilities_are_fine():
    for y in (torch.zeros(6, dtype=torch.long), torch.full((6, 3), 1.0 / 3.0), CLASSES.to(torch.uint8)):
        model = nn.Linear(2, 3)
        sgd = torch.optim.SGD(model.parameters(), lr=0.1)
        records = list(
            sightline.train(model, (torch.randn(6, 2), y), loss=nn.CrossEntropyLoss(), optimizer=sgd, epochs=2)
        )
        assert records[-1].train_loss <= records[0].train_loss
