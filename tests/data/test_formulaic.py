"""Generated formulas on generated tables, column by column against formulaic: whole, in blocks, and read back from JSON.

Every interaction stands with its main effects, for there formulaic and R agree; `test_encode.py` has the cases in which
they do not.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise

import formulaic
import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.made import table

from sightline.data.encode import Encoding
from sightline.data.formula import parse
from sightline.data.lexer import FUNCTIONS
from sightline.data.usable import complete_rows

CONTEXT = {name: getattr(np, name) for name in ("sqrt", "abs", "sin", "cos", "log2", "log1p")}
# ours, and formulaic's where it differs; every function of the list is among them
NUMBERS = {
    "x": "x", "`z (cm)`": "`z (cm)`", "log(x)": "log(x)", "log2(x)": "log2(x)", "log10(x)": "log10(x)",
    "log1p(x)": "log1p(x)", "exp(x)": "exp(x)", "sqrt(x)": "sqrt(x)", "abs(w)": "abs(w)", "sin(w)": "sin(w)",
    "cos(w)": "cos(w)", "center(w)": "center(w)", "scale(w)": "scale(w)", "scale(log(x))": "scale(log(x))",
    "I(x * w)": "I(x * w)", "I(w^2)": "I(w ** 2)", "poly(w, 3)": "poly(w, 3)",
    "poly(w, 2, raw=True)": "poly(w, 2, raw=True)", "bs(x, df=4)": "bs(x, df=4)",
    "bs(w, df=4, degree=2)": "bs(w, df=4, degree=2)",
}  # fmt: skip
CATEGORIES = {
    "a": "a", "b": "b", "C(k)": "C(k)", "C(a)": "C(a)", 'C(b, reference="v")': "C(b, contr.treatment('v'))",
    "C(k, reference=2)": "C(k, contr.treatment(2))",
}  # fmt: skip
PARTS = {**NUMBERS, **CATEGORIES}
ORDER = list(PARTS)


@st.composite
def formulas(draw):
    """A formula for each of the two: main effects in one order, then interactions of them by `*`, `^`, `:` and `-`."""
    many = st.lists(st.sampled_from(ORDER), min_size=1, max_size=3, unique=True)
    groups = [sorted(group, key=ORDER.index) for group in draw(st.lists(many, min_size=1, max_size=3))]
    terms = sorted({part for group in groups for part in group}, key=ORDER.index)
    for group in groups:
        form = draw(st.sampled_from(["*", "^", "-", ":"]))
        if form == "*" or len(group) == 1:
            terms.append("*".join(group))
        elif form == "^":
            terms.append(f"({' + '.join(group)})^{draw(st.integers(2, 3))}")
        elif form == "-":
            terms.append(f"({'*'.join(group)} - {':'.join(group)})")
        else:
            terms += [":".join(pair) for pair in pairwise(group)]
    text = (
        f"{draw(st.sampled_from(['y', 'log(y)']))} ~ {draw(st.sampled_from(['', '0 + ', '1 + ']))}{' + '.join(terms)}"
    )
    text += draw(st.sampled_from(["", " - 1", " + 0"]))
    theirs = text.replace(")^", ")**")
    for ours, same in sorted(PARTS.items(), key=lambda pair: -len(pair[0])):
        theirs = theirs.replace(ours, same)
    return text, theirs


@st.composite
def tables(draw):
    """20 to 60 rows of numbers and labels, up to a tenth of each column missing."""
    n, seed = draw(st.integers(20, 60)), draw(st.integers(0, 10**6))
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "y": rng.uniform(0.1, 9, n), "x": rng.uniform(0.5, 3, n), "w": rng.normal(size=n), "z (cm)": rng.normal(9, 2, n),
        "a": rng.permutation(np.resize(["p", "q", "r"], n)), "b": rng.permutation(np.resize(["u", "v"], n)),
        "k": rng.permutation(np.resize([10.0, 2.0, 1.0, 7.5], n)),
    })  # fmt: skip
    gaps = rng.random(frame.shape) < draw(st.sampled_from([0.0, 0.02, 0.1]))
    return frame.mask(gaps).astype({"a": object, "b": object})


def as_table(frame):
    columns = frame.to_dict("list")
    texts = {name: [None if v is None or v != v else v for v in columns[name]] for name in ("a", "b")}
    return table(**{**columns, **texts})


def by_formulaic(text, frame):
    """Names, columns and response. It counts raw powers from 0, which is put right, and writes 2.0 for 2."""
    design = formulaic.model_matrix(text, frame, context=CONTEXT)
    X = design.rhs.drop(columns="Intercept", errors="ignore")
    names = [re.sub(r"(?<=raw=True\)\[)\d", lambda k: str(int(k[0]) + 1), name) for name in X.columns]
    names = [name.replace(".0]", "]") for name in names]
    for ours, theirs in PARTS.items():
        names = [name.replace(theirs, ours) if ours != theirs else name for name in names]
    return names, X.to_numpy(float), design.lhs.to_numpy(float)[:, 0]


def enough(used):
    """Whether rows are left for every category."""
    return len(used) >= 12 and [used[name].nunique() for name in ("a", "b", "k")] == [3, 2, 4]


@settings(max_examples=150, deadline=None)
@given(formulas(), tables(), st.integers(1, 60))
def test_columns_are_those_of_formulaic(texts, frame, size):
    ours, theirs = texts
    data = as_table(frame)
    formula = parse(ours, tuple(data.columns))
    used = frame.dropna(subset=list(formula.columns))
    if not enough(used):
        return
    complete, missing = complete_rows(data, formula.columns)
    encoding = Encoding.learn(formula, complete)
    whole = encoding.matrix(complete)
    names, values, response = by_formulaic(theirs, used)
    assert missing.rows == len(frame) - len(used)
    if "reference=" in ours:  # all indicators: the reference comes first, as after R's relevel, not in formulaic
        values = values[:, [names.index(term) for term in encoding.terms]]
        names = sorted(names, key=encoding.terms.index)
    assert list(encoding.terms) == names
    np.testing.assert_allclose(whole, values, rtol=1e-10, atol=1e-11 * max(1.0, np.abs(values).max()))
    np.testing.assert_allclose(encoding.response(complete), response, rtol=1e-14, atol=1e-15)
    again = Encoding.from_dict(json.loads(json.dumps(encoding.to_dict(), allow_nan=False)))
    for start in range(0, complete.rows, size):
        keep = (np.arange(complete.rows) >= start) & (np.arange(complete.rows) < start + size)
        assert (again.matrix(complete.take(keep)) == whole[keep]).all()


def test_what_is_generated_reaches_every_function():
    written = " ".join(PARTS)
    assert all(f"{name}(" in written for name in FUNCTIONS if name != "offset")
    assert all(option in written for option in ("raw=", "reference=", "degree=", "df=", "`"))


@settings(max_examples=60, deadline=None)
@given(tables(), st.sampled_from(["", "0 + "]), st.sampled_from(["", " - w", " - a - `z (cm)`"]))
def test_the_dot_stands_for_what_formulaic_takes_it_for(frame, intercept, without):
    used = frame.dropna()
    if not enough(used):
        return
    encoding = Encoding.learn(parse(f"y ~ {intercept}.{without}", tuple(frame.columns)), as_table(used))
    names, values, _ = by_formulaic(f"y ~ {intercept}.{without}", used)
    assert list(encoding.terms) == names
    assert (encoding.matrix(as_table(used)) == values).all()


@settings(max_examples=60, deadline=None)
@given(formulas(), tables())
def test_offsets_leave_the_columns_as_they_are(texts, frame):
    text = texts[0]
    if not enough(frame.dropna()):
        return
    data = as_table(frame.dropna())
    plain = Encoding.learn(parse(text, tuple(data.columns)), data)
    shifted = Encoding.learn(parse(f"{text} + offset(log(x) - w)", tuple(data.columns)), data)
    assert shifted.terms == plain.terms
    assert (shifted.matrix(data) == plain.matrix(data)).all()
    offset = np.log(data["x"].values) - data["w"].values
    np.testing.assert_allclose(shifted.response(data), plain.response(data) - offset, rtol=1e-13, atol=1e-13)
    assert (shifted.offset(data) == offset).all()
