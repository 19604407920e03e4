import csv

from typer.testing import CliRunner

from app.cli.demo_data import mapping
from app.cli.main import build
from app.corpora.mapping import Mapping, check_mapping
from models.data.demo import LABEL_COLUMNS, OPTIONS


def run(*arguments):
    return CliRunner().invoke(build(), ["demo-data", *arguments])


def test_letters_and_truth_are_written_and_called_synthetic(tmp_path):
    out = tmp_path / "letters.csv"
    result = run("--texts", "25", "--out", str(out), "--seed", "2")
    assert result.exit_code == 0
    assert "25 synthetic letters" in result.output
    assert "wrong on purpose" in result.output
    with (tmp_path / "letters.truth.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 25


def test_a_folder_that_is_not_there_is_a_clear_message(tmp_path):
    result = run("--texts", "1", "--out", str(tmp_path / "missing" / "letters.csv"))
    assert result.exit_code == 1
    assert "cannot be written: No such file or directory" in result.output
    assert "--out" in result.output


def test_no_letters_are_refused(tmp_path):
    assert run("--texts", "0", "--out", str(tmp_path / "letters.csv")).exit_code == 2


def test_the_mapping_is_one_an_import_takes_and_names_every_column():
    given = Mapping.model_validate(mapping())
    check_mapping(given)
    (question,) = given.questions
    assert [wide.option_key for wide in question.wide()] == list(OPTIONS)
    named = {
        given.id,
        given.text,
        given.annotator,
        given.team,
        given.annotated_at,
        given.codebook_version,
    }
    named |= {*given.groups, *given.metadata, *OPTIONS}
    assert named == set(LABEL_COLUMNS)
