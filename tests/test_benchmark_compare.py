"""The comparison of benchmarks notices what has become slower and what is gone, and nothing else."""

import json

import pytest

from benchmarks.compare import BASELINE, compare, main

SAVED = {"test_a": {"floor": 8.0, "numpy": 0.02}, "test_b": {"floor": 3.0}}


def results(ratios):
    benchmarks = [{"name": name, "extra_info": {"ratios": row}} for name, row in ratios.items()]
    return {"benchmarks": [*benchmarks, {"name": "test_plain", "extra_info": {}}]}


def run(tmp_path, now, capsys, *more):
    baseline, file = tmp_path / "baseline.json", tmp_path / "results.json"
    if not more:
        baseline.write_text(json.dumps(SAVED))
    file.write_text(json.dumps(results(now)))
    code = main(["--results", str(file), "--baseline", str(baseline), *more])
    return code, capsys.readouterr().out, baseline


def changed(name, yardstick, value):
    now = {key: dict(row) for key, row in SAVED.items()}
    now[name][yardstick] = value
    return now


@pytest.mark.parametrize(
    ("value", "code"),
    [(8.0, 0), (0.1, 0), (9.99, 0), (10.0, 0), (10.01, 1), (80.0, 1), (float("nan"), 1)],
)
def test_a_quarter_more_is_allowed(tmp_path, capsys, value, code):
    got, said, _ = run(tmp_path, changed("test_a", "floor", value), capsys)
    assert got == code
    assert ("SLOW" in said) == bool(code)
    assert "3 ratios" in said


@pytest.mark.parametrize("gone", ["benchmark", "yardstick", "all"])
def test_what_has_disappeared_fails(tmp_path, capsys, gone):
    now = changed("test_a", "floor", 8.0)
    if gone == "benchmark":
        del now["test_b"]
    elif gone == "yardstick":
        del now["test_a"]["numpy"]
    else:
        now = {}
    code, said, _ = run(tmp_path, now, capsys)
    assert code == 1
    assert said.count("GONE") == {"benchmark": 1, "yardstick": 1, "all": 3}[gone]


def test_what_is_new_passes(tmp_path, capsys):
    now = changed("test_a", "another", 5.0) | {"test_c": {"floor": 1.0}}
    code, said, _ = run(tmp_path, now, capsys)
    assert code == 0
    assert said.count("new ") == 2


def test_saving_and_comparing_again(tmp_path, capsys):
    code, _, baseline = run(tmp_path, SAVED, capsys, "--save")
    assert code == 0
    assert json.loads(baseline.read_text()) == SAVED
    assert not any(finding.fails for finding in compare(SAVED, SAVED))


def test_the_saved_baseline_has_the_benchmarks_of_the_simulation():
    saved = json.loads(BASELINE.read_text(encoding="utf-8"))
    for name in ("record", "count_outcomes", "count_outcomes_two_cores", "simulate", "first_call"):
        assert any(key.startswith(f"test_{name}[") for key in saved), name
    assert all(0 < ratio < 1e4 for row in saved.values() for ratio in row.values())
