"""From a table to a publication, through the default engine."""

import numpy as np
import pandas as pd
import pytest

from ter.models.fit import fit
from ter.ratings import publish, rate

#: Completed treatments of each therapist: around the gate, nobody, and some to compare with.
COMPLETED = [9, 10, 11, 12, 0, *range(13, 28)]
NOBODY_AT_CASENESS, NOBODY_COMPLETED = "t03", "t04"


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(8)
    rows = []
    for j, completed in enumerate(COMPLETED):
        u = rng.normal(0, 0.6)
        for i in range(completed + 2):
            score = rng.integers(10, 28)
            p = 1 / (1 + np.exp(-(u - 0.1 * (score - 18))))
            at_caseness = f"t{j:02d}" != NOBODY_AT_CASENESS
            rows.append(
                (
                    f"t{j:02d}",
                    f"s{i % 3}",
                    score,
                    i >= 2,
                    at_caseness,
                    i >= 2 and at_caseness and rng.random() < p,
                )
            )
    names = ["therapist_id", "service_id", "phq9_first", "completed", "at_caseness", "recovered"]
    return fit(pd.DataFrame(rows, columns=names))


def test_every_therapist_is_rated_or_listed(fitted):
    table = rate(fitted).to_frame()
    assert table["n_completed"].tolist() == COMPLETED
    assert table.index[table["status"] == "provisional"].tolist() == ["t00", NOBODY_COMPLETED]
    rated = table.drop(index=["t00", NOBODY_COMPLETED, NOBODY_AT_CASENESS]).drop(
        columns=["status", "p_below_minimum"]
    )
    assert np.isfinite(rated.to_numpy(float)).all()
    assert ((rated["ter_q05"] < rated["ter"]) & (rated["ter"] < rated["ter_q95"])).all()


def test_without_patients_a_rating_is_the_prior(fitted):
    row = rate(fitted).to_frame().loc[NOBODY_AT_CASENESS]
    assert row["status"] == "rated"
    assert row[["observed", "expected", "predicted", "o_e", "p_e"]].isna().all()
    # The prior is symmetric about 0, and nothing was learned: exact but for the table of 41 points.
    assert row["effect"] == pytest.approx(0.0, abs=1e-6)
    assert row["reliability"] == pytest.approx(0.0, abs=1e-6)


def test_a_publication_of_a_real_fit(fitted):
    publication = publish(fitted, rate(fitted, minimum=45))
    rated = fitted.units.n_completed >= 10
    assert publication.network.observed == fitted.units.observed[rated].sum() / fitted.units.n[rated].sum()
    # The model's mean is right on the whole: within two standard errors of a rate of 380 patients.
    assert publication.network.expected == pytest.approx(publication.network.observed, abs=0.05)
    assert publication.calibration["n"].sum() == publication.network.n_at_caseness_rated
    assert publication.trend.empty  # a table without dates
    assert publication.model.left_out[0] == ("treatment not completed", 2 * len(COMPLETED))
