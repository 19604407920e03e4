"""How often people follow the model, blind and not, at flags and at decoys: shares with intervals. Pure.

A decision follows the model where it takes the model's value. At a flag that mostly means changing the label; at a decoy, where
the model mostly agrees with the label, it means keeping it. If people followed what they read and not what they are shown, both
shares would be the same blind and not blind but for the choice of cells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Z = 1.959964
"""Of a two-sided interval of 95 %."""


@dataclass(frozen=True, slots=True)
class Vote:
    """One reviewer's first decision on a cell of a queue."""

    reviewer: str
    blind: bool
    decoy: bool
    model: str
    human: str
    value: str


@dataclass(frozen=True, slots=True)
class Share:
    """A share with Wilson's interval (1927); all None without any decision."""

    count: int
    of: int
    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Group:
    """Decisions of one kind."""

    reviewer: str | None
    """None: everybody."""
    blind: bool
    reason: Literal["flag", "decoy"]
    follows_model: Share
    """Decided as the model says, where model and label differ; where they agree there is nothing to tell."""
    keeps_label: Share
    """Decided as the label says."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more often the model is followed when it is seen: the difference of two shares with Newcombe's interval (1998)."""

    reviewer: str | None
    share: float
    low: float
    high: float


def groups(votes: Sequence[Vote]) -> list[Group]:
    """Everybody first, then reviewer by reviewer; blind before not blind, flags before decoys. Groups without decisions are left out."""
    people = [None, *sorted({vote.reviewer for vote in votes})]
    found = []
    for person in people:
        for blind in (True, False):
            for decoy in (False, True):
                own = [
                    v for v in votes if person in {None, v.reviewer} and (v.blind, v.decoy) == (blind, decoy)
                ]
                if own:
                    found.append(_group(person, blind, decoy, own))
    return found


def differences(votes: Sequence[Vote]) -> list[Difference]:
    """Not blind less blind, at flags where model and label differ; for everybody and for each reviewer who has both."""
    found = []
    for person in [None, *sorted({vote.reviewer for vote in votes})]:
        own = [v for v in votes if person in {None, v.reviewer} and not v.decoy and v.model != v.human]
        seen, blind = (
            wilson(sum(v.value == v.model for v in part), len(part))
            for part in ([v for v in own if not v.blind], [v for v in own if v.blind])
        )
        difference = newcombe(seen, blind)
        if difference is not None:
            found.append(Difference(person, *difference))
    return found


def wilson(count: int, of: int) -> Share:
    """A share with Wilson's interval."""
    if not of:
        return Share(0, 0, None, None, None)
    share = count / of
    scale = 1 + Z**2 / of
    middle = (share + Z**2 / (2 * of)) / scale
    half = Z / scale * math.sqrt(share * (1 - share) / of + Z**2 / (4 * of**2))
    return Share(count, of, share, max(0.0, middle - half), min(1.0, middle + half))


def newcombe(first: Share, second: Share) -> tuple[float, float, float] | None:
    """First less second with an interval from both shares' own (Newcombe 1998, method 10); None where one is unknown."""
    one, other = _known(first), _known(second)
    if one is None or other is None:
        return None
    difference = one[0] - other[0]
    below = math.hypot(one[0] - one[1], other[2] - other[0])
    above = math.hypot(one[2] - one[0], other[0] - other[1])
    return difference, max(-1.0, difference - below), min(1.0, difference + above)


def _known(share: Share) -> tuple[float, float, float] | None:
    """Share and ends."""
    if share.share is None or share.low is None or share.high is None:
        return None
    return share.share, share.low, share.high


def _group(reviewer: str | None, blind: bool, decoy: bool, votes: Sequence[Vote]) -> Group:
    telling = [vote for vote in votes if vote.model != vote.human]
    return Group(
        reviewer,
        blind,
        "decoy" if decoy else "flag",
        wilson(sum(vote.value == vote.model for vote in telling), len(telling)),
        wilson(sum(vote.value == vote.human for vote in votes), len(votes)),
    )
