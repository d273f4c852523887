"""Takes the pictures of the README anew, from the pages of `ter demo`: needs what the browser tests need.

python tests/reports/take_pictures.py
"""

import tempfile
from pathlib import Path

import pandas as pd
from test_browser import ROOT, browse

from ter.cli import app
from ter.reports.names import file_stem

IMAGES = ROOT / "docs" / "images"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        app(["demo", "--out", folder], standalone_mode=False)
        (month,) = (Path(folder) / "reports").iterdir()
        ratings = pd.read_parquet(month / "ratings.parquet").sort_values("n_completed")
        # The page with the longest story: of the therapist with the most treatments.
        page = month / "therapists" / f"{file_stem(ratings['therapist_id'].iloc[-1])}.html"
        funnel = ["read", "document.getElementById('funnel-title').parentElement.scrollIntoView()"]
        tasks = [
            {
                "path": str(month / "index.html"),
                "window": [1100, 1500],
                "picture": str(IMAGES / "network.png"),
            },
            {"path": str(page), "window": [800, 1500], "picture": str(IMAGES / "therapist.png")},
            {
                "path": str(month / "index.html"),
                "window": [560, 620],
                "steps": [funnel],
                "picture": str(IMAGES / "funnel.png"),
            },
        ]
        browse(tasks)


if __name__ == "__main__":
    main()
