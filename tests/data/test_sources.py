"""Reading data: the values against csv, pandas, polars and pyarrow, and every refusal with its place and remedy."""

from __future__ import annotations

import csv
import datetime
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.sources import open_source
from sightline.data.table import Table
from sightline.data.text_files import MISSING, TextFile, as_number
from sightline.errors import DataError

NAN = float("nan")


@pytest.fixture
def file(tmp_path):
    """Write a file and give its path; the name is heights.csv unless told."""

    def write(content: str | bytes, name: str = "heights.csv") -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def cells(table: Table, name: str) -> list[object]:
    """The values of a column, None where missing."""
    column = table[name]
    return [None if missing else value for value, missing in zip(column.values.tolist(), column.missing, strict=True)]


def kinds(table: Table) -> dict[str, str]:
    return {name: column.kind for name, column in table.columns.items()}


def read(path, names=None) -> Table:
    return open_source(path).read(names)


# CSV: what is read


def test_a_small_file(file):
    path = file("height,weight,who\n150,55.5,ann\n160,,bob\n")
    source = open_source(path)
    assert (source.name, source.columns, source.path) == ("heights.csv", ("height", "weight", "who"), path)
    table = source.read()
    assert kinds(table) == {"height": "number", "weight": "number", "who": "text"}
    assert cells(table, "height") == [150.0, 160.0]
    assert cells(table, "weight") == [55.5, None]
    assert cells(table, "who") == ["ann", "bob"]
    assert table["height"].values.dtype == np.float64
    assert (table.rows, table.source, table.place(1)) == (2, "heights.csv", "line 3")
    assert table.fingerprint == hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_only_the_named_columns_and_in_their_order(file):
    table = read(file("a,b,c\n1,2,3\n"), ["c", "a", "c"])
    assert list(table.columns) == ["c", "a"]
    assert cells(table, "c") == [3.0]
    assert read(file("a,b,c\n1,2,3\n"), []).rows == 1


def test_an_open_source_is_itself(file):
    source = open_source(file("a\n1\n"))
    assert open_source(source) is source


def test_pandas_reads_the_same(file):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((500, 3)) * 10.0 ** rng.integers(-300, 300, (500, 3)), columns=list("abc"))
    table = read(file(frame.to_csv(index=False)))
    for name in "abc":
        np.testing.assert_array_equal(table[name].values, frame[name].to_numpy())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (" 1.5 ", 1.5), ("1.", 1.0), (".5", 0.5), ("+1", 1.0), ("-1e3", -1000.0), ("1E+5", 1e5), ("5e-324", 5e-324),
        ("1e400", np.inf), ("-1e400", -np.inf), ("inf", np.inf), ("-Infinity", -np.inf), ("1e-400", 0.0),
        ("9007199254740993", 2.0**53), ("12345678901234567890123", 1.2345678901234568e22), ("１２", 12.0), ("1\t", 1.0),
    ],
)  # fmt: skip
def test_what_reads_as_a_number(file, text, value):
    table = read(file(f"a,b\n{text},x\n2,y\n"))
    assert kinds(table) == {"a": "number", "b": "text"}
    assert cells(table, "a") == [value, 2.0]
    assert as_number(text) == value


@pytest.mark.parametrize("text", ["1_000", "0x1F", "1d5", "+-1", "1 000", "17O", "$1.50", "10%", "?", "-", "yes", "1e"])
def test_what_does_not_and_makes_the_column_mixed(file, text):
    table = read(file(f"a,b\n{text},x\n2,y\n"))
    assert table["a"].kind == "mixed"
    assert cells(table, "a") == [text, "2"]
    assert as_number(text) is None
    with pytest.raises(DataError, match=r"heights.csv line 2, column a: .* is not a number"):
        table.numbers("a")


@pytest.mark.parametrize("text", MISSING)
def test_missing_spellings_unless_quoted(file, text):
    table = read(file(f'a,b\n{text},x\n1,{text}\n2, {text} \n3,"{text or "x"}"\n'))
    assert cells(table, "a") == [None, 1.0, 2.0, 3.0]
    assert cells(table, "b") == ["x", None, None, text or "x"]


def test_quoted_namibia_is_no_missing_value(file):
    assert cells(read(file('code,y\n"NA",1\n"DE",2\nNA,3\n"",4\n')), "code") == ["NA", "DE", None, None]


def test_a_column_without_any_value_is_numbers(file):
    table = read(file("a,b\n,1\nNA,2\n"))
    assert table["a"].kind == "number"
    assert cells(table, "a") == [None, None]


def test_one_fraction_after_60000_integers_is_kept(file):
    table = read(file("x\n" + "1\n" * 60_000 + "0.5\n"))
    assert (table.rows, table["x"].values[-1], table["x"].values.sum()) == (60_001, 0.5, 60_000.5)


def test_one_word_after_60000_integers_is_found(file):
    table = read(file("x\n" + "1\n" * 60_000 + "oops\n"))
    with pytest.raises(DataError, match=r"line 60002, column x: 'oops' is not a number"):
        table.numbers("x")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_dialects(file, delimiter, end, mark):
    rows = ["a|b c".replace("|", delimiter), "1|x".replace("|", delimiter), "", '2|"y,; z"'.replace("|", delimiter)]
    table = read(file(mark + end.join(rows) + end))
    assert list(table.columns) == ["a", "b c"]
    assert cells(table, "a") == [1.0, 2.0]
    assert cells(table, "b c") == ["x", "y,; z"]
    assert table.place(1) == "line 4"


def test_both_kinds_of_line_ends_in_one_file(file):
    table = read(file('a,b\r\n1,"x"\n2,y\r\n3,NA\n4,"NA"\r'))
    assert cells(table, "a") == [1.0, 2.0, 3.0, 4.0]
    assert cells(table, "b") == ["x", "y", None, "NA"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_with_its_mark(file, encoding):
    text = "a,b\n1,é😀\n"
    table = read(file(text.encode(encoding) if encoding == "utf-16" else ("\ufeff" + text).encode(encoding)))
    assert cells(table, "b") == ["é😀"]


def test_gzip(file):
    content = gzip.compress(b"a,b\n1,x\n\n2,y\n")
    path = file(content, "heights.csv.gz")
    table = read(path)
    assert cells(table, "a") == [1.0, 2.0]
    assert (table.source, table.place(1)) == ("heights.csv.gz", "line 4")  # the source is gone, its copy is not
    assert table.fingerprint == hashlib.sha256(content).hexdigest()


def test_standard_input():
    content = b"a\tb\n1\tx\n"
    source = open_source("-", stdin=io.BytesIO(content))
    assert (source.name, source.columns, source.path) == ("standard input", ("a", "b"), None)
    table = source.read()
    del source
    assert (cells(table, "b"), table.place(0)) == (["x"], "line 2")
    assert table.fingerprint == hashlib.sha256(content).hexdigest()
    with pytest.raises(DataError, match="standard input is empty"):
        open_source("-", stdin=io.BytesIO(b""))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_read_once(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with subprocess.Popen([sys.executable, "-c", f"open({str(path)!r}, 'w').write('a\\n1\\n2\\n')"]) as writer:
        table = read(path)
        assert writer.wait() == 0
    assert cells(table, "a") == [1.0, 2.0]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_name_on_two_lines(file, end):
    table = read(file(end.join(['a,"b\nc"', "1,x", '2,"y\nz"', ""])))
    assert list(table.columns) == ["a", "b\nc"]
    assert (cells(table, "a"), cells(table, "b\nc")) == ([1.0, 2.0], ["x", "y\nz"])
    assert table.place(1) == "line 4"


def test_lines_after_quoted_newlines_and_blank_lines(file):
    table = read(file('\n\n"a\nx",b\n1,"two\nlines"\n\n2,z\n"3\n",w\n4,w\n'))
    assert list(table.columns) == ["a\nx", "b"]
    assert cells(table, "b") == ["two\nlines", "z", "w", "w"]
    assert [table.place(row) for row in range(4)] == ["line 5", "line 8", "line 9", "line 11"]


def test_blank_lines_are_no_rows_in_a_file_of_one_column(file):
    table = read(file('a\n1\n\n  \n""\nNA\n3\n\n'))
    assert cells(table, "a") == [1.0, None, 3.0]
    assert [table.place(row) for row in range(3)] == ["line 2", "line 6", "line 7"]


def test_unnamed_and_empty_last_columns_are_left_out(file):
    assert open_source(file("a,b,\n1,2,\n3,4,\n")).columns == ("a", "b")
    assert cells(read(file("a,b\n1,2,\n3,4,\n")), "a") == [1.0, 3.0]
    assert cells(read(file("a,b,,\n1,2\n3,4\n")), "b") == [2.0, 4.0]


def test_an_unnamed_column_matters_only_if_it_is_used(file):
    path = file(",a\n0,5\n1,6\n")
    assert cells(read(path, ["a"]), "a") == [5.0, 6.0]
    with pytest.raises(DataError, match=r"heights.csv line 1: column 1 has no name; write one there"):
        read(path)


def test_names_that_are_also_sql_patterns_or_long(file):
    names = ['x"; drop table', "$1", "?", "😀", "c0", "C0", "'", "a\\b", "x" * 10_000, "__import__('os')", "<b>"]
    text = io.StringIO()
    csv.writer(text).writerows([names, range(len(names))])
    table = read(file(text.getvalue()))
    assert {name: cells(table, name) for name in names} == {name: [float(i)] for i, name in enumerate(names)}


@pytest.mark.parametrize("name", ["a[1]*.csv", "a'b\".csv", "{x,y}.csv", "a?.csv", "$1.csv", "😀.csv", "a\\*.csv"])
@pytest.mark.skipif(os.name == "nt", reason="such names cannot be on Windows")
def test_file_names_are_no_patterns(file, name):
    for other in ("a1.csv", "a1x.csv", "x.csv", "ab.csv"):
        file("b\n7\n", other)
    assert cells(read(file("a\n1\n", name)), "a") == [1.0]
    path = file("b\n7\n8\n").replace("heights", "a[0-9]")
    with pytest.raises(DataError, match="no such file"):
        open_source(path)


def test_a_folder_that_looks_like_a_partition_adds_no_column(tmp_path):
    (tmp_path / "c0=5").mkdir()
    (tmp_path / "c0=5" / "x.csv").write_text("a,b\n1,2\n")
    pl.DataFrame({"c0": [1]}).write_parquet(tmp_path / "c0=5" / "x.parquet")
    assert cells(read(tmp_path / "c0=5" / "x.csv"), "a") == [1.0]
    assert cells(read(tmp_path / "c0=5" / "x.parquet"), "c0") == [1.0]


def test_many_columns(file):
    n = 3000
    path = file(",".join(f"c{i}" for i in range(n)) + "\n" + ",".join(["1e300"] * n) + "\n" + "word," * (n - 1) + "2\n")
    table = read(path)
    assert (table["c7"].kind, cells(table, "c7")) == ("mixed", ["1e300", "word"])
    assert cells(table, "c2999") == cells(read(path, ["c2999"]), "c2999") == [1e300, 2.0]


def test_a_header_longer_than_the_sample(file):
    names = [f"column number {i}" for i in range(50_000)]
    source = open_source(file(";".join(names) + "\n" + "1;" * 49_999 + "2\n"))
    assert source.columns == tuple(names)
    assert cells(source.read([names[-1]]), names[-1]) == [2.0]


def test_a_cell_of_3_megabytes_and_one_full_of_rows(file):
    long = "1,2\n" * 800_000
    table = read(file(f'a,b\n1,"{long}"\n2,x\n'))
    assert cells(table, "a") == [1.0, 2.0]
    assert cells(table, "b") == [long, "x"]
    assert table.place(1) == "line 800003"


def test_a_large_file_with_quotes_keeps_its_rows_and_their_order(file):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rows = [[str(i), "x,\n1,2\n" * (i % 7), f"{i / 7!r}"] for i in range(60_000)]
    writer.writerows([["i", "text", "x"], *rows])
    table = read(file(text.getvalue()))
    np.testing.assert_array_equal(table["i"].values, np.arange(60_000))
    np.testing.assert_array_equal(table["x"].values, [float(row[2]) for row in rows])
    assert cells(table, "text") == [row[1] or None for row in rows]


CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n")
NAMES = st.lists(st.text(CHARACTERS, min_size=1, max_size=8).map(str.strip).filter(bool), min_size=2, unique=True)
WORDS = st.text(st.sampled_from("abé😀 ,;|\t\"\n\r'0.-_NA#\\"), max_size=12)


@given(data=st.data(), names=NAMES, end=st.sampled_from(["\n", "\r\n"]), rows=st.integers(1, 5))
def test_any_table_survives_csv(tmp_path_factory, data, names, end, rows):
    numbers = data.draw(st.lists(st.floats(allow_nan=False), min_size=rows, max_size=rows))
    words = [data.draw(st.lists(WORDS, min_size=rows, max_size=rows)) for _ in names[1:]]
    path = tmp_path_factory.mktemp("any") / "any.csv"
    with open(path, "w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target, quoting=csv.QUOTE_NONNUMERIC, lineterminator=end)
        writer.writerow(names)
        writer.writerows(zip(numbers, *words, strict=True))
    table = read(path)
    assert list(table.columns) == names
    np.testing.assert_array_equal(table[names[0]].values, numbers)
    for name, column in zip(names[1:], words, strict=True):
        tidy = [word.strip(" ") for word in column]
        tidy = [None if not t or (t != word and t in MISSING) else t for t, word in zip(tidy, column, strict=True)]
        if table[name].kind == "number":
            tidy = [None if text is None or text.casefold() == "nan" else as_number(text) for text in tidy]
        else:
            assert any(text is not None and as_number(text) is None for text in tidy)
        assert cells(table, name) == tidy


@given(st.lists(st.text(st.sampled_from('a1 ,"\n;é'), max_size=10), min_size=1, max_size=4))
def test_any_text_has_the_rows_that_csv_finds_or_is_refused(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("any") / "any.csv"
    path.write_text("one,two\n" + "\n".join(lines), encoding="utf-8", newline="")
    if "  " in path.read_text("utf-8"):
        return  # after two spaces csv still sees a quote, DuckDB does not
    with suppress(DataError):
        source = open_source(path)
        rows = [row for row in csv.reader(io.StringIO(path.read_text("utf-8")), skipinitialspace=True) if row][1:]
        if source.columns == ("one", "two"):
            assert source.read().rows == len(rows)
            assert all(not any(row[2:]) for row in rows)


# CSV: what is refused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "heights.csv is empty; a data file has a line of column names"),
        ("\n\n \n\r\n", "heights.csv holds only blank lines"),
        ("a,b\n", "heights.csv has a header but no rows; add a line"),
        ("a,b\n\n\n", "heights.csv has a header but no rows"),
        ("a\n\n", "heights.csv has a header but no rows"),
        ("a,b,a,b,c\n1,2,3,4,5\n", "heights.csv line 1: more than one column is called a, b; rename one"),
        ("a,b,c\n1,2,3\n4,5\n", "heights.csv line 3: 2 fields where the header has 3; add what is missing"),
        ("a,b\n1,2\n3\n", "heights.csv line 3: 1 field where the header has 2"),
        ("a,b\n1,2\n3,4,5\n", "heights.csv line 3: 3 fields where the header has 2; put a value that"),
        ('a,b\n"1\n\n",2\n\n3,4,5\n', "heights.csv line 6: 3 fields where the header has 2"),
        ('a,b\n1,2\n3,"4\n5,6\n', r'heights.csv line 3: a quote \("\) opens here and is never closed; close it'),
        ('a,b\n"x\ny","z\n5,6\n', "heights.csv line 3: a quote .* opens here and is never closed"),
        ('a,"b\n1,2\n', "heights.csv line 1: a quote .* opens here and is never closed"),
        ('a,b\n1,2\n3,"x"y\n', r'heights.csv, first row after line 2: text follows a closing quote; write .*\(""\)'),
        ('a,b\n1,2\n3,"" "\n', "heights.csv, first row after line 2: text follows a closing quote"),
        (b"a,b\n1,2\n3,\x004\n", "heights.csv line 3: holds a NUL byte; remove it or export the file again"),
        (b"a,caf\xe9\n1,2\n", r"heights.csv line 1: byte 0xe9 is not UTF-8 \('é' in Latin-1\); save it as"),
        (b"a,b\n1,2\n3,caf\xe9", "heights.csv line 3: byte 0xe9 is not UTF-8"),
        (b"a,b\n1,2\n3,\xe2\x82", "heights.csv line 3: byte 0xe2 is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "heights.csv line 1: may be UTF-16 without its mark; save it as"),
        ("# made today\na,b\n1,2\n", "heights.csv line 1 starts with '#'; delete the comment lines"),
        ("# made today, and again\na,b,c\n1,2,3\n", "heights.csv line 2: .* line 1 starts with '#': delete the"),
    ],
)
@pytest.mark.parametrize("names", [None, 0])
def test_refused_text(file, content, message, names):
    """The same whether all columns are read or only the first."""
    path = file(content)
    with pytest.raises(DataError, match="^" + message):
        (source := open_source(path)).read(names if names is None else source.columns[:1])


def test_the_line_of_what_is_wrong_far_down(file):
    body = "1,x\n" * 100_000
    for bad, message in [
        (b"3\n", "line 100002: 1 field"),
        (b'3,"4\n5,6\n', "line 100002: a quote"),
        (b"3,\0\n", "line 100002: holds a NUL"),
        (b"3,\xff\n", "line 100002: byte 0xff"),
        (b'3,"x"y\n', "first row after line 100001: text follows"),
    ]:
        with pytest.raises(DataError, match=message):
            read(file(b"a,b\n" + body.encode() + bad))


def test_an_open_quote_at_the_end_of_a_large_file_is_not_lost(file):
    body = '1,"x"\n' * 400_000
    with pytest.raises(DataError, match="line 400002: a quote"):
        read(file("a,b\n" + body + '3,"4\n'))


def test_unknown_columns_are_refused_with_the_nearest(file):
    path = file("height,weight\n1,2\n")
    expected = r"^no column 'heigth' in heights.csv: did you mean 'height'\? there are: height, weight$"
    with pytest.raises(DataError, match=expected):
        read(path, ["weight", "heigth"])


def test_missing_files_folders_and_kinds(file, tmp_path):
    file("a\n1\n")
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(DataError, match=r"no such file: .*heigths.csv'; check the path: did you mean 'heights.csv'\?"):
        open_source(tmp_path / "heigths.csv")
    with pytest.raises(DataError, match=r"no such file: .*; check the path: there are no data files in that"):
        open_source(tmp_path / "nowhere" / "heights.csv")
    with pytest.raises(DataError, match=r"is a folder; name one of its data files: heights.csv$"):
        open_source(tmp_path)
    with pytest.raises(DataError, match=r"notes.md is no known kind of file; data files are .csv, .tsv, .txt"):
        open_source(tmp_path / "notes.md")
    with pytest.raises(DataError, match="no such file"):
        open_source("a\0b.csv")


@pytest.mark.parametrize("url", ["http://example.org/a.csv", "s3://bucket/a.parquet", "postgres://host/base"])
def test_urls_are_not_opened(url):
    with pytest.raises(DataError, match="is a URL, and only local files are read; download it first"):
        open_source(url)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(file):
    path = file("a\n1\n")
    os.chmod(path, 0)
    with pytest.raises(DataError, match=r"cannot be opened \(Permission denied\); check who may read it"):
        open_source(path)


def test_damaged_gzip_and_utf_16(file):
    packed = gzip.compress(b"a,b\n1,2\n" * 100)
    for content in (packed[:-6], packed[:20] + b"\0\0" + packed[22:]):
        with pytest.raises(DataError, match=r"heights.csv.gz is damaged or cut off .*; pack it again"):
            open_source(file(content, "heights.csv.gz"))
    with pytest.raises(DataError, match=r"heights.csv is damaged or cut off .*; save it as UTF-8"):
        open_source(file(b"\xff\xfea\0,"))


def test_a_gzip_that_would_fill_the_disk(file, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1_000_000}))
    with pytest.raises(DataError, match=r"heights.csv.gz would fill half of the free disk; make room"):
        open_source(file(gzip.compress(b"1\n" * 10_000_000), "heights.csv.gz"))


def test_a_file_that_changed_after_it_was_read_still_has_rows(file):
    path = file("a\n1\n2\n")
    table = read(path)
    Path(path).write_text("a\n")
    assert table.place(1) == "row 1"


# Parquet, Arrow, JSON


MIXED = {
    "i": [1, None, 3], "x": [0.1, None, float("inf")], "s": ["a", None, "NA"], "b": [True, None, False],
    "dec": [Decimal("0.1"), None, Decimal("12345678901234567890.12")], "big": [2**63, None, 1],
}  # fmt: skip
EXPECTED = {
    "i": [1.0, None, 3.0], "x": [0.1, None, float("inf")], "s": ["a", None, "NA"], "b": ["True", None, "False"],
    "dec": [0.1, None, 12345678901234567890.12], "big": [2.0**63, None, 1.0],
}  # fmt: skip


def mixed() -> pl.DataFrame:
    return pl.DataFrame(MIXED, schema_overrides={"dec": pl.Decimal(38, 2), "big": pl.UInt64}).with_columns(
        cat=pl.Series(["u", None, "v"], dtype=pl.Categorical), f=pl.Series([1, 2, None], dtype=pl.Float32)
    )


def check_mixed(table: Table) -> None:
    for name, values in {**EXPECTED, "cat": ["u", None, "v"], "f": [1.0, 2.0, None]}.items():
        assert cells(table, name) == values, name
        assert table[name].kind == ("text" if name in ("s", "b", "cat") else "number")
    assert table.place(2) == "row 2"


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.dat"])
def test_parquet_by_any_name(tmp_path, name):
    mixed().write_parquet(tmp_path / name)
    table = read(tmp_path / name)
    check_mixed(table)
    assert table.fingerprint == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert (table.source, open_source(tmp_path / name).path) == (name, str(tmp_path / name))


@pytest.mark.parametrize("name", ["t.arrow", "t.feather", "t.ipc", "t.csv"])
def test_arrow_files_and_streams(tmp_path, name):
    mixed().write_ipc(tmp_path / name)
    check_mixed(read(tmp_path / name))
    mixed().write_ipc_stream(tmp_path / name)
    check_mixed(read(tmp_path / name))


def test_arrow_without_polars(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    pyarrow.feather.write_feather(pa.table({"a": [1, 2]}), str(tmp_path / "t.feather"))
    assert cells(read(tmp_path / "t.feather"), "a") == [1.0, 2.0]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"t.feather is an Arrow file, which takes polars or pyarrow to read"):
        open_source(tmp_path / "t.feather")


def test_csv_by_other_names(file):
    for name in ("t.parquet", "t.arrow", "t.txt", "T.CSV"):
        assert cells(read(file("a\tb\n1\t2\n", name)), "b") == [2.0]
    assert cells(read(file("PAR1,ARROW1\n1,2\n")), "PAR1") == [1.0]


def test_damaged_parquet_and_arrow(tmp_path):
    mixed().write_parquet(tmp_path / "t.parquet")
    mixed().write_ipc(tmp_path / "t.arrow")
    for name in ("t.parquet", "t.arrow"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(DataError, match=f"{name} is a damaged .* file; write it again"):
            open_source(tmp_path / name)


def test_parquet_names_that_differ_by_case_or_are_odd(tmp_path):
    frame = pl.DataFrame({"a": [1], "A": [2], "": [3], 'x"; drop': [4], "$1": [5], "s": [{"u": 1, "v": [1]}], "z": [6]})
    frame.write_parquet(tmp_path / "t.parquet")
    source = open_source(tmp_path / "t.parquet")
    assert source.columns == tuple(frame.columns)
    table = source.read([name for name in frame.columns if name != "s"])
    assert {name: cells(table, name) for name in table.columns} == {
        "a": [1.0], "A": [2.0], "": [3.0], 'x"; drop': [4.0], "$1": [5.0], "z": [6.0]
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        '[{"i": 1, "s": "a", "b": true}, {"i": null, "x": 2.5}]',
        '{"i": 1, "s": "a", "b": true}\n\n{"i": null, "x": 2.5}\n',
        '\ufeff{"i": 1, "s": "a", "b": true}\r\n{"i": NaN, "x": 2.5}',
    ],
)
@pytest.mark.parametrize("name", ["t.json", "t.jsonl", "t.ndjson"])
def test_json_records(file, text, name):
    table = read(file(text, name))
    assert list(table.columns) == ["i", "s", "b", "x"]
    assert [cells(table, key) for key in "isbx"] == [[1.0, None], ["a", None], ["True", None], [None, 2.5]]


def test_json_numbers_and_words_in_one_column(file):
    table = read(file(json.dumps([{"a": 1, "b": 1}, {"a": "x", "b": "2.5"}, {"a": 2.5, "b": None}]), "t.json"))
    assert kinds(table) == {"a": "mixed", "b": "number"}
    assert cells(table, "a") == ["1", "x", "2.5"]
    assert cells(table, "b") == [1.0, 2.5, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "t.json row 0: '1' is not a record; write a list of records"),
        ('[{"a": 1}, [2]]', r"t.json row 1: '\[2\]' is not a record"),
        ('{"a": 1', "t.json is not JSON that can be read .*line 1.*; write a list of records"),
        ("[]", "t.json holds no records"),
        ("", "t.json holds no records"),
        ("[{}]", "t.json holds no records"),
        ('{"a": [1, 2], "b": [3, 4]}', "column 'a' of t.json row 0 is of type list; make one column of numbers"),
        ('[{"a": 1}, {"a": {"b": 1}}]', "column 'a' of t.json row 1 is of type dict; make one column of numbers"),
    ],
)
def test_json_that_is_not_records(file, text, message):
    with pytest.raises(DataError, match="^" + message):
        read(file(text, "t.json"))


# Data frames


def stream(frame: pl.DataFrame) -> object:
    class Stream:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return frame.__arrow_c_stream__(requested_schema)

    return Stream()


@pytest.mark.parametrize(
    "convert",
    [
        lambda frame: frame,
        lambda frame: frame.lazy(),
        lambda frame: frame.to_arrow(),
        lambda frame: frame.to_pandas(),
        lambda frame: frame.to_pandas(use_pyarrow_extension_array=True),
        lambda frame: duckdb.from_arrow(frame.to_arrow()),
        stream,
        lambda frame: pa.RecordBatchReader.from_stream(frame.to_arrow()),
    ],
    ids=["polars", "lazy", "pyarrow", "pandas", "pandas-arrow", "duckdb", "stream", "reader"],
)
def test_data_frames(convert):
    source = open_source(convert(mixed()))
    assert source.columns == tuple(mixed().columns)
    assert source.path is None
    check_mixed(source.read())
    table = source.read(["f", "s"])
    assert list(table.columns) == ["f", "s"]
    assert table.fingerprint == source.read(["f", "s"]).fingerprint != source.read(["f"]).fingerprint


def test_pandas_columns_of_every_kind():
    frame = pd.DataFrame(
        {
            "f16": np.array([1, 2, 3], "float16"), "u8": np.array([1, 2, 3], "uint8"),
            "Int": pd.array([1, None, 3], dtype="Int64"), "str": pd.array(["a", None, "b"], dtype="string"),
            "obj": pd.Series(["a", None, "2"], dtype=object), "cat": pd.Categorical([1, None, 2]),
            "Bool": pd.array([True, None, False], dtype="boolean"), "sparse": pd.arrays.SparseArray([0, 0, 1.5]),
            "dec": pd.Series([Decimal("0.1"), None, Decimal("NaN")], dtype=object),
            "mix": pd.Series([1, "a", pd.NA], dtype=object), "num": pd.Series([1, "2", np.float32(0.5)], dtype=object),
            "none": pd.Series([None, None, None], dtype=object),
        }
    )  # fmt: skip
    table = read(frame)
    assert {name: cells(table, name) for name in frame.columns} == {
        "f16": [1.0, 2.0, 3.0], "u8": [1.0, 2.0, 3.0], "Int": [1.0, None, 3.0], "str": ["a", None, "b"],
        "obj": ["a", None, "2"], "cat": ["1", None, "2"], "Bool": ["True", None, "False"], "sparse": [0.0, 0.0, 1.5],
        "dec": [0.1, None, None], "mix": ["1", "a", None], "num": [1.0, 2.0, 0.5], "none": [None, None, None],
    }  # fmt: skip
    assert table["mix"].kind == "mixed"
    assert table["obj"].kind == table["cat"].kind == table["Bool"].kind == "text"


def test_column_names_that_are_not_text():
    assert cells(read(pd.DataFrame(np.arange(4.0).reshape(2, 2)), ["1"]), "1") == [1.0, 3.0]
    with pytest.raises(DataError, match="the DataFrame has more than one column called 1; rename one"):
        open_source(pd.DataFrame([[1, 2]], columns=[1, "1"]))


def test_a_series_index_plays_no_part():
    assert cells(read({"a": pd.Series([1, 2], index=[7, 3]), "b": [3, 4]}), "a") == [1.0, 2.0]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame([[1, 2, 3]], columns=["a", "a", "b"]),
        pa.table([[1], [2], [3]], names=["a", "a", "b"]),
        lambda: duckdb.sql("SELECT 1 AS a, 2 AS a, 3 AS b"),
        {1: [1], "1": [2]},
    ],
    ids=["pandas", "pyarrow", "duckdb", "dict"],
)
def test_duplicate_names(frame):
    with pytest.raises(DataError, match=r"the .* has more than one column called [a1]; rename one"):
        open_source(frame() if callable(frame) else frame)


@pytest.mark.parametrize(
    ("values", "dtype", "cure"),
    [
        ([datetime.date(2020, 1, 1)], "date", "turn it into a number, such as the days since the first date"),
        ([datetime.datetime(2020, 1, 1)], "datetime|timestamp", "turn it into a number, such as the days"),
        ([datetime.timedelta(1)], "duration|interval|timedelta", "turn it into a number of seconds"),
        ([datetime.time(1)], "time", "turn it into a number of seconds"),
        ([[1, 2]], "list|int|ndarray", "make one column of numbers for each element"),
        ([{"u": 1}], "struct|dict", "make one column of numbers for each element"),
        ([b"x"], "binary|blob|bytes", "turn it into numbers or text"),
    ],
    ids=["date", "datetime", "duration", "time", "list", "struct", "binary"],
)
@pytest.mark.parametrize("kind", ["polars", "pandas", "pyarrow", "parquet", "duckdb"])
def test_other_types_are_refused_only_when_used(tmp_path, kind, values, dtype, cure):
    frame: object = pl.DataFrame({"ok": [1], "bad": values})
    if kind == "pandas":
        frame = pd.DataFrame({"ok": [1], "bad": values})
    elif kind == "pyarrow":
        frame = pa.table({"ok": [1], "bad": values})
    elif kind == "parquet":
        if isinstance(values[0], datetime.timedelta):
            pytest.skip("Parquet stores a duration as an integer")
        pyarrow.parquet.write_table(pa.table({"ok": [1], "bad": values}), tmp_path / "t.parquet")
        frame = tmp_path / "t.parquet"
    elif kind == "duckdb":
        frame = duckdb.from_arrow(pa.table({"ok": [1], "bad": values}))
    source = open_source(frame)
    assert cells(source.read(["ok"]), "ok") == [1.0]
    with pytest.raises(DataError, match=f"(?i)column 'bad' of .* is of type .*({dtype}).*; {cure}"):
        source.read()


def test_zero_rows():
    none: dict[str, list[float]] = {"a": []}
    for frame in (pd.DataFrame(none), pl.DataFrame(none), pa.table({"a": pa.array([], pa.int64())}), none):
        with pytest.raises(DataError, match=r"the (DataFrame|dict) has no rows; give it one"):
            read(frame)


@pytest.mark.parametrize("data", [np.ones((2, 2)), [1, 2], 5, None, [{"a": 1}], object()])
def test_what_is_no_data_set(data):
    with pytest.raises(DataError, match="cannot be read; give a path, a data frame, or a dict of column names"):
        open_source(data)


# Mappings


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2.5], [1.0, 2.5]),
        ((1, None), [1.0, None]),
        (range(2), [0.0, 1.0]),
        ([1, NAN], [1.0, None]),
        (["a", None], ["a", None]),
        (["1", "2"], ["1", "2"]),
        ([True, False], ["True", "False"]),
        ([10**400, -(10**400)], [np.inf, -np.inf]),
        ([2**63, 1], [2.0**63, 1.0]),
        ([Decimal("0.1"), Fraction(1, 3)], [0.1, 1 / 3]),
        ([np.int8(1), np.float32(0.1)], [1.0, float(np.float32(0.1))]),
        (np.array([1, 2], dtype="uint64"), [1.0, 2.0]),
        (np.array([1, 2], dtype="float16"), [1.0, 2.0]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array([True, False]), ["True", "False"]),
        (np.array([[1.0], [2.0]]), [1.0, 2.0]),
        (np.ma.array([1, 2], mask=[True, False]), [None, 2.0]),
        (np.ma.array(["a", "b"], mask=[True, False], dtype=object), [None, "b"]),
        (torch.tensor([1, 2]), [1.0, 2.0]),
        (torch.tensor([1.5, 2.5], dtype=torch.bfloat16, requires_grad=True), [1.5, 2.5]),
        (torch.tensor([[1.0], [2.0]]), [1.0, 2.0]),
        (torch.tensor([True, False]), ["True", "False"]),
        (pd.Series([1, None], dtype="Int64"), [1.0, None]),
        (pd.Index(["a", "b"]), ["a", "b"]),
        (pd.Categorical(["a", None]), ["a", None]),
        (pd.array([1, None], dtype="Int64"), [1.0, None]),
        (pl.Series(["a", None]), ["a", None]),
        (pa.chunked_array([[1], [None]]), [1.0, None]),
        (pa.array([1, None]), [1.0, None]),
    ],
)
def test_mappings(values, expected):
    source = open_source({"a": values})
    assert (source.name, source.columns) == ("the dict", ("a",))
    table = source.read()
    assert cells(table, "a") == expected
    assert (table.rows, table.place(1)) == (2, "row 1")


@given(st.lists(st.one_of(st.none(), st.floats(), st.integers(), st.sampled_from(["a", "1", "NA", ""])), min_size=1))
def test_any_list_keeps_its_values(values):
    column = read({"a": values})["a"]
    given = [None if isinstance(value, float) and value != value else value for value in values]
    assert list(column.missing) == [value is None for value in given]
    words = [value for value in given if isinstance(value, str)]
    others = [value for value in given if value is not None and not isinstance(value, str)]
    kind = "number" if all(word == "1" for word in words) else "mixed"
    assert column.kind == ("text" if words and not others else kind)
    if column.kind == "number":
        np.testing.assert_array_equal(column.values, [NAN if value is None else float(value) for value in given])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "the dict has no columns; give it column names and 1-d arrays"),
        ({"a": [1, 2], "b": [1]}, r"the columns of the dict have unequal lengths \(a 2, b 1\); give each a value"),
        ({"a": 1}, "column 'a' of the dict is one int; give a list or a 1-d array"),
        ({"a": "abc"}, "column 'a' of the dict is one str; give a list"),
        ({"a": np.array(1.0)}, "column 'a' of the dict is one ndarray; give a list"),
        ({"a": torch.tensor(1.0)}, "column 'a' of the dict is one Tensor; give a list"),
        ({"a": {1, 2}}, "column 'a' of the dict is one set; give a list"),
        ({"a": {"b": 1}}, "column 'a' of the dict is one dict; give a list"),
        ({"a": np.ones((2, 3))}, r"column 'a' of the dict has the shape \(2, 3\); reshape it to one dimension"),
        ({"a": torch.ones(2, 3)}, r"column 'a' of the dict has the shape \(2, 3\); reshape it to one dimension"),
        ({"a": [[1], [2]]}, "column 'a' of the dict holds a list for each row; reshape it to one dimension"),
        ({"a": [1, [2]]}, "column 'a' of the dict holds a list for each row; reshape it to one dimension"),
        ({"a": np.array([1 + 2j])}, "column 'a' of the dict is of type complex128; take its real part"),
        ({"a": torch.tensor([1 + 2j])}, "column 'a' of the dict is of type complex64; take its real part"),
        ({"a": [1, 2j]}, "column 'a' of the dict row 1 is of type complex; take its real part"),
        ({"a": np.array([b"x"])}, "column 'a' of the dict is of type bytes"),
        ({"a": np.array(["2020-01-01"], dtype="datetime64[D]")}, r"type datetime64\[D\]; turn it into a number, such"),
        ({"a": np.array([1], dtype="timedelta64[s]")}, r"type timedelta64\[s\]; turn it into a number of seconds"),
        ({"a": [1, datetime.date(2020, 1, 1)]}, "column 'a' of the dict row 1 is of type date; turn it into a number"),
        ({"a": [object()]}, "column 'a' of the dict row 0 is of type object; turn it into numbers or text"),
    ],
)
def test_refused_mappings(data, message):
    with pytest.raises(DataError, match=message):
        read(data)


# What is not imported


@pytest.mark.parametrize(
    ("data", "unwanted"),
    [
        ("{'a': [1, 2]}", {"duckdb", "narwhals", "pandas", "polars", "pyarrow"}),
        ("sys.argv[1]", {"narwhals"}),
    ],
)
def test_imports_only_what_it_needs(file, data, unwanted):
    code = "import sys; from sightline.data.sources import open_source; open_source({}).read(); print(*sys.modules)"
    command = [sys.executable, "-c", code.format(data), file("a\n1\n")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not unwanted & set(done.stdout.split())
    assert done.stderr == ""


def test_nothing_is_left_in_the_temporary_folder(file, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    table = read(file(gzip.compress(b"a\n1\n"), "t.csv.gz"))
    assert len(list(folder.iterdir())) == 1
    del table
    assert not list(folder.iterdir())


def test_text_files_know_their_dialect(file):
    source = open_source(file("a;b\n1,5;2\n"))
    assert source.columns == ("a", "b")
    assert TextFile("t.csv", "t.csv", ";", ("a", "b"), 1).delimiter == ";"


def test_arrow_of_pandas_with_missing_categories(tmp_path):
    """Which polars refuses, and pyarrow reads."""
    frame = pd.DataFrame({"g": pd.Categorical(["a", None, "b", "a", "b", "a"]), "y": [1.0, 2.0, 3.0, 4.0, 5.0, 7.0]})
    pa.feather.write_feather(frame, tmp_path / "d.arrow", compression="uncompressed")
    table = open_source(tmp_path / "d.arrow").load(["g", "y"])
    assert table["g"].values.tolist() == ["a", None, "b", "a", "b", "a"]
    assert table["y"].values.tolist() == frame["y"].tolist()
