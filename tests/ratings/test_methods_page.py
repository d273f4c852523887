"""The examples of docs/methods.md give what they say."""

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"


def test_the_examples_run():
    results = doctest.testfile(str(PAGE), module_relative=False)
    assert results.attempted >= 15
    assert not results.failed
