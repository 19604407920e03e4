"""Tables of the command line: whole in a pipe, folded on a narrow terminal, never cut."""

from __future__ import annotations

import re

import pytest

from app.cli.tables import print_table

ID = "adp_01k3zq5w0v8n2m4c6x7y9abcd"
HEADINGS = ["adapter", "name", "held out"]
ROWS = [[ID, "letters [of 2020] " + "x" * 60, "ROUGE-L 0.123 → 0.456"], [ID, "short", "–"]]


def test_in_a_pipe_a_row_is_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_table(HEADINGS, ROWS, copied=0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert [re.split(r" {2,}", line.strip()) for line in lines] == [HEADINGS, *ROWS]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_narrow_terminal_folds_and_loses_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(HEADINGS, ROWS, copied=0)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= width
    assert "…" not in shown
    assert shown.count(ID) == 2
    assert shown.count("x") == 60 + ID.count("x") * 2
    for word in ("letters", "ROUGE-L", "0.123", "0.456"):
        assert word in shown
