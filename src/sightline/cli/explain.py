"""`sightline explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..run import Run


@click.command("explain", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", required=False)
@click.option("--epoch", type=int, metavar="K", help="Which epoch (default 1, the first step from the start).")
@click.option("--format", "form", metavar="NAME", default="text", help="text (default), markdown or latex.")
@click.option("--symbols", is_flag=True, help="The mathematics without numbers, for a blackboard; works without RUN.")
def explain_command(run: str | None, epoch: int | None, form: str, symbols: bool) -> int:
    """One epoch of RUN, an id or a folder, worked out with its own numbers.

    Forward, loss, gradient, zero_grad, the optimizer's step for every parameter, rounding, how far the step went, and
    what the learning rate is worth. The step is also drawn, into the figures of the run folder.
    """
    from ..errors import UsageError, nearest, shown
    from ..explanation import explain, explainable
    from ..views.sheet import FORMATS, written

    if form not in FORMATS:
        raise UsageError(f"--format cannot be {shown(form)}: {nearest(form, FORMATS)}")
    if run is None and not symbols:
        raise UsageError("explain needs a run: give its id or folder, or --symbols for the mathematics alone")
    if symbols and epoch is not None:
        raise UsageError("--symbols shows no epoch: leave --epoch out, or --symbols")
    found = None if run is None else explainable(run, epoch)
    if symbols:
        click.echo(_symbols(found, form))
        return 0
    assert found is not None
    from ..views.explain import explanation
    from ..views.step_figure import save_step_figure

    worked = explain(found, 1 if epoch is None else epoch)
    click.echo(written(explanation(worked), form))
    path = save_step_figure(worked)
    click.echo(f"\nfigure: {path}", err=form != "text")
    return 0


def _symbols(run: Run | None, form: str) -> str:
    """With a run, its model and optimizer; without one, the usual."""
    from ..linear.row_losses import row_loss
    from ..parameters import outputs_of
    from ..views.blackboard import blackboard
    from ..views.labels import Labels
    from ..views.sheet import written

    if run is None:
        return written(blackboard(), form)
    row_loss(run.result["loss_name"])  # refuses one that has no sheet
    trained = bool(run.epochs)
    outputs = outputs_of(run.result["loss_name"], run.design.classes)
    options = run.result["optimizer"] if trained else {}
    sheet = blackboard(
        Labels.named(run.design, outputs=outputs),
        loss=run.result["loss_name"],
        optimizer=options["name"] if trained else None,
        options=options,
    )
    return written(sheet, form)
