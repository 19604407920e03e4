"""Folders are made private, never changed when they exist, and refused with a reason."""

import os
import stat
from pathlib import Path

import pytest

from app.stack.account import SYSTEM_HOME, current_account
from app.stack.errors import FolderUnusable
from app.stack.folders import (
    SOCKET_PATH_LIMIT,
    check_space,
    home_folder,
    private_file,
    private_folder,
    socket_folder,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_is_private(tmp_path: Path) -> None:
    assert mode(private_folder(tmp_path / "a" / "data", current_account())) == 0o700


def test_an_existing_folder_keeps_its_mode(tmp_path: Path) -> None:
    existing = tmp_path / "data"
    existing.mkdir(mode=0o750)
    before = mode(existing)
    private_folder(existing, current_account())
    assert mode(existing) == before == 0o750


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(FolderUnusable, match="is not a folder"):
        private_folder(tmp_path / "data", current_account())


def test_a_path_through_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderUnusable, match="part of that path is a file"):
        private_folder(tmp_path / "file" / "data", current_account())


def test_a_read_only_file_system_is_named() -> None:
    with pytest.raises(FolderUnusable, match="Cannot use the folder /proc/remand"):
        private_folder(Path("/proc/remand"), current_account())


def test_a_full_disk_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(FolderUnusable, match=r"almost full: \d+ MiB free"):
        check_space(tmp_path, least=2**62)


def test_a_private_file_replaces_the_old_one_whole(tmp_path: Path) -> None:
    for content in ("first", "second"):
        file = private_file(tmp_path / "secret", content, current_account())
    assert file.read_text() == "second"
    assert mode(file) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_long_path_gets_a_short_socket_folder(tmp_path: Path) -> None:
    short = socket_folder(tmp_path / ("x" * 90), current_account())
    try:
        assert len(os.fsencode(short / ".s.PGSQL.5432")) <= SOCKET_PATH_LIMIT
        assert mode(short) == 0o700
        assert socket_folder(tmp_path / ("x" * 90), current_account()) == short
    finally:
        short.rmdir()


def test_the_home_is_the_given_one_else_the_user_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert home_folder(tmp_path) == tmp_path
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert home_folder(None) == (SYSTEM_HOME if os.geteuid() == 0 else tmp_path / "remand")
