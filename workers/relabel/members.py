"""Which fold models have not seen which texts: the heart of "no text is audited with a probability that is not held out"."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.adapters.seen import read_seen, unseen
from models.data.near_duplicates import PERMUTATIONS, Signatures, signatures
from workers.job_context import JobContext, JobStopped
from workers.relabel.contents import batches
from workers.relabel.frozen import FINAL, Run


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who reads what."""

    members: tuple[str, ...]
    """The fold models, then `final`."""
    unseen: NDArray[np.bool_]
    """bool (texts, fold models)."""

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """bool (texts): whether some fold model has not seen the text."""
        return np.asarray(self.unseen.any(axis=1))

    def uses(self, text: int) -> list[int]:
        """Places in `members` of the models whose mean is a text's probability: all that have not seen it, else the final one."""
        free = np.flatnonzero(self.unseen[text])
        return free.tolist() if len(free) else [len(self.members) - 1]


def assign(job: JobContext, run: Run, signed: Signatures) -> Assignment:
    """Compare every text with what each fold model has seen, all texts at once."""
    members = (*run.adapter.fold_members, FINAL)
    keys = run.texts.external_ids if run.adapter.own else None
    columns = []
    for place, member in enumerate(run.adapter.fold_members):
        job.progress(
            stage="checking what each model has seen", done=place, total=len(run.adapter.fold_members)
        )
        seen = read_seen(run.adapter.fold_folder(member))
        columns.append(unseen(seen, run.texts.sha256, run.texts.groups, signed, keys))
    shape = (len(run.texts.text_ids), 0)
    return Assignment(members, np.stack(columns, axis=1) if columns else np.zeros(shape, dtype=np.bool_))


def signed_texts(job: JobContext, run: Run) -> Signatures:
    """Near-duplicate signatures of all texts, uint32 (texts, permutations); kept in the work folder for later attempts."""
    path = job.work_dir / f"signatures-{run.id}.npy"
    total = len(run.texts.text_ids)
    if path.exists():
        kept: Signatures = np.load(path, allow_pickle=False)
        if kept.shape == (total, PERMUTATIONS):
            return kept
    parts: list[Signatures] = []
    done = 0
    for contents in batches(run.texts.text_version_ids):
        if job.stop_reason() is not None:
            raise JobStopped
        parts.append(signatures(contents))
        done += len(contents)
        job.progress(stage="near-duplicate signatures", done=done, total=total)
    signed = np.concatenate(parts)
    _keep(path, signed)
    return signed


def _keep(path: Path, array: NDArray[np.generic]) -> None:
    temporary = path.with_suffix(".partial.npy")
    np.save(temporary, array)
    temporary.replace(path)
