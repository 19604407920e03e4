"""Who may read which text: the shipped model where it has not seen it, else the fold models that have not, else nobody."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.adapters.seen import Seen, key_digest, read_seen, unseen
from models.evaluation.twins import twins_in_training
from workers.evaluate.scope import Scope

FINAL = "final"


@dataclass(frozen=True, slots=True)
class Readers:
    """Who reads what."""

    members: tuple[str, ...]
    """`final`, then the fold models."""
    uses: NDArray[np.bool_]
    """bool (rows, members): whose mean is a row's probability; no one where the row cannot be held out."""
    twin: NDArray[np.bool_] | None
    """bool (rows): whether the adapter was trained on a (near) duplicate of the row; None where it does not say what it was trained on."""

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """bool (rows)."""
        return np.asarray(self.uses.any(axis=1))


def readers_of(folder: Path, members: list[str], scope: Scope, *, own: bool) -> Readers:
    """Compare every row with what each model has seen.

    Args:
        folder: the adapter's.
        members: of its manifest.
        scope: the rows.
        own: whether the adapter belongs to the corpus, so that text ids mean the same in both.
    """
    folds = [name for name in members if name != FINAL]
    digests = [key_digest(key) for key in scope.corpus_keys] if own else []
    free = np.zeros((len(scope.keys), 1 + len(folds)), dtype=np.bool_)
    twin = None
    if (
        folder / "seen.json"
    ).is_file():  # adapters made before it was kept are read by their fold models alone
        seen = read_seen(folder)
        free[:, 0] = _unseen(seen, scope, digests)
        trained = np.array([own and key_digest(key) in seen.keys for key in scope.keys], dtype=np.bool_)
        twin = twins_in_training(scope.signed, trained, seen.signed)
    for place, name in enumerate(folds, start=1):
        free[:, place] = _unseen(read_seen(folder / "folds" / name.removeprefix("fold")), scope, digests)
    free[free[:, 0], 1:] = False
    return Readers((FINAL, *folds), free, twin)


def _unseen(seen: Seen, scope: Scope, digests: list[str]) -> NDArray[np.bool_]:
    """bool (rows); `digests` are those of the corpus's text ids, empty where they mean nothing to the adapter."""
    familiar = {
        group for group, digest in zip(scope.corpus_groups, digests, strict=False) if digest in seen.keys
    }
    strange = np.array([group not in familiar for group in scope.groups], dtype=np.bool_)
    keys = scope.keys if digests else None
    return strange & unseen(seen, scope.sha256, scope.groups, scope.signed, keys)
