"""What a fold model has seen: the groups, contents and near-duplicate signatures of its training part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.near_duplicates import Signatures, content_digests, seen_by, signatures


@dataclass(frozen=True, slots=True)
class Seen:
    """What one member learnt from, as digests: no text and no group name is kept."""

    groups: frozenset[str]
    """sha256 (hex) of group keys."""
    contents: frozenset[str]
    """`content_digest` of texts."""
    signed: Signatures
    """uint32 (texts, permutations)."""


def group_digest(group: str) -> str:
    """sha256 (hex) of a group key."""
    return sha256(group.encode("utf-8", "surrogatepass")).hexdigest()


def seen_of(texts: Sequence[str], groups: Sequence[str]) -> Seen:
    """What a member that trained on these texts has seen."""
    return Seen(
        frozenset(group_digest(group) for group in set(groups)),
        frozenset(content_digests(texts)),
        signatures(texts),
    )


def unseen(
    seen: Seen, contents: Sequence[str], groups: Sequence[str | None], signed: Signatures
) -> NDArray[np.bool_]:
    """Whether a member has seen neither a text, nor its group, nor a duplicate or near duplicate: bool (texts).

    Args:
        seen: of the member.
        contents: `content_digest` of each text.
        groups: group key of each text, None where it has none.
        signed: `signatures` of the texts, uint32 (texts, permutations).
    """
    digests = {group: None if group is None else group_digest(group) for group in set(groups)}
    known = np.fromiter(
        (
            content in seen.contents or digests[group] in seen.groups
            for content, group in zip(contents, groups, strict=True)
        ),
        dtype=np.bool_,
        count=len(contents),
    )
    open_ = np.flatnonzero(~known)
    known[open_] = seen_by(signed[open_], seen.signed)
    return ~known


def write_seen(folder: Path, seen: Seen) -> None:
    """Write seen.json and seen.npz."""
    document = {"groups": sorted(seen.groups), "contents": sorted(seen.contents)}
    (folder / "seen.json").write_text(json.dumps(document))
    np.savez(folder / "seen.npz", signatures=seen.signed)


def read_seen(folder: Path) -> Seen:
    """Inverse of `write_seen`."""
    document = json.loads((folder / "seen.json").read_text())
    with np.load(folder / "seen.npz", allow_pickle=False) as arrays:
        signed: Signatures = arrays["signatures"]
    return Seen(frozenset(document["groups"]), frozenset(document["contents"]), signed)
