from __future__ import annotations

import pytest
from made_publication import make_publication

from ter.ratings.publication import Publication


@pytest.fixture(scope="session")
def publication() -> Publication:
    return make_publication()
