"""Files that are written whole or not at all, locks, and the care with which strangers' files are read."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from facegan import files
from facegan.errors import UserError
from facegan.files import LockedError, NewFolder, is_held, locked, read_bytes, read_json, replaced, write_text


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    file = tmp_path / "new" / "file.txt"
    write_text(file, "one\n")
    with pytest.raises(KeyboardInterrupt), replaced(file) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert file.read_bytes() == b"one\n" and list(file.parent.iterdir()) == [file]
    write_text(file, "two\n")
    assert file.read_text() == "two\n" and list(file.parent.iterdir()) == [file]


def test_a_lock_is_held_by_one_and_dropped_at_the_end_of_its_process(tmp_path):
    file = tmp_path / "lock"
    with locked(file), pytest.raises(LockedError), locked(file):
        pass
    with locked(file):
        pass
    script = "import os, sys; from pathlib import Path; from facegan.files import locked\n"
    script += "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(LockedError), locked(file):
            pass
        other.kill()
        other.wait()
    with locked(file, patience=5):
        pass


def test_a_lock_that_may_only_be_read_is_seen_to_be_held(tmp_path, monkeypatch):
    file = tmp_path / "lock"

    @contextmanager
    def denied(path):
        raise PermissionError(path)
        yield

    monkeypatch.setattr(files, "locked", denied)
    with locked(file):
        assert is_held(file)
    assert not is_held(file) and not is_held(tmp_path / "none")


def test_a_folder_needs_a_name_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for out in (Path(), Path("..")):
        with pytest.raises(UserError, match=r"has no name of its own|exists already"):
            NewFolder(out)


def test_a_folder_is_another_writers_while_it_is_written(tmp_path):
    with NewFolder(tmp_path / "out") as first:
        (first.folder / "mine").touch()
        with pytest.raises(UserError, match="another facegan is writing"), NewFolder(tmp_path / "out"):
            pass
        assert (first.folder / "mine").exists()
        first.put_in_place()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine"]
    with pytest.raises(UserError, match="nothing is overwritten"):
        NewFolder(tmp_path / "out")


@pytest.mark.skipif(os.name != "posix", reason="links and pipes as POSIX has them")
def test_only_ordinary_files_of_bounded_size_and_depth_are_read(tmp_path):
    file = tmp_path / "file.json"
    file.write_text('{"a": 1}')
    assert read_json(file) == {"a": 1} and read_bytes(file, 8) == b'{"a": 1}'
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "pipe")
    for name, kind in (("link", "a symbolic link"), ("pipe", "a pipe"), (".", "a folder")):
        with pytest.raises(ValueError, match=kind):
            read_bytes(tmp_path / name, 8)
    with pytest.raises(ValueError, match="at most 7"):
        read_bytes(file, 7)
    reasons = {
        "": "it is empty",
        "[" * 100_000: "nested too deeply",
        '{"a": NaN}': "NaN is no JSON",
        '{"a": 1,\n "b"': "stops being JSON in line 2, column 5",
        "[1]": "something else than names and values",
    }
    for text, reason in reasons.items():
        file.write_text(text)
        with pytest.raises(ValueError, match=reason):
            read_json(file)


def test_an_interrupt_before_the_lock_leaves_no_folder(tmp_path, monkeypatch):
    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("facegan.files.locked", interrupted)
    with pytest.raises(KeyboardInterrupt), NewFolder(tmp_path / "out"):
        pass
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out.partial").mkdir()  # it may be another writer's
    with pytest.raises(KeyboardInterrupt), NewFolder(tmp_path / "out"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out.partial"]
