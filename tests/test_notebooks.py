"""Notebooks run from top to bottom, and what is stored of them gives nothing away."""

import re
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


#: Rates real data, which are not part of the project: skipped where these are absent.
OF_REAL_DATA = "03_nhs_providers"
#: Samples: its cells are also run by the tests of engine "nuts", which have an environment of their own.
OF_ALL_ENGINES = "04_three_engines"


def test_there_are_notebooks():
    assert {OF_REAL_DATA, OF_ALL_ENGINES} <= {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# A kernel talks over sockets that the tests do not own.
@pytest.mark.filterwarnings("default")
def test_notebooks_run(path, monkeypatch, request):
    if path.stem == OF_ALL_ENGINES and find_spec("pymc") is None:
        pytest.skip('engine "nuts" is an extra: pip install "ter[bayes]"')
    if path.stem == OF_REAL_DATA:
        monkeypatch.setenv("TER_REFERENCE_DATA", str(request.getfixturevalue("reference_data").resolve()))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, as_version=4)
    # A cell that fails raises here.
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    told = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.get("name") == "stderr"
    ]
    assert not told


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_outputs_are_whole_and_name_no_machine(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert any("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(/home/|/root/|/tmp/|/Users/|site-packages|[A-Z]:\\\\)", text)
    assert "timestamp" not in text
    for cell in code:
        for output in cell.outputs:
            assert output.output_type in {"execute_result", "display_data"}
