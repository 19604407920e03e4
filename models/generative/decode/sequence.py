"""One text being written: its prompt, its limits, what it has so far, and why it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Literal

from models.generative.blocks import Ids
from models.generative.decode.beams import Beams
from models.generative.decode.choice import Choice, Chooser
from models.generative.decode.wording import Wording
from models.generative.decode.writing import Writing, first_stop, text_of

Finish = Literal["end", "stop", "length"]
"""The model ended the text, a stop string was met, or as many tokens as were asked for are written."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a prompt has no text."""

    code: str
    reason: str


@dataclass(slots=True, eq=False)
class Sequence:
    """A prompt on its way to a text."""

    prompt: Ids
    wording: Wording
    choice: Choice
    most: int
    """Tokens that may be written, the end mark among them."""
    seed: int = 0
    stops: tuple[str, ...] = ()
    bulk: bool = False
    streamed: bool = False
    dropped: bool = False
    """Nobody waits for it any more; may be set from any thread."""
    tokens: list[int] = field(default_factory=list)
    finish: Finish | None = None
    failure: Failure | None = None
    chooser: Chooser = field(init=False)
    beams: Beams | None = field(init=False)
    writing: Writing | None = field(init=False)

    def __post_init__(self) -> None:
        """The chooser's stream begins with the seed."""
        start = self.wording.start
        seen = self.prompt.tolist() if start is None else [start]
        self.chooser = Chooser(self.choice, self.wording.ends, Random(self.seed), seen)  # noqa: S311  # texts, not secrets
        self.beams = None
        if self.choice.beams > 1:
            choosers = [Chooser(self.choice, self.wording.ends, self.chooser.stream, list(seen)) for _ in range(self.choice.beams)]  # fmt: skip
            self.beams = Beams(choosers, self.most)
        followed = self.beams is None and (self.streamed or self.stops)
        before = self.wording.tail(self.prompt)
        self.writing = Writing(self.wording.tokenizer, self.stops, before) if followed else None

    @property
    def slots(self) -> int:
        """Rows of the batch that it takes."""
        return self.choice.beams

    @property
    def count(self) -> int:
        """Tokens written."""
        return len(self.tokens)

    def take(self, token: int | None) -> bool:
        """One more token, None where the model's answer was no number; whether it is the last."""
        if token is None:
            self.fail("not-a-number", "the model's answer is not a number")
            return True
        if token in self.wording.ends:
            self._end("end")
            return True
        self.tokens.append(token)
        self.chooser.seen.append(token)
        if self.writing is not None:
            self.writing.add(token)
            if self.writing.stopped:
                self.finish = "stop"
                return True
        if self.count >= self.most:
            self._end("length")
        return self.finish is not None

    def take_beams(self, *, known: bool) -> bool:
        """The beams are a token further; whether the search is over."""
        assert self.beams is not None
        if not known:
            self.fail("not-a-number", "the model's answer is not a number")
            return True
        if self.beams.done:
            best = self.beams.best
            ended = best[-1] in self.wording.ends
            self.tokens, self.finish = (best[:-1], "end") if ended else (best, "length")
        return self.beams.done

    def fail(self, code: str, reason: str) -> None:
        """End without a text."""
        self.failure = Failure(code, reason)

    def text(self) -> str:
        """What was written; `finish` becomes `stop` where a stop string cuts it."""
        if self.writing is not None:
            return self.writing.text
        found = text_of(self.wording.tokenizer, self.tokens, self.wording.tail(self.prompt))
        place = first_stop(found, self.stops)
        if place is not None:
            found, self.finish = found[:place], "stop"
        return found

    def _end(self, finish: Finish) -> None:
        self.finish = finish
        if self.writing is not None:
            self.writing.end()
            if self.writing.stopped:
                self.finish = "stop"
