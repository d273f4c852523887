"""Hostile ids are kept exactly, and are harmless in paths, pages and spreadsheets."""

import csv
import html
import re

import pandas as pd
from small_network import MONTH

HOSTILE = [
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "\N{GRINNING FACE} emoji",
    "x" * 300,
    "NaN",
    "None",
    "007",
    "'; DROP TABLE therapists; --",
    "{{ 7 * 7 }}",
    'comma, "quote" and\nline break',
    "-1+1",
    "[bold]a[/bold]",
    "a\\b/c:d",
]


def test_hostile_ids_through_the_whole_pipeline(files, episodes):
    ids = sorted(episodes["therapist_id"].unique())
    assert len(ids) == len(HOSTILE)
    of = dict(zip(ids, HOSTILE, strict=True))
    services = dict(zip(sorted(episodes["service_id"].unique()), HOSTILE[:3], strict=True))
    files.write(
        episodes.assign(
            therapist_id=episodes["therapist_id"].map(of),
            service_id=episodes["service_id"].map(services),
            patient_id=HOSTILE[1],
            gender=episodes["gender"].where(episodes["gender"] != "male", HOSTILE[1]),
        )
    )
    with (files.folder / "case_mix.toml").open("a") as file:
        file.write('\n[[term]]\nfactor = "gender"\n')
    result = files.report()
    assert result.exit_code == 0, result.stderr
    month = files.out / MONTH

    ratings = pd.read_parquet(month / "ratings.parquet")
    assert set(ratings["therapist_id"]) == set(HOSTILE)
    with (month / "ratings.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    cells = {row["therapist_id"] for row in rows}
    assert {cell.removeprefix("'") if cell[1:] in HOSTILE else cell for cell in cells} == set(HOSTILE)
    for row in rows:
        for column in ("therapist_id", "service_id"):
            assert not row[column].startswith(("=", "+", "-", "@", "\t", "\r"))

    # Nothing but plain names, and nothing outside the folders that were asked for.
    for path in files.folder.rglob("*"):
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,100}", path.name)
    pages = {path: path.read_text(encoding="utf-8") for path in month.rglob("*.html")}
    assert len(pages) == len(HOSTILE) + 1
    for page in pages.values():
        assert "<script>alert" not in page
    index = html.unescape(pages[month / "index.html"])
    for identifier in HOSTILE:
        assert identifier in index
        # One page of a therapist's own, besides the index, names them in its heading.
        assert any(
            identifier in html.unescape(page) for path, page in pages.items() if path.name != "index.html"
        )
