"""The examples of docs/*.md run from top to bottom, each page by itself."""

import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
FENCE = re.compile(r"^```python([^\n]*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
#: Where an example takes long, what stands in its place here.
SMALLER = {
    "checks": [
        ("ter.CaseMix.default()", 'ter.CaseMix([ter.linear("phq9_first"), ter.factor("employment")])'),
        ("minimum=45)\nprint(found", 'minimum=45, variants=("completion",))\nprint(found'),
    ],
    "studies": [("replicates=200", "replicates=2"), ("jobs=2", "jobs=1")],
}
#: Therapists of the synthetic network that are left.
THERAPISTS = 20


def examples(page):
    """Blocks of Python, with the words after the language; those of a console have a test of their own."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [(words.strip(), code) for words, code in found if not code.startswith(">>>")]


def test_there_are_examples():
    assert {page.stem for page in PAGES if examples(page)} >= {"checks", "methods", "simulation", "studies"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the synthetic data, of a few therapists."""
    out = tmp_path_factory.mktemp("docs")
    episodes = pd.read_parquet(ROOT / "data" / "synthetic" / "episodes.parquet")
    kept = episodes["therapist_id"].unique()[:THERAPISTS]
    (out / "data" / "synthetic").mkdir(parents=True)
    episodes[episodes["therapist_id"].isin(kept)].to_parquet(out / "data" / "synthetic" / "episodes.parquet")
    return out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_run_from_top_to_bottom(page, folder, monkeypatch):
    monkeypatch.chdir(folder)
    names = {}
    shorten = dict(SMALLER.get(page.stem, ()))
    for words, code in examples(page):
        # What needs a cluster is read, and not run.
        if words == "cluster":
            compile(code, page.name, "exec")
            continue
        assert not words, words
        for long in [long for long in shorten if long in code]:
            code = code.replace(long, shorten.pop(long))
        exec(compile(code, page.name, "exec"), names)
    assert not shorten
