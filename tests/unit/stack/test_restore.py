"""A restore that fails leaves the data folder as it was."""

from pathlib import Path

import pytest

from app.settings import Settings
from app.stack import restore
from app.stack.account import current_account
from app.stack.errors import StackError


@pytest.mark.parametrize("there_before", [False, True])
def test_junk_leaves_no_folder_that_was_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there_before: bool
) -> None:
    monkeypatch.setattr(restore, "service_account", current_account)
    (tmp_path / "junk.tar").write_bytes(b"no archive")
    home = tmp_path / "data"
    if there_before:
        home.mkdir(mode=0o700)
    with pytest.raises(StackError, match="not a whole archive"):
        restore.restore_backup(tmp_path / "junk.tar", Settings(home=home))
    assert home.exists() is there_before
