"""The reference loop: any module, any loss, any optimizer; mini-batches, stepping by hand, going on."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import sightline
from sightline.data.batches import epoch_order
from sightline.engines.feeds import TensorFeed
from tests.plain import linear, plain_loop, table


def mlp(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double()


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(), nn.SmoothL1Loss(), nn.functional.mse_loss])
def test_any_module_and_loss_is_the_plain_loop_bit_for_bit(loss):
    x, y = table(50, 4)
    model, reference = mlp(), mlp()
    losses, states = plain_loop(reference, x, y, loss, torch.optim.Adam(reference.parameters(), lr=0.01), 30)
    records = list(
        sightline.train(model, (x, y), loss=loss, optimizer=torch.optim.Adam(model.parameters(), lr=0.01), epochs=30)
    )
    assert [r.train_loss for r in records] == losses
    assert [r.running_loss for r in records[1:]] == losses[:-1]
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), states[-1], strict=True))


def test_lbfgs_gets_its_closure():
    x, y = table(50, 4)
    model, reference = mlp(), mlp()
    theirs = torch.optim.LBFGS(reference.parameters(), lr=0.5)

    def closure():
        theirs.zero_grad()
        loss = nn.functional.mse_loss(reference(x), y)
        loss.backward()
        return loss

    for _ in range(5):
        theirs.step(closure)
    ours = torch.optim.LBFGS(model.parameters(), lr=0.5)
    list(sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=ours, epochs=5))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), reference.parameters(), strict=True))


def test_mini_batches_are_a_random_sampler_with_a_generator_of_their_own():
    x, y = table(53, 4)
    model, reference = mlp(), mlp()
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.05, momentum=0.9)
    before = torch.random.get_rng_state()
    records = list(
        sightline.train(
            model, (x, y), loss=nn.MSELoss(), optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
            epochs=4, batch_size=8, seed=7,
        )
    )  # fmt: skip
    assert torch.equal(before, torch.random.get_rng_state())  # the global generator is left alone
    for epoch in range(1, 5):
        sampler = torch.utils.data.RandomSampler(
            range(53), generator=torch.Generator().manual_seed(7 * 1_000_003 + epoch)
        )
        order, total = torch.tensor(list(sampler)), 0.0
        for rows in order.split(8):
            loss = nn.functional.mse_loss(reference(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows) / 53
        assert records[epoch].running_loss == pytest.approx(total, rel=1e-14)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), reference.parameters(), strict=True))
    assert all(r.train_loss is None for r in records)  # measuring at rest would cost a second pass: only when asked for


def test_seeds_and_epochs_give_different_orders():
    orders = {tuple(epoch_order(20, seed=s, epoch=e).tolist()) for s in range(5) for e in range(5)}
    assert len(orders) == 25
    assert all(sorted(order) == list(range(20)) for order in orders)


def test_measure_k_measures_at_rest_at_every_kth_epoch():
    x, y = table(40, 4)
    model = mlp()
    sgd = torch.optim.SGD(model.parameters(), lr=0.05)
    seen = {}
    for record in sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=7, batch_size=10, measure=3):
        seen[record.number] = (record.train_loss, nn.functional.mse_loss(model(x), y).item())
    assert [n for n, (loss, _) in seen.items() if loss is not None] == [0, 3, 6, 7]
    assert all(loss == now for loss, now in seen.values() if loss is not None)


def test_break_and_go_on_equals_the_straight_run():
    x, y = table(64, 4)
    straight, broken = mlp(), mlp()
    kwargs = {"loss": nn.MSELoss(), "batch_size": 16, "seed": 3}
    first = torch.optim.SGD(straight.parameters(), lr=0.05, momentum=0.9)
    whole = list(sightline.train(straight, (x, y), optimizer=first, epochs=8, **kwargs))
    second = torch.optim.SGD(broken.parameters(), lr=0.05, momentum=0.9)
    for record in sightline.train(broken, (x, y), optimizer=second, epochs=8, **kwargs):
        if record.number == 3:
            break
    rest = list(sightline.train(broken, (x, y), optimizer=second, epochs=8, start=3, **kwargs))
    assert [r.number for r in rest] == [3, 4, 5, 6, 7, 8]
    assert [r.running_loss for r in rest[1:]] == [r.running_loss for r in whole[4:]]
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), broken.parameters(), strict=True))


@pytest.mark.parametrize("in_place", ["no_grad", "data"])
def test_a_reader_may_change_the_parameters_between_epochs(in_place):
    x, y = table(30, 4)
    model, reference = mlp(), mlp()

    def halve(module):
        for p in module.parameters():
            if in_place == "data":
                p.data.mul_(0.5)
            else:
                with torch.no_grad():
                    p.mul_(0.5)

    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    for record in sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=4):
        if record.number == 2:
            halve(model)
    theirs = torch.optim.SGD(reference.parameters(), lr=0.1)
    plain_loop(reference, x, y, nn.MSELoss(), theirs, 2)
    halve(reference)
    plain_loop(reference, x, y, nn.MSELoss(), theirs, 2)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), reference.parameters(), strict=True))


def test_a_reader_may_change_the_rate():
    x, y = table(30, 2)
    model = linear(2)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    rates = []
    for record in sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=3):
        rates.append(record.lr)
        sgd.param_groups[0]["lr"] /= 2
    assert rates == [0.1, 0.05, 0.025, 0.0125]


def test_dropout_is_off_when_the_loss_is_measured_at_rest():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.5), nn.Linear(16, 1)).double()
    x, y = table(40, 4)
    sgd = torch.optim.SGD(model.parameters(), lr=0.01)
    for record in sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=3):
        model.eval()
        at_rest = nn.functional.mse_loss(model(x), y).item()
        assert record.train_loss == at_rest
        model.train()
    assert record.running_loss != record.train_loss


def test_records_of_a_large_module_do_not_list_parameters():
    model = nn.Linear(2000, 1)
    x, y = torch.randn(3, 2000), torch.randn(3, 1)
    sgd = torch.optim.SGD(model.parameters(), lr=1e-4)
    assert [dict(r.parameters) for r in sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=1)] == [
        {},
        {},
    ]


def test_state_saved_and_loaded_goes_on_bit_for_bit(tmp_path):
    from sightline.engines.choose import choose
    from sightline.engines.problem import Problem
    from sightline.loop import run
    from sightline.runs.checkpoint import read_checkpoints, save_state

    x, y = table(40, 4)
    for name in ("SGD", "Adam", "RMSprop"):
        for batch, engine in ((8, "autograd"), (None, "quadratic")):

            def make():
                model = linear(4)
                options = {"lr": 0.01, **({"momentum": 0.9} if name == "SGD" else {})}
                optimizer = getattr(torch.optim, name)(model.parameters(), **options)
                return choose(
                    Problem(model, nn.MSELoss(), optimizer, TensorFeed(x, y, batch)), engine=engine, epochs=100
                )[0]

            straight = make()
            whole = list(run(straight, epochs=9))
            half = make()
            *_, record = run(half, epochs=4)
            save_state(tmp_path, half.state_dict(), epoch=record.number, seconds=record.seconds)
            fresh = make()
            saved = next(read_checkpoints(tmp_path))
            fresh.load_state_dict(saved.state)
            rest = list(run(fresh, epochs=9, start=saved.epoch))
            assert [r.parameters for r in rest] == [r.parameters for r in whole[4:]]
            assert [r.train_loss for r in rest] == [r.train_loss for r in whole[4:]]


def test_choice_of_engine_is_told():
    from sightline.engines.choose import choose
    from sightline.engines.problem import Problem

    x, y = table(40, 4)

    def problem(model, loss=None, batch=None, x=x, y=y, optimizer=torch.optim.SGD):
        return Problem(model, loss or nn.MSELoss(), optimizer(model.parameters(), lr=0.01), TensorFeed(x, y, batch))

    frozen = linear(4)
    frozen.bias.requires_grad_(False)
    with pytest.warns(sightline.errors.LoopWarning, match="holds 1 frozen parameter"):
        partly = problem(frozen)
    cases = [
        (problem(linear(4)), "quadratic", "from the moments"),
        (problem(mlp()), "autograd", "not a plain torch.nn.Linear"),
        (problem(linear(4), nn.L1Loss()), "autograd", "not torch.nn.MSELoss"),
        (problem(linear(4), batch=8), "autograd", "mini-batches"),
        (problem(linear(4), optimizer=torch.optim.LBFGS), "autograd", "LBFGS is not a first-order optimizer"),
        (partly, "autograd", "not all parameters"),
    ]
    for case, name, reason in cases:
        engine, why = choose(case, epochs=1000)
        assert type(engine).__name__.lower() == name
        assert reason in why
    with pytest.raises(sightline.UsageError, match="use engine autograd or auto"):
        choose(problem(mlp()), engine="quadratic", epochs=10)
    with pytest.raises(sightline.UsageError, match="did you mean 'autograd'"):
        choose(problem(mlp()), engine="autogard", epochs=10)


def test_deepcopy_of_the_model_is_not_needed():
    """The caller's own module is trained in place by every engine."""
    x, y = table(40, 2)
    for engine in ("autograd", "quadratic"):
        model = linear(2)
        weight = model.weight
        before = copy.deepcopy(weight)
        sgd = torch.optim.SGD(model.parameters(), lr=0.1)
        list(sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=2, engine=engine))
        assert model.weight is weight
        assert not torch.equal(weight, before)


MEDDLING = {
    "zero_grad": lambda model, sgd, x, y: sgd.zero_grad(),
    "another backward": lambda model, sgd, x, y: nn.functional.l1_loss(model(x), y).backward(),
    "clipping": lambda model, sgd, x, y: [p.grad.mul_(0.01) for p in model.parameters() if p.grad is not None],
    "replacing data": lambda model, sgd, x, y: setattr(model.weight, "data", model.weight.data.clone()),
}


@pytest.mark.parametrize("meddle", MEDDLING.values(), ids=MEDDLING)
@pytest.mark.parametrize("engine", ["autograd", "quadratic"])
def test_nothing_a_reader_does_to_gradients_disturbs_the_training(meddle, engine):
    x, y = table(40, 3)
    reference = linear(3)
    losses, _ = plain_loop(reference, x, y, nn.MSELoss(), torch.optim.SGD(reference.parameters(), lr=0.1), 6)
    model = linear(3)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    seen = []
    for record in sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=6, engine=engine):
        seen.append(record.train_loss)
        meddle(model, sgd, x, y)
    assert seen == pytest.approx(losses, rel=1e-12)


def test_a_reader_may_freeze_a_parameter_on_the_way():
    x, y = table(40, 3)
    model = linear(3)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    biases = []
    for record in sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=4, engine="autograd"):
        biases.append(model.bias.item())
        if record.number == 2:
            model.bias.requires_grad_(False)
            model.bias.grad = None
    assert biases[2] == biases[3] == biases[4] != biases[1]


def test_gradient_norm_is_of_all_parameters_also_those_the_optimizer_leaves_alone():
    x, y = table(40, 3)
    model = linear(3)
    sgd = torch.optim.SGD([model.weight], lr=0.1)
    with pytest.warns(sightline.errors.LoopWarning, match=r"lacks 1 trainable parameter \(bias\)"):
        stream = sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=4)
    for record in stream:
        loss = nn.functional.mse_loss(model(x), y)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        want = float(torch.cat([g.reshape(-1) for g in gradients]).norm())
        assert record.gradient_norm == pytest.approx(want, rel=1e-12)


def test_functional_dropout_is_off_at_rest_too():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 1)

        def forward(self, x):
            return self.layer(nn.functional.dropout(x, 0.5, self.training))

    model = Net().double()
    x, y = table(40, 4)
    sgd = torch.optim.SGD(model.parameters(), lr=0.01)
    for record in sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=3):
        model.eval()
        assert record.train_loss == nn.functional.mse_loss(model(x), y).item()
        model.train()


@pytest.mark.parametrize("engine", ["autograd", "quadratic"])
def test_engines_measure_at_the_same_epochs(engine):
    x, y = table(40, 3)
    for measure, want in ((2, [0, 2, 4, 5]), (None, []), ("auto", [0, 1, 2, 3, 4, 5])):
        model = linear(3)
        sgd = torch.optim.SGD(model.parameters(), lr=0.1)
        stream = sightline.train(
            model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=5, engine=engine, measure=measure
        )
        assert [r.number for r in stream if r.train_loss is not None] == want
