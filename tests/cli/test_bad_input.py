"""Wrong input of every kind: one sentence with the place and the remedy, the exit code of the contract, nothing
half-written.
"""

from __future__ import annotations

import re

import pytest

HEIGHTS = "height,weight\n150,55\n160,70\n170,64\n175,80\n185,75\n"
FORMULA = "weight ~ height"

FILES = {
    "empty file": (b"", "is empty"),
    "header only": (b"height,weight\n", "has a header but no rows"),
    "text in a numeric column": (
        HEIGHTS.replace("170", "17O").encode(),
        "line 4, column height: '17O' is not a number; correct the cell",
    ),
    "long row": (HEIGHTS.replace("170,64", "170,64,9").encode(), "line 4: 3 fields where the header has 2"),
    "short row": (HEIGHTS.replace("170,64", "170").encode(), "line 4: 1 field where the header has 2"),
    "duplicate names": (HEIGHTS.replace("height,weight", "height,weight,height").encode(), "column.* called height"),
    "all-missing column": (b"height,weight\n,55\n,70\n,64\n", "column 'height' .* has no values at all: leave it out"),
    "every row misses something": (b"height,weight\n150,\n,70\n", "every row of .* misses a value"),
    "one row": (b"height,weight\n150,55\n", "has 1 usable row: a fit needs at least 2"),
    "inf": (HEIGHTS.replace("170", "inf").encode(), "line 4, column height: inf is no finite number"),
    "beyond float64": (HEIGHTS.replace("170", "1e400").encode(), "line 4, column height: inf is no finite number"),
    "target beyond squares": (
        b"height,weight\n1,1e300\n2,2e300\n3,1e300\n",
        "column 'weight' .* reaches 2e\\+300, whose square overflows",
    ),
    "denormal": (b"height,weight\n1e-310,55\n2e-310,70\n3e-310,64\n", "column 'height' .* whose square vanishes"),
    "decimal commas": (
        b"height;weight\n150,5;55\n160,1;70\n170,2;64\n",
        "decimal commas, such as '150,5': write the numbers with points",
    ),
    "Latin-1": ("height,weight\n150,55\n160,70ö\n".encode("latin-1"), "line 3: byte 0xf6 is not UTF-8"),
    "unclosed quote": (HEIGHTS.replace("160", '"160').encode(), "line 3: a quote .* is never closed"),
    "NUL bytes": (HEIGHTS.replace("160", "16\0").encode(), "line 3"),
}


@pytest.mark.parametrize(("content", "remedy"), FILES.values(), ids=FILES)
@pytest.mark.parametrize("command", ["fit", "solve"])
def test_files(cli, tmp_path, content, remedy, command):
    path = tmp_path / "heights.csv"
    path.write_bytes(content)
    done = cli(command, path, FORMULA)
    assert done.code == 3
    assert_sentence(done, remedy)
    assert not list(tmp_path.glob("runs/*"))


def assert_sentence(done, remedy):
    import re

    first = done.err.splitlines()[0]
    assert first.startswith("error: ")
    assert re.search(remedy, first), first
    assert done.out == ""
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + HEIGHTS.encode(),
        HEIGHTS.encode("utf-16"),
        HEIGHTS.replace("\n", "\r\n").encode(),
        HEIGHTS.replace(",", ";").encode(),
        HEIGHTS.rstrip().encode(),
        HEIGHTS.replace("170", " 170 ").encode(),
    ],
    ids=["BOM", "UTF-16", "CRLF", "semicolons", "no final newline", "spaces"],
)
def test_unusual_files_are_read(cli, tmp_path, content):
    path = tmp_path / "heights.csv"
    path.write_bytes(content)
    done = cli("solve", path, FORMULA, "--quiet")
    assert done.code == 0
    assert float(done.out.splitlines()[1].split("\t")[1]) == pytest.approx(0.5657534246575343, rel=1e-13)


def test_missing_file_and_folder(cli, tmp_path):
    (tmp_path / "heights.csv").write_text(HEIGHTS)
    done = cli("fit", tmp_path / "hieghts.csv", FORMULA)
    assert done.code == 3
    assert_sentence(done, "did you mean 'heights.csv'")
    done = cli("fit", tmp_path, FORMULA)
    assert done.code == 3
    assert_sentence(done, "is a folder; name one of its data files: heights.csv")


FORMULAS = {
    "unknown column": ("weight ~ heigth", 3, "did you mean 'height'"),
    "ends too early": ("weight ~ height +", 2, "a column is missing after '\\+'"),
    "no response": ("height", 2, "no response"),
    "empty": ("", 2, "the formula is empty"),
    "target is a feature": ("weight ~ weight + height", 2, "remove it from the right"),
    "unknown function": ("weight ~ lgo(height)", 2, "did you mean 'log'"),
    "attribute": ("weight ~ height.__class__", 3, "no column"),
    "brackets": ("weight ~ height[0]", 2, "may not use '\\['"),
    "import": ("weight ~ __import__('os')", 2, "unknown function"),
    "unclosed": ("weight ~ (height", 2, "never closed"),
    "closed too often": ("weight ~ height)", 2, "this '\\)' has no '\\(' before it"),
    "nothing on the left": ("~ height", 2, "no response"),
    "nothing on the right": ("weight ~", 2, "nothing follows the ~"),
    "a method": ("weight ~ height.mean()", 2, "unknown function 'height.mean': there are: log"),
    "a call": ("weight ~ max(height)", 2, "unknown function 'max'"),
    "a lambda": ("weight ~ (lambda: height)()", 2, "operator is missing before '\\('"),
    "a comprehension": ("weight ~ [h for h in height]", 2, "may not use '\\['"),
    "a set": ("weight ~ {h for h in height}", 2, "may not use '{'"),
    "an f-string": ("weight ~ f'{height}'", 2, "text in quotes, which may only stand in C"),
    "dunder": ("weight ~ __builtins__", 3, "no column '__builtins__'"),
    "a backslash": ("weight ~ height\\x", 2, r"may not use '\\'"),
    "a name in quotes": ('weight ~ "height"', 2, "goes between backticks"),
    "a quote in a name": ("weight ~ hei'ght", 2, "quote is never closed"),
    "an open backtick": ("weight ~ `height", 2, "backtick is never closed"),
    "a column between backticks": ("weight ~ `hei``ght`", 3, "no column 'hei`ght' in the data: did you mean 'height'"),
    "an emoji": ("weight ~ \N{THUMBS UP SIGN}", 2, "may not use '\N{THUMBS UP SIGN}'"),
    "an emoji between backticks": ("weight ~ `\N{THUMBS UP SIGN}`", 3, "no column '\N{THUMBS UP SIGN}'"),
    "HTML": ("weight ~ <b>height</b>", 2, "may not use '<'"),
    "10,000 characters": ("weight ~ " + "x" * 9_991, 3, "no column 'xxxxxxxxxxxxxxxx.*[.]{3}'"),
    "more than 10,000 characters": ("weight ~ " + "x" * 10_000, 2, "has 10,009 characters, more than 10,000: shorten"),
    "a million brackets": ("weight ~ " + "(" * 10**6 + "height" + ")" * 10**6, 2, "has 2,000,015 characters"),
    "9,000 brackets": ("weight ~ " + "(" * 9_000, 2, "nested deeper than 100 levels"),
    "two tildes": ("weight ~ height ~ height", 2, "2 ~: write one"),
    "nothing to fit": ("weight ~ 0", 2, "nothing is fitted"),
    "outside the domain": (
        "weight ~ log(height - 200)",
        3,
        "line 2, column height: .* a logarithm needs a number above 0",
    ),
}


@pytest.mark.parametrize(("formula", "code", "remedy"), FORMULAS.values(), ids=FORMULAS)
def test_formulas(cli, heights_csv, formula, code, remedy):
    done = cli("fit", heights_csv, formula)
    assert done.code == code
    assert_sentence(done, remedy)
    if "~" in formula and len(formula) <= 10_000 and "log(height" not in formula:
        line, mark = done.err.splitlines()[1:]
        assert "^" in mark
        assert set(mark) <= {" ", "^"}
        assert max(len(line), len(mark)) < 100


OPTIONS = {
    "optimizer": (["--optimizer", "sdg"], "did you mean 'sgd'"),
    "loss": (["--loss", "msee"], "did you mean 'mse'"),
    "lr nan": (["--lr", "nan"], "--lr cannot be nan: give a number above 0"),
    "lr inf": (["--lr", "inf"], "--lr cannot be inf"),
    "lr zero": (["--lr", "0"], "--lr cannot be 0"),
    "lr negative": (["--lr", "-1"], "--lr cannot be -1"),
    "lr text": (["--lr", "fast"], "'fast' is neither a number nor 'auto'"),
    "epochs negative": (["--epochs", "-1"], "--epochs cannot be -1"),
    "epochs fraction": (["--epochs", "1.5"], "'1.5' is not a valid integer"),
    "batch zero": (["--batch-size", "0"], "--batch-size cannot be 0"),
    "batch text": (["--batch-size", "half"], "neither a whole number nor 'full'"),
    "momentum": (["--momentum", "1"], "--momentum cannot be 1: give a number at least 0 and below 1"),
    "nesterov alone": (["--nesterov", "--lr", "0.1"], "--nesterov needs a momentum above 0"),
    "start": (["--start", "height=abc"], "--start cannot read 'height=abc'"),
    "start term": (["--start", "heigt=1"], "did you mean 'height'"),
    "dtype": (["--dtype", "float16"], "there are: float32, float64"),
    "device": (["--device", "gpu"], "there are: auto, cpu, cuda, cuda:1"),
    "engine": (["--engine", "kernels"], "did you mean 'kernel'"),
    "engine that does not fit": (["--engine", "quadratic", "--batch-size", "2"], "use engine autograd or auto"),
    "level": (["--level", "95"], "--level cannot be 95"),
    "adam has no momentum": (["--optimizer", "adam", "--momentum", "0.9"], "Adam takes no momentum"),
    "unknown option": (["--epohcs", "3"], "did you mean '--epochs'"),
    "formula and target": (["--target", "weight"], "give a formula or a target, one of the two"),
}


@pytest.mark.parametrize(("options", "remedy"), OPTIONS.values(), ids=OPTIONS)
def test_options(cli, heights_csv, tmp_path, options, remedy):
    done = cli("fit", heights_csv, FORMULA, *options)
    assert done.code == 2
    assert_sentence(done, remedy)
    assert not list(tmp_path.glob("runs/*"))


def test_columns_that_cannot_be_estimated_are_named(cli, tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("a,twice,k,y\n1,2,7,3\n2,4,7,1\n4,8,7,6\n5,10,7,2\n")
    done = cli("fit", path, "y ~ a + k", "--figures", "none")
    assert done.code == 0
    assert "constant column, not estimable" in done.out
    assert "SL-CONSTANT: column 'k'" in done.err
    done = cli("fit", path, "y ~ a + twice", "--figures", "none")
    assert done.code == 0
    assert "SL-COLLINEAR: columns a, twice are collinear" in done.err
    done = cli("fit", path, "y ~ a + I(a^2) + I(a^3) + I(a^4)", "--figures", "none", "--epochs", "5")
    assert "SL-FEWROWS: 4 rows for 5 coefficients" in done.err


def test_dropped_rows_are_counted(cli, tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("height,weight\n150,55\nNA,70\n170,64\n175,\n185,75\n190,90\n")
    done = cli("fit", path, FORMULA, "--figures", "none")
    assert "4 rows, 2 columns used, 2 rows left out for missing values (1 in weight, 1 in height)" in " ".join(
        done.err.split()
    )


def test_runs_that_do_not_exist_or_are_damaged(cli, heights_csv, tmp_path):
    done = cli("show", "zzzz")
    assert done.code == 3
    assert_sentence(done, "no run 'zzzz' in .*: there are none")
    cli("fit", heights_csv, FORMULA, "--figures", "none")
    (folder,) = (tmp_path / "runs").iterdir()
    assert_sentence(cli("show", "zzzz"), f"there is: {folder.name}")
    manifest = folder / "run.json"
    whole = manifest.read_text()
    for damage, remedy in (
        (whole[: len(whole) // 2], "is damaged, it holds no JSON"),
        ("[]", "holds no JSON object"),
        (whole.replace('"format": 1', '"format": 99'), "upgrade sightline"),
        (whole.replace('"result"', '"other"'), "has no result yet"),
        (whole.replace('"center"', '"middle"'), "cannot be read"),
    ):
        manifest.write_text(damage)
        done = cli("predict", folder, heights_csv)
        assert done.code == 3
        assert_sentence(done, remedy)


def test_output_that_cannot_be_written(cli, heights_csv, tmp_path):
    done = cli("fit", heights_csv, FORMULA, "--quiet", "--output", heights_csv)
    assert done.code == 3
    assert_sentence(done, "cannot write runs to .*; choose another place with --output")


def test_predict_with_the_wrong_table(cli, heights_csv, tmp_path):
    cli("fit", heights_csv, FORMULA, "--figures", "none")
    (folder,) = (tmp_path / "runs").iterdir()
    other = tmp_path / "other.csv"
    other.write_text("hight\n170\n")
    done = cli("predict", folder, other)
    assert done.code == 3
    assert_sentence(done, "the model needs column 'height', and other.csv has none: did you mean 'hight'")
    assert_sentence(cli("predict", folder, heights_csv, "--interval", "95"), "give a level between 0 and 1")
    assert_sentence(cli("predict", folder, heights_csv, "-o", tmp_path / "no" / "where.csv"), "there is no folder")


def test_a_list_of_choices_that_is_cut_off_says_so(cli):
    found = cli("train")
    assert found.code == 2
    assert re.search(r"there are: fit, solve, .*, \.\.\.; see sightline --help", " ".join(found.err.split()))
