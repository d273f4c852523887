import fcntl
import json
from pathlib import Path

import pytest

from ter.errors import AlreadyPublishedError, DataError
from ter.reports.publishing import published, verify, write_manifest


def publish(target: Path, content: str, *, overwrite: bool = False) -> None:
    with published(target, overwrite=overwrite) as directory:
        (directory / "sub").mkdir()
        (directory / "a.txt").write_text(content)
        (directory / "sub" / "b.txt").write_text(content)
        write_manifest(directory, {"content": content})


def content(target: Path) -> str:
    verify(target)
    return (target / "a.txt").read_text()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "reports" / "2026-10"


def test_a_directory_is_published_with_nothing_beside_it(target: Path) -> None:
    publish(target, "first")
    assert content(target) == "first"
    assert [path.name for path in target.parent.iterdir()] == ["2026-10"]


def test_what_is_there_is_not_overwritten(target: Path) -> None:
    publish(target, "first")
    with pytest.raises(AlreadyPublishedError, match=r"published already.*--overwrite, or overwrite=True"):
        publish(target, "second")
    assert content(target) == "first"


def test_overwriting_replaces_all_of_it(target: Path) -> None:
    publish(target, "first")
    (target / "stray.txt").write_text("of the old one")
    publish(target, "second", overwrite=True)
    assert content(target) == "second"
    assert [path.name for path in target.parent.iterdir()] == ["2026-10"]


def test_an_empty_directory_is_as_good_as_none(target: Path) -> None:
    target.mkdir(parents=True)
    publish(target, "first")
    assert content(target) == "first"


def test_an_error_leaves_the_old_one_and_nothing_else(target: Path) -> None:
    publish(target, "first")
    with pytest.raises(ZeroDivisionError), published(target, overwrite=True) as directory:
        (directory / "a.txt").write_text("half")
        _ = 1 / 0
    assert content(target) == "first"
    assert [path.name for path in target.parent.iterdir()] == ["2026-10"]


def test_a_run_that_died_building_is_cleared_away(target: Path) -> None:
    dead = target.parent / ".2026-10.partial-dead"
    dead.mkdir(parents=True)
    (dead / "a.txt").write_text("half")
    (target.parent / ".2026-10.lock").touch()
    other = target.parent / ".2026-09.partial-other"
    other.mkdir()
    publish(target, "first")
    assert content(target) == "first"
    # Another month may be in the making: it is left alone.
    assert sorted(path.name for path in target.parent.iterdir()) == [".2026-09.partial-other", "2026-10"]


def test_a_run_that_died_between_the_renames_is_undone(target: Path) -> None:
    publish(target, "first")
    target.rename(target.parent / ".2026-10.aside")
    with pytest.raises(AlreadyPublishedError):
        publish(target, "second")
    assert content(target) == "first"


def test_a_run_that_died_after_the_renames_is_finished(target: Path) -> None:
    publish(target, "second")
    publish(target.parent / ".2026-10.aside", "first")
    with pytest.raises(AlreadyPublishedError):
        publish(target, "third")
    assert content(target) == "second"
    assert [path.name for path in target.parent.iterdir()] == ["2026-10"]


def test_two_runs_do_not_publish_the_same_at_once(target: Path) -> None:
    with published(target, overwrite=False) as directory:
        (directory / "a.txt").write_text("first")
        with pytest.raises(AlreadyPublishedError, match="Another run"):
            publish(target, "second", overwrite=True)
        # Another month is free.
        publish(target.parent / "2026-09", "other")
        write_manifest(directory, {})
    assert content(target) == "first"


def test_a_lock_of_another_process_counts(target: Path) -> None:
    target.parent.mkdir()
    with (target.parent / ".2026-10.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(AlreadyPublishedError, match="Another run"):
            publish(target, "second")
    publish(target, "second")
    assert content(target) == "second"


def test_a_manifest_names_every_other_file(target: Path) -> None:
    publish(target, "abc")
    manifest = json.loads((target / "manifest.json").read_text())
    # sha256 of "abc": FIPS 180-4, example B.1.
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert manifest == {"content": "abc", "files": {"a.txt": digest, "sub/b.txt": digest}}


@pytest.mark.parametrize("fault", ["changed", "missing", "not in the manifest"])
def test_verify_finds(target: Path, fault: str) -> None:
    publish(target, "first")
    path = target / "sub" / "b.txt"
    if fault == "changed":
        path.write_text("other")
    elif fault == "missing":
        path.unlink()
    else:
        (target / "c.txt").touch()
    with pytest.raises(DataError, match=fault):
        verify(target)


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", "null"])
def test_verify_refuses_what_is_no_manifest(target: Path, text: str | None) -> None:
    publish(target, "first")
    manifest = target / "manifest.json"
    if text is None:
        manifest.unlink()
    else:
        manifest.write_text(text)
    with pytest.raises(DataError, match="no readable manifest"):
        verify(target)
