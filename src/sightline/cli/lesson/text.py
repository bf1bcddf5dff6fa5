"""What is said before each step of the script, with the numbers of this very run."""

from __future__ import annotations

import math

from ...tuning import OWN_RATE
from ...words import about, plain
from .plan import STEPS_OF_LR, Plan

__all__ = ["figures_text", "text_of"]

SET_UP = (
    "PyTorch brings tensors, layers whose parameters can be trained, and optimizers that train them. Nothing below is "
    "drawn at random, so there is no seed to set: whoever runs these lines sees these numbers."
)
DATA = {
    "regression": (
        "Five people: height in cm, weight in kg. A layer takes a table, rows by features, so reshape(-1, 1) makes "
        "(5, 1) of five numbers. The target gets the same shape: left at (5,), it would be subtracted from each "
        "prediction, 25 differences instead of 5. float32 keeps about 7 digits."
    ),
    "classification": (
        "Sixteen students: how many hours they studied, and whether they passed, 1 for yes and 0 for no. The classes "
        "overlap: one passed after 3 hours, one failed after 6. Both columns get the shape (16, 1), rows by features; "
        "the target is float32 too, for this loss reads it as a probability."
    ),
    "multiclass": (
        "Eighteen bananas: the days since they were bought, and what they look like. The features have the shape "
        "(18, 1), rows by features. The target is a list of class numbers, (18,), whole numbers (int64) from 0, here "
        "in the order of the alphabet."
    ),
}
MODEL = {
    "regression": (
        "nn.Linear(1, 1) is a line: weight × height + bias, two parameters. PyTorch would start them at random; here "
        "they start at 0.45 and -35, a line that predicts 32.5 kg at 150 cm and is 28.2 kg too low on average."
    ),
    "classification": (
        "nn.Linear(1, 1) gives a score, weight × hours + bias. The sigmoid 1 / (1 + exp(-score)) makes a "
        "probability of it; this loss does that itself. PyTorch would start both parameters at random; here they "
        "start at 0, where every score is 0 and every probability 0.5."
    ),
    "multiclass": (
        "nn.Linear(1, 3) gives three scores, one for each class: three weights, three biases. The softmax, exp(score) "
        "over the sum of the three, makes probabilities of them; this loss does that itself. All six "
        "parameters start at 0, where every probability is 1/3."
    ),
}
LOSSES = {
    "mse": "MSELoss is the mean squared error: {} kg² at the start.",
    "l1": "L1Loss is the mean absolute error: {} kg at the start. An error of 20 kg pulls as hard as one of 2 kg.",
    "huber": "HuberLoss takes half the square of errors up to 1 kg, and of larger ones their size less a half, so that "
    "no row pulls harder than one that is 1 kg off: {} at the start.",
    "smooth-l1": "SmoothL1Loss takes half the square of errors up to 1 kg, and of larger ones their size less a half; "
    "with this width, 1, it is HuberLoss: {} at the start.",
    "bce": "BCEWithLogitsLoss is the mean of -log(the probability of what happened): {} at the start, which is log 2.",
    "cross-entropy": "CrossEntropyLoss is the mean of -log(the probability of the true class): {} at the start, which "
    "is log 3.",
}
AVERAGES = "{} divides a running mean of the gradients by the root of a running mean of their squares. "
SIZE_CANCELS = "In the first step both are this one gradient, so its size cancels, {}."
STEP_WORDS = {  # what an optimizer does, and its first step
    "SGD": "SGD moves each parameter by -lr times its gradient, in the first step by {}.",
    "ASGD": "ASGD steps as SGD does, first by {}, and averages the parameters aside.",
    "Adam": AVERAGES.format("Adam") + SIZE_CANCELS,
    "NAdam": AVERAGES.format("NAdam") + "It looks one step ahead; at first the size of the gradient cancels, {}.",
    "AdamW": AVERAGES.format("AdamW") + "At first both are this gradient, so its size cancels; each parameter is also "
    "pulled toward 0: {}.",
    "Adamax": "Adamax divides a running mean of the gradients by the largest of them, fading. " + SIZE_CANCELS,
    "RAdam": "RAdam steps by a running mean of the gradients, first {}, and only from the sixth step on it divides by "
    "their size as Adam does.",
    "RMSprop": "RMSprop divides the gradient by the root of a running mean of its squares, which starts at 0 and takes "
    "in a hundredth of each: the first step is 10 lr, whatever the gradient, {}; later ones shrink toward lr.",
    "Adagrad": "Adagrad divides the gradient by the root of the sum of all its squares so far: the first step is lr, "
    "whatever the gradient, {}, and later ones are ever smaller.",
    "Rprop": "Rprop looks at the sign of the gradient alone. Its steps start with lr, {}, grow by 1.2 while the sign "
    "stays, and are halved when it turns.",
    "LBFGS": "One step of LBFGS is up to 20 smaller ones, with curvature learned on the way; the first moves by {}.",
}


def text_of(step: str, plan: Plan) -> str:
    """The paragraph before a step of the script, up to the loop."""
    texts = {"Set-up": SET_UP, "Data": DATA[plan.exercise.task], "Model": MODEL[plan.exercise.task]}
    made = {"Loss": _loss, "Optimizer": _optimizer, "Loop": _loop}
    return texts[step] if step in texts else made[step](plan)


def figures_text(plan: Plan, last: int) -> str:
    """The paragraph on the figures of a run whose last epoch has that number."""
    what = {
        "regression": "the line after each epoch, solid, and the exact one",
        "classification": "the probabilities after each epoch, solid, and the exact ones",
        "multiclass": "the probabilities of each class after each epoch, solid, and the exact ones",
    }[plan.exercise.task]
    width = max(2, len(str(last)))
    names = [f"epoch-{number:0{width}d}.png" for number in (1, last)]
    have = f"{names[0]} to {names[1]} have" if last > 1 else f"{names[0]} has"
    return (
        f"figures/{have} {what}, dashed; raw-data.png has the data alone, loss.png the loss above the exact one. These "
        "lines draw the last epoch. The whole script is in the run folder too, as script.py."
    )


def _loss(plan: Plan) -> str:
    k, labels = plan.exercise.scores, plan.exercise.labels
    weight, bias = (_number(plan.gradient[i]) for i in (0, k))
    whose = ("the weight", "the bias") if k == 1 else (f"the weight of {labels[0]}", "its bias")
    loss = LOSSES[plan.loss].format(f"{plan.start_loss:.4f}")
    return (
        f"{loss} Its gradient there, which backward() will compute, is {weight} for {whose[0]} and {bias} for "
        f"{whose[1]}: the change of the loss for each unit that this parameter moves, at first."
    )


def _optimizer(plan: Plan) -> str:
    return " ".join(filter(None, (_step(plan), _rate(plan))))


def _step(plan: Plan) -> str:
    moves = " and ".join(_number(plan.first_move[i], "+.3g") for i in (0, plan.exercise.scores))
    return STEP_WORDS.get(plan.optimizer, f"The first step of {plan.optimizer} is {{}}.").format(moves)


def _number(value: float, form: str = ".4g") -> str:
    return f"{value:{form}}" if value else "0"


def _rate(plan: Plan) -> str:
    """The largest stable rate, or why this rate."""
    way = plan.way
    if plan.job.evidence.is_gradient_descent and way is not None:
        where = "On these data" if plan.job.truth.quadratic else "Near the answer"
        return f"{where} it is stable below lr {plain(plan.job.evidence.lr_limit)}."
    if plan.rate_given or way is None:
        return ""
    if plan.optimizer.lower() in OWN_RATE:
        return f"lr {plain(plan.lr)} is the rate that it is made for."
    if plan.optimizer in STEPS_OF_LR:
        return _steps_to_go(plan, [plan.lr, plan.lr], "of size lr")
    moves = [abs(plan.first_move[i]) for i in (0, plan.exercise.scores)]
    return _steps_to_go(plan, moves, "of this size") if plan.is_sgd and all(moves) else ""


def _steps_to_go(plan: Plan, sizes: list[float], what: str) -> str:
    """How far the answer is from the start of the first weight and its bias, and how many of these steps that is."""
    assert plan.way is not None
    ways = [abs(float(plan.way[i])) for i in (0, plan.exercise.scores)]
    steps = [about(math.ceil(way / size)) for way, size in zip(ways, sizes, strict=True)]
    weight, bias = (plain(way, 2) for way in ways)
    whose = ("The weight", "the bias") if plan.exercise.scores == 1 else ("This weight", "this bias")
    return f"{whose[0]} has {weight} to go, {whose[1]} {bias}: {steps[0]} and {steps[1]} steps {what}."


def _loop(plan: Plan) -> str:
    also = ", as is the accuracy, the share of rows whose likeliest class is right" if plan.exercise.labels else ""
    one_step = (
        "backward() adds to the gradients that are there, so zero_grad() empties them first; only step() changes "
    )
    if plan.optimizer == "LBFGS":
        one_step = "LBFGS needs the loss at several places in one step, so it is given a function; only step() changes "
    return (
        f"Each epoch looks at all {len(plan.exercise.x)} rows once. {one_step}the parameters. The loss printed is that "
        f"before the step{also}; weight and bias are those after it."
    )
