"""What the command line says when Remand does not answer, or breaks off, and what reaches the terminal."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from typer.testing import CliRunner, Result

from app.cli.main import build

PIECE = b'event: piece\ndata: {"from":"base","text":"held \\u001b[31mred"}\n\n'
DONE = b'event: done\ndata: {"from":"base","result":{"tokens":3,"prompt_tokens":2,"finish":"end"},"seed":7,"warnings":[]}\n\n'
Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    def against(answer: httpx.Response | Exception, *words: str) -> Result:
        def handle(_: httpx.Request) -> httpx.Response:
            if isinstance(answer, Exception):
                raise answer
            return answer

        app = build()
        client = httpx.Client(base_url="http://remand", transport=httpx.MockTransport(handle), timeout=60.0)
        for module in ("generate", "summarize"):
            monkeypatch.setattr(f"app.cli.{module}.connect", lambda timeout=60.0: client)
        return CliRunner().invoke(app, list(words))

    return against


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httpx.ConnectError("refused"), "Nothing answers at http://remand"),
        (httpx.ReadTimeout("slow"), "Remand has not answered within 60 s"),
        (httpx.RemoteProtocolError("cut"), "Remand broke off in the middle of its answer"),
        (httpx.ReadError("reset"), "Remand broke off in the middle of its answer"),
    ],
)
@pytest.mark.parametrize(
    "asked", [("summarize", "He paid."), ("generate", "He", "--base-model", "gpt-j-6b", "--stream")]
)
def test_a_way_that_fails_is_told_in_words(
    run: Run, error: Exception, words: str, asked: tuple[str, ...]
) -> None:
    done = run(error, *asked)
    assert (done.exit_code, done.output.startswith(words)) == (1, True), done.output


def test_a_stream_that_ends_before_its_text_is_an_error_and_no_control_character_is_printed(run: Run) -> None:
    asked = ("generate", "He", "--base-model", "gpt-j-6b", "--stream")
    whole = run(httpx.Response(200, content=PIECE + DONE), *asked)
    assert (whole.exit_code, whole.output.splitlines()) == (
        0,
        ["held [31mred", "(3 tokens after 2, end, seed 7)"],
    )
    cut = run(httpx.Response(200, content=PIECE), *asked)
    assert cut.exit_code == 1
    assert "broke off before the text had ended" in cut.output
