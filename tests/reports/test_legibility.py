"""Colours that stand out, and words that are plain."""

import html
import re

import numpy as np
import pytest
import textstat
from made_pages import COLOURS, CSS, EDITION, hrefs, of_status, told

from ter.ratings.publication import Publication
from ter.reports import figures
from ter.reports.pages import index_page, therapist_pages

# Contrast, by the formula of WCAG 2.1 (relative luminance).


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(first: str, second: str) -> float:
    dark, light = sorted((luminance(COLOURS[first]), luminance(COLOURS[second])))
    return (light + 0.05) / (dark + 0.05)


def test_the_contrast_formula() -> None:
    assert (luminance("#ffffff") + 0.05) / (luminance("#000000") + 0.05) == pytest.approx(21)


@pytest.mark.parametrize("ground", ["paper", "wash"])
@pytest.mark.parametrize("text", ["ink", "muted", "accent"])
def test_text_stands_out(text: str, ground: str) -> None:
    assert contrast(text, ground) >= 4.5


@pytest.mark.parametrize(
    ("drawing", "ground"),
    [
        ("accent", "rule"),
        ("accent", "tint"),
        ("accent", "band"),
        ("muted", "rule"),
        ("accent", "paper"),
        ("muted", "paper"),
        ("warm", "paper"),
    ],
)
def test_drawings_stand_out(drawing: str, ground: str) -> None:
    assert contrast(drawing, ground) >= 3


@pytest.mark.parametrize("ground", ["accent", "warm"])
def test_inverse_text_stands_out(ground: str) -> None:
    assert contrast("paper", ground) >= 4.5


def test_the_style_has_no_colour_but_the_palette() -> None:
    used = re.findall(r"(?<![\w-])(?:color|background|fill|stroke|border-color): ([^;}]+)", CSS)
    plain = {"inherit", "none"}
    assert used
    assert all(value in plain or re.fullmatch(r"var\(--\w+\)", value) for value in used), used
    assert set(re.findall(r"var\(--(\w+)\)", CSS)) <= set(COLOURS)


def test_figures_share_the_palette() -> None:
    shared = {"accent": figures.ACCENT, "ink": figures.INK, "muted": figures.MUTED, "rule": figures.RULE}
    shared |= {"warm": figures.WARM}
    assert all(COLOURS[name] == colour for name, colour in shared.items())


# Reading age: Flesch and Kincaid's grade, syllables counted as groups of vowels.


def syllables(word: str) -> int:
    word = word.lower().removesuffix("es") if len(word) > 3 else word.lower()
    groups = len(re.findall(r"[aeiouy]+", word))
    silent = word.endswith("e") and not word.endswith("le") and groups > 1
    return max(1, groups - silent)


def grade(text: str) -> float:
    sentences = [part for part in re.split(r"[.!?:;]+(?:\s|$)", text) if re.search(r"[A-Za-z]", part)]
    tokens = re.findall(r"[A-Za-z']+", text)
    return 0.39 * len(tokens) / len(sentences) + 11.8 * sum(map(syllables, tokens)) / len(tokens) - 15.59


def test_the_grade_of_known_texts() -> None:
    """The cat sat on the mat: 6 words of one syllable, 0.39*6 + 11.8 - 15.59 = -1.45."""
    assert grade("The cat sat on the mat.") == pytest.approx(-1.45)
    assert grade("Multidimensional heterogeneity necessitates hierarchical considerations.") > 20


def textstat_grade(text: str, monkeypatch: pytest.MonkeyPatch) -> float:
    """Give textstat's grade, its syllables counted by hyphenation: the dictionary would be downloaded."""
    counter = "textstat.backend.counts._count_syllables"
    monkeypatch.setattr(f"{counter}.get_cmudict", lambda lang: None)
    return float(textstat.flesch_kincaid_grade(text))


def test_pages_read_at_grade_nine_or_lower(publication: Publication, monkeypatch: pytest.MonkeyPatch) -> None:
    publication = told(publication)
    index = index_page(publication, EDITION, hrefs(publication))
    pages = dict(therapist_pages(publication, EDITION))
    chosen = [
        pages[of_status(publication, status)[-1]] for status in ("provisional", "rated", "support", "watch")
    ]
    for page in (index, *chosen):
        page = re.sub(r"<(svg|style|script|table|details)\b.*?</\1>", "", page, flags=re.S)
        blocks = re.findall(
            r"<(?:p|li|figcaption|dd)\b[^>]*>(.*?)</(?:p|li|figcaption|dd)>", page, flags=re.S
        )
        prose = [html.unescape(re.sub(r"<[^>]*>", "", block)) for block in blocks]
        text = " ".join(
            block if block.rstrip().endswith(".") else f"{block}."
            for block in prose
            if len(block.split()) > 3
        )
        assert grade(text) <= 9
        assert textstat_grade(text, monkeypatch) <= 9
