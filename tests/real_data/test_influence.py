"""What single rows do, and tests of assumptions, on every data set of moderate size, against statsmodels: 1e-8.

statsmodels leaves each row out in turn and fits again. Its measures of a weighted fit mix weighted and unweighted
rows, so they are taken from the fit of the rows times √w, as R defines them.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.diagnostic import het_breuschpagan, het_white, linear_reset
from statsmodels.stats.stattools import durbin_watson, jarque_bera

from sightline.analysis import assumptions, influence, residuals
from tests.real_data.reference import close, model, plain, solved
from tests.real_data.tables import SMALL

REL = 1e-8


@pytest.mark.parametrize("name", SMALL)
def test_influence(name):
    m, run = model(name), solved(name)
    ours, theirs = influence(run), m.fit.get_influence()
    close(ours.leverage, theirs.hat_matrix_diag, REL)
    # near zero a residual is known to 1e-8 of its standard deviation, which is the unit of these
    close(ours.standardized, theirs.resid_studentized_internal, REL, REL)
    close(ours.cook, theirs.cooks_distance[0], REL, REL**2)
    found, spread = residuals(run), m.y.std()
    close(found.fitted, m.Z @ m.fit.params, REL, REL * spread)
    close(found.residual, m.y - m.Z @ m.fit.params, 0.0, REL * spread)
    if len(m.y) < 120:  # for time: from here on each row costs a fit
        check_deletion(ours, theirs, m, run)


def check_deletion(ours, theirs, m, run):
    """DFBETAS are changes in units of the standard error without the row, of the coefficients in units of the data.

    They are differences of two fits there, hence 1e-8 absolute too.
    """
    close(ours.studentized, theirs.resid_studentized_external, REL, REL)
    close(ours.dffits, theirs.dffits[0], REL, REL)
    moved = (m.fit.params - theirs.params_not_obsi) @ m.units.T
    unit = m.errors(m.fit.normalized_cov_params)
    expected = moved / np.sqrt(theirs.sigma2_not_obsi)[:, None] / unit
    order = [m.names.index(plain(c.term)) for c in run.coefficients]
    close(ours.dfbetas, expected[:, order], REL, REL)


def auxiliary(m):
    """Columns for the regressions on squared residuals: ones, and an orthonormal basis of what the design adds to them.

    The same span as [1 X]. Products of raw columns are so nearly collinear (κ of x to x⁶ of women is 1e15) that
    statsmodels loses some of them; those of orthogonal ones it keeps.
    """
    columns = m.X[:, np.ptp(m.X, axis=0) > 0]
    columns = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    U, size, _ = np.linalg.svd(columns, full_matrices=False)
    return np.column_stack([np.ones(len(U)), U[:, size > 1e-10 * size[0]] * np.sqrt(len(U))])


@pytest.mark.parametrize("name", SMALL)
def test_assumptions(name):
    """With weights all of them look at √w r, whose variance is constant if the weights are right."""
    m = model(name)
    found = {test.name.split(",")[0]: test for test in assumptions(solved(name))}
    residual = m.fit.resid
    close(found["Durbin-Watson"].statistic, durbin_watson(residual), REL)
    statistic, p, skewness, kurtosis = jarque_bera(residual)
    test = found["Jarque-Bera"]
    close([test.statistic, test.p], [statistic, p], REL)
    close([test.details["skewness"], test.details["kurtosis"]], [skewness, kurtosis], REL, REL)
    if m.names == ("Intercept",):
        assert [found[key].statistic for key in ("Breusch-Pagan", "White", "RESET")] == [None] * 3
        return
    Z = auxiliary(m)
    test = found["Breusch-Pagan"]
    close([test.statistic, test.p], het_breuschpagan(residual, Z)[:2], REL)
    check_white(found["White"], residual, Z)
    check_reset(found["RESET"], m)


def check_white(test, residual, Z):
    """The auxiliary regression on products that do not repeat each other, as squares of indicators do.

    `statsmodels.stats.diagnostic.het_white` keeps repeated products and lets a pseudo-inverse decide, which takes
    rounding for a direction (wine: 32.594 for 32.537) or a direction for rounding (women: 6 of 7).
    """
    left, right = np.triu_indices(Z.shape[1])
    products = Z[:, left] * Z[:, right]
    products /= np.linalg.norm(products, axis=0)
    Q, R, _ = scipy.linalg.qr(products, mode="economic", pivoting=True)
    rank = int((np.abs(np.diag(R)) > 1e-10 * abs(R[0, 0])).sum())
    if rank >= len(Z):
        assert test.statistic is None
        return
    deviation = residual**2 - np.mean(residual**2)
    along = Q[:, :rank].T @ deviation
    statistic = len(Z) * (along @ along) / (deviation @ deviation)
    assert test.df == (rank - 1,)
    close([test.statistic, test.p], [statistic, stats.chi2.sf(statistic, rank - 1)], REL, 1e-300)


def check_reset(test, m):
    """F of the two fits. Powers of centered and scaled fitted values span the same with the columns, if there are ones."""
    fitted = m.Z @ m.fit.params
    fitted = (fitted - fitted.mean() * m.intercept) / fitted.std()
    added = m.root[:, None] * np.column_stack([fitted**2, fitted**3])
    basis = np.linalg.qr(np.column_stack([m.fit.model.exog, added]))[0]
    large = sm.OLS(m.fit.model.endog, basis, hasconst=m.intercept or None).fit()
    if (
        np.linalg.matrix_rank(np.column_stack([m.fit.model.exog / np.linalg.norm(m.fit.model.exog, axis=0), added]))
        < basis.shape[1]
    ):
        assert test.statistic is None or test.df[0] < 2
        return
    df = m.fit.df_resid - 2
    f = (m.fit.ssr - large.ssr) / 2 / (large.ssr / df)
    assert test.df == (2, df)
    close(test.statistic, f, REL)


@pytest.mark.parametrize("name", ["swiss", "savings", "trees", "stackloss"])
def test_white_as_statsmodels_has_it(name):
    """Where no product repeats another."""
    m = model(name)
    test = assumptions(solved(name))[2]
    close([test.statistic, test.p], het_white(m.fit.resid, auxiliary(m))[:2], REL)


@pytest.mark.parametrize("name", ["swiss", "savings", "attitude", "cars", "trees", "mtcars", "air quality"])
def test_reset_as_statsmodels_has_it(name):
    m = model(name)
    fit = sm.OLS((m.y - m.y.mean()) / m.y.std(), m.Z).fit()
    theirs = linear_reset(fit, power=3, use_f=True)
    ours = assumptions(solved(name))[-1]
    close([ours.statistic, ours.p], [theirs.fvalue, theirs.pvalue], REL)
