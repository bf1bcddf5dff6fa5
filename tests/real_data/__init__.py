"""Real data: R's classic data sets, and those that come with statsmodels and scikit-learn, as designs and targets."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import statsmodels.datasets as sets
from sklearn import datasets

MTCARS = {
    "mpg": "21 21 22.8 21.4 18.7 18.1 14.3 24.4 22.8 19.2 17.8 16.4 17.3 15.2 10.4 10.4 14.7 32.4 30.4 33.9 21.5 15.5 15.2 "
    "13.3 19.2 27.3 26 30.4 15.8 19.7 15 21.4",
    "cyl": "6 6 4 6 8 6 8 4 4 6 6 8 8 8 8 8 8 4 4 4 4 8 8 8 8 4 4 4 8 6 8 4",
    "hp": "110 110 93 110 175 105 245 62 95 123 123 180 180 180 205 215 230 66 52 65 97 150 150 245 175 66 91 113 264 175 "
    "335 109",
    "wt": "2.62 2.875 2.32 3.215 3.44 3.46 3.57 3.19 3.15 3.44 3.44 4.07 3.73 3.78 5.25 5.424 5.345 2.2 1.615 1.835 2.465 "
    "3.52 3.435 3.84 3.845 1.935 2.14 1.513 3.17 2.77 3.57 2.78",
}
CARS = {
    "speed": "4 4 7 7 8 9 10 10 10 11 11 12 12 12 12 13 13 13 13 14 14 14 14 15 15 15 16 16 17 17 17 18 18 18 18 19 19 19 20 "
    "20 20 20 20 22 23 24 24 24 24 25",
    "dist": "2 10 4 22 16 10 18 26 34 17 28 14 20 24 28 26 34 34 46 26 36 60 80 20 26 54 32 40 32 40 50 42 56 76 84 36 46 68 "
    "32 48 52 56 64 66 54 70 92 93 120 85",
}
WOMEN = {
    "height": "58 59 60 61 62 63 64 65 66 67 68 69 70 71 72",
    "weight": "115 117 120 123 126 129 132 135 139 142 146 150 154 159 164",
}
WARPBREAKS = (  # nine of wool A at each tension L, M, H, then of wool B
    "26 30 54 25 70 52 51 26 67 18 21 29 17 12 18 35 30 36 36 21 24 18 10 43 28 15 26 "
    "27 14 29 19 29 31 41 20 44 42 26 19 16 39 28 21 39 29 20 21 24 17 13 15 15 16 28"
)


class Case(NamedTuple):
    """Design `Z (n, q)` with its column of ones last, target `y (n,)`, prior weights `(n,)` or None."""

    Z: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None


def numbers(text: str) -> np.ndarray:
    return np.array(text.split(), dtype=float)


def dummies(labels: np.ndarray) -> np.ndarray:
    """Treatment coding, the first level in sorted order left out."""
    return (np.asarray(labels)[:, None] == np.unique(labels)[1:]).astype(float)


def design(*columns: np.ndarray) -> np.ndarray:
    return np.column_stack([*columns, np.ones(len(columns[0]))])


def statsmodels_frame(name: str):
    return getattr(sets, name).load_pandas().data


@cache
def cases() -> dict[str, Case]:
    """By name; every second one is weighted."""
    mtcars = {k: numbers(v) for k, v in MTCARS.items()}
    cars = {k: numbers(v) for k, v in CARS.items()}
    women = {k: numbers(v) for k, v in WOMEN.items()}
    wool, tension = np.repeat(["A", "B"], 27), np.tile(np.repeat(["L", "M", "H"], 9), 2)
    warp = np.column_stack([dummies(wool), dummies(tension)])
    stack, longley, engel, copper, scotland, crime, grunfeld = (
        statsmodels_frame(name).to_numpy() if name != "grunfeld" else statsmodels_frame(name)
        for name in ("stackloss", "longley", "engel", "copper", "scotland", "statecrime", "grunfeld")
    )
    diabetes, iris, wine = datasets.load_diabetes(), datasets.load_iris(), datasets.load_wine()
    rng = np.random.default_rng(0)
    counted = rng.integers(0, 4, size=len(crime)).astype(float)  # states that nobody counted, and some counted twice
    return {
        "mtcars": Case(design(mtcars["wt"]), mtcars["mpg"], None),
        "mtcars by cylinders, weighted": Case(
            design(mtcars["wt"], mtcars["hp"], dummies(mtcars["cyl"])), mtcars["mpg"], 1.0 / mtcars["hp"]
        ),
        "cars": Case(design(cars["speed"]), cars["dist"], None),
        "cars, weighted": Case(design(cars["speed"]), cars["dist"], 1.0 / cars["speed"]),
        "women, cubic": Case(design(*((women["height"] - 65) ** k for k in (1, 2, 3))), women["weight"], None),
        "warpbreaks, two-way": Case(
            design(*warp.T, *(warp[:, :1] * warp[:, 1:]).T), numbers(WARPBREAKS), None
        ),
        "stackloss, weighted": Case(design(*stack[:, 1:].T), stack[:, 0], np.arange(1.0, 22.0)),
        "longley": Case(design(*longley[:, 1:].T), longley[:, 0], None),
        "engel, weighted": Case(design(engel[:, 0]), engel[:, 1], 1.0 / engel[:, 0] ** 2),
        "copper": Case(design(*copper[:, 1:].T), copper[:, 0], None),
        "scotland, weighted": Case(design(*scotland[:, 1:].T), scotland[:, 0], scotland[:, 5]),
        "crime, counted": Case(design(*crime[:, 2:].T), crime[:, 0], counted),
        "diabetes": Case(design(*diabetes.data.T), diabetes.target, None),
        "iris by species, weighted": Case(
            design(iris.data[:, 2], dummies(iris.target)), iris.data[:, 0], iris.data[:, 1]
        ),
        "wine by kind": Case(design(*wine.data[:, 1:6].T, dummies(wine.target)), wine.data[:, 0], None),
        "grunfeld by firm, weighted": Case(
            design(grunfeld["value"], grunfeld["capital"], dummies(grunfeld["firm"].astype(str).to_numpy())),
            grunfeld["invest"].to_numpy(), 1.0 / grunfeld["capital"].to_numpy() ** 0.5,
        ),
    }  # fmt: skip


def standardized(Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same columns with mean 0 and standard deviation 1, and the map from their coefficients to those of Z."""
    X = Z[:, :-1]
    center, scale = X.mean(axis=0), X.std(axis=0)
    to_units = np.zeros((Z.shape[1],) * 2)
    to_units[:-1, :-1], to_units[-1, :-1], to_units[-1, -1] = np.diag(1 / scale), -center / scale, 1.0
    return np.column_stack([(X - center) / scale, np.ones(len(Z))]), to_units
