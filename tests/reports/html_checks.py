"""What a page must be, checked with the standard library's parser."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Parses strictly: a tag that is not closed, or is closed out of order, is an error."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.text: list[tuple[str, tuple[str, ...]]] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"attribute twice in <{tag}>"
        self.tags.append((tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs), tuple(self.open)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text.append((data, tuple(self.open)))

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs, _ in self.tags if tag in names]

    def texts(self, *names: str) -> list[str]:
        """Give the pieces of text inside elements of these names."""
        return [data for data, inside in self.text if any(name in inside for name in names)]

    @property
    def visible(self) -> str:
        return " ".join(data for data, inside in self.text if not {"style", "script", "head"} & set(inside))


def check(html: str) -> Page:
    """Check everything that holds for every page."""
    assert html.startswith("<!doctype html>")
    page = Page(html)
    ids = [attrs["id"] for _, attrs, _ in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids)), "an id twice"
    _check_outside(html, page)
    _check_structure(page, set(ids))
    _check_pictures(page, set(ids))
    _check_tables(page)
    return page


def _check_outside(html: str, page: Page) -> None:
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", html), "something from outside"
    for tag, attrs, _ in page.tags:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base"}
        assert "src" not in attrs
        assert not any(name.startswith("on") for name in attrs), "a script in an attribute"
        href = attrs.get("href")
        if href is not None:
            assert re.fullmatch(r"#[\w-]+|\.\./index\.html|therapists/[a-z0-9-]+\.html", href), href
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none';")


def _check_structure(page: Page, ids: set[str | None]) -> None:
    assert page.all("html") == [{"lang": "en-GB"}]
    assert [len(page.all(name)) for name in ("head", "main", "h1")] == [1, 1, 1]
    assert page.all("header")
    assert page.all("footer")
    assert page.all("a")[0] == {"class": "skip", "href": "#main"}
    levels = [int(tag[1]) for tag, _, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels)), levels
    for _, attrs, _ in page.tags:
        for name in ("aria-labelledby", "for"):
            if name in attrs:
                assert attrs[name] in ids
    for attrs in page.all("section"):
        assert "aria-labelledby" in attrs


def _check_pictures(page: Page, ids: set[str | None]) -> None:
    for tag, attrs, _ in page.tags:
        if tag == "svg":
            described = attrs.get("role") == "img" and attrs.get("aria-labelledby") in ids
            assert described or attrs.get("aria-hidden") == "true"
        if attrs.get("role") == "img":
            assert attrs.get("aria-labelledby") or attrs.get("aria-label")


def _check_tables(page: Page) -> None:
    assert len(page.all("caption")) == len(page.all("table"))
    for attrs in page.all("th"):
        assert attrs.get("scope") in {"col", "row"}
