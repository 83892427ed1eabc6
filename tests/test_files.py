import errno
import fcntl
import os
import subprocess
import sys

import pytest

from utils.system import seeding
from utils.system.errors import UsageError
from utils.system.files import atomic_write, link_or_copy, locked, remove_leftovers


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as aside:
        aside.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]
    with atomic_write(path) as aside:
        aside.write_text("new")
    assert path.read_text() == "new"


def test_a_full_disk_says_so(tmp_path):
    with pytest.raises(UsageError, match=r"disk is full.*file\.txt"), atomic_write(tmp_path / "file.txt") as aside:
        aside.symlink_to("/dev/full")  # the kernel's own full disk
        aside.write_text("anything")
    assert os.listdir(tmp_path) == []


def test_leftovers_of_a_killed_process_go(tmp_path):
    (tmp_path / ".123.episode_00000.npz").write_text("half")
    (tmp_path / "episode_00001.npz").write_text("whole")
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == ["episode_00001.npz"]


def test_a_folder_is_held_by_one_process_and_freed_by_its_death(tmp_path):
    hold = (
        "import pathlib, sys, time; from utils.system.files import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=f"in use by another process .pid {holder.pid}"), locked(tmp_path, 0.2):
            pass
    finally:
        holder.kill()
        holder.wait()
    with locked(tmp_path, 1.0):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_lock_sync_or_link_is_worked_on_with_one_warning(
    tmp_path, monkeypatch, capsys, number
):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setenv("WORLD_MODELS_UNLOCKED", "")
    for module, name in (fcntl, "flock"), (os, "fsync"), (os, "link"):
        monkeypatch.setattr(module, name, refuse)
    for _ in range(2):
        with locked(tmp_path), atomic_write(tmp_path / "file.txt") as aside:
            aside.write_text("new")
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path) in line
    link_or_copy(tmp_path / "file.txt", tmp_path / "other.txt")
    assert (tmp_path / "other.txt").read_text() == "new"


def test_generators_are_named_by_what_they_are_for():
    def draw(*name):
        return seeding.generator(*name).integers(2**62)

    assert draw(0, "track", 1, 2) == draw(0, "track", 1, 2)
    assert len({draw(0, "track", 1, 2), draw(0, "track", 2, 1), draw(1, "track", 1, 2), draw(0, "draws", 1, 2)}) == 4
    assert 0 <= seeding.integer(3, "track", 5) < 2**31
