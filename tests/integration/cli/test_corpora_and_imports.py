"""remand import, corpora and keys, against the real app; import jobs run when they are accepted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from app.cli.main import build
from tests.api import bearer
from tests.imports import Imports

GOOD = "id,text,case,remorse,youth\n1,I am sorry.,a,1,0\n2,I was young.,b,0,1\n"


class Connection:
    """What `connect()` gives: the app's client, which runs an import job as soon as it is accepted."""

    def __init__(self, imports: Imports) -> None:
        self._imports = imports
        self.base_url = "http://testserver"

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def get(self, path: str) -> Any:
        return self.request("GET", path)

    def request(self, method: str, path: str, **options: Any) -> Any:
        answer = self._imports.client.request(method, path, **options)
        if method == "POST" and answer.status_code == 202:
            self._imports.run(answer.json()["id"])
        return answer


@pytest.fixture
def remand(imports: Imports, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Runs the command line in an empty folder."""
    for module in ("imports", "corpora", "keys"):
        monkeypatch.setattr(f"app.cli.{module}.connect", lambda **_: Connection(imports))
    monkeypatch.chdir(tmp_path)

    def run(*words: str, answers: str = "") -> Result:
        return CliRunner().invoke(build(), list(words), input=answers)

    # The app runs in this process: its log lines would stand between the command's own.
    with capture_logs():
        yield run


def test_import_is_a_dry_run_until_committed(remand: Any, imports: Imports) -> None:
    """The report in words; nothing stored before --commit; --create makes the corpus only with it."""
    Path("letters.csv").write_text(GOOD)
    dry = remand("import", "letters.csv", "--corpus", "new", "--create")
    assert dry.exit_code == 0, dry.output
    assert "2 texts would be new" in dry.output
    assert "dry run" in dry.output
    assert "no corpus new yet" in dry.stderr
    assert [corpus["name"] for corpus in imports.client.get("/corpora").json()["items"]] == ["letters"]
    stored = remand("import", "letters.csv", "--corpus", "new", "--create", "--commit", "--json")
    assert stored.exit_code == 0, stored.output
    assert json.loads(stored.stdout)["texts"]["new"] == 2
    assert imports.counts()["texts"] == 2


def test_import_that_must_ask(remand: Any, imports: Imports) -> None:
    """Exit code 1 and the question; with the answer in a mapping file it goes on. Rejected rows land in a file."""
    Path("letters.csv").write_text(GOOD + "3,And I.,b,99,0\n4,,b,1,0\n")
    asked = remand("import", "letters.csv", "--corpus", "letters")
    assert asked.exit_code == 1
    assert "'99' once" in asked.stderr
    Path("m.json").write_text('{"codes": {"*": {"99": "uncertain"}}}')
    done = remand(
        "import",
        "letters.csv",
        "--corpus",
        "letters",
        "--mapping",
        "m.json",
        "--commit",
        "--rejected",
        "r.csv",
    )
    assert done.exit_code == 0, done.output
    assert Path("r.csv").read_text().splitlines()[1].startswith("5,text,")
    assert [row[3] for row in imports.values()] == [[1, 0], [0, 1], [2, 0]]


def test_wrong_words(remand: Any) -> None:
    """No such file, no such corpus, a mapping that is no JSON: a message and a code, no traceback."""
    assert remand("import", "none.csv", "--corpus", "letters").exit_code == 2
    Path("letters.csv").write_text(GOOD)
    missing = remand("import", "letters.csv", "--corpus", "nowhere")
    assert (missing.exit_code, "no corpus" in missing.stderr) == (1, True)
    Path("m.json").write_text("{")
    broken = remand("import", "letters.csv", "--corpus", "letters", "--mapping", "m.json")
    assert (broken.exit_code, "not valid JSON" in broken.stderr) == (1, True)


def test_corpora_from_creation_to_deletion(remand: Any, imports: Imports) -> None:
    """Made, shown, its scheme edited as printed, deleted only by its name."""
    assert remand("corpora", "create", "trial", "--sensitive").stdout.startswith("cor_")
    assert "trial [sensitive]" in remand("corpora", "list").stdout
    Path("letters.csv").write_text(GOOD)
    remand("import", "letters.csv", "--corpus", "trial", "--commit")
    assert "2 texts" in remand("corpora", "show", "trial").stdout
    document = json.loads(remand("corpora", "scheme", "trial").stdout)
    document["questions"][0]["options"][0]["definition"] = "Says sorry."
    Path("scheme.json").write_text(json.dumps(document))
    assert json.loads(remand("corpora", "scheme", "trial", "--put", "scheme.json").stdout)["version"] == 2
    assert remand("corpora", "delete", "trial", answers="letters\n").exit_code == 1
    assert imports.counts()["texts"] == 2
    assert remand("corpora", "delete", "trial", answers="trial\n").exit_code == 0
    assert imports.counts()["texts"] == 0


def test_keys(remand: Any, imports: Imports) -> None:
    """Made for one corpus, listed without the secret, revoked; a sign-in link."""
    identifier, secret = remand(
        "keys", "create", "anna", "--role", "reviewer", "--corpus", "letters"
    ).stdout.split()
    assert imports.client.get("/me", headers=bearer(secret)).json()["role"] == "reviewer"
    listed = remand("keys", "list").stdout
    assert identifier in listed
    assert secret not in listed
    assert "/sign-in?token=" in remand("keys", "sign-in-link", identifier).stdout
    assert remand("keys", "revoke", identifier).exit_code == 0
    assert imports.client.get("/me", headers=bearer(secret)).status_code == 401
    assert remand("keys", "create", "x", "--role", "emperor").exit_code == 1
