"""The registry says of every column of the design what it holds and when it is measured."""

import pytest

from ter.measures import MEASURES, OUTCOME_COLUMNS
from ter.schema import COLUMNS, SESSION_COLUMNS, THERAPIST_COLUMNS


def words(text):
    return text.split()


REQUIRED = words(
    "episode_id patient_id therapist_id service_id start_date end_date n_sessions phq9_first phq9_last"
    " gad7_first gad7_last"
)
OPTIONAL = words(
    "anxiety_measure anxiety_first anxiety_last wsas_first age gender ethnicity imd_decile employment"
    " long_term_condition medication problem prior_episodes modality step wait_days end_reason n_dna"
    " n_cancelled"
)
LATE = words("end_date n_sessions phq9_last gad7_last anxiety_last end_reason n_dna n_cancelled")
SESSIONS = words("session_id episode_id date minutes modality status phq9 gad7 anxiety wsas")
THERAPISTS = words("therapist_id joined_date agency modalities desired_caseload guaranteed_caseload")


def test_episodes_has_the_columns_of_the_design():
    assert [c.name for c in COLUMNS.values() if c.required] == REQUIRED
    optional = [c.name for c in COLUMNS.values() if not c.required and c.kind != "outcome"]
    assert optional == OPTIONAL


def test_the_other_tables_have_the_columns_of_the_design():
    # Sessions say who gave them as well: without that no episode can be attributed.
    assert set(SESSION_COLUMNS) == {*SESSIONS, "therapist_id"}
    assert not SESSION_COLUMNS["therapist_id"].required
    assert list(THERAPIST_COLUMNS) == THERAPISTS


def test_all_that_the_therapist_could_influence_is_late():
    late = [c.name for c in COLUMNS.values() if c.measured == "after_allocation"]
    assert late == [*LATE, *OUTCOME_COLUMNS]


def test_no_session_column_but_ids_is_known_at_allocation():
    assert {c.measured for c in SESSION_COLUMNS.values() if c.kind != "id"} == {"after_allocation"}


@pytest.mark.parametrize("registry", [COLUMNS, SESSION_COLUMNS, THERAPIST_COLUMNS])
def test_every_column_is_described_and_filed_under_its_name(registry):
    assert all(column.description for column in registry.values())
    assert all(name == column.name for name, column in registry.items())


@pytest.mark.parametrize("name", [n for n in COLUMNS if n.startswith(("phq9", "gad7", "wsas"))])
def test_scores_have_the_range_of_their_measure(name):
    measure = MEASURES[name.split("_")[0]]
    assert (COLUMNS[name].low, COLUMNS[name].high) == (measure.low, measure.high)


def test_whole_numbers_fit_the_dtype_that_stores_them():
    # Int16 holds up to 32,767.
    for column in (*COLUMNS.values(), *SESSION_COLUMNS.values(), *THERAPIST_COLUMNS.values()):
        if column.kind == "integer":
            assert 0 <= column.low < column.high <= 32_767
