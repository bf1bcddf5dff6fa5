"""The architecture: who may import whom, lazy imports counted too, and no cycles between modules."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "sightline"

LAYERS = [
    ["errors", "words", "version", "double_double", "digits", "markup", "compiled"],
    ["records", "rows", "coded_rows", "settings", "given", "limits"],
    ["data", "linear", "stopping"],
    ["engines"],
    [
        "loop",
        "lr_sweep",
        "rate_words",
        "guards",
        "signals",
        "answer",
        "answer_of_many",
        "coded_blocks",
        "coded_classes",
        "coded_squares",
        "coded_sums",
        "coded_robust",
        "arrays",
        "parameters",
        "objectives",
        "truth",
        "squared_truth",
        "class_truth",
        "general_truth",
        "separation_words",
        "class_metrics",
        "proof",
        "tuning",
        "evidence",
        "fixes",
        "verdict",
        "worked",
    ],
    ["runs"],
    ["views", "exports"],
    [
        "prepare",
        "prepared",
        "by_pieces",
        "filed",
        "weighting",
        "streaming",
        "numbers_folder",
        "truths",
        "trainable",
        "tables",
        "prediction",
        "predictor",
        "ranking",
        "evaluating",
        "account",
        "run",
        "job",
        "outcome",
        "solution",
        "sweeps",
        "sweeper",
        "local_curvature",
        "rate_tests",
        "range_test",
        "modules",
        "restoring",
        "feeding",
        "training",
        "loop_settings",
        "jumping",
        "solving",
        "api",
        "analysis",
        "comparisons",
        "tidy",
        "validation",
        "explanation",
        "k_folds",
        "folding",
        "again",
        "ejected_table",
        "ejection",
        "resuming",
        "scenes",
        "pages",
        "live",
        "notebook",
    ],
    ["cli", "__main__"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FACADE = "__init__"  # re-exports lazily; any module may ask it for __version__


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


def imports(path: Path, *, for_types: bool) -> set[str]:
    """Modules of the package that this file imports, anywhere in it; those under TYPE_CHECKING only if asked for."""
    tree = ast.parse(path.read_text())
    package = ["sightline", *path.relative_to(SOURCE).parent.parts]
    guarded = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for statement in node.body
        for child in ast.walk(statement)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if not for_types and id(node) in guarded:
            continue
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            full = [*base, *(node.module or "").split(".")] if node.module else base
            names = [".".join([*full, alias.name]) for alias in node.names]
            for name in names:
                parts = name.split(".")
                if parts[0] != "sightline":
                    continue
                rest = parts[1:]
                while rest and not (
                    SOURCE.joinpath(*rest).with_suffix(".py").exists() or SOURCE.joinpath(*rest).is_dir()
                ):
                    rest = rest[:-1]
                if rest:
                    found.add(".".join(rest))
        elif isinstance(node, ast.Import):
            found |= {a.name.removeprefix("sightline.") for a in node.names if a.name.startswith("sightline.")}
    return found


FILES = [path for path in sorted(SOURCE.rglob("*.py")) if path != SOURCE / "__init__.py"]


def test_every_module_has_a_layer():
    assert {module_of(path).split(".")[0] for path in FILES} <= set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_lower_layers_never_import_higher_ones(path):
    own = module_of(path).split(".")[0]
    for name in imports(path, for_types=False):
        other = name.split(".")[0]
        assert LEVEL[other] <= LEVEL[own], (
            f"{module_of(path)} (layer {LEVEL[own]}) imports {name} (layer {LEVEL[other]})"
        )


@pytest.mark.parametrize("pair", [("data", "linear"), ("linear", "data"), ("data", "stopping"), ("linear", "stopping")])
def test_data_linear_and_stopping_do_not_know_each_other(pair):
    for path in FILES:
        if module_of(path).split(".")[0] == pair[0]:
            assert not any(name.split(".")[0] == pair[1] for name in imports(path, for_types=True))


def test_views_and_exports_read_records_and_runs_only():
    for path in (p for p in FILES if module_of(p).startswith(("views", "exports"))):
        text = path.read_text()
        assert not re.search(r"^\s*(import|from) torch", text, re.M)
        assert not any(
            name.split(".")[0] in {"engines", "job", "prepare", "api", "cli"} for name in imports(path, for_types=True)
        )


def test_linear_is_pure_mathematics():
    for path in (p for p in FILES if module_of(p).startswith("linear")):
        assert "torch" not in {
            line.split()[1].split(".")[0]
            for line in path.read_text().splitlines()
            if line.startswith(("import ", "from "))
        }
        assert not any(
            name.split(".")[0] not in {"linear", "errors", "double_double", "digits"}
            for name in imports(path, for_types=True)
        )


def test_no_cycles():
    """Counting lazy imports, and those for types only."""
    graph = {module_of(p): imports(p, for_types=True) for p in FILES}
    graph = {
        m.removesuffix(".__init__"): {n.removesuffix(".__init__") for n in names} - {m} for m, names in graph.items()
    }
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in done:
            return
        for other in graph.get(name, ()):
            visit(other, [*path, name])
        done.add(name)

    for name in graph:
        visit(name, [])
