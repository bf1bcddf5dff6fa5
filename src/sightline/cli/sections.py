"""Options under headings, so that a long `--help` can be read."""

from __future__ import annotations

import click

__all__ = ["Sectioned"]

SECTIONS = {
    "Data": ("target", "weights"),
    "Loss": ("loss", "loss_opt", "class_weight", "l1", "l2"),
    "Learning rate and optimizer": ("lr", "refine", "optimizer", "momentum", "nesterov", "weight_decay", "opt"),
    "Schedule and step": ("schedule", "schedule_opt", "warmup", "clip_norm", "clip_value", "accumulate"),
    "Loop": ("epochs", "batch_size", "seed", "start", "standardize", "dtype", "device", "engine"),
    "Validation and stopping": (
        "validation",
        "patience",
        "min_improvement",
        "restore_best",
        "time_limit",
        "target_loss",
        "folds",
        "fold_seed",
    ),
    "Standard errors": ("robust", "cluster", "level"),
    "Questions": ("digits", "tests", "versus", "anova", "vif", "diagnose", "cross_validate", "prove"),
    "Output": ("output", "figures", "show", "log", "as_json", "quiet", "require_converged"),
}


class Sectioned(click.Command):
    """A command whose `--help` has its options under the headings above, in that order in every command."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each heading that has options here."""
        options = {str(p.name): p for p in self.get_params(ctx) if isinstance(p, click.Option)}
        listed = [name for names in SECTIONS.values() for name in names]
        others = tuple(name for name in options if name not in listed)
        for heading, names in {**SECTIONS, "Output": SECTIONS["Output"] + others}.items():
            records = [options[name].get_help_record(ctx) for name in names if name in options]
            if told := [record for record in records if record]:
                with formatter.section(heading):
                    formatter.write_dl(told)
