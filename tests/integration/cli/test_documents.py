"""remand documents, against the real app; document jobs run when they are accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from structlog.testing import capture_logs
from typer.testing import CliRunner

from app.cli.main import build
from tests.document_sets import read
from tests.made_documents import scanned_pdf


class Connection:
    """What `connect()` gives: the app's client, which reads a set as soon as it is accepted."""

    def __init__(self, client: TestClient) -> None:
        self._client, self.base_url = client, "http://testserver"

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def request(self, method: str, path: str, **options: Any) -> Any:
        answer = self._client.request(method, path, **options)
        if method == "POST" and answer.status_code == 202:
            read(self._client, answer.json())
        return answer


def test_documents_are_added_shown_and_deleted(
    admin: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.post("/corpora", json={"name": "judgments"})
    monkeypatch.setattr("app.cli.documents.connect", lambda **_: Connection(admin))
    (tmp_path / "a.txt").write_text("The appeal is allowed.")
    (tmp_path / "scan.pdf").write_bytes(scanned_pdf())

    def remand(*arguments: str) -> Any:
        with capture_logs():
            return CliRunner().invoke(build(), ["documents", *arguments])

    added = remand("add", str(tmp_path / "a.txt"), str(tmp_path / "scan.pdf"), "--corpus", "judgments")
    assert added.exit_code == 0, added.output
    identifier = added.stdout.splitlines()[0]
    assert "1 documents, 22 characters, 1 refused" in added.stdout
    assert "refused (document-scanned): scan.pdf" in added.stderr
    assert identifier in remand("list", "--corpus", "judgments").stdout
    assert "a.txt: 22 characters\nscan.pdf: refused" in remand("show", identifier).stdout
    assert remand("delete", identifier).exit_code == 0
    assert remand("list").stdout == ""
    refused = remand("add", str(tmp_path / "scan.pdf"), "--corpus", "judgments")
    assert (refused.exit_code, "Nothing in these files" in refused.stderr) == (1, True)
