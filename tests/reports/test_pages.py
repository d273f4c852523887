import base64
import hashlib
import html
import re
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from html_checks import Page, check
from made_card import CARD
from made_pages import CSS, EDITION, hrefs, of_status, told
from made_publication import HOSTILE_IDS, make_publication

from ter.ratings.publication import Publication
from ter.reports.pages import FIRST_ROWS, Edition, index_page, therapist_pages
from ter.reports.words import Vocabulary


@pytest.fixture(scope="module")
def index(publication: Publication) -> str:
    return index_page(publication, EDITION, hrefs(publication))


@pytest.fixture(scope="module")
def pages(publication: Publication) -> dict[str, str]:
    return dict(therapist_pages(publication, EDITION))


def words_of(page: str) -> str:
    return re.sub(r"\s+", " ", Page(page).visible)


def test_every_therapist_has_a_page(publication: Publication, pages: dict[str, str]) -> None:
    assert list(pages) == publication.ratings["therapist_id"].tolist()


def test_every_page_is_well_made(index: str, pages: dict[str, str]) -> None:
    for page in (index, *pages.values()):
        check(page)


def test_every_status_is_among_the_pages(publication: Publication) -> None:
    """Without which the checks above would see less than they seem to."""
    assert {"provisional", "rated", "support", "watch"} <= set(publication.ratings["status"])


def test_behind_the_gate_only_the_count_is_a_number(publication: Publication, pages: dict[str, str]) -> None:
    ratings = publication.ratings.set_index("therapist_id")
    names = of_status(publication, "provisional")
    assert names
    for name in names:
        page = Page(pages[name])
        text = page.visible.replace(name, "").replace(ratings["service_id"][name], "")
        numbers = set(
            re.findall(r"\d+(?:\.\d+)*", text.replace("31 October 2026", "").replace("October 2026", ""))
        )
        assert numbers == {str(ratings["n_completed"][name]), "10", "0.1.0"}
        assert f"{ratings['n_completed'][name]} of 10 completed treatments" in text


def test_the_network_page_shows_no_figure_of_the_gated(publication: Publication, index: str) -> None:
    ratings = publication.ratings.set_index("therapist_id")
    lines = re.findall(r'<tr[^>]*><th scope="row".*?</tr>', index.split('id="table"')[1], re.S)
    rows = dict(zip(ratings.index, lines, strict=False))
    for name in of_status(publication, "provisional"):
        cells = re.findall(r"<td[^>]*>(.*?)</td>", rows[name], re.S)
        shown = [re.sub(r"<[^>]*>", "", cell) for cell in cells]
        assert shown == [
            ratings["service_id"][name], "Not rated yet", f"{ratings['n_completed'][name]} of 10",
            "–", "–", "", "–", "–", "–", "–",
        ]  # fmt: skip


def test_a_rating_stands_with_its_interval_and_so_does_a_rank(publication: Publication, index: str) -> None:
    first = publication.ratings.dropna(subset=["ter"]).iloc[0]
    row = re.sub(
        r"<[^>]*>",
        " ",
        index.split(f">{html.escape(first.therapist_id, quote=True)}</a>")[1].split("</tr>")[0],
    )
    assert f" {first.ter:.0f}  {first.ter_q05:.0f} to {first.ter_q95:.0f} " in row
    assert f" {first.rank_q05:.0f} to {first.rank_q95:.0f} " in row
    assert f"{first.expected_rank:.1f}" not in row


def test_the_table_is_in_order_of_the_ids(publication: Publication, index: str) -> None:
    found = re.findall(r'<a href="(therapists/[^"]*)"', index)
    assert found == list(hrefs(publication).values())


def test_hostile_ids_are_shown_exactly(publication: Publication, index: str, pages: dict[str, str]) -> None:
    for name in HOSTILE_IDS:
        assert name in Page(index).texts("bdi")
        page = Page(pages[name])
        assert name in page.texts("h1")
        assert "<img" not in pages[name]
        assert page.all("script") == []
    assert len(Page(index).all("script")) == 1
    assert "49" not in Page(pages["{{ 7 * 7 }}"]).texts("h1")


@pytest.mark.parametrize(
    ("low", "high", "sentence"),
    [
        (44.0, 61.0, "The network's average is 51. We cannot tell your results from the average."),
        (51.0, 61.0, "All of this range is above the network's average of 51."),
        (30.0, 50.0, "All of this range is below the network's average of 51."),
    ],
)
def test_the_answer_agrees_with_the_interval(low: float, high: float, sentence: str) -> None:
    one = make_publication(20, hostile=False, minimum=None)
    ratings = one.ratings.copy()
    rated = ratings["ter"].notna()
    ratings.loc[rated, ["ter_q05", "ter", "ter_q95"]] = [low, (low + high) / 2, high]
    changed = replace(one, ratings=ratings)
    page = words_of(dict(therapist_pages(changed, EDITION))[ratings.loc[rated, "therapist_id"].iloc[0]])
    assert sentence in page
    assert f"between {low:.0f} and {high:.0f}" in page
    assert "minimum" not in page


@pytest.mark.parametrize(
    ("reliability", "sentence"),
    [
        (0.1, "We are not sure yet."),
        (0.3, "We are not sure yet."),
        (0.496, "We are not sure yet."),
        (0.5, "We are fairly sure."),
        (0.8, "We are quite sure."),
    ],
)
def test_certainty_is_said_in_words(reliability: float, sentence: str) -> None:
    one = make_publication(20, hostile=False)
    ratings = one.ratings.copy()
    shown = ratings["ter"].notna()
    rated = ratings.loc[shown, "therapist_id"].iloc[0]
    ratings.loc[shown, ["reliability", "ter_q05", "ter_q95"]] = [reliability, 30.0, 70.0]
    page = words_of(dict(therapist_pages(replace(one, ratings=ratings), EDITION))[rated])
    assert sentence in page
    assert f"count for about {reliability:.0%} of it" in page
    # "Mostly" is said of what is more than half, and of nothing else.
    assert ("rests mostly on your own results" in page) == (reliability > 0.5)
    assert "mostly the network" not in page
    assert ("This is an early guess" in page) == (reliability < 0.5)
    # Not where the range says something all the same.
    ratings.loc[shown, "ter_q95"] = 45.0
    page = words_of(dict(therapist_pages(replace(one, ratings=ratings), EDITION))[rated])
    assert "an early guess" not in page


def test_a_therapist_without_patients_at_caseness_has_a_page() -> None:
    one = make_publication(20, hostile=False)
    ratings = one.ratings.copy()
    name = ratings.dropna(subset=["ter"])["therapist_id"].iloc[0]
    ratings.loc[ratings["therapist_id"] == name, "n_at_caseness"] = 0
    ratings.loc[ratings["therapist_id"] == name, ["observed", "expected", "predicted", "o_e", "p_e"]] = np.nan
    without = {
        key: frame[frame["therapist_id"] != name]
        for key, frame in (("shift", one.shift), ("trend", one.trend), ("case_mix", one.case_mix))
    }
    for status in ("rated", "watch"):
        ratings.loc[ratings["therapist_id"] == name, "status"] = status
        page = dict(therapist_pages(replace(one, ratings=ratings, **without), EDITION))[name]
        check(page)
        text = words_of(page)
        assert "None of your patients counts for recovery yet: no one was unwell enough at the start." in text
        assert "is the network's average, and nothing else." in text
        assert "tell your results from the average" not in text
        assert "We cannot be sure at all." in text
        assert "own results count for" not in text
        assert ("minimum of 44, and this TER is below it. That is not about you." in text) == (
            status == "watch"
        )
        assert "nan" not in text


def test_a_few_patients_are_too_few_to_show() -> None:
    one = make_publication(20, hostile=False)
    ratings = one.ratings.copy()
    name = ratings.dropna(subset=["ter"])["therapist_id"].iloc[0]
    own = ratings["therapist_id"] == name
    ratings.loc[own, "n_at_caseness"] = 1
    ratings.loc[own, ["observed", "o_e"]] = np.nan
    without = {
        key: frame[frame["therapist_id"] != name]
        for key, frame in (("shift", one.shift), ("trend", one.trend), ("case_mix", one.case_mix))
    }
    few = replace(one, ratings=ratings, **without)
    page = dict(therapist_pages(few, EDITION))[name]
    check(page)
    assert "There are too few patients to show." in words_of(page)
    assert "With you," not in words_of(page)
    assert "nan" not in words_of(page)
    assert "too few patients to show it" in words_of(index_page(few, EDITION, hrefs(few)))


@pytest.mark.parametrize(
    ("minimum", "ter", "high", "wanted"),
    [
        # Below the average, which the range only just holds: not told as if nothing was known.
        (50.0, 45.0, 51.5, "Your TER is below that, though the range reaches up to it."),
        # The minimum is above the average: both sentences are true.
        (60.0, 52.0, 56.0, "We cannot tell your results from the average."),
    ],
)
def test_an_offer_of_support_is_not_contradicted(
    minimum: float, ter: float, high: float, wanted: str
) -> None:
    one = make_publication(20, hostile=False, minimum=minimum)
    ratings = one.ratings.copy()
    rated = ratings["ter"].notna()
    ratings.loc[rated, "status"] = "support"
    ratings.loc[rated, ["ter_q05", "ter", "ter_q95"]] = [40.0, ter, high]
    page = words_of(
        dict(therapist_pages(replace(one, ratings=ratings), EDITION))[
            ratings.loc[rated, "therapist_id"].iloc[0]
        ]
    )
    sentences = (
        "Your TER is below that, though the range reaches up to it.",
        "We cannot tell your results from the average.",
    )
    assert [sentence for sentence in sentences if sentence in page] == [wanted]
    assert f"minimum of {minimum:.0f}. Your TER is very likely below it" in page


def test_too_few_patients_in_all_make_pages_too() -> None:
    """All who are rated have too few: there is no average to draw or to name."""
    one = make_publication(12, hostile=False)
    ratings = one.ratings.assign(observed=np.nan, o_e=np.nan)
    network = replace(one.network, n_at_caseness_rated=0, observed=np.nan, expected=np.nan)
    empty = {name: getattr(one, name).iloc[:0] for name in ("trend", "case_mix", "shift", "calibration")}
    none = replace(one, ratings=ratings, network=network, **empty)
    for page in (index_page(none, EDITION, hrefs(none)), *dict(therapist_pages(none, EDITION)).values()):
        check(page)
        assert "nan" not in page.replace("language", "").lower()
    assert "too few patients to show how many recovered" in words_of(index_page(none, EDITION, hrefs(none)))


def test_services_say_whom_they_count(index: str) -> None:
    text = words_of(index)
    assert "Each therapist counts, with all patients, in the service of most of their episodes." in text
    assert "Completed (all therapists)" in text
    assert "Counted (rated therapists)" in text


def test_notes_stand_under_the_heading(publication: Publication) -> None:
    edition = replace(EDITION, notes=("The data end <early>.",))
    page = index_page(publication, edition, hrefs(publication))
    check(page)
    assert "The data end <early>." in words_of(page).split("The answer")[0]


def test_a_small_share_of_patients_is_not_shown() -> None:
    """With 12 patients, a share of 25% is three of them."""
    one = make_publication(20, hostile=False)
    name = one.ratings.dropna(subset=["ter"])["therapist_id"].iloc[0]
    ratings = one.ratings.copy()
    ratings.loc[ratings["therapist_id"] == name, "n_at_caseness"] = 12
    case_mix = one.case_mix.copy()
    own = (case_mix["therapist_id"] == name) & (case_mix["variable"] == "employment")
    case_mix.loc[own, "therapist"] = [0.25, 0.75]
    shift = one.shift[one.shift["therapist_id"] == name].assign(shift=[0.0] * 4 + [0.05] + [0.0] * 3)
    page = words_of(
        dict(therapist_pages(replace(one, ratings=ratings, case_mix=case_mix, shift=shift), EDITION))[name]
    )
    assert "too few patients to show" in page
    assert "unemployed: 25%" not in page
    case_mix.loc[own, "therapist"] = [0.5, 0.5]
    # The level that explains the shift is named; where none explains half of it, none is given as the reason.
    for of_levels, said in (
        ([0.0, 0.05], "not recorded: 50%, network 60%"),
        ([0.04, 0.01], "unemployed: 50%, network 40%"),
        ([0.01, 0.01], "a different mix"),
        ([-0.05, 0.02], "a different mix"),
    ):
        case_mix.loc[own, "shift"] = of_levels
        changed = replace(one, ratings=ratings, case_mix=case_mix, shift=shift)
        assert said in words_of(dict(therapist_pages(changed, EDITION))[name])


def test_the_largest_shifts_come_first(publication: Publication, pages: dict[str, str]) -> None:
    name = of_status(publication, "rated")[0]
    shifts = publication.shift.loc[publication.shift["therapist_id"] == name, "shift"]
    wanted = sorted(shifts.abs(), reverse=True)[:6]
    shown = re.findall(r'<td class="nowrap">([+\u2212]?[\d.]+)</td>', pages[name])
    assert [abs(float(text.replace("\u2212", "-"))) for text in shown] == [
        round(100 * value, 1) for value in wanted
    ]


def test_one_service_without_its_effect_is_said() -> None:
    one = make_publication(20)
    left_out = replace(one, model=replace(one.model, service_effect="left out: there is one service only"))
    assert "left out: there is one service only" in words_of(index_page(left_out, EDITION, hrefs(one)))


def test_what_was_left_out_is_said(index: str) -> None:
    text = words_of(index)
    assert "not completed 1,200" in text
    assert "dropped" in text


def test_nobody_rated_makes_pages_too() -> None:
    one = make_publication(2, hostile=False)
    ratings = one.ratings.assign(status="provisional", n_completed=[9, 3])
    for column in ratings.columns[5:]:
        ratings[column] = np.nan
    network = replace(one.network, n_rated=0, n_provisional=2, observed=np.nan, expected=np.nan)
    empty = {name: getattr(one, name).iloc[:0] for name in ("trend", "case_mix", "shift", "calibration")}
    none = replace(one, ratings=ratings, network=network, **empty)
    page = index_page(none, EDITION, hrefs(none))
    check(page)
    assert "Nobody is rated yet." in words_of(page)
    assert "nan" not in words_of(page).lower()
    for page in dict(therapist_pages(none, EDITION)).values():
        check(page)


def test_other_units_have_their_own_words(publication: Publication) -> None:
    page = index_page(publication, Edition("NHS providers", "", "", Vocabulary.of("provider")), {})
    check(page)
    text = words_of(page)
    assert "therapist" not in text.lower()
    assert "All providers" in text
    assert "have fewer than 10 counted patients" in text
    assert "Rows with a blank count are not counted." in text
    assert 'href="therapists' not in page


def test_the_model_card_is_on_the_network_s_page(publication: Publication, index: str) -> None:
    assert "Should these ratings be trusted" not in words_of(index)
    page = index_page(told(publication), EDITION, hrefs(publication))
    check(page)
    text = words_of(page)
    # The answer stands at the top, and again over the checks.
    assert text.count(CARD.answer) == 2
    assert text.index(CARD.answer) < text.index("The network in numbers")
    for made in CARD.checks:
        assert made.title in text
        assert made.words in text
        assert made.figure in text
    section = text[text.index("The model card:") :]
    results = ("In order", "Caution", "Failed", "Not checked")
    assert [section.count(f" {result} ") for result in results] == [1] * 4
    assert "AUC 0.69 (0.67 to 0.71)" in section


def test_what_changed_is_told_in_parts(publication: Publication) -> None:
    rated = of_status(publication, "rated")[0]
    page = dict(therapist_pages(told(publication), EDITION))[rated]
    check(page)
    ter = publication.ratings.set_index("therapist_id")["ter"][rated]
    text = words_of(page)
    assert f"Your TER was {ter - 1.2:.1f}, and now it is {ter:.1f}." in text
    cells = (
        "Your own patients +1.0 What we learnt from other therapists' patients +0.3 "
        "Other patients come to the network \u22120.1 Changes in how we calculate 0.0 Together +1.2"
    )
    assert cells in text


@pytest.mark.parametrize(
    ("observed", "ter", "face", "pulled"),
    [(0.70, 55.0, "71", True), (0.31, 46.0, "32", True), (0.50, 51.0, "51", False), (1.0, 70.0, "100", True)],
)
def test_regression_to_the_mean_is_explained(observed: float, ter: float, face: str, pulled: bool) -> None:
    """The average is 50.57, expected 0.50: at face value 0.70 is 50.57 + 20."""
    one = make_publication(20, hostile=False)
    ratings = one.ratings.copy()
    name = ratings.dropna(subset=["ter"])["therapist_id"].iloc[0]
    ratings.loc[ratings["therapist_id"] == name, ["observed", "expected", "ter"]] = [observed, 0.5, ter]
    page = dict(therapist_pages(replace(one, ratings=ratings), EDITION))[name]
    check(page)
    text = words_of(page)
    gap = round(100 * (observed - 0.5), 1)
    side = "above" if gap > 0 else "below"
    said = (
        f"Your share is {abs(gap):.1f} points {side} what we expected." if gap else "just what we expected."
    )
    assert said in text
    assert f"that would make {face} of 100 typical patients. Your TER is {ter:.0f}." in text
    assert ("regression to the mean" in text) == pulled
    assert ("pull-title" in page) == pulled
    assert ("little that luck could explain" in text) != pulled


def test_the_table_can_be_filtered(publication: Publication, index: str) -> None:
    counts = publication.ratings["status"].value_counts()
    options = re.findall(r'<option value="(\w+)">[^<(]*\((\d+)\)', index)
    assert {name: int(n) for name, n in options} == counts.to_dict()
    services = re.findall(r"<option>([^<]*)</option>", index)
    assert services == publication.services["service_id"].tolist()


def test_rows_that_wait_are_not_left_out(publication: Publication, index: str) -> None:
    """Only where scripts run do they wait for the button; the style sheet says so."""
    assert index.count('<tr class="later">') == len(publication.ratings) - FIRST_ROWS
    rules = [line for line in CSS.splitlines() if ".later" in line]
    assert rules == ["@media screen and (scripting: enabled) { .later { display: none; } }"]


def test_a_page_takes_less_than_5_ms() -> None:
    """10,000 pages a minute leave 6 ms for each. Processor time, so that a busy machine is no failure."""
    many = make_publication(400, hostile=False)
    list(therapist_pages(make_publication(5), EDITION))
    start = time.process_time()
    n = sum(1 for _ in therapist_pages(many, EDITION))
    assert (time.process_time() - start) / n < 0.005


def test_pages_are_the_same_each_time(publication: Publication, index: str, pages: dict[str, str]) -> None:
    assert index_page(publication, EDITION, hrefs(publication)) == index
    assert dict(therapist_pages(publication, EDITION)) == pages


def test_headings_name_every_part_of_a_page(publication: Publication, pages: dict[str, str]) -> None:
    long = publication.ratings.loc[publication.ratings["n_completed"].idxmax(), "therapist_id"]
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", pages[long])
    assert headings == [
        "The answer", "Your TER", "What we expected, and what we saw", "What may be luck", "How sure we are",
        "How your patients differ", "Your results over time", "What a TER is, and what it is not",
    ]  # fmt: skip
    blocks = publication.trend[publication.trend["therapist_id"] == long]
    assert all(a < b for a, b in pairwise(blocks["first_month"]))


def test_only_the_page_s_own_script_may_run(index: str) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", index, flags=re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in html.unescape(index)
