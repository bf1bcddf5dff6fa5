"""Real tables with their models, as statsmodels fits them: numbers and categories, interactions, holes, weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import sklearn.datasets
import statsmodels.api as sm
import statsmodels.formula.api as smf

MTCARS = {  # Henderson and Velleman 1981; R's datasets::mtcars
    "mpg": [21, 21, 22.8, 21.4, 18.7, 18.1, 14.3, 24.4, 22.8, 19.2, 17.8, 16.4, 17.3, 15.2, 10.4, 10.4, 14.7, 32.4, 30.4,
            33.9, 21.5, 15.5, 15.2, 13.3, 19.2, 27.3, 26, 30.4, 15.8, 19.7, 15, 21.4],
    "cyl": [6, 6, 4, 6, 8, 6, 8, 4, 4, 6, 6, 8, 8, 8, 8, 8, 8, 4, 4, 4, 4, 8, 8, 8, 8, 4, 4, 4, 8, 6, 8, 4],
    "hp": [110, 110, 93, 110, 175, 105, 245, 62, 95, 123, 123, 180, 180, 180, 205, 215, 230, 66, 52, 65, 97, 150, 150,
           245, 175, 66, 91, 113, 264, 175, 335, 109],
    "wt": [2.62, 2.875, 2.32, 3.215, 3.44, 3.46, 3.57, 3.19, 3.15, 3.44, 3.44, 4.07, 3.73, 3.78, 5.25, 5.424, 5.345, 2.2,
           1.615, 1.835, 2.465, 3.52, 3.435, 3.84, 3.845, 1.935, 2.14, 1.513, 3.17, 2.77, 3.57, 2.78],
    "am": [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1],
}  # fmt: skip
CARS = {  # Ezekiel 1930; R's datasets::cars
    "speed": [4, 4, 7, 7, 8, 9, 10, 10, 10, 11, 11, 12, 12, 12, 12, 13, 13, 13, 13, 14, 14, 14, 14, 15, 15, 15, 16, 16, 17,
              17, 17, 18, 18, 18, 18, 19, 19, 19, 20, 20, 20, 20, 20, 22, 23, 24, 24, 24, 24, 25],
    "dist": [2, 10, 4, 22, 16, 10, 18, 26, 34, 17, 28, 14, 20, 24, 28, 26, 34, 34, 46, 26, 36, 60, 80, 20, 26, 54, 32, 40,
             32, 40, 50, 42, 56, 76, 84, 36, 46, 68, 32, 48, 52, 56, 64, 66, 54, 70, 92, 93, 120, 85],
}  # fmt: skip
NPK = {  # Venables and Ripley 2002, page 165; R's datasets::npk
    "block": np.repeat(list("123456"), 4).tolist(),
    "N": [0, 1, 0, 1, 1, 1, 0, 0, 0, 1, 1, 0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0],
    "P": [1, 1, 0, 0, 0, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0],
    "K": [1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 1, 0],
    "crop": [49.5, 62.8, 46.8, 57.0, 59.8, 58.5, 55.5, 56.0, 62.8, 55.8, 69.5, 55.0, 62.0, 48.8, 45.5, 44.2, 52.0, 51.5,
             49.8, 48.8, 57.2, 59.0, 53.2, 56.0],
}  # fmt: skip
WARPBREAKS = {  # Tippett 1950; R's datasets::warpbreaks
    "breaks": [26, 30, 54, 25, 70, 52, 51, 26, 67, 18, 21, 29, 17, 12, 18, 35, 30, 36, 36, 21, 24, 18, 10, 43, 28, 15, 26,
               27, 14, 29, 19, 29, 31, 41, 20, 44, 42, 26, 19, 16, 39, 28, 21, 39, 29, 20, 21, 24, 17, 13, 15, 15, 16, 28],
    "wool": np.repeat(["A", "B"], 27).tolist(),
    "tension": np.tile(np.repeat(["L", "M", "H"], 9), 2).tolist(),
}  # fmt: skip
MOORE = {  # Moore and Krupat 1971; R's carData::Moore
    "status": np.repeat(["low", "high"], [22, 23]).tolist(),
    "authority": [
        "low", "high", "high", "low", "low", "low", "medium", "medium", "low", "low", "medium", "high", "low", "medium",
        "high", "high", "low", "high", "high", "high", "low", "low", "high", "medium", "low", "high", "low", "high",
        "medium", "medium", "high", "medium", "low", "medium", "medium", "low", "high", "medium", "medium", "medium",
        "medium", "high", "low", "high", "medium",
    ],
    "conformity": [8, 4, 8, 7, 10, 6, 12, 4, 13, 12, 4, 13, 7, 9, 9, 24, 6, 7, 23, 13, 8, 12, 19, 12, 21, 9, 23, 7, 17,
                   14, 11, 16, 15, 20, 8, 12, 14, 14, 17, 7, 17, 13, 16, 10, 15],
}  # fmt: skip
DUNCAN = {  # Duncan 1961; R's carData::Duncan
    "type": [*["prof"] * 8, "wc", *["prof"] * 6, "wc", *["prof"] * 4, *["wc"] * 4, *["bc"] * 21],
    "income": [62, 72, 75, 55, 64, 21, 64, 80, 67, 72, 42, 76, 76, 41, 48, 76, 53, 60, 42, 78, 29, 48, 55, 29, 21, 47, 81,
               36, 22, 44, 15, 7, 42, 9, 21, 21, 16, 16, 9, 14, 12, 17, 7, 34, 8],
    "education": [86, 76, 92, 90, 86, 84, 93, 100, 87, 86, 74, 98, 97, 84, 91, 34, 45, 56, 44, 82, 72, 55, 71, 50, 23, 39,
                  28, 32, 22, 25, 29, 7, 26, 19, 15, 20, 26, 28, 17, 22, 30, 25, 20, 47, 32],
    "prestige": [82, 83, 90, 76, 90, 87, 93, 90, 52, 88, 57, 89, 97, 59, 73, 38, 76, 81, 45, 92, 39, 34, 41, 16, 33, 53, 67,
                 57, 26, 29, 10, 15, 19, 10, 13, 24, 20, 7, 3, 16, 6, 11, 8, 41, 10],
}  # fmt: skip
SCHOOLS = {  # Greene 1993, table 14.1; R's sandwich::PublicSchools, without Wisconsin, where the expenditure is missing
    "expenditure": [275, 821, 339, 275, 387, 452, 531, 424, 316, 265, 403, 304, 437, 345, 431, 355, 260, 316, 327, 427, 427,
                    466, 477, 259, 274, 433, 294, 359, 279, 423, 388, 447, 335, 311, 322, 320, 397, 412, 342, 315, 321,
                    268, 315, 417, 353, 356, 415, 428, 320, 500],
    "income": [6247, 10851, 7374, 6183, 8850, 8001, 8914, 8604, 7505, 6700, 8380, 6813, 8745, 7696, 7873, 8001, 6615, 6640,
               6333, 8306, 8063, 8442, 7847, 5736, 7342, 7051, 7391, 9032, 7277, 8818, 6505, 8267, 6607, 7478, 7812, 6951,
               7839, 7733, 7526, 6242, 6841, 6489, 7697, 6622, 6541, 7624, 8450, 10022, 6456, 9096],
}  # fmt: skip


def shipped(name, rows=None):
    """A table that comes with statsmodels."""
    return getattr(sm.datasets, name).load_pandas().data.head(rows or 10**6).reset_index(drop=True)


def learning(name):
    """A table that comes with scikit-learn, its names made plain."""
    frame = getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame
    return frame.rename(columns=lambda c: c.replace(" (cm)", "").replace(" ", "_").replace("/", "_per_"))


def with_holes(frame, columns, *, seed):
    """About every eleventh value missing, at other rows in each column."""
    frame, rng = frame.copy(), np.random.default_rng(seed)
    for name in columns:
        frame.loc[rng.random(len(frame)) < 0.09, name] = np.nan
    return frame.dropna(subset=columns).reset_index(drop=True)


@dataclass(frozen=True)
class Case:
    """A table, a formula as patsy reads it, and the columns of weights and clusters."""

    load: Callable[[], pd.DataFrame]
    formula: str
    cluster: str
    weight: str | None = None


CASES = {
    "iris": Case(lambda: learning("iris"), "petal_width ~ petal_length * C(target)", "sepal_length"),
    "diabetes": Case(lambda: learning("diabetes").assign(g=lambda d: np.sign(d.sex)), "target ~ bmi * bp + C(g) * s5", "age"),
    "wine": Case(lambda: learning("wine"), "alcohol ~ malic_acid + ash * C(target) + hue", "magnesium"),
    "breast cancer": Case(
        lambda: learning("breast_cancer").assign(g=lambda d: d.mean_area // 200),
        "mean_texture ~ mean_smoothness * C(target) + mean_symmetry", "g", "mean_radius",
    ),
    "grunfeld": Case(lambda: shipped("grunfeld"), "invest ~ value + capital * C(firm)", "firm"),
    "fair": Case(lambda: shipped("fair", 900).query("1 < occupation < 6"), "affairs ~ rate_marriage + age * C(occupation) + educ", "religious", "yrs_married"),
    "stackloss": Case(lambda: shipped("stackloss"), "STACKLOSS ~ AIRFLOW * WATERTEMP", "ACIDCONC"),
    "credit cards": Case(
        lambda: shipped("ccard").assign(w=lambda d: 1.0 / d.INCOME**2), "AVGEXP ~ AGE + INCOME * C(OWNRENT)", "AGE", "w"
    ),
    "crime, missing": Case(
        lambda: with_holes(shipped("statecrime"), ["poverty", "single", "murder"], seed=5).assign(
            south=lambda d: d.white < 75, region=lambda d: (d.urban // 20).astype(str)
        ),
        "murder ~ poverty * C(south) + single", "region", "urban",
    ),
    "economy, missing": Case(
        lambda: with_holes(shipped("macrodata"), ["infl", "unemp"], seed=3), "infl ~ unemp * C(quarter) + tbilrate", "year"
    ),
    "election": Case(lambda: shipped("anes96"), "TVnews ~ age * C(educ) + selfLR", "PID", "income"),
    "travel": Case(lambda: shipped("modechoice"), "gc ~ hinc * C(mode) + psize", "individual"),
    "schools": Case(lambda: shipped("star98"), "NABOVE ~ LOWINC + PERASIAN * PTRATIO", "PCTCHRT", "NBELOW"),
    "engel": Case(lambda: shipped("engel").assign(g=lambda d: (d.income // 150).astype(int)), "foodexp ~ income", "g"),
    "mtcars": Case(lambda: pd.DataFrame(MTCARS), "mpg ~ wt * C(cyl) + hp", "cyl", "hp"),
    "warpbreaks": Case(lambda: pd.DataFrame(WARPBREAKS), "breaks ~ wool * tension", "tension"),
    "duncan": Case(lambda: pd.DataFrame(DUNCAN), "prestige ~ income * type + education", "type", "education"),
    "no intercept": Case(lambda: learning("iris"), "petal_width ~ 0 + petal_length + sepal_width:C(target)", "sepal_length"),
    "three ways": Case(
        lambda: learning("diabetes").assign(g=lambda d: np.sign(d.sex), old=lambda d: d.age > 0), "target ~ bmi * C(g) * C(old)", "s1"
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Model:
    """A case that statsmodels has fitted: `raw (n, q)` is its design, in the units of the data."""

    frame: pd.DataFrame
    fit: object
    weight: np.ndarray | None
    clusters: np.ndarray

    @property
    def raw(self):
        """The design as statsmodels has it."""
        return self.fit.model.exog

    @property
    def y(self):
        """The response."""
        return self.fit.model.endog

    @property
    def residual(self):
        """y - Xβ, before weighting."""
        return self.y - self.raw @ self.fit.params.to_numpy()

    @property
    def groups(self):
        """The term of each column."""
        spec = self.fit.model.data.model_spec
        return [name for name, part in spec.term_name_slices.items() for _ in range(part.start, part.stop)]

    @property
    def factors(self):
        """The factors of each term."""
        spec = self.fit.model.data.model_spec
        return {
            name: frozenset(f.name() for f in term.factors)
            for name, term in zip(spec.term_names, spec.terms, strict=True)
        }

    def standardized(self):
        """The design with columns centered and scaled (scaled only, without an intercept), ones last, and the map `(q,
        q)` from its parameters to the coefficients of the raw design.
        """
        raw, q = self.raw, self.raw.shape[1]
        ones = [j for j, name in enumerate(self.groups) if name == "Intercept"]
        others = [j for j in range(q) if j not in ones]
        center = raw[:, others].mean(axis=0) if ones else np.zeros(q)
        scale = np.sqrt(((raw[:, others] - center) ** 2).mean(axis=0))
        Z = np.column_stack([(raw[:, others] - center) / scale, *([np.ones(len(raw))] if ones else [])])
        units = np.zeros((q, q))
        units[others, range(len(others))] = 1.0 / scale
        for j in ones:
            units[j] = np.append(-center / scale, 1.0)
        return Z, units, [*(self.groups[j] for j in others), *(["Intercept"] if ones else [])]


@cache
def model(name):
    """The case of that name, fitted."""
    case = CASES[name]
    frame = case.load()
    weight = None if case.weight is None else frame[case.weight].to_numpy(dtype=float)
    keywords = {} if weight is None else {"weights": weight}
    fit = (smf.ols if weight is None else smf.wls)(case.formula, frame, **keywords).fit()
    return Model(frame, fit, weight, frame[case.cluster].to_numpy())
