"""A model of words that needs no weights: it reads so many words, and writes the first ones of what it is given."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.text.asking import Counted, CountTokens, Embed, Write, Written


class WordModel:
    """Counts a token per word and one at the end; a summary is the first sentences of the input that fit, or its first words."""

    def __init__(self, longest_input: int | None = 120, unknown: str = "?", embedder: bool = True) -> None:
        self.longest_input = longest_input
        self.unknown = unknown
        self.embedder = embedder
        self.asked: list[Any] = []

    def tokens(self, text: str) -> int:
        """Tokens of a text, its end mark included."""
        return len(text.split()) + 1

    def answer(self, ask: Any) -> Any:
        """What is asked by the steps of a summary."""
        self.asked.append(ask)
        if isinstance(ask, CountTokens):
            unknown = tuple(sum(word == self.unknown for word in text.split()) for text in ask.texts)
            return Counted(tuple(map(self.tokens, ask.texts)), self.longest_input, unknown)
        if isinstance(ask, Embed):
            return np.eye(len(ask.texts), 8) + 1 if self.embedder else None
        assert isinstance(ask, Write)
        return [self.write(prompt, most) for prompt, most in zip(ask.prompts, ask.most_tokens, strict=True)]

    def write(self, prompt: str, most: int) -> Written:
        """The first words after the prefix."""
        if self.longest_input is not None and self.tokens(prompt) > self.longest_input:
            raise AssertionError(
                f"a prompt of {self.tokens(prompt)} tokens was sent, {self.longest_input} are read"
            )
        words = prompt.partition(": ")[2].split()
        return Written(" ".join(words[:most]), min(most, len(words)), cut=len(words) > most)

    @property
    def writes(self) -> list[Write]:
        """What was written, in order."""
        return [ask for ask in self.asked if isinstance(ask, Write)]


def carried_out(steps: Any, model: WordModel) -> Any:
    """What some steps return when a model answers."""
    answer = None
    while True:
        try:
            ask = steps.send(answer)
        except StopIteration as end:
            return end.value
        answer = model.answer(ask)
