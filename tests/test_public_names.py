"""The public names: pinned, sorted, lazy."""

from __future__ import annotations

import inspect

import sightline

PUBLIC = [
    "Coefficient",
    "DataError",
    "Epoch",
    "FormulaError",
    "Run",
    "RunError",
    "SightlineError",
    "Stop",
    "UsageError",
    "Verdict",
    "anova",
    "assumptions",
    "conditioning",
    "cross_validate",
    "eject",
    "fit",
    "fit_module",
    "influence",
    "jump",
    "k_fold",
    "k_fold_module",
    "least_squares",
    "load",
    "load_module",
    "lr_range_test",
    "nested_test",
    "residuals",
    "resume",
    "solve",
    "stop_when",
    "sweep",
    "top_curvature",
    "train",
    "vif",
    "wald_test",
    "watch",
]


def test_public_names_are_pinned_and_sorted():
    assert sightline.__all__ == PUBLIC == sorted(PUBLIC)
    assert set(PUBLIC) <= set(dir(sightline))


def test_each_of_them_has_a_sentence():
    for name in PUBLIC:
        value = getattr(sightline, name)
        assert value.__module__.startswith("sightline")
        assert (
            inspect.getdoc(value).split("\n")[0].rstrip().endswith((".", ";", ",", ":"))
            or len(inspect.getdoc(value)) > 40
        )


def test_names_stay_functions_after_submodules_are_imported(heights):
    sightline.fit(heights, "weight ~ height", output=False)
    assert all(callable(getattr(sightline, name)) for name in ("fit", "load", "solve", "train", "stop_when"))


def test_fields_of_a_record():
    assert list(sightline.Epoch.__dataclass_fields__) == [
        "number",
        "running_loss",
        "train_loss",
        "valid_loss",
        "gradient_norm",
        "lr",
        "rows",
        "seconds",
        "parameters",
        "stop",
    ]


def test_signature_of_train():
    parameters = inspect.signature(sightline.train).parameters
    assert list(parameters)[:2] == ["model", "data"]
    assert {"loss", "optimizer", "epochs", "batch_size", "engine", "measure", "seed"} <= set(parameters)


def test_unknown_names_are_attribute_errors():
    import pytest

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sightline.nothing
