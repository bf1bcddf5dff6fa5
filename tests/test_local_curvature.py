"""What the largest curvature says of an optimizer, against runs of that optimizer just below and just above."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

import sightline
from sightline.errors import UsageError
from sightline.local_curvature import TopCurvature

STEPS = 3000


def bowl():
    """A quadratic with a curvature of its own in each of four directions, as a module with a loss."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(30, 4, generator=g, dtype=torch.float64)
    return nn.Linear(4, 1, bias=False, dtype=torch.float64), x, x @ torch.ones(4, 1, dtype=torch.float64)


def steps(model, x, y, options, lr):
    """The loss, decay included, at the start and after many steps of torch's own SGD."""
    torch.nn.init.constant_(model.weight, 0.9)
    sgd = torch.optim.SGD(model.parameters(), lr=lr, **options)
    objective = []
    for _ in range(STEPS):
        sgd.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        sgd.step()
        objective.append(model.weight.detach().clone())
    optimum = torch.linalg.solve(
        2.0 / 30 * x.T @ x + options.get("weight_decay", 0.0) * torch.eye(4, dtype=torch.float64), 2.0 / 30 * x.T @ y
    )
    return [(w.T - optimum).norm().item() for w in (objective[0], objective[-1])]


def limit_in(sentence):
    return float(re.search(r" = ([\d.e+-]+)", sentence)[1].rstrip("."))


CASES = {
    "plain": {},
    "heavy ball": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "light nesterov": {"momentum": 0.3, "nesterov": True},
    "decay": {"weight_decay": 1.5},
    "all": {"momentum": 0.6, "nesterov": True, "weight_decay": 1.5},
    "dampening": {"momentum": 0.5, "dampening": 0.4},
    "dampening of nothing": {"dampening": 0.4},
}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_just_below_the_limit_it_converges_and_just_above_it_grows(options):
    model, x, y = bowl()
    top = sightline.top_curvature(model, (x, y), loss=nn.MSELoss())
    told = {}
    limit = limit_in(top.against(torch.optim.SGD(model.parameters(), lr=1.0e-3, **options)))
    for factor in (0.98, 1.02):
        told[factor] = top.against(torch.optim.SGD(model.parameters(), lr=factor * limit, **options))
        before, after = steps(model, x, y, options, factor * limit)
        assert (after < 1e-2 * before) if factor < 1.0 else (after > 1e2 * before)
    assert " is 0.98 of the limit " in told[0.98]
    assert "so gradient descent leaves this place: use a rate below it" in told[1.02]


def test_the_formula_is_named():
    top = TopCurvature((56.66,), (1e-9,), 1e-8, 5, True)

    def told(**options):
        return top.against(torch.optim.SGD([torch.zeros(1, requires_grad=True)], **options))

    above = "so gradient descent leaves this place: use a rate below it"
    assert told(lr=0.5) == f"the rate 0.5 is above 2 / λmax = 0.0353, {above}"
    assert told(lr=0.005) == "the rate 0.005 is 0.14 of the limit 2 / λmax = 0.0353"
    assert told(lr=0.5, momentum=0.9) == f"the rate 0.5 is above 2 (1 + β) / λmax = 0.06707, {above}"
    assert told(lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.1) == (
        "the rate 0.01 is 0.42 of the limit 2 (1 + β) / ((1 + 2β) (λmax + 0.1)) = 0.02391"
    )
    assert told(lr=torch.tensor(0.5)) == told(lr=0.5)


def test_other_optimizers_are_told_that_it_is_not_their_limit():
    w, v = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    top = TopCurvature((10.0,), (1e-9,), 1e-8, 5, True)
    only = "2 / λmax = 0.2 is the limit of plain gradient descent only, it says nothing about "
    for optimizer, what in (
        (torch.optim.Adam([w]), "the rate 0.001 of Adam"),
        (torch.optim.RMSprop([w], lr=0.5), "the rate 0.5 of RMSprop"),
        (torch.optim.SGD([w], lr=0.1, maximize=True), "SGD with maximize"),
        (torch.optim.SGD([w], lr=0.1, momentum=1.0), "SGD with momentum 1, which is never stable"),
        (torch.optim.SGD([w], lr=0.1, momentum=0.5, dampening=1.0), "SGD with dampening 1"),
        (torch.optim.SGD([{"params": [w], "lr": 0.1}, {"params": [v]}], lr=1.0), "groups of parameters with different"),
    ):
        assert top.against(optimizer).startswith(only + what)
    same = torch.optim.SGD([{"params": [w]}, {"params": [v]}], lr=0.1)
    assert top.against(same) == "the rate 0.1 is 0.5 of the limit 2 / λmax = 0.2"
    with pytest.raises(UsageError, match="optimizer is a float: give an instance"):
        top.against(0.1)
    with pytest.raises(UsageError, match="optimizer is a type: give an instance"):
        top.against(torch.optim.SGD)


def test_where_nothing_curves_upward_no_rate_is_too_large():
    flat = TopCurvature((-0.5,), (0.0,), 1e-8, 5, True)
    w = torch.zeros(1, requires_grad=True)
    assert flat.against(torch.optim.SGD([w], lr=9.0)) == (
        "no rate is too large for it: the loss does not curve upward here, λmax = -0.5"
    )
    assert "(λmax + 0.2) = -0.3" in flat.against(torch.optim.SGD([w], lr=9.0, weight_decay=0.2))
    assert flat.against(torch.optim.SGD([w], lr=9.0, weight_decay=1.0)) == (
        "the rate 9 is above 2 / (λmax + 1) = 4, so gradient descent leaves this place: use a rate below it"
    )
    assert flat.against(torch.optim.Adam([w])).startswith("2 / λmax belongs to plain gradient descent only")


def test_an_eigenvalue_that_has_not_converged_is_a_lower_bound():
    top = TopCurvature((10.0,), (1.0,), 1e-8, 2000, False)
    sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    assert top.against(sgd).endswith("= 0.2, which is lower where λmax has not converged")


def test_it_can_be_read():
    assert str(TopCurvature((56.662,), (3e-9,), 1e-8, 33, True)) == (
        "top curvature 56.66\n2 / λmax = 0.0353 (converged: residual 3e-09, 33 products)"
    )
    several = TopCurvature(tuple(12345.678 * 0.9**i for i in range(12)), (1e-12,) * 11 + (2e-6,), 1e-8, 12345, False)
    assert str(several) == (
        "top curvatures 1.235e+04, 1.111e+04, 1e+04, 9000, 8100, ...\n"
        "2 / λmax = 0.000162 (not converged: residuals up to 2e-06, 12,345 products)"
    )
    wide = TopCurvature((-1.2345e-11,) * 12, (1.2345e-16,) * 12, 1e-8, 12345, False)
    assert "no limit to the rate" in str(wide)
    assert max(len(line) for line in str(wide).splitlines()) <= 80
