"""On a GPU: the moments, the records of fits and of modules, and resuming, beside those of the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import sightline
from sightline.engines.device_moments import form_on, moments_on

from .test_moments import check, rows

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU here: what trains there is tried on a stand-in (test_stand_in.py)"
)
RNG = np.random.default_rng(4)
X = RNG.normal(size=(400, 4))
Z = X @ [1.0, -2.0, 0.5, 3.0] + RNG.normal(size=400)
COLUMNS = {name: X[:, i] for i, name in enumerate("abcd")}
TARGETS = {
    "mse": Z, "huber": Z, "bce": np.where(Z > 0, "yes", "no"), "cross-entropy": np.digitize(Z, [-2.0, 2.0]).astype(str),
}  # fmt: skip
FORMULA = "y ~ a + b + c + d"


def alike(found, wanted, rel=1e-6):
    """Every number of every record."""
    for a, b in zip(found, wanted, strict=True):
        for name in ("running_loss", "train_loss", "valid_loss", "gradient_norm"):
            u, v = getattr(a, name), getattr(b, name)
            assert (u is None) == (v is None)
            assert u is None or u == pytest.approx(v, rel=rel, abs=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("far", [0.0, 1e4])
def test_moments(dtype, far):
    X, y = rows(5000, 3, 2, far=far, dtype=dtype)
    place = torch.device("cuda", 0)
    check(moments_on(place, X, y), X, y)
    check(moments_on(place, *(torch.from_numpy(v).to(place) for v in (X, y))), X, y)


@pytest.mark.parametrize("more", [{}, {"batch_size": 64}, {"engine": "autograd"}], ids=str)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("loss", TARGETS)
def test_fit(loss, optimizer, more):
    data = {**COLUMNS, "y": TARGETS[loss]}
    options = {"loss": loss, "optimizer": optimizer, "lr": 0.05, "epochs": 30, "output": False, **more}
    there = sightline.fit(data, FORMULA, device="cuda", **options)
    here = sightline.fit(data, FORMULA, **{**options, "engine": "autograd"})
    alike(there.epochs, here.epochs)
    for a, b in zip(there.coefficients, here.coefficients, strict=True):
        assert a.estimate == pytest.approx(b.estimate, rel=1e-6, abs=1e-9)


def test_many_rows():
    n = 60_000
    data = {f"c{i}": RNG.normal(size=n) + 3.0 for i in range(20)}
    data["y"] = sum(data.values()) + RNG.normal(size=n)
    there, here = (sightline.fit(data, target="y", epochs=20, output=False, device=d) for d in ("cuda", "cpu"))
    assert "cuda:0 added up the moments" in there.result["engine"]["reason"]
    for a, b in zip(there.coefficients, here.coefficients, strict=True):
        assert a.exact == pytest.approx(b.exact, rel=1e-10)
        assert a.estimate == pytest.approx(b.estimate, rel=1e-9)


def module():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1)).double()


def trained(device, epochs=20, resume=None, output=False, **more):
    model = module()
    adam = torch.optim.Adam(model.parameters(), lr=0.01)
    rows = torch.from_numpy(X), torch.from_numpy(Z[:, None])
    return sightline.fit_module(
        model,
        rows,
        loss=nn.MSELoss(),
        optimizer=adam,
        epochs=epochs,
        device=device,
        resume=resume,
        output=output,
        **more,
    )


@pytest.mark.parametrize("more", [{}, {"batch_size": 32, "valid": 0.2}, {"curvature": 10}], ids=str)
def test_module(more):
    alike(trained("cuda", **more).epochs, trained(None, **more).epochs)


@pytest.mark.parametrize("back", ["cuda", "cpu"])
def test_module_resumed(tmp_path, back):
    half = trained("cuda", 10, output=tmp_path, batch_size=32)
    alike(trained(back, 20, half.folder, output=tmp_path, batch_size=32).epochs, trained(None, batch_size=32).epochs)


@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_table_resumed(tmp_path, loss):
    path = tmp_path / "rows.csv"
    np.savetxt(path, np.column_stack([X, Z]), delimiter=",", header="a,b,c,d,y", comments="")
    options = {"loss": loss, "optimizer": "adam", "lr": 0.05, "figures": "none", "output": tmp_path / "runs"}
    half = sightline.fit(path, FORMULA, device="cuda", epochs=10, **options)
    whole = sightline.fit(path, FORMULA, epochs=20, engine="autograd", **options)
    alike(sightline.resume(half, epochs=20).epochs, whole.epochs)


@pytest.mark.parametrize("model_there", [True, False])
def test_train_on_tensors_there(model_there):
    runs = []
    for place in ("cuda", "cpu"):
        model = nn.Linear(4, 1).double()
        nn.init.zeros_(model.weight)
        nn.init.zeros_(model.bias)
        model = model.to(place if model_there else "cpu")
        sgd = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        rows = torch.from_numpy(X).to(place), torch.from_numpy(Z[:, None]).to(place)
        runs.append(list(sightline.train(model, rows, loss=nn.MSELoss(), optimizer=sgd, epochs=50)))
    alike(*runs, rel=1e-9)


def test_least_squares_and_form():
    A, y = rows(5000, 70)
    there = torch.from_numpy(A).cuda(), torch.from_numpy(y).cuda()
    found = sightline.least_squares(*there)
    assert found.path == "moments"
    assert found.coefficients == pytest.approx(sightline.least_squares(A, y).coefficients, rel=1e-10)
    form = form_on(torch.device("cuda", 0), *there)
    assert form is not None
    assert form.minimum == pytest.approx(float(np.mean((y - A @ form.weight.T - form.bias) ** 2)), rel=1e-12)


def test_no_room_is_a_sentence():
    model = nn.Linear(4, 1).double()
    sgd = torch.optim.SGD(model.parameters(), lr=0.05)

    def step(model, batch, optimizer):
        torch.empty(2**50, device="cuda")

    with pytest.raises(sightline.UsageError, match=r"cuda:0 has no room left: the rows take .* are free there; use a"):
        list(
            sightline.train(
                model, (torch.from_numpy(X), torch.from_numpy(Z)), optimizer=sgd, epochs=1, step=step, device="cuda"
            )
        )


def test_a_number_that_no_gpu_has():
    with pytest.raises(sightline.UsageError, match=r"there is no cuda:99, for torch finds \d+ GPUs? here"):
        sightline.fit({**COLUMNS, "y": Z}, FORMULA, device="cuda:99")
