"""Every optimizer of torch with every loss, against the loop as tutorials write it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

import sightline
from sightline.data.batches import epoch_order
from sightline.engines.optimizers import make_optimizer, optimizer_names, optimizer_options
from tests.plain import linear, table

NAMES = sorted(optimizer_names())
RATES = {"sgd": 0.02, "adadelta": 1.0, "adafactor": 0.01, "lbfgs": 0.3, "rprop": 0.001}
LONG = ("MSELoss", "CrossEntropyLoss")  # 200 epochs, the others 40
LINE_SEARCH = {"line_search_fn": "strong_wolfe", "max_iter": 4}


def rows(kind, *, n=40, dtype=torch.float64):
    """Rows of a table with targets as the loss needs them."""
    x, y = table(n, 3, seed=4, dtype=dtype)
    if kind == "number":
        return x, y
    if kind == "yes or no":
        return x, (y > y.median()).to(dtype)
    if kind == "count":
        return x, y.abs().round()
    return x, torch.bucketize(y.reshape(-1), torch.tensor([-0.5, 1.5], dtype=dtype))


def sigmoid():
    return nn.Sequential(linear(3), nn.Sigmoid())


LOSSES = {
    "MSELoss": (nn.MSELoss(), "number", lambda: linear(3)),
    "L1Loss": (nn.L1Loss(), "number", lambda: linear(3)),
    "HuberLoss": (nn.HuberLoss(delta=0.7), "number", lambda: linear(3)),
    "SmoothL1Loss": (nn.SmoothL1Loss(beta=0.5), "number", lambda: linear(3)),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss(), "yes or no", lambda: linear(3)),
    "BCELoss": (nn.BCELoss(), "yes or no", sigmoid),
    "CrossEntropyLoss": (nn.CrossEntropyLoss(), "class", lambda: linear(3, 3)),
    "weighted classes": (
        nn.CrossEntropyLoss(weight=torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64), label_smoothing=0.1),
        "class",
        lambda: linear(3, 3),
    ),
    "PoissonNLLLoss": (nn.PoissonNLLLoss(), "count", lambda: linear(3)),
}


def plain(model, x, y, loss_function, optimizer, epochs, *, size=None, seed=0):
    """The plain loop: losses of each epoch while the parameters moved, by their share of the rows."""
    running = []
    for epoch in range(1, epochs + 1):
        if size is None:
            batches = [(x, y)]
        else:
            batches = [(x[i], y[i]) for i in epoch_order(len(x), seed=seed, epoch=epoch).split(size)]
        total = 0.0
        for bx, by in batches:
            first = []

            def closure(bx=bx, by=by, first=first):
                optimizer.zero_grad()
                loss = loss_function(model(bx), by)
                loss.backward()
                first.append(loss.item())
                return loss

            if isinstance(optimizer, torch.optim.LBFGS):
                optimizer.step(closure)
            else:
                closure()
                optimizer.step()
            total += first[0] * (len(bx) / len(x))
        running.append(total)
    return running


def made(name, model, **options):
    """Without a line search LBFGS may step to infinity where the loss is not smooth, and with torch too."""
    cls = optimizer_names()[name]
    search = LINE_SEARCH if name == "lbfgs" else {}
    return cls(model.parameters(), **{"lr": RATES.get(name, 0.01), **search, **options})


def same_bits(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", NAMES)
def test_the_full_batch_is_the_plain_loop_bit_for_bit(name, loss):
    loss_function, kind, make = LOSSES[loss]
    (x, y), epochs = rows(kind), 10 if name == "lbfgs" else 200 if loss in LONG else 40
    ours, theirs = make(), make()
    running = plain(theirs, x, y, loss_function, made(name, theirs), epochs)
    stream = sightline.train(
        ours, (x, y), loss=loss_function, optimizer=made(name, ours), epochs=epochs, engine="autograd"
    )
    assert [r.running_loss for r in stream][1:] == running
    assert same_bits(ours, theirs)
    assert running[-1] < running[0]


@pytest.mark.parametrize("loss", ["MSELoss", "BCELoss", "weighted classes"])
@pytest.mark.parametrize("name", NAMES)
def test_mini_batches_are_the_plain_loop_bit_for_bit(name, loss):
    loss_function, kind, make = LOSSES[loss]
    (x, y), epochs = rows(kind), 3 if name == "lbfgs" else 6
    ours, theirs = make(), make()
    running = plain(theirs, x, y, loss_function, made(name, theirs), epochs, size=12, seed=5)
    stream = sightline.train(
        ours, (x, y), loss=loss_function, optimizer=made(name, ours), epochs=epochs, batch_size=12, seed=5
    )
    assert [r.running_loss for r in stream][1:] == running
    assert same_bits(ours, theirs)


@pytest.mark.parametrize("loss", ["MSELoss", "L1Loss", "BCEWithLogitsLoss", "CrossEntropyLoss", "PoissonNLLLoss"])
@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop", "adagrad"])
def test_float32_is_the_plain_loop_bit_for_bit(name, loss):
    loss_function, kind, make = LOSSES[loss]
    x, y = rows(kind, dtype=torch.float32)
    ours, theirs = make().float(), make().float()
    running = plain(theirs, x, y, loss_function, made(name, theirs), 60)
    stream = sightline.train(ours, (x, y), loss=loss_function, optimizer=made(name, ours), epochs=60, engine="autograd")
    assert [r.running_loss for r in stream][1:] == running
    assert same_bits(ours, theirs)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"lbfgs"}))
def test_the_quadratic_engine_agrees_over_200_epochs(name):
    """To rounding for what is linear in the gradient; optimizers that divide by its size amplify rounding."""
    x, y = rows("number")
    ours, theirs = linear(3), linear(3)
    running = plain(theirs, x, y, nn.MSELoss(), made(name, theirs), 200)
    stream = sightline.train(
        ours, (x, y), loss=nn.MSELoss(), optimizer=made(name, ours), epochs=200, engine="quadratic"
    )
    tolerance = 1e-9 if name in ("sgd", "asgd") else 1e-6
    assert [r.running_loss for r in stream][1:] == pytest.approx(running, rel=tolerance)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_the_quadratic_engine_in_float32_agrees_to_rounding(name):
    x, y = rows("number", dtype=torch.float32)
    ours, theirs = linear(3).float(), linear(3).float()
    plain(theirs, x, y, nn.MSELoss(), made(name, theirs), 200)
    list(sightline.train(ours, (x, y), loss=nn.MSELoss(), optimizer=made(name, ours), epochs=200, engine="quadratic"))
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [None, 12])
def test_lbfgs_without_a_line_search(size):
    (x, y), (loss, _, make) = rows("class"), LOSSES["CrossEntropyLoss"]
    ours, theirs = make(), make()
    options = {"line_search_fn": None, "max_iter": 6}
    running = plain(theirs, x, y, loss, made("lbfgs", theirs, **options), 5, size=size)
    stream = sightline.train(
        ours, (x, y), loss=loss, optimizer=made("lbfgs", ours, **options), epochs=5, batch_size=size
    )
    assert [r.running_loss for r in stream][1:] == running
    assert same_bits(ours, theirs)


def test_lbfgs_does_not_disturb_batch_statistics():
    """Only the closure runs the model: one look more would count twice in the running mean."""

    def make():
        torch.manual_seed(0)
        return nn.Sequential(linear(3, 2), nn.BatchNorm1d(2).double(), linear(2, fill=0.1))

    x, y = rows("number")
    ours, theirs = make(), make()
    plain(theirs, x, y, nn.MSELoss(), made("lbfgs", theirs, max_iter=1), 3)
    list(sightline.train(ours, (x, y), loss=nn.MSELoss(), optimizer=made("lbfgs", ours, max_iter=1), epochs=3))
    assert torch.equal(ours[1].running_mean, theirs[1].running_mean)
    assert same_bits(ours, theirs)


def gaussian(prediction, y):
    return nn.functional.gaussian_nll_loss(prediction[:, :1], y, prediction[:, 1:].exp())


def hinge(prediction, y):
    return (1.0 - (2.0 * y - 1.0) * prediction).clamp(min=0.0).mean()


@pytest.mark.parametrize(("loss", "kind", "k"), [(gaussian, "number", 2), (hinge, "yes or no", 1)])
@pytest.mark.parametrize("name", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("size", [None, 12])
def test_losses_that_are_functions(loss, kind, k, name, size):
    x, y = rows(kind)
    ours, theirs, epochs = linear(3, k), linear(3, k), 5 if name == "lbfgs" else 30
    running = plain(theirs, x, y, loss, made(name, theirs), epochs, size=size)
    stream = sightline.train(
        ours, (x, y), loss=loss, optimizer=made(name, ours), epochs=epochs, batch_size=size, measure=None
    )
    assert [r.running_loss for r in stream][1:] == running
    assert same_bits(ours, theirs)


def test_a_parameter_of_the_loss_is_trained_without_piling_up_its_gradient():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.log_scale = nn.Parameter(torch.zeros((), dtype=torch.float64))

        def forward(self, prediction, y):
            return ((prediction - y).abs() / self.log_scale.exp()).mean() + self.log_scale

    x, y = rows("number")
    ends = []
    for train in (True, False):
        model, loss = linear(3), Scaled()
        sgd = torch.optim.SGD([*model.parameters(), *loss.parameters()], lr=0.05)
        if train:
            list(sightline.train(model, (x, y), loss=loss, optimizer=sgd, epochs=30))
        else:
            plain(model, x, y, loss, sgd, 30)
        ends.append(loss.log_scale.item())
    assert ends[0] == ends[1] != 0.0


def test_muon_without_an_intercept():
    x, y = rows("number")
    ours, theirs = linear(3, bias=False), linear(3, bias=False)
    running = plain(theirs, x, y, nn.MSELoss(), torch.optim.Muon(theirs.parameters(), lr=0.05), 50)
    muon = torch.optim.Muon(ours.parameters(), lr=0.05)
    stream = sightline.train(ours, (x, y), loss=nn.MSELoss(), optimizer=muon, epochs=50)
    assert [r.running_loss for r in stream][1:] == running
    assert same_bits(ours, theirs)


TYPED = [
    ("adam", {"betas": "0.9,0.95", "eps": "1e-6", "amsgrad": "true"}, {"betas": (0.9, 0.95), "eps": 1e-6, "amsgrad": True}),
    ("adam", {"betas": [0.9, 0.95], "amsgrad": False}, {"betas": (0.9, 0.95), "amsgrad": False}),
    ("sgd", {"dampening": "0.5"}, {"dampening": 0.5}),
    ("lbfgs", {"max_iter": "7", "max_eval": "none", "line_search_fn": "strong_wolfe"}, {"max_iter": 7, "max_eval": None, "line_search_fn": "strong_wolfe"}),
    ("adafactor", {"eps": "none,0.01", "d": "2"}, {"eps": (None, 0.01), "d": 2.0}),
    ("rprop", {"etas": "0.4,1.3", "step_sizes": "1e-5,10"}, {"etas": (0.4, 1.3), "step_sizes": (1e-5, 10.0)}),
    ("rmsprop", {"alpha": "0.9", "centered": "TRUE"}, {"alpha": 0.9, "centered": True}),
    ("muon", {"ns_steps": "4", "adjust_lr_fn": "original"}, {"ns_steps": 4, "adjust_lr_fn": "original"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given", "wanted"), TYPED)
def test_options_are_typed_as_torch_has_them(name, given, wanted):
    assert optimizer_options(name, given) == wanted
    parameters = [nn.Parameter(torch.zeros(1, 2))]
    made = make_optimizer(name, parameters, optimizer_options(name, given))
    assert {k: made.defaults[k] for k in wanted if k != "max_eval"} == {
        k: v for k, v in wanted.items() if k != "max_eval"
    }


def test_every_option_of_every_optimizer_takes_its_own_default():
    """As text, as the command line gives it: what torch shows as a default is understood and changes nothing."""
    import inspect

    ours = {"params", "foreach", "fused", "capturable", "differentiable", "maximize", "self"}
    for name, cls in optimizer_names().items():
        for option, parameter in inspect.signature(cls.__init__).parameters.items():
            if option in ours:
                continue
            default = parameter.default
            text = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
            assert optimizer_options(name, {option: text}) == {option: default}


REFUSED = [
    ("adam", {"betaz": "0.9,0.95"}, "optimizer Adam takes no option 'betaz': did you mean 'betas'"),
    ("adam", {"betas": "0.9"}, "betas cannot be '0.9': give 2 numbers, such as 0.9,0.999"),
    ("adam", {"betas": "0.9,much"}, "give a number"),
    ("adam", {"eps": "nan"}, "eps cannot be 'nan': give a finite number"),
    ("adam", {"eps": "1e400"}, "give a finite number"),
    ("adam", {"eps": 10**400}, "give a finite number"),
    ("adam", {"eps": True}, "eps cannot be 'True'"),
    ("adam", {"eps": "none"}, "give a value, or leave it out"),
    ("adam", {"amsgrad": "maybe"}, "give true or false"),
    ("adam", {"amsgrad": 1}, "give true or false"),
    ("adam", {"fused": "true"}, "fused is about how torch computes, not about what: leave it out"),
    ("sgd", {"foreach": "true"}, "foreach is about how torch computes"),
    ("sgd", {"maximize": "true"}, "maximize would make the loss larger"),
    ("lbfgs", {"max_iter": "2.5"}, "max_iter cannot be '2.5': give a whole number"),
    ("lbfgs", {"max_iter": "0"}, "give a whole number of at least 1"),
    ("lbfgs", {"history_size": 0}, "give a whole number of at least 1"),
    ("lbfgs", {"line_search_fn": "wolfe"}, "give one of strong_wolfe, none"),
    ("lbfgs", {"tolerance_grad": "-1"}, "of at least 0"),
    ("rmsprop", {"alpha": "1"}, "and below 1"),
    ("sparseadam", {}, "sparse gradients only, and these are dense: use adam"),
    ("adamm", {}, "did you mean 'adam'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given", "sentence"), REFUSED)
def test_options_that_are_refused(name, given, sentence):
    with pytest.raises(sightline.UsageError) as caught:
        optimizer_options(name, given)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("adam", {"betas": (1.5, 0.9)}, "Invalid beta parameter at index 0: 1.5"),
        ("adam", {"eps": -1.0}, "Invalid epsilon value"),
        ("sgd", {"momentum": 0.9, "nesterov": True, "dampening": 0.1}, "Nesterov momentum requires"),
        ("muon", {"ns_steps": 4}, "matrices only"),
    ],
)
def test_what_torch_refuses_is_one_sentence(name, options, why):
    with pytest.raises(sightline.UsageError) as caught:
        make_optimizer(name, [nn.Parameter(torch.zeros(2))], options)
    assert why in str(caught.value)


def test_nothing_imports_the_compiler():
    """torch._dynamo takes almost a second; neither optimizers nor schedules need it."""
    code = (
        "import sys, sightline\n"
        "heights = {'height': [150, 160, 170, 175, 185], 'weight': [55, 70, 64, 80, 75]}\n"
        "for more in ({'schedule': 'cosine', 'warmup': 2, 'clip_norm': 1.0}, {'schedule': 'one-cycle', 'clip_value': 1.0},\n"
        "             {'optimizer': 'lbfgs'}, {'optimizer': 'adam', 'schedule': 'plateau'}, {'l1': 0.1}):\n"
        "    sightline.fit(heights, 'weight ~ height', output=False, epochs=5, lr=0.1, **more)\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)
