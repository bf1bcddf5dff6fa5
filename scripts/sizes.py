"""The size of the code: lines by file, code lines by function, parameters; fails above the limits of the house.

Limits: 300 lines a file, 50 code lines a function, median function under 9 code lines.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from statistics import median

SOURCE = Path(__file__).resolve().parent.parent / "src" / "sightline"
FILE_LIMIT, FUNCTION_LIMIT, MEDIAN_LIMIT = 300, 50, 9


def code_lines(node: ast.AST, lines: list[str]) -> int:
    """Lines of a function without blanks, comments and its docstring."""
    assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    skip: set[int] = set()
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        skip = set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    numbers = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    return sum(
        1 for n in numbers if n not in skip and lines[n - 1].strip() and not lines[n - 1].strip().startswith("#")
    )


def main() -> int:
    """Print the report and return 1 if a limit is passed."""
    files, functions = [], []
    for path in sorted(SOURCE.rglob("*.py")):
        lines = path.read_text().splitlines()
        name = str(path.relative_to(SOURCE))
        files.append((len(lines), name))
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                functions.append((code_lines(node, lines), f"{name}:{node.name}"))
    files.sort(reverse=True)
    functions.sort(reverse=True)
    middle = median(size for size, _ in functions)
    print(
        f"{len(files)} files, {sum(n for n, _ in files):,} lines; "
        f"{len(functions)} functions, median {middle:g} code lines"
    )
    print("largest files:     " + ", ".join(f"{name} {n}" for n, name in files[:4]))
    print("largest functions: " + ", ".join(f"{name} {n}" for n, name in functions[:4]))
    too_large = [f"{name}: {n} lines" for n, name in files if n > FILE_LIMIT]
    too_large += [f"{name}: {n} code lines" for n, name in functions if n > FUNCTION_LIMIT]
    if middle >= MEDIAN_LIMIT:
        too_large.append(f"median function: {middle:g} code lines")
    for line in too_large:
        print(f"over the limit: {line}", file=sys.stderr)
    return 1 if too_large else 0


if __name__ == "__main__":
    sys.exit(main())
