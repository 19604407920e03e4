"""From the windows of long texts to one probability per option, and which window decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.adapters.head import head_logits, window_logits
from models.adapters.member import Member
from workers.inference.wire import Pool

Matrix = NDArray[np.float32]


class TextContext(NamedTuple):
    """What running a text takes besides tokens."""

    members: tuple[str, ...]
    wide: tuple[Matrix | None, ...]
    """Per member float32 (options): the wide branch's logits."""
    embedding: bool
    beside: bool
    """Whether it is known what stands around the text: which of a member's readings answers."""


class WindowSums(NamedTuple):
    """A window's sums over tokens."""

    members: tuple[Matrix, ...]
    """Per member of the text float32 (features): the pooled layers side by side."""
    embedding: Matrix | None
    tokens: int


@dataclass(frozen=True, slots=True)
class MemberText:
    """One text as one member has read it."""

    sums: Matrix
    """float32 (windows, features)."""
    tokens: Matrix
    """float32 (windows, 1)."""
    wide: Matrix | None
    """float32 (options)."""


def member_text(context: TextContext, windows: Sequence[WindowSums], name: str) -> MemberText:
    """What a member has read of a text; ValueError when it has not read it."""
    place = context.members.index(name)
    tokens = np.array([[window.tokens] for window in windows], dtype=np.float32)
    return MemberText(np.stack([window.members[place] for window in windows]), tokens, context.wide[place])


def pooled_probabilities(
    member: Member, texts: Sequence[MemberText], pool: Pool
) -> tuple[Matrix, NDArray[np.int32]]:
    """Calibrated probabilities, float32 (texts, options), and deciding windows, int32 of the same shape.

    The deciding window of an option is the one that, read alone beside the text's words, speaks most for it.

    Args:
        member: the reading whose head and calibration to use.
        texts: what it has read.
        pool: "mean": as in training, which is a mean over all tokens unless the adapter was trained with another
            `window_pooling`; "max": the strongest window of each option.
    """
    sums = np.concatenate([text.sums for text in texts])
    tokens = np.concatenate([text.tokens[:, 0] for text in texts])
    first = np.cumsum([0, *(len(text.tokens) for text in texts)])
    wide = None if member.wide is None else np.stack([text.wide for text in texts if text.wide is not None])
    logits = window_logits(member.head, sums, tokens, first, wide)
    deciding = np.zeros(logits.shape, dtype=np.int32)
    for row, text in enumerate(texts):
        if len(text.tokens) > 1:
            alone = _windows_alone(member, text)
            deciding[row] = alone.argmax(axis=0)
            if pool == "max":
                logits[row] = alone.max(axis=0)
    return member.calibration.apply(logits), deciding


def _windows_alone(member: Member, text: MemberText) -> Matrix:
    """Logits of each window as if it were the whole text: float32 (windows, options)."""
    wide = None if text.wide is None else np.repeat(text.wide[None], len(text.tokens), axis=0)
    return head_logits(member.head, text.sums / text.tokens, wide)
