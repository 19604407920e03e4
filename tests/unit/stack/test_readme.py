"""What the README and the pages about documents, summaries and evaluations tell people to type exists."""

import re
from pathlib import Path

import pytest
import typer.main

from app.cli.main import build

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text()
DOCUMENTS = "\n".join(
    (ROOT / "docs" / f"{name}.md").read_text() for name in ("documents", "evaluation", "summaries")
)
BLOCKS = "\n".join(re.findall(r"^```(?:sh)?\n(.*?)^```", README + DOCUMENTS, re.MULTILINE | re.DOTALL))
COMMANDS = sorted(
    {line.partition("#")[0].strip() for line in BLOCKS.splitlines() if line.startswith("./remand ")}
    | set(re.findall(r"`\.?/?(remand [a-z][^`]*)`", README + DOCUMENTS))
)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_documented_command_exists_with_its_options(line: str) -> None:
    words = line.split()[1:]
    command = typer.main.get_command(build())
    while words and words[0] in (getattr(command, "commands", None) or {}):
        command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
    assert command.name != "remand", f"{line!r} names no verb"
    known = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    assert {word.replace("_", "-") for word in words if word.startswith("--")} <= known | {"--help"}


def test_the_two_commands_that_set_up_and_run_everything_are_named() -> None:
    assert {"./remand demo", "./remand test"} <= set(COMMANDS)


def test_every_exit_code_of_up_is_the_documented_one() -> None:
    from app.stack import errors

    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    raised = {
        getattr(errors, name).exit_code
        for name in ("AlreadyRunning", "PortTaken", "PartFailed", "FolderUnusable")
    }
    assert documented == raised


def test_linked_files_exist() -> None:
    links = list(re.findall(r"\]\(([^)#:]+)\)", README))
    assert [link for link in links if not (ROOT / link).exists()] == []
