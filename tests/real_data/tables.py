"""The data sets and their models: what ships with statsmodels and scikit-learn, and R's classics from `data/`.

The small files in `data/` hold published measurements: mtcars (Henderson and Velleman 1981), swiss (Mosteller and Tukey
1977), savings (Belsley, Kuh and Welsch 1980; R's LifeCycleSavings), attitude (Chatterjee and Price 1977), rock (Venables
and Ripley 1999), chickwts (McNeil 1977), toothgrowth (Crampton 1947), plantgrowth (Dobson 1983), insectsprays (Beall
1942), warpbreaks (Tippett 1950), women (World Almanac 1975), cars (Ezekiel 1930), trees (Ryan, Joiner and Ryan 1976),
airquality (Chambers and others 1983), esoph (Breslow and Day 1980). `test_printed.py` checks each of them against what R
prints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn.datasets
import statsmodels.api as sm

DATA = Path(__file__).parent / "data"


@cache
def shipped(name):
    """A table that comes with statsmodels."""
    return getattr(sm.datasets, name).load_pandas().data.reset_index(drop=True)


@cache
def learning(name, **labels):
    """A table that comes with scikit-learn; columns as they are named there, the target as text where labels say so."""
    return getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame


@cache
def classic(name):
    """A table of `data/`, read as any reader of CSV would."""
    return pd.read_csv(DATA / f"{name}.csv")


def iris():
    frame = learning("iris").rename(columns=lambda c: c.replace(" (cm)", "").replace(" ", "_"))
    return frame.assign(species=np.array(["setosa", "versicolor", "virginica"])[frame["target"]])


def carbon():
    """Every eighth week of Mauna Loa, some of them missing, with its time in years."""
    frame = shipped("co2")[["co2"]].assign(year=lambda d: 1958 + np.arange(len(d)) * 7 / 365.25)
    return frame.iloc[::8].reset_index(drop=True)


def births():
    """Births per woman by country in 1970 and 2000, many of them missing."""
    frame = shipped("fertility")[["Country Code", "1970", "2000"]]
    return frame.rename(columns={"Country Code": "code"}).assign(region=lambda d: d.code.str[0] < "M")


def smoking():
    """Cases of lung cancer by city, as two rows each."""
    frame = shipped("china_smoking")
    counts = [frame[[f"smoking_{s}_cancer_yes", f"smoking_{s}_cancer_no"]].to_numpy() for s in ("yes", "no")]
    cases, controls = np.vstack(counts).T
    city = [f"city {i}" for i in range(len(frame))] * 2
    return pd.DataFrame(
        {"city": city, "smoking": np.repeat(["yes", "no"], len(frame)), "cases": cases, "controls": controls}
    )


@dataclass(frozen=True)
class Case:
    """A table with a formula, and the columns of weights and clusters.

    `centered` says that statsmodels loses digits on the columns as they are (κ of a year and its square is 1e9): its
    reference is then the same model in columns that are centered and scaled, mapped back to units of the data.
    """

    load: Callable[[], pd.DataFrame]
    formula: str
    weights: str | None = None
    cluster: str | None = None
    centered: bool = False


def of(load, name):
    return lambda: load(name)


CASES = {
    # numbers
    "longley": Case(of(shipped, "longley"), "TOTEMP ~ GNPDEFL + GNP + UNEMP + ARMED + POP + YEAR", centered=True),
    "stackloss": Case(of(shipped, "stackloss"), "STACKLOSS ~ .", cluster="WATERTEMP"),
    "scotland": Case(of(shipped, "scotland"), "YES ~ COUTAX * UNEMPF + MOR + ACT + GDP + AGE", centered=True),
    "copper": Case(of(shipped, "copper"), "WORLDCONSUMPTION ~ . - TIME", centered=True),
    "spector": Case(of(shipped, "spector"), "GPA ~ GRADE + TUCE + PSI", cluster="TUCE"),
    "committee": Case(of(shipped, "committee"), "BILLS104 ~ SIZE + SUBS + log(STAFF) + PRESTIGE + sqrt(BILLS103)"),
    "danish money": Case(of(shipped, "danish_data"), "lrm ~ lry + lpy + ibo * ide", centered=True),
    "heart": Case(of(shipped, "heart"), "log(survival) ~ age + C(censors)", cluster="censors"),
    "strikes": Case(of(shipped, "strikes"), "log1p(duration) ~ iprod + I(iprod^2)"),
    "swiss": Case(of(classic, "swiss"), "Fertility ~ Agriculture + Examination + Education + Catholic + Infant.Mortality"),
    "savings": Case(of(classic, "savings"), "sr ~ pop15 + pop75 + dpi + ddpi"),
    "attitude": Case(of(classic, "attitude"), "rating ~ .", cluster="critical"),
    "diabetes": Case(of(learning, "diabetes"), "target ~ .", cluster="age"),
    "linnerud": Case(of(learning, "linnerud"), "Weight ~ Chins + Situps + Jumps"),
    "el niño": Case(of(shipped, "elnino"), "DEC ~ JAN + FEB + MAR + JUN + SEP + OCT + NOV", centered=True),
    # categories
    "iris, text": Case(iris, "petal_width ~ species * petal_length + sepal_width", cluster="sepal_length"),
    "iris, no intercept": Case(iris, "petal_width ~ 0 + species + sepal_width"),
    "iris, through zero": Case(iris, "petal_width ~ petal_length + sepal_width - 1", cluster="species"),
    "wine": Case(of(learning, "wine"), "alcohol ~ C(target) * ash + log(proline) + hue", cluster="magnesium"),
    "grunfeld": Case(of(shipped, "grunfeld"), "invest ~ value + capital + firm", cluster="year"),
    "grunfeld, by firm": Case(of(shipped, "grunfeld"), "invest ~ value + capital", cluster="firm"),
    "modechoice": Case(of(shipped, "modechoice"), "gc ~ C(mode) * hinc + psize", cluster="individual"),
    "chickwts": Case(of(classic, "chickwts"), "weight ~ feed", cluster="feed"),
    "insect sprays": Case(of(classic, "insectsprays"), 'sqrt(count) ~ C(spray, reference="C")'),
    "plant growth": Case(of(classic, "plantgrowth"), "weight ~ group"),
    "warp breaks": Case(of(classic, "warpbreaks"), "log(breaks) ~ wool * tension"),
    "warp breaks, nested": Case(of(classic, "warpbreaks"), "breaks ~ wool + wool:tension", cluster="tension"),
    "tooth growth": Case(of(classic, "toothgrowth"), "len ~ supp * C(dose)"),
    "tooth growth, curve": Case(of(classic, "toothgrowth"), "len ~ supp * log2(dose) + I(dose^2)"),
    "cancer of the esophagus": Case(of(classic, "esoph"), "ncases ~ agegp + alcgp + tobgp", cluster="agegp"),
    "smoking in China": Case(smoking, "log(cases) ~ city + smoking", cluster="city"),
    "interest and inflation": Case(of(shipped, "interest_inflation"), "Dp ~ R + C(quarter)", cluster="year"),
    # transformations
    "cars": Case(of(classic, "cars"), "dist ~ speed + I(speed^2)", cluster="speed"),
    "cars, centered": Case(of(classic, "cars"), "sqrt(dist) ~ center(speed) + I(center(speed)^2)"),
    "women": Case(of(classic, "women"), "weight ~ height + I(height^2) + I(height^3)", centered=True),
    "trees": Case(of(classic, "trees"), "log(Volume) ~ log(Girth) + log(Height)", cluster="Height"),
    "mtcars": Case(of(classic, "mtcars"), "mpg ~ C(cyl) * wt + I(hp/100) + scale(qsec)", cluster="carb"),
    "rock": Case(of(classic, "rock"), "log(perm) ~ I(area/1000) + I(peri/1000) * shape", cluster="perm"),
    "engel": Case(of(shipped, "engel"), "foodexp ~ income + sqrt(income)"),
    "nile": Case(of(shipped, "nile"), "volume ~ year + I((year - 1898)^2)", centered=True),
    "nile, mean": Case(of(shipped, "nile"), "volume ~ 1"),
    "sunspots": Case(of(shipped, "sunspots"), "SUNACTIVITY ~ sin(YEAR*0.5712) + cos(YEAR*0.5712) + I(YEAR - 1850)"),
    "crime": Case(of(shipped, "statecrime"), "murder ~ (poverty + single + urban)^2", centered=True),
    # missing values
    "air quality": Case(of(classic, "airquality"), "Ozone ~ Solar.R * Wind + Temp + C(Month)", cluster="Month"),
    "air quality, logarithm": Case(of(classic, "airquality"), "log(Ozone) ~ Solar.R + Wind + I(Temp^2)", cluster="Day"),
    "carbon dioxide": Case(
        carbon, "co2 ~ I(year - 1980) + I((year - 1980)^2) + sin(6.283185307179586*year) + cos(6.283185307179586*year)"
    ),
    "fertility": Case(births, "`2000` ~ `1970` + log(`1970`)"),
    # weights
    "credit cards, weighted": Case(
        lambda: shipped("ccard").assign(w=lambda d: 1.0 / d.INCOME**2), "AVGEXP ~ AGE + INCOME + I(INCOME^2) + C(OWNRENT)",
        weights="w", cluster="AGE",
    ),
    "star98, weighted": Case(
        lambda: shipped("star98").assign(w=lambda d: d.NABOVE + d.NBELOW, share=lambda d: d.NABOVE / (d.NABOVE + d.NBELOW)),
        "share ~ LOWINC + PERASIAN + PERBLACK + PERHISP + PTRATIO + PCTAF", weights="w", cluster="PCTCHRT",
    ),
    "breast cancer, weighted": Case(
        of(shipped, "cancer"), "cancer ~ population", weights="population"
    ),
    "tumors, weighted": Case(
        lambda: learning("breast_cancer").rename(columns=lambda c: c.replace(" ", "_")),
        "mean_texture ~ C(target) * mean_smoothness + mean_symmetry", weights="mean_radius",
    ),
    "airquality, weighted": Case(
        of(classic, "airquality"), "Ozone ~ Wind + Temp", weights="Day", cluster="Month"
    ),
    "crime, weights of zero": Case(
        lambda: shipped("statecrime").assign(w=lambda d: (d.urban > 50) * d.urban, south=lambda d: np.where(d.white < 75, "yes", "no")),
        "violent ~ south + poverty + hs_grad", weights="w", cluster="south",
    ),
    "punishment, weighted": Case(
        of(shipped, "cpunish"), "EXECUTIONS ~ I(INCOME/1000) + PERPOVERTY + log(VC100k96)", weights="PERBLACK"
    ),
    # many rows
    "affairs": Case(lambda: shipped("fair").head(2000), "affairs ~ rate_marriage + C(occupation) + age + yrs_married", cluster="religious"),
    "election": Case(of(shipped, "anes96"), "TVnews ~ age * C(educ) + selfLR", weights="income", cluster="PID"),
    "health insurance": Case(lambda: shipped("randhie").head(3000), "mdvis ~ lncoins + idp + lpi + fmde + physlm + disea", cluster="disea"),
    "economy": Case(of(shipped, "macrodata"), "log(realgdp) ~ log(realcons) + log(realinv) + tbilrate + C(quarter)", cluster="year", centered=True),
}  # fmt: skip
SMALL = [
    name
    for name in CASES
    if name not in ("affairs", "election", "health insurance", "modechoice", "tumors, weighted", "diabetes")
]
CLUSTERED = [name for name, case in CASES.items() if case.cluster]
