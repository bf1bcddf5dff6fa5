"""What people take instead of writing the loop: Lightning, skorch, Keras, scikit-learn, Vowpal Wabbit."""

from __future__ import annotations

import logging
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.suite.measure import Peer

__all__ = ["keras", "lightning", "scikit_learn", "skorch", "vowpal_wabbit"]

RATE = 0.01


def zeros(p: int) -> nn.Linear:
    """A layer with one output that begins at 0."""
    model = nn.Linear(p, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    return model


def lightning(x: Any, y: Any, batch: int, epochs: int) -> Peer:
    """A Trainer without logger, checkpoints, bar and summary; one epoch."""

    def run() -> Any:
        import lightning

        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

        class Linear(lightning.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.model = zeros(x.shape[1])

            def training_step(self, rows: Any) -> Any:
                return nn.functional.mse_loss(self.model(rows[0]), rows[1])

            def configure_optimizers(self) -> Any:
                return torch.optim.SGD(self.parameters(), lr=RATE)

        trainer = lightning.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
        )  # fmt: skip
        module = Linear()
        trainer.fit(module, DataLoader(TensorDataset(x, y), batch_size=batch, shuffle=True))
        return module.model.weight.detach().numpy()

    return Peer("Lightning", run, float(epochs), ["lightning"], check=lambda w: _apart(w, x, y))


def skorch(x: Any, y: Any, batch: int, epochs: int) -> Peer:
    """NeuralNetRegressor without validation and callbacks; one epoch."""

    def run() -> Any:
        from skorch import NeuralNetRegressor

        net = NeuralNetRegressor(
            zeros(x.shape[1]), max_epochs=1, lr=RATE, batch_size=batch, iterator_train__shuffle=True, train_split=None,
            verbose=0, callbacks=[],
        )  # fmt: skip
        return net.fit(x.numpy(), y.numpy()).module_.weight.detach().numpy()

    return Peer("skorch", run, float(epochs), ["skorch"], check=lambda w: _apart(w, x, y))


def keras(x: Any, y: Any, batch: int, epochs: int) -> Peer:
    """A Dense layer with the torch backend, which the environment asks for; one epoch."""

    def run() -> Any:
        import keras

        assert keras.backend.backend() == "torch"
        model = keras.Sequential([keras.Input((x.shape[1],)), keras.layers.Dense(1, kernel_initializer="zeros")])
        model.compile(optimizer=keras.optimizers.SGD(RATE), loss="mse")
        model.fit(x.numpy(), y.numpy(), batch_size=batch, epochs=1, verbose=0, shuffle=True)
        return model.layers[0].kernel.numpy().T

    return Peer("Keras on torch", run, float(epochs), ["keras"], check=lambda w: _apart(w, x, y))


def _apart(w: Any, x: Any, y: Any) -> float:
    """From the least-squares answer, relative to the largest weight: what one epoch leaves."""
    best = _best(x, y)
    return float((torch.as_tensor(w).flatten() - best).abs().max() / best.abs().max())


@cache
def _best(x: Any, y: Any) -> Any:
    return torch.linalg.lstsq(x, y).solution.flatten()


def scikit_learn(x: Any, y: Any, epochs: int) -> Peer:
    """SGDRegressor, one pass over a twentieth of the rows."""
    part = len(x) // 20
    X, t = x[:part].numpy(), y[:part, 0].numpy()

    def run() -> Any:
        from sklearn.linear_model import SGDRegressor

        return SGDRegressor(alpha=0.0, learning_rate="constant", eta0=1e-3, max_iter=1, tol=None).fit(X, t).coef_

    return Peer("SGDRegressor", run, 20.0 * epochs, ["sklearn"], check=lambda w: _apart(w, x, y))


def vowpal_wabbit(x: Any, y: Any, epochs: int) -> Peer:
    """Plain gradient descent over a fiftieth of the rows, from its own binary cache."""
    part = len(x) // 50

    @cache
    def cached() -> tuple[Any, str]:
        folder = tempfile.TemporaryDirectory()
        text = Path(folder.name, "rows.txt")
        with text.open("w") as file:
            for row, target in zip(x[:part].tolist(), y[:part, 0].tolist(), strict=True):
                file.write(f"{target:.7g} | {' '.join(f'{j}:{v:.7g}' for j, v in enumerate(row))}\n")
        _passed(f"-d {text} --cache_file {text}.cache -k --passes 1 --quiet")
        return folder, f"{text}.cache"

    def run() -> Any:
        return _passed(f"--cache_file {cached()[1]} --sgd -l 0.001 --power_t 0 --passes 1 --quiet", x.shape[1])

    return Peer("Vowpal Wabbit", run, 50.0 * epochs, ["vowpalwabbit"], ready=cached, check=lambda w: _apart(w, x, y))


def _passed(arguments: str, columns: int = 0) -> Any:
    """The weights after Vowpal Wabbit went over its file."""
    from vowpalwabbit import Workspace

    vw = Workspace(arguments)
    vw.run_parser()
    weights = [vw.get_weight_from_name(str(j)) for j in range(columns)]
    vw.finish()
    return weights
