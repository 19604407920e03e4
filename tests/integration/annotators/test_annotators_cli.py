"""`remand annotators --fit` and `remand corpora set` against the served app, the job in its real child process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from app.cli import following
from app.cli.main import build
from app.db.session import writing
from app.http.security import create_api_key, forget_credentials
from tests.attempts import claimed
from tests.served import served_app
from tests.several_annotators import Several


@pytest.fixture
def line(engine: Engine, several: Several, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    """A command line that is pointed at the running app, with an admin's key."""
    forget_credentials()
    with writing(engine) as session:
        _, secret = create_api_key(session, "ada", "admin")
    with served_app() as address:
        monkeypatch.setenv("REMAND_URL", address)
        monkeypatch.setenv("REMAND_API_KEY", secret)
        yield CliRunner()


def said(line: CliRunner, *words: str) -> str:
    """What was printed, without the served app's log."""
    done = line.invoke(build(), list(words))
    assert done.exit_code == 0, done.output
    return "\n".join(part for part in done.stdout.splitlines() if not part.startswith('{"method"'))


def test_fit_follow_show(line: CliRunner, engine: Engine, several: Several, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    told = following.job_events

    def work_then_tell(client: Any, path: str) -> Any:
        """What a jobs worker does: claim the job and start its child."""
        job_id = path.split("/")[-2]
        child = subprocess.Popen(
            [sys.executable, "-m", "workers.annotators", job_id, str(claimed(job_id).fence)],
            stdin=subprocess.PIPE,
        )
        assert child.wait(120) == 0
        return told(client, path)

    monkeypatch.setattr(following, "job_events", work_then_tell)
    assert "Models fitted" not in said(line, "annotators", several.corpus_id)
    shown = said(line, "annotators", several.corpus_id, "--fit", "--detail")
    assert "Models fitted without each team" in shown
    assert "Only two could be judged" in shown
    assert "points" in shown
    assert "2019 Q1" in shown
    assert '"report": {' in said(line, "annotators", several.corpus_id, "--json")


def test_both_verbs_take_the_same_filters(line: CliRunner, several: Several) -> None:
    for verb in ("agreement", "annotators"):
        assert said(line, verb, several.corpus_id, "--metadata", "year=2020", "--team", "north").startswith("2 annotators")  # fmt: skip
        assert (
            said(line, verb, several.corpus_id, "--group", "case=nowhere")
            == "No annotation passes these filters."
        )
        assert json.loads(said(line, verb, several.corpus_id, "--group", "case=nowhere", "--json"))["annotators"] == []  # fmt: skip
        refused = line.invoke(build(), [verb, several.corpus_id, "--metadata", "yaer=2020"])
        assert refused.exit_code == 1
        assert "there are: 'year'" in refused.output


def test_the_consensus_is_set_and_the_rest_stays(line: CliRunner, several: Several) -> None:
    before = said(line, "corpora", "show", several.corpus_id)
    assert "consensus dawid_skene (was majority)" in said(line, "corpora", "set", several.corpus_id, "--consensus", "dawid_skene")  # fmt: skip
    assert "(was dawid_skene)" in said(
        line, "corpora", "set", several.corpus_id, "--consensus", "model_aware"
    )
    after = said(line, "corpora", "show", several.corpus_id)
    assert after == before.replace("consensus majority", "consensus model_aware")
    refused = line.invoke(build(), ["corpora", "set", several.corpus_id, "--consensus", "vote"])
    assert refused.exit_code == 2
