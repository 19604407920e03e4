"""CSV files as rows with line numbers."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.importing.delimited import open_delimited
from workers.importing.source import Rejected, Row
from workers.job_context import JobFailed


def read(tmp_path: Path, content: bytes, encoding: str | None = None) -> list[Row | Rejected]:
    """The rows of a file."""
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    return list(open_delimited(path, encoding, None).rows())


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_told_by_agreement(tmp_path: Path, delimiter: str) -> None:
    """Commas inside a text of a semicolon file do not mislead."""
    lines = [["id", "text", "label"], ["1", "a, b, and c", "x"], ["2", "d, e", "y"]]
    content = "\n".join(delimiter.join(f'"{field}"' for field in line) for line in lines)
    assert [row.values for row in read(tmp_path, content.encode()) if isinstance(row, Row)] == lines[1:]


def test_excels_separator_line(tmp_path: Path) -> None:
    """`sep=;` names the delimiter and is no header."""
    assert read(tmp_path, b"sep=;\r\na;b\r\n1;2\r\n") == [Row(3, ["1", "2"])]


def test_line_numbers_count_lines_not_records(tmp_path: Path) -> None:
    """Newlines inside quotes and blank lines count."""
    content = b'id,text\n1,"one\ntwo\r\nthree"\n\n   \n2,four\n3\n'
    assert [row.line for row in read(tmp_path, content)] == [2, 7, 8]


def test_encodings(tmp_path: Path) -> None:
    """A byte order mark tells UTF-16; a wrong byte is told with its line."""
    content = "id,text\n1,été\n"
    assert read(tmp_path, content.encode("utf-16")) == [Row(2, ["1", "été"])]
    assert read(tmp_path, content.encode("utf-8-sig")) == [Row(2, ["1", "été"])]
    assert read(tmp_path, content.encode("cp1252"), "cp1252") == [Row(2, ["1", "été"])]
    with pytest.raises(JobFailed) as failed:
        read(tmp_path, content.encode("cp1252"))
    assert (failed.value.code, failed.value.extra["line"]) == ("invalid-encoding", 2)


@given(
    rows=st.lists(
        st.lists(
            st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00")),
            min_size=3,
            max_size=3,
        ),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    """Any fields written as CSV come back as they were, each with a line number after the one before."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL)
    writer.writerow(["id", "text", "label"])
    writer.writerows(rows)
    found = read(tmp_path_factory.mktemp("csv"), buffer.getvalue().encode())
    assert [row.values for row in found if isinstance(row, Row)] == rows
    lines = [row.line for row in found]
    assert lines == sorted(set(lines))
