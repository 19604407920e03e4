"""What `remand classify --explain` says."""

from __future__ import annotations

import json
import re

import typer
from typer.testing import CliRunner

from app.cli import classify
from app.cli.explained import coloured, explained

TEXT = "I am sorry. It rained."


def word(text, weight):
    start = TEXT.index(text)
    return {"start": start, "end": start + len(text), "text": text, "weight": weight}


def explanation(**rest):
    option = {
        "key": "remorse", "logit": 1.5, "base_logit": -0.5, "completeness_error": 0.001, "bound": 0.02, "steps": 8,
        "words": [word("sorry", 2.5), word("rained", -0.6), word("It", 0.1)], "other_words": {"count": 2, "weight": 0.0},
        "sentences": [
            {"start": 0, "end": 11, "delta_logit": 2.0, "delta_probability": 0.4},
            {"start": 12, "end": 22, "delta_logit": -0.5, "delta_probability": -0.1},
        ],
    }  # fmt: skip
    return {
        "error": None,
        "windows": 1,
        "explained_windows": [{"start": 0, "end": 22}],
        "options": [option | rest],
    }


def test_words_and_sentences_without_colour():
    lines = explained(TEXT, explanation(), {"remorse": "Remorse"}, colour=False)
    assert lines[1] == "Remorse: logit +1.50 = -0.50 without words +2.00 by words"
    assert lines[2] == "  words: sorry +2.50, rained -0.60, It +0.10"
    assert lines[3] == "  without “I am sorry.”: -2.00 (-40.0%)"
    assert "\x1b" not in "".join(lines)


def test_colour_leaves_the_text_as_it_is():
    shown = coloured(TEXT, explanation()["options"][0]["words"])
    assert re.sub(r"\x1b\[\d+m", "", shown) == TEXT
    assert "\x1b[32m\x1b[1msorry" in shown
    assert "\x1b[31mrained" in shown
    assert "\x1b[32mIt" not in shown


def test_what_is_doubtful_is_said():
    inexact = explained(TEXT, explanation(completeness_error=0.3), {}, colour=False)
    assert "inexact: 0.30 unaccounted for" in inexact[1]
    assert "fixed answer" in explained(TEXT, explanation(steps=0), {}, colour=False)[1]
    partly = explained(TEXT, explanation() | {"windows": 3}, {}, colour=False)
    assert any("1 of 3 windows" in line for line in partly)
    assert explained(TEXT, {"error": "why"}, {}, colour=True) == ["why"]


def test_the_verb_asks_for_it(monkeypatch):
    sent = {}

    def call(_client, _method, _path, json):
        sent.update(json)
        option = {"key": "remorse", "name": "", "probability": 0.8, "decision": True}
        result = {"options": [option], "windows": 1, "error": None, "explanation": explanation()}
        return type(
            "Answer",
            (),
            {
                "json": lambda _: {
                    "results": [result],
                    "model": dict.fromkeys(("name", "adapter", "base_model"), "x"),
                }
            },
        )()

    monkeypatch.setattr(classify, "call", call)
    monkeypatch.setattr(classify, "connect", lambda **_: __import__("contextlib").nullcontext())
    app = typer.Typer()
    classify.register(app)
    shown = CliRunner().invoke(app, [TEXT, "--explain", "--options", "remorse, family"])
    assert shown.exit_code == 0, shown.output
    assert sent["explain"] == {"options": ["remorse", "family"], "top": 1000}
    assert "remorse: logit +1.50" in shown.output
    assert "words: sorry +2.50" in shown.output
    assert json.loads(CliRunner().invoke(app, [TEXT, "--explain", "--json"]).output)["results"]
