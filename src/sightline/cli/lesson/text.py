"""What is said before each step of the script, with the numbers of this very run."""

from __future__ import annotations

from ...words import count, plain
from .plan import Plan

__all__ = ["text_of"]

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
        "(18, 1), rows by features. The target is a list of class numbers, (18,), whole (int64) and from 0, here in "
        "the order of the alphabet."
    ),
}
MODEL = {
    "regression": (
        "nn.Linear(1, 1) is a line: weight × height + bias, two parameters. PyTorch would start them at random; here "
        "they start at 0.45 and -35, a line that says 32.5 kg at 150 cm and is 28.2 kg too low on average."
    ),
    "classification": (
        "nn.Linear(1, 1) gives a score, weight × hours + bias. The sigmoid 1 / (1 + exp(-score)) would make a "
        "probability of it, and the loss does that itself. PyTorch would start both parameters at random; here they "
        "start at 0, where every score is 0 and every probability 0.5."
    ),
    "multiclass": (
        "nn.Linear(1, 3) gives three scores, one for each class: three weights, three biases. The softmax, exp(score) "
        "over the sum of the three, would make probabilities of them, and the loss does that itself. All six "
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
RUNNING = "{} divides a running mean of the gradients by the root of a running mean of their squares."


def text_of(step: str, plan: Plan) -> str:
    """The paragraph before a step of the script."""
    texts = {"Set-up": SET_UP, "Data": DATA[plan.exercise.task], "Model": MODEL[plan.exercise.task]}
    made = {"Loss and optimizer": _loss_and_optimizer, "Loop": _loop, "Figures": _figures}
    return texts[step] if step in texts else made[step](plan)


def _loss_and_optimizer(plan: Plan) -> str:
    loss = LOSSES[plan.loss].format(f"{plan.start_loss:.4f}")
    return " ".join(filter(None, (loss, _gradient(plan), _step(plan), _rate(plan))))


def _gradient(plan: Plan) -> str:
    g, k = plan.gradient, plan.exercise.scores
    return f"Its gradient there is {plain(g[0])} for the {_weight(plan)}, {plain(g[k])} for {_bias(plan)}."


def _weight(plan: Plan) -> str:
    return "weight" if plan.exercise.scores == 1 else f"weight of {plan.exercise.labels[0]}"


def _bias(plan: Plan) -> str:
    return "the bias" if plan.exercise.scores == 1 else "its bias"


def _moves(plan: Plan) -> str:
    """The first step of the first weight and its bias."""
    move = plan.first_move
    return f"{move[0]:+.3g} and {move[plan.exercise.scores]:+.3g}"


def _step(plan: Plan) -> str:
    name, moves = plan.optimizer, _moves(plan)
    if plan.is_sgd:
        return f"SGD moves each parameter by -lr times its gradient: first {moves}."
    if name in ("Adam", "AdamW", "Adamax", "NAdam"):
        decay = ", and AdamW pulls each toward 0 besides" if name == "AdamW" else ""
        return f"{RUNNING.format(name)} In the first step both are this one gradient, so its size cancels{decay}: {moves}."
    if name == "RMSprop":
        return (
            "RMSprop divides the gradient by the root of a running mean of its squares, which starts at 0 and takes in "
            f"a hundredth of each: the first step is 10 lr, whatever the gradient, {moves}; later ones shrink to lr."
        )
    return f"{name} makes its first step {moves}."


def _rate(plan: Plan) -> str:
    """The largest stable rate, or why this rate."""
    e, way = plan.job.evidence, plan.way
    if e.is_gradient_descent and way is not None:
        where = "" if plan.job.truth.quadratic else ", near the answer,"
        return f"On these data that{where} is stable below lr {plain(e.lr_limit)}."
    if plan.rate_given or way is None or plan.is_sgd:
        return ""
    moved = abs(plan.first_move[0]) * plan.epochs
    return f"{count(plan.epochs, 'such step')} make {plain(moved, 2)}; the weight has {plain(abs(way[0]), 2)} to go."


def _loop(plan: Plan) -> str:
    n = len(plan.exercise.x)
    also = ", as is the accuracy, the share of rows whose likeliest class is right" if plan.exercise.labels else ""
    return (
        f"Each epoch looks at all {n} rows once. backward() adds to the gradients that are there, so zero_grad() "
        f"empties them first; only step() changes the parameters. The loss printed is that before the step{also}; "
        "weight and bias are those after it."
    )


def _figures(plan: Plan) -> str:
    last = plan.epochs
    what = {
        "regression": "the line as it then is, solid, and the exact one, dashed",
        "classification": "the curve of the probability as it then is, solid, and the exact one, dashed",
        "multiclass": "the probabilities of the three classes as they then are, and the exact ones, dashed",
    }[plan.exercise.task]
    return (
        f"figures/epoch-01.png to epoch-{last:02d}.png have {what}; raw-data.png has the data alone, loss.png the loss "
        "above the exact one. These lines draw the last of them. The whole script is beside them, as script.py."
    )
