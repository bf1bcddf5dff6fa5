"""How the work grows with epochs, rows, batches and rates: counted, not timed."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import sightline
from sightline.data.batches import epoch_order
from sightline.engines.kernels import engine
from sightline.linear import moments


class Operations(TorchDispatchMode):
    """Counts the operations that torch dispatches, and the numbers that they read."""

    def __init__(self):
        super().__init__()
        self.count, self.numbers = 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        self.numbers += sum(a.numel() for a in args if isinstance(a, torch.Tensor))
        return func(*args, **(kwargs or {}))


def rows_of(n, p, *, outputs=1):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(n, p, generator=draw, dtype=torch.float64)
    return x, x @ torch.randn(p, outputs, generator=draw, dtype=torch.float64)


def trained(data, **options):
    """Operations and numbers of a training."""
    model = nn.Linear(data[0].shape[1], 1, dtype=torch.float64)
    sgd = torch.optim.SGD(model.parameters(), lr=1e-3)
    with Operations() as seen:
        records = list(sightline.train(model, data, loss=nn.MSELoss(), optimizer=sgd, **options))
    return seen, records


@pytest.fixture
def read(monkeypatch):
    """Rows of every pass over the blocks of a table."""
    passes, plain = [], moments.summed

    def counting(leaf, space, **about):
        passes.append(about["rows"])
        return plain(leaf, space, **about)

    monkeypatch.setattr(moments, "summed", counting)
    return passes


@pytest.mark.parametrize("epochs", [1, 10, 1000])
def test_full_batches_read_the_rows_twice_however_many_epochs_there_are(read, epochs):
    _, records = trained(rows_of(500, 3), epochs=epochs)
    assert read == [500, 500]
    assert len(records) == epochs + 1


def test_rows_that_are_gone_after_record_0_are_not_missed():
    def losses(spoil):
        torch.manual_seed(0)
        x, y = rows_of(500, 3)
        model = nn.Linear(3, 1, dtype=torch.float64)
        sgd = torch.optim.SGD(model.parameters(), lr=1e-2)
        records = sightline.train(model, (x, y), loss=nn.MSELoss(), optimizer=sgd, epochs=50)
        first = next(records)
        if spoil:
            x.fill_(torch.nan)
        return [first.train_loss, *(record.train_loss for record in records)]

    assert losses(spoil=True) == losses(spoil=False)


def test_an_epoch_on_moments_reads_as_many_numbers_of_few_rows_as_of_many():
    def numbers_of_an_epoch(n):
        few, many = (trained(rows_of(n, 3), epochs=epochs, engine="quadratic")[0].numbers for epochs in (10, 110))
        return (many - few) / 100

    assert numbers_of_an_epoch(50) == numbers_of_an_epoch(5000) > 0


def test_the_plain_loop_reads_all_rows_in_every_epoch():
    def numbers_of_an_epoch(n):
        few, many = (trained(rows_of(n, 3), epochs=epochs, engine="autograd")[0].numbers for epochs in (1, 11))
        return (many - few) / 10

    assert 8 < numbers_of_an_epoch(5000) / numbers_of_an_epoch(500) < 10.1


@pytest.mark.parametrize("measure", [None, 1])
def test_machine_code_takes_no_operation_of_torch_for_a_step(monkeypatch, measure):
    """Operations of torch belong to an epoch, in the plain loop to each of its steps."""
    pytest.importorskip("numba", reason="machine code needs numba")
    monkeypatch.setattr(engine, "LONG", 0.0)

    def operations(how, n):
        few, many = (
            trained(rows_of(n, 3), epochs=epochs, engine=how, batch_size=10, measure=measure)[0].count
            for epochs in (1, 3)
        )
        return (many - few) / 2

    operations("kernel", 20)  # the first time of all torch's order is compared with that of the machine code
    assert operations("kernel", 100) == operations("kernel", 1000)
    assert operations("autograd", 1000) > 8 * operations("autograd", 100)


def test_records_count_the_rows_that_were_trained_on():
    _, records = trained(rows_of(103, 2), epochs=4, batch_size=10)
    assert [record.rows for record in records] == [0, 103, 206, 309, 412]


@pytest.mark.parametrize("rates", [2, 30])
def test_all_rates_of_a_sweep_share_the_passes_over_the_rows(monkeypatch, rates):
    """One product predicts with all of them: its number is that of the epochs."""
    products, plain = [], nn.functional.linear
    monkeypatch.setattr(nn.functional, "linear", lambda x, w, b=None: products.append(len(w)) or plain(x, w, b))
    data = {"x": list(range(12)), "y": [i % 3 + 0.1 * i for i in range(12)]}
    sightline.sweep(data, "y ~ x", lr=(1e-3, 1e-1, rates), epochs=5, loss="huber", output=False)
    assert set(products) == {rates}
    assert len(products) == 6  # of record 0 and of each epoch


def test_an_order_is_drawn_once_for_an_epoch(monkeypatch):
    drawn = []
    from sightline.engines.kernels import orders

    monkeypatch.setattr(orders, "epoch_order", lambda rows, **at: drawn.append(at["epoch"]) or epoch_order(rows, **at))
    trained(rows_of(60, 2), epochs=4, batch_size=7, engine="kernel")
    assert drawn == [1, 2, 3, 4]
