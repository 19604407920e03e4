"""The reading itself: chunks of texts through a loaded model, each kept in the work folder, so that a later attempt goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.settings import Settings
from app.training.base_models import catalog_document
from models.adapters.load import LoadedAdapter, load_adapter
from models.adapters.member import Member
from models.catalog import CatalogSettings, ModelUnavailableError, locate
from models.data.folds import TooFewGroupsError, assign_folds
from models.encoder.forward import embed
from models.encoder.load import Encoder, load_encoder
from models.evaluation.paired import Side
from models.scheme import MISSING, Labels, Scheme
from models.training.baselines import untrained_logits
from models.training.calibration import cross_fit
from workers.evaluate.keeping import kept
from workers.evaluate.readers import Readers
from workers.evaluate.scope import Scope
from workers.job_context import JobContext, JobFailed, JobStopped
from workers.neighbours import Surroundings
from workers.relabel.contents import contents_of

CHUNK = 256
BASE_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Bases:
    """Base models by name, loaded once."""

    settings: Settings
    loaded: dict[str, Encoder]

    def get(self, name: str, quantization: str | None = None, dtype: torch.dtype | None = None) -> Encoder:
        """JobFailed where it cannot be had. dtype: None for the hardware's."""
        if name not in self.loaded:
            catalog = CatalogSettings.from_document(catalog_document(self.settings))
            more: dict[str, Any] = {"quantization": quantization} if quantization else {}
            try:
                self.loaded[name] = load_encoder(locate(name, catalog), self.settings.device, dtype, **more)
            except ModelUnavailableError as error:
                raise JobFailed(error.code, str(error)) from error
            except ValueError as error:
                raise JobFailed(getattr(error, "code", "device-unavailable"), str(error)) from error
        return self.loaded[name]


def read_adapter(
    context: JobContext, name: str, adapter: LoadedAdapter, readers: Readers, scope: Scope
) -> Side:
    """An adapter's probabilities and decisions of a scope's options: NaN and MISSING where nobody may read a row.

    A row's probability is the mean of its readers', decided at the mean of their shipped thresholds: those of a fold model
    come from the other folds, so that no row helped to choose the threshold it is judged by. A row that nothing is known to
    stand around is read, and decided, as a text alone.
    """
    options = adapter.option_keys
    columns = [options.index(key) for key in scope.scheme.option_keys if key in options]
    targets = [place for place, key in enumerate(scope.scheme.option_keys) if key in options]
    shape = (len(scope.keys), len(options))
    probabilities = np.full(shape, np.nan, dtype=np.float32)
    thresholds = np.full(shape, np.nan, dtype=np.float32)
    around = None
    if adapter.reads_context:
        around = Surroundings(
            scope.corpus_versions, scope.corpus_groups, set(scope.groups), partial(_look, context)
        )
    beside = np.zeros(len(scope.keys), dtype=np.bool_) if around is None else around.given(scope.version_ids)
    shipped = np.stack([_thresholds(adapter.loaded[member], beside) for member in readers.members])
    for used in np.unique(readers.uses[readers.held_out], axis=0):
        rows = np.flatnonzero((readers.uses == used).all(axis=1))
        places = np.flatnonzero(used).tolist()
        members = [readers.members[place] for place in places]
        read = partial(_mean, adapter, members, around)
        probabilities[rows] = _in_chunks(context, "-".join([name, *members]), scope, rows, len(options), read)
        thresholds[rows] = shipped[places][:, rows].mean(axis=0)
    decisions = _decided(probabilities, thresholds, adapter.scheme)
    wide = (len(scope.keys), len(scope.scheme.option_keys))
    side = Side(np.full(wide, np.nan, dtype=np.float32), np.full(wide, MISSING, dtype=np.int8))
    side.probabilities[:, targets], side.decisions[:, targets] = (
        probabilities[:, columns],
        decisions[:, columns],
    )
    return side


def _thresholds(member: Member, beside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """float32 (rows, options): of the reading that answers for each row."""
    rows = len(beside)
    return member.each(beside, lambda reading: np.tile(reading.calibration.thresholds, (rows, 1)))


def _mean(
    adapter: LoadedAdapter,
    members: list[str],
    around: Surroundings | None,
    texts: list[str],
    versions: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Mean of some members' calibrated probabilities: float32 (texts, options)."""
    contexts = None if around is None else around.of(versions)
    mean: NDArray[np.float32] = adapter.predict_members(texts, members, contexts=contexts).mean(axis=0)
    return mean


def _look(context: JobContext, _done: int) -> None:
    if context.stop_reason() is not None:
        raise JobStopped


def read_untrained(context: JobContext, encoder: Encoder, scope: Scope, seed: int) -> tuple[Side, str]:
    """An untrained base model's reading, and in words how it came to thresholds.

    Nothing was ever fitted for it, so each fold of groups is calibrated on the labels of the others: that favours it.
    """
    rows = np.arange(len(scope.keys), dtype=np.int64)
    means = _in_chunks(
        context, "untrained", scope, rows, encoder.hidden_size, lambda texts, _: embed(encoder, texts)
    )
    logits = untrained_logits(encoder, means, scope.scheme)
    groups = len(set(scope.groups))
    try:
        folds = assign_folds(scope.groups, max(2, min(BASE_FOLDS, groups)), seed)
    except TooFewGroupsError:
        nothing = np.full(scope.labels.shape, MISSING, dtype=np.int8)
        words = "All rows are of one group, so no threshold can be had without the labels it would be judged by: only its order counts."
        return Side((1 / (1 + np.exp(-logits))).astype(np.float32), nothing), words
    crossed = cross_fit(logits, scope.labels, folds, scope.scheme)
    words = "Calibrated and decided on the labels of the other groups evaluated here, because nothing was fitted for it before: this favours it."
    return Side(crossed.probabilities, crossed.decisions), words


def load(folder: Path, manifest: dict[str, Any], readers: Readers, bases: Bases) -> LoadedAdapter:
    """The adapter on its base model."""
    base = manifest["base"]
    encoder = bases.get(base["name"], base.get("quantization"))
    try:
        return load_adapter(folder, encoder, list(readers.members))
    except ValueError as error:
        raise JobFailed(getattr(error, "code", "adapter-invalid"), str(error)) from error


def _in_chunks(
    context: JobContext,
    label: str,
    scope: Scope,
    rows: NDArray[np.int64],
    width: int,
    read: Callable[[list[str], NDArray[np.int64]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """float32 (rows, width): chunk by chunk, longest wait between two looks at `stop_reason` one chunk.

    Raises JobStopped; what was read until then is kept.
    """
    found = np.full((len(rows), width), np.nan, dtype=np.float32)
    for start in range(0, len(rows), CHUNK):
        of = slice(start, min(len(rows), start + CHUNK))
        path = context.work_dir / f"read-{label}-{start:09}.npy"
        if not path.exists():
            if context.stop_reason() is not None:
                raise JobStopped
            versions = scope.version_ids[rows[of]]
            part = read(contents_of(versions), versions)
            with kept(path) as temporary, temporary.open("wb") as file:
                np.save(file, part)
            context.save_checkpoint({"snapshot_id": scope.snapshot_id, "stage": label, "rows": of.stop})
        found[of] = np.load(path, allow_pickle=False)
        context.progress(stage=f"reading: {label}", done=of.stop, total=len(rows))
    return found


def _decided(probabilities: NDArray[np.float32], thresholds: NDArray[np.float32], scheme: Scheme) -> Labels:
    """Decisions at a threshold of its own for every row: int8 (rows, options)."""
    decisions = (probabilities >= thresholds).astype(np.int8)
    for cell in scheme.cells:
        if cell.option is None:
            columns = list(cell.positions)
            best = np.argmax(np.nan_to_num(probabilities[:, columns], nan=-1.0), axis=1)
            decisions[:, columns] = best[:, None] == np.arange(len(columns))
    decisions[np.isnan(probabilities)] = MISSING
    return decisions
