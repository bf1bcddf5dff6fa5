"""The script of an exercise as plain PyTorch, step by step: run on its own it prints what the tutorial prints."""

from __future__ import annotations

from .exercise import Exercise

__all__ = ["LOSS_CLASSES", "Script", "whole_script"]

LOSS_CLASSES = {
    "mse": "MSELoss",
    "l1": "L1Loss",
    "huber": "HuberLoss",
    "smooth-l1": "SmoothL1Loss",
    "bce": "BCEWithLogitsLoss",
    "cross-entropy": "CrossEntropyLoss",
}
Script = dict[str, list[str]]  # the code lines of each step, in order


def whole_script(exercise: Exercise, loss: str, *, optimizer: str, lr: float, epochs: int, figures: bool) -> Script:
    """The code lines of each step; `optimizer` is the class of `torch.optim`."""
    steps = {
        "Set-up": ["import torch", "from torch import nn"],
        "Data": _data(exercise),
        "Model": [
            f"model = nn.Linear(1, {exercise.scores})",
            f"nn.init.constant_(model.weight, {exercise.start[0]!r})",
            f"nn.init.constant_(model.bias, {exercise.start[1]!r})",
        ],
        "Loss": [f"criterion = nn.{LOSS_CLASSES[loss]}()"],
        "Optimizer": [f"optimizer = torch.optim.{optimizer}(model.parameters(), lr={lr!r})"],
        "Loop": [*(_loop_lbfgs if optimizer == "LBFGS" else _loop)(exercise, epochs), *_printing(exercise)],
    }
    return {**steps, "Figures": _picture(exercise)} if figures else steps


def _data(exercise: Exercise) -> list[str]:
    e, n = exercise, len(exercise.x)
    classes = ", ".join(f"{k} {label}" for k, label in enumerate(e.labels))
    y = f"y = torch.tensor({e.y_name}, dtype=torch.float32).reshape(-1, 1)  # ({n}, 1)"
    return [
        *([f"# {classes}"] if classes else []),
        f"{e.x_name} = {list(e.x)}",
        f"{e.y_name} = {list(e.y)}",
        f"x = torch.tensor({e.x_name}, dtype=torch.float32).reshape(-1, 1)  # ({n}, 1)",
        y if e.scores == 1 else f"y = torch.tensor({e.y_name})  # ({n},) of int64",
    ]


def _loop(exercise: Exercise, epochs: int) -> list[str]:
    what = f"{'scores' if exercise.labels else 'predictions'}, ({len(exercise.x)}, {exercise.scores})"
    return [
        f"for epoch in range({epochs}):",
        f"    outputs = model(x)            # forward: {what}",
        "    loss = criterion(outputs, y)  # one number",
        "    optimizer.zero_grad()         # forget the gradients of the last epoch",
        "    loss.backward()               # the gradient for each parameter",
        "    optimizer.step()              # move each parameter",
    ]


def _loop_lbfgs(exercise: Exercise, epochs: int) -> list[str]:
    """LBFGS asks for the loss several times in one step."""
    return [
        "def closure():",
        "    optimizer.zero_grad()",
        "    loss = criterion(model(x), y)",
        "    loss.backward()",
        "    return loss",
        "",
        f"for epoch in range({epochs}):",
        *(["    outputs = model(x)            # the scores before the step"] if exercise.labels else []),
        "    loss = optimizer.step(closure)  # up to 20 evaluations",
    ]


def _printing(exercise: Exercise) -> list[str]:
    w, b = "model.weight.item()", "model.bias.item()"
    lines = [f"    w, b = {w}, {b}"]
    numbers = 'print(f"Weight: {w:.4f}, Bias: {b:.4f}")'
    if exercise.scores > 1:
        lines = [
            '    w = " ".join(f"{v:.4f}" for v in model.weight[:, 0])',
            '    b = " ".join(f"{v:.4f}" for v in model.bias)',
        ]
        numbers = 'print(f"Weight: {w}, Bias: {b}")'
    lines += ['    print(f"Epoch: {epoch + 1}, train loss: {loss.item():.4f}")', f"    {numbers}"]
    if exercise.labels:
        right = "(outputs > 0) == (y > 0)" if exercise.scores == 1 else "outputs.argmax(1) == y"
        lines += [f"    right = {right}", '    print(f"Accuracy: {right.float().mean():.4f}")']
    return [*lines, '    print("-" * 20)']


def _picture(exercise: Exercise) -> list[str]:
    curve = "model(x)"
    if exercise.labels:
        curve = "torch.sigmoid(model(x))" if exercise.scores == 1 else "torch.softmax(model(x), dim=1)"
    points = ["plt.scatter(x, y)"] if exercise.scores == 1 else []
    drawn = f"plt.plot(x, {curve}.detach()" + (', color="red")' if points else ")")
    return ["import matplotlib.pyplot as plt", *points, drawn, f'plt.savefig("{exercise.file.split(".")[0]}.png")']
