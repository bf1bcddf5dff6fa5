"""The four models of docs/modules.md, taken from the page itself, and small data for them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import torch
from torch import nn

PAGE = Path(__file__).resolve().parents[2] / "docs/modules.md"
DEFINES = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef)


def blocks(title):
    """The Python blocks of the section whose title has these words."""
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.M)
    (section,) = [s for s in sections if title in s.partition("\n")[0]]
    return re.findall(r"^```python\n(.*?)^```", section, re.S | re.M)


def defined(title):
    """The classes and functions of the first block of that section."""
    tree = ast.parse(blocks(title)[0])
    tree.body = [node for node in tree.body if isinstance(node, DEFINES)]
    names = {}
    exec(compile(tree, title, "exec"), names)
    return names


def assigned(title, name):
    """What the first block of that section gives this name, as an expression."""
    tree = ast.parse(blocks(title)[0])
    (node,) = [n for n in tree.body if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == name]
    return eval(compile(ast.Expression(node.value), title, "eval"), {"nn": nn, "torch": torch, **defined(title)})


def mlp():
    torch.manual_seed(0)
    return assigned("An MLP", "model")


def cnn():
    torch.manual_seed(0)
    return assigned("A CNN", "model")


def lstm():
    torch.manual_seed(0)
    return assigned("An LSTM", "model")


def transformer():
    torch.manual_seed(0)
    return assigned("A transformer", "model")
