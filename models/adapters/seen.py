"""What a fold model has seen: the groups, ids, contents and near-duplicate signatures of its training part."""

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
    """What one member learnt from, as digests: no text, no text id and no group name is kept."""

    groups: frozenset[str]
    """sha256 (hex) of group keys."""
    contents: frozenset[str]
    """`content_digest` of texts."""
    signed: Signatures
    """uint32 (texts, permutations)."""
    keys: frozenset[str] = frozenset()
    """sha256 (hex) of text ids: what tells a text again whose content and group have both changed."""


def key_digest(key: str) -> str:
    """sha256 (hex) of a group key or a text id."""
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def seen_of(texts: Sequence[str], groups: Sequence[str], keys: Sequence[str] = ()) -> Seen:
    """What a member that trained on these texts, of these groups and ids, has seen."""
    return Seen(
        frozenset(key_digest(group) for group in set(groups)),
        frozenset(content_digests(texts)),
        signatures(texts),
        frozenset(key_digest(key) for key in keys),
    )


def unseen(
    seen: Seen,
    contents: Sequence[str],
    groups: Sequence[str | None],
    signed: Signatures,
    keys: Sequence[str] | None = None,
) -> NDArray[np.bool_]:
    """Whether a member has seen neither a text, nor its group, nor a duplicate or near duplicate: bool (texts).

    Args:
        seen: of the member.
        contents: `content_digest` of each text.
        groups: group key of each text, None where it has none.
        signed: `signatures` of the texts, uint32 (texts, permutations).
        keys: id of each text, where they are of the corpus that the member was trained on; the groups that the seen texts
            have by now then count as seen, however the texts were grouped at training.
    """
    digests = {group: None if group is None else key_digest(group) for group in set(groups)}
    same = [False] * len(contents) if keys is None else [key_digest(key) in seen.keys for key in keys]
    familiar = {group for group, again in zip(groups, same, strict=True) if again} - {None}
    known = np.fromiter(
        (
            again or content in seen.contents or digests[group] in seen.groups or group in familiar
            for content, group, again in zip(contents, groups, same, strict=True)
        ),
        dtype=np.bool_,
        count=len(contents),
    )
    open_ = np.flatnonzero(~known)
    known[open_] = seen_by(signed[open_], seen.signed)
    return ~known


def write_seen(folder: Path, seen: Seen) -> None:
    """Write seen.json and seen.npz."""
    document = {"groups": sorted(seen.groups), "contents": sorted(seen.contents), "keys": sorted(seen.keys)}
    (folder / "seen.json").write_text(json.dumps(document))
    np.savez(folder / "seen.npz", signatures=seen.signed)


def read_seen(folder: Path) -> Seen:
    """Inverse of `write_seen`."""
    document = json.loads((folder / "seen.json").read_text())
    with np.load(folder / "seen.npz", allow_pickle=False) as arrays:
        signed: Signatures = arrays["signatures"]
    keys = document.get("keys", ())  # adapters made before ids were kept
    return Seen(frozenset(document["groups"]), frozenset(document["contents"]), signed, frozenset(keys))
