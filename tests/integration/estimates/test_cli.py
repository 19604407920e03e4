"""`remand estimates` against the served app: asked, followed, shown, taken away."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from app.blobs import BlobStore
from app.cli.main import build
from app.db.session import writing
from app.http.security import create_api_key, forget_credentials
from app.settings import get_settings
from tests.integration.estimates.second import draw_again
from tests.integration.estimates.world import World
from tests.served import served_app


@pytest.fixture
def line(engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    """A command line that is pointed at the running app, with an admin's key."""
    forget_credentials()
    with writing(engine) as session:
        _, secret = create_api_key(session, "ada", "admin")
    with served_app() as address:
        monkeypatch.setenv("REMAND_URL", address)
        monkeypatch.setenv("REMAND_API_KEY", secret)
        monkeypatch.setenv("COLUMNS", "160")
        yield CliRunner()


def test_from_the_command_line_to_a_package(
    line: CliRunner, world: World, attempt: Callable[[str], Any], tmp_path: Path
) -> None:
    def said(*words: str) -> str:
        done = line.invoke(build(), ["estimates", *words])
        assert done.exit_code == 0, done.output
        return done.stdout

    corpus = ("--corpus", world.corpus_id)
    assert "1. share of texts with remorse: 357 read" in said("run", *corpus, "--dry-run")
    spec = tmp_path / "spec.json"
    analysis = {"kind": "linear", "outcome": {"column": "year"}, "covariates": [{"label": "remorse"}]}
    spec.write_text(json.dumps([analysis]))
    words = (
        "--spec",
        str(spec),
        "--prevalence",
        "remorse",
        "--difference",
        "remorse:court",
        "--cluster-by",
        "none",
    )
    queued = said("run", *corpus, "--audit-sample", world.sample_id, *words, "--no-follow")
    job = re.findall(r"(job_\w+) is queued", queued)[0]
    assert attempt(job).state == "succeeded"
    shown = said("show", job)
    assert "1. linear regression of year on remorse" in shown
    assert "2. share of texts with remorse" in shown
    assert "Not estimated. 10 texts have no value of court" in shown
    assert said("show", job, "--json").count('"words":') == 3
    target = tmp_path / "replication.zip"
    said("package", job, str(target))
    assert "replication/reproduce.R" in zipfile.ZipFile(target).namelist()
    for taken, expected in (
        (target, "name another file"),
        (tmp_path / "nowhere" / "a.zip", "cannot be written"),
    ):
        done = line.invoke(build(), ["estimates", "package", job, str(taken)])
        assert done.exit_code == 1
        assert expected in done.output


def test_audit_samples_named_one_after_another_are_used_together(
    line: CliRunner, world: World, engine: Engine
) -> None:
    second = draw_again(engine, BlobStore(get_settings().blob_root), world)
    words = ["estimates", "run", "--corpus", world.corpus_id, "--dry-run", "--audit-sample", world.sample_id]
    alone = line.invoke(build(), words).stdout
    both = line.invoke(build(), [*words, "--audit-sample", second]).stdout
    assert f"360 of 1,500 texts were drawn for {world.sample_id}." in alone
    assert f"of 1,400 texts were drawn for {world.sample_id} and {second}." in both


def test_what_goes_wrong_is_said(line: CliRunner, world: World, tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text("{")
    listless = tmp_path / "listless.json"
    listless.write_text('{"analyses": {"kind": "prevalence"}}')
    foreign = tmp_path / "foreign.json"
    foreign.write_text('{"corpus": "elsewhere"}')
    for words, expected in (
        (["--spec", str(spec)], "is no JSON"),
        (["--spec", str(foreign)], "is about the corpus 'elsewhere'"),
        (["--spec", str(listless)], "`analyses` must be a list, not dict"),
        (["--difference", "remorse"], "write OPTION:COLUMN"),
        (["--prevalence", "unread"], "was not read in this audit sample"),
    ):
        done = line.invoke(build(), ["estimates", "run", "--corpus", world.corpus_id, *words])
        assert done.exit_code == 1
        assert expected in done.output
