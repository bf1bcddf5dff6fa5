"""What R prints, digit for digit: `summary(lm(...))` and `anova(...)` of its classic data sets.

These tables stand in R's own examples and in many textbooks, and are independent of statsmodels and of this project.
They check the files in `data/` as well: one wrong cell would show.
"""

from __future__ import annotations

import pytest

import sightline
from sightline.comparisons import anova
from tests.real_data.tables import DATA

# file, formula: estimates and standard errors in R's order, residual standard error, R², F, each as it is printed
SUMMARIES = {
    ("mtcars", "mpg ~ wt"): ("37.2851 1.8776 -5.3445 0.5591", "3.046 0.7528 91.38"),
    ("cars", "dist ~ speed"): ("-17.5791 6.7584 3.9324 0.4155", "15.38 0.6511 89.57"),
    ("women", "weight ~ height"): ("-87.51667 5.93694 3.45000 0.09114", "1.525 0.991 1433"),
    ("plantgrowth", "weight ~ group"): ("5.0320 0.1971 -0.3710 0.2788 0.4940 0.2788", "0.6234 0.2641 4.846"),
    ("insectsprays", "count ~ spray"): (
        "14.5000 1.1322 0.8333 1.6011 -12.4167 1.6011 -9.5833 1.6011 -11.0000 1.6011 2.1667 1.6011", "3.922 0.7244 34.7",
    ),
    ("chickwts", "weight ~ feed"): (
        "323.583 15.834 -163.383 23.485 -104.833 22.393 -46.674 22.896 -77.155 21.578 5.333 22.393", "54.85 0.5417 15.36",
    ),
    ("airquality", "Ozone ~ Solar.R + Wind + Temp"): (
        "-64.34208 23.05472 0.05982 0.02319 -3.33359 0.65441 1.65209 0.25353", "21.18 0.6059 54.83",
    ),
    ("trees", "Volume ~ Girth + Height"): ("-57.9877 8.6382 4.7082 0.2643 0.3393 0.1302", "3.882 0.948 255"),
    ("trees", "log(Volume) ~ log(Girth) + log(Height)"): (
        "-6.63162 0.79979 1.98265 0.07501 1.11712 0.20444", "0.08139 0.9777 613.2",
    ),
    ("swiss", "Fertility ~ Agriculture + Examination + Education + Catholic + Infant.Mortality"): (
        "66.91518 10.70604 -0.17211 0.07030 -0.25801 0.25388 -0.87094 0.18303 0.10412 0.03526 1.07705 0.38172",
        "7.165 0.7067 19.76",
    ),
    ("savings", "sr ~ pop15 + pop75 + dpi + ddpi"): (
        "28.5660865 7.3545161 -0.4611931 0.1446422 -1.6914977 1.0835989 -0.0003369 0.0009311 0.4096949 0.1961971",
        "3.803 0.3385 5.756",
    ),
    ("attitude", "rating ~ ."): (
        "10.78708 11.58926 0.61319 0.16098 -0.07305 0.13572 0.32033 0.16852 0.08173 0.22148 0.03838 0.14700 -0.21706 0.17821",
        "7.068 0.7326 10.5",
    ),
}  # fmt: skip

# file, formula: term, degrees of freedom, sum of squares, F, p; then the residuals
TABLES = {
    ("warpbreaks", "breaks ~ wool * tension"): (
        "wool 1 450.7 3.7653 0.0582130", "tension 2 2034.3 8.4980 0.0006926", "wool:tension 2 1002.8 4.1891 0.0210442",
        "Residuals 48 5745.1",
    ),
    ("toothgrowth", "len ~ supp * C(dose)"): (
        "supp 1 205.35 15.572 0.0002312", "C(dose) 2 2426.43 92.000 4.046e-18", "supp:C(dose) 2 108.32 4.107 0.0218603",
        "Residuals 54 712.11",
    ),
    ("plantgrowth", "weight ~ group"): ("group 2 3.7663 4.8461 0.01591", "Residuals 27 10.4921"),
    ("insectsprays", "count ~ spray"): ("spray 5 2668.83 34.702 3.182e-17", "Residuals 66 1015.17"),
    ("chickwts", "weight ~ feed"): ("feed 5 231129 15.365 5.936e-10", "Residuals 65 195556"),
    ("cars", "dist ~ speed"): ("speed 1 21185.5 89.567 1.490e-12", "Residuals 48 11354"),
}  # fmt: skip


def prints(value, text):
    """Whether the value, rounded to the digits of the text, is the text."""
    mantissa, _, exponent = text.partition("e")
    decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
    return round(value, decimals) == pytest.approx(float(text), rel=1e-12)


@pytest.mark.parametrize(("name", "formula"), SUMMARIES)
def test_summary(name, formula):
    coefficients, fit = SUMMARIES[name, formula]
    run = sightline.solve(DATA / f"{name}.csv", formula)
    ours = [value for c in run.coefficients for value in (c.exact, c.std_error)]
    for value, text in zip(ours, coefficients.split(), strict=True):
        assert prints(value, text), (value, text)
    for key, text in zip(("sigma", "r2", "f"), fit.split(), strict=True):
        assert prints(run.result["fit"][key], text), (key, run.result["fit"][key], text)


@pytest.mark.parametrize(("name", "formula"), TABLES)
def test_analysis_of_variance(name, formula):
    table = anova(sightline.solve(DATA / f"{name}.csv", formula), 1)
    for row, line in zip([*table.terms, table.residuals], TABLES[name, formula], strict=True):
        term, df, *texts = line.split()
        assert (row.term, row.df) == (term, int(df))
        for value, text in zip((row.sum_squares, row.f, row.p), texts, strict=False):
            assert prints(value, text), (term, value, text)


def test_information_criteria():
    """`AIC(lm(mpg ~ wt, mtcars))` and BIC, `AIC(lm(dist ~ speed, cars))`: σ is a parameter, unlike in statsmodels."""
    fit = sightline.solve(DATA / "mtcars.csv", "mpg ~ wt").result["fit"]
    assert prints(fit["aic"], "166.0294")
    assert prints(fit["bic"], "170.4266")
    assert prints(sightline.solve(DATA / "cars.csv", "dist ~ speed").result["fit"]["aic"], "419.1569")
