"""Predicting with an adapter folder: all its members share one frozen trunk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.adapters.folder import ALONE, AdapterInvalidError, read_manifest
from models.adapters.head import window_logits
from models.adapters.member import (
    Member,
    given_contexts,
    member_folder,
    read_calibration,
    read_weights,
    ready_member,
    wide_part,
    with_alone,
)
from models.adapters.seen import Seen, read_seen, unseen
from models.adapters.wide import TOKENS, TermCounter, context_terms, term_counter
from models.adapters.window_reading import WindowReading, read_windows
from models.data.context import Contexts
from models.data.near_duplicates import Signatures
from models.encoder.forward import trunk_batches
from models.encoder.load import Encoder
from models.encoder.lora import ALPHA_PER_RANK
from models.encoder.tokens import Windows, tokenize
from models.encoder.trunk import window_sums
from models.scheme import Labels, Scheme

FINAL = "final"
Probabilities = NDArray[np.float32]


class WrongBaseError(ValueError):
    """The encoder is not the base model that the adapter was trained on."""

    code = "adapter-base-mismatch"


@dataclass(frozen=True, slots=True)
class LoadedAdapter:
    """An adapter on its encoder. Predictions are the same for every batch size up to rounding."""

    manifest: Mapping[str, Any]
    scheme: Scheme
    encoder: Encoder
    depth: int
    """Layers of the shared trunk."""
    pooled: tuple[int, ...]
    max_tokens: int
    vocabulary: tuple[str, ...]
    counter: TermCounter | None
    """Of the vocabulary; None where it is empty."""
    loaded: Mapping[str, Member]
    seen: Mapping[str, Seen]

    @property
    def digest(self) -> str:
        """The manifest's digest."""
        return str(self.manifest["digest"])

    @property
    def option_keys(self) -> tuple[str, ...]:
        """Keys in column order."""
        return self.scheme.option_keys

    @property
    def members(self) -> tuple[str, ...]:
        """`final`, then the fold models."""
        return tuple(self.loaded)

    @property
    def fold_members(self) -> tuple[str, ...]:
        """The fold models alone."""
        return tuple(name for name in self.loaded if name != FINAL)

    @property
    def thresholds(self) -> NDArray[np.float32]:
        """float32 (options): the shipped thresholds, of the reading with contexts where there are two."""
        return self.loaded[FINAL].calibration.thresholds

    @property
    def lone_thresholds(self) -> NDArray[np.float32]:
        """float32 (options): the shipped thresholds of texts that are read without context."""
        return self.loaded[FINAL].reading(None).calibration.thresholds

    def decide(self, probabilities: Probabilities, contexts: Contexts = None) -> Labels:
        """Decisions at the shipped thresholds of the reading that answered: int8 (texts, options).

        contexts: as they were given to `predict`.
        """
        beside = given_contexts(contexts, len(probabilities))
        return self.loaded[FINAL].each(beside, lambda reading: reading.calibration.decide(probabilities))

    def tokenize(self, texts: Sequence[str]) -> Windows:
        """Token windows as this adapter reads them; can be kept and passed to `predict_members`."""
        return tokenize(self.encoder, texts, self.max_tokens)

    @property
    def reads_context(self) -> bool:
        """Whether the wide branch of some member reads the neighbours of a text, where they are given."""
        return bool(self.manifest.get("encoder", {}).get("context"))

    def needs_context(self, member: str = FINAL) -> bool:
        """Whether a member reads texts less well without contexts: it was fitted with them and has no reading without."""
        found = self.loaded[member]
        if found.wide is None or found.alone is not None:
            return False
        return bool(context_terms(self.vocabulary)[found.wide.columns].any())

    def predict(self, texts: Sequence[str], member: str = FINAL, contexts: Contexts = None) -> Probabilities:
        """Calibrated probabilities of one member: float32 (texts, options).

        A member with two readings reads a text whose context is None or empty by the one that was fitted without contexts.

        Raises:
            KeyError: no such member.
        """
        probabilities: Probabilities = self.predict_members(texts, (member,), contexts=contexts)[0]
        return probabilities

    def predict_members(
        self,
        texts: Sequence[str],
        members: Sequence[str],
        windows: Windows | None = None,
        contexts: Contexts = None,
    ) -> Probabilities:
        """Calibrated probabilities of several members, float32 (members, texts, options), in one pass of the trunk.

        Args:
            texts: the texts (the wide branch reads words, not tokens).
            members: names out of `members`.
            windows: of these texts, from `tokenize`, where they are at hand.
            contexts: of these texts, for an adapter that reads them; None where nothing is known of one.
        """
        logits = self.logits(texts, members, windows, contexts)
        beside = given_contexts(contexts, len(texts))
        calibrated = [
            self.loaded[name].each(beside, partial(_calibrated, logits=part))
            for name, part in zip(members, logits, strict=True)
        ]
        shape = (0, len(texts), len(self.option_keys))
        return np.stack(calibrated) if calibrated else np.zeros(shape, dtype=np.float32)

    def logits(
        self,
        texts: Sequence[str],
        members: Sequence[str],
        windows: Windows | None = None,
        contexts: Contexts = None,
    ) -> list[NDArray[np.float32]]:
        """Raw logits, float32 (texts, options), of each member."""
        if not len(texts):
            return [np.zeros((0, len(self.option_keys)), dtype=np.float32) for _ in members]
        found = [self.loaded[name] for name in members]
        read = windows or self.tokenize(texts)
        sums = self._sums(read, found)
        counts, beside = self._counts(texts, found, contexts), given_contexts(contexts, len(texts))

        def logits_of(reading: Member, part: NDArray[np.float32]) -> NDArray[np.float32]:
            wide = wide_part(reading, counts)
            return window_logits(reading.head, part, read.lengths, read.first_window, wide)

        return [
            member.each(beside, partial(logits_of, part=part))
            for member, part in zip(found, sums, strict=True)
        ]

    def read_windows(self, texts: Sequence[str], member: str = FINAL) -> WindowReading:
        """One member's reading of texts alone with, per option, the window of a long text that speaks most for it."""
        chosen = self.loaded[member].reading(None)
        windows = self.tokenize(texts)
        sums = self._sums(windows, (chosen,))[0] if len(texts) else None
        return read_windows(chosen, windows, sums, self._counts(texts, (chosen,)), self.decide)

    def unseen_members(
        self, content_sha256: str, group: str | None, signature: Signatures
    ) -> tuple[str, ...]:
        """Fold models that have not seen this text, its group or a (near-)duplicate. For many texts use `unseen_matrix`.

        Args:
            content_sha256: `models.data.near_duplicates.content_digest` of the text.
            group: its group key, None where it has none.
            signature: uint32 (permutations) or (1, permutations).
        """
        found = self.unseen_matrix([content_sha256], [group], np.atleast_2d(signature))[0]
        return tuple(name for name, free in zip(self.fold_members, found, strict=True) if free)

    def unseen_matrix(
        self, contents: Sequence[str], groups: Sequence[str | None], signed: Signatures
    ) -> NDArray[np.bool_]:
        """Which fold models have not seen which texts: bool (texts, fold models), in the order of `fold_members`.

        Args:
            contents: `content_digest` of each text.
            groups: group key of each text, None where it has none.
            signed: uint32 (texts, permutations).
        """
        columns = [unseen(self.seen[name], contents, groups, signed) for name in self.fold_members]
        return np.stack(columns, axis=1) if columns else np.zeros((len(contents), 0), dtype=np.bool_)

    def _sums(self, windows: Windows, members: Sequence[Member]) -> list[NDArray[np.float32]]:
        batches = trunk_batches(self.encoder, windows, self.depth, self.pooled)
        shape = (len(windows.lengths), self.encoder.hidden_size)
        return window_sums(batches, [member.upper for member in members], self.depth, self.pooled, shape)

    def _counts(
        self, texts: Sequence[str], members: Sequence[Member], contexts: Contexts = None
    ) -> csr_matrix | None:
        if all(member.wide is None for member in members):
            return None
        if self.counter is None:
            return csr_matrix((len(texts), 0), dtype=np.float32)
        return self.counter.count(texts, contexts)


def load_adapter(folder: Path | str, encoder: Encoder, members: Sequence[str] | None = None) -> LoadedAdapter:
    """Load an adapter folder onto its base model. Check foreign folders with `models.adapters.folder.verify` first.

    Args:
        folder: the adapter.
        encoder: its base model, by `load_encoder`.
        members: which to load; None for all. `final` is always loaded.

    Raises:
        AdapterInvalidError: not an adapter folder.
        WrongBaseError: the encoder's weights are not those it was trained on, or not held as they were.
    """
    root = Path(folder)
    manifest = read_manifest(root)
    base, reading = manifest["base"], manifest["encoder"]
    if base["sha256"] != encoder.sha256:
        raise WrongBaseError(
            f"this adapter was trained on {base['name']} with weights {base['sha256'][:12]}…, "
            f"not on {encoder.path.name} with weights {encoder.sha256[:12]}…"
        )
    held = base.get("quantization")
    if held != encoder.quantization:
        raise WrongBaseError(
            f"this adapter was trained on {base['name']} held in {held or 'its own precision'}, not in "
            f"{encoder.quantization or 'its own precision'}: load the base model as its manifest says"
        )
    scaling = reading.get("lora_scaling") or float(ALPHA_PER_RANK)
    own_scaling = reading.get("member_scaling", {})  # where a search chose another rank or alpha for a fold
    names = [name for name in manifest["members"] if members is None or name in (*members, FINAL)]
    loaded = {
        name: _ready(root, name, encoder, reading["depth"], own_scaling.get(name, scaling)) for name in names
    }
    vocabulary = read_vocabulary(root)
    return LoadedAdapter(
        manifest=manifest,
        scheme=Scheme.from_document(manifest["scheme"]),
        encoder=encoder,
        depth=reading["depth"],
        pooled=tuple(reading["pooled"]),
        max_tokens=reading["max_tokens"],
        vocabulary=vocabulary,
        counter=term_counter(vocabulary) if vocabulary else None,
        loaded=loaded,
        seen={name: read_seen(member_folder(root, name)) for name in names if name != FINAL},
    )


def _calibrated(reading: Member, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return reading.calibration.apply(logits)


def _ready(root: Path, name: str, encoder: Encoder, depth: int, scaling: float) -> Member:
    """A member with all its readings."""
    place = member_folder(root, name)
    weights = read_weights(place)
    member = ready_member(name, weights, read_calibration(place), encoder, depth, scaling)
    if weights.alone is None:
        return member
    return with_alone(member, weights.alone, read_calibration(place / ALONE))


def read_vocabulary(root: Path) -> tuple[str, ...]:
    """The terms of wide.json, empty when the adapter has no wide branch."""
    path = root / "wide.json"
    if not path.exists():
        return ()
    document = json.loads(path.read_text(encoding="utf-8"))
    if document.get("tokens") != TOKENS:
        raise AdapterInvalidError(
            "wide.json: this adapter's wide branch counts words in another way than this version: train it again"
        )
    return tuple(document["terms"])
