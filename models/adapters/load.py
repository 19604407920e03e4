"""Predicting with an adapter folder: all its members share one frozen trunk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.adapters.folder import AdapterInvalidError, read_manifest
from models.adapters.head import head_logits, window_logits
from models.adapters.member import Member, member_folder, read_calibration, read_weights, ready_member
from models.adapters.seen import Seen, read_seen, unseen
from models.adapters.wide import TOKENS, TermCounter, term_counter, wide_logits
from models.data.context import Context
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
class WindowReading:
    """One member's reading of some texts, with what its windows say."""

    probabilities: Probabilities
    """float32 (texts, options), calibrated."""
    decisions: Labels
    """int8 (texts, options) at the adapter's thresholds."""
    windows: NDArray[np.int32]
    """int32 (texts): windows each text was read in."""
    deciding: NDArray[np.int32]
    """int32 (texts, options): the window, counted from 0, that speaks most for the option."""
    spans: tuple[tuple[tuple[int, int], ...], ...]
    """Per text, first and last+1 character of each window."""


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
        """float32 (options): the shipped thresholds."""
        thresholds: NDArray[np.float32] = self.loaded[FINAL].calibration.thresholds
        return thresholds

    def decide(self, probabilities: Probabilities) -> Labels:
        """Decisions at the shipped thresholds: int8 (texts, options)."""
        return self.loaded[FINAL].calibration.decide(probabilities)

    def tokenize(self, texts: Sequence[str]) -> Windows:
        """Token windows as this adapter reads them; can be kept and passed to `predict_members`."""
        return tokenize(self.encoder, texts, self.max_tokens)

    @property
    def reads_context(self) -> bool:
        """Whether its wide branch reads the neighbours of a text, where they are given."""
        return bool(self.manifest.get("encoder", {}).get("context"))

    def predict(
        self, texts: Sequence[str], member: str = FINAL, contexts: Sequence[Context] | None = None
    ) -> Probabilities:
        """Calibrated probabilities of one member: float32 (texts, options).

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
        contexts: Sequence[Context] | None = None,
    ) -> Probabilities:
        """Calibrated probabilities of several members, float32 (members, texts, options), in one pass of the trunk.

        Args:
            texts: the texts (the wide branch reads words, not tokens).
            members: names out of `members`.
            windows: of these texts, from `tokenize`, where they are at hand.
            contexts: of these texts, for an adapter that reads them.
        """
        logits = self.logits(texts, members, windows, contexts)
        calibrated = [
            self.loaded[name].calibration.apply(part) for name, part in zip(members, logits, strict=True)
        ]
        shape = (0, len(texts), len(self.option_keys))
        return np.stack(calibrated) if calibrated else np.zeros(shape, dtype=np.float32)

    def logits(
        self,
        texts: Sequence[str],
        members: Sequence[str],
        windows: Windows | None = None,
        contexts: Sequence[Context] | None = None,
    ) -> list[NDArray[np.float32]]:
        """Raw logits, float32 (texts, options), of each member."""
        if not len(texts):
            return [np.zeros((0, len(self.option_keys)), dtype=np.float32) for _ in members]
        found = [self.loaded[name] for name in members]
        read = windows or self.tokenize(texts)
        sums = self._sums(read, found)
        counts = self._counts(texts, found, contexts)
        return [
            window_logits(member.head, part, read.lengths, read.first_window, wide_part(member, counts))
            for member, part in zip(found, sums, strict=True)
        ]

    def read_windows(self, texts: Sequence[str], member: str = FINAL) -> WindowReading:
        """One member's reading with, per option, the window of a long text that speaks most for it."""
        read = self.tokenize(texts)
        chosen = self.loaded[member]
        counts = self._counts(texts, (chosen,))
        if not len(texts):
            empty = np.zeros((0, len(self.option_keys)), dtype=np.float32)
            return WindowReading(empty, self.decide(empty), np.zeros(0, np.int32), empty.astype(np.int32), ())
        sums = self._sums(read, (chosen,))[0]
        first = read.first_window
        logits = window_logits(chosen.head, sums, read.lengths, first, wide_part(chosen, counts))
        probabilities = chosen.calibration.apply(logits)
        per_window = (sums / read.lengths[:, None, None]).astype(np.float32).reshape(len(sums), -1)
        alone = head_logits(chosen.head, per_window, None)
        places = [slice(low, high) for low, high in pairwise(first)]
        return WindowReading(
            probabilities,
            self.decide(probabilities),
            np.diff(first).astype(np.int32),
            np.stack([alone[place].argmax(axis=0) for place in places]).astype(np.int32),
            tuple(tuple((int(low), int(high)) for low, high in read.spans[place]) for place in places),
        )

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
        self, texts: Sequence[str], members: Sequence[Member], contexts: Sequence[Context] | None = None
    ) -> csr_matrix | None:
        wanted = any(member.wide is not None for member in members)
        if not wanted:
            return None
        if self.counter is None:
            return csr_matrix((len(texts), 0), dtype=np.float32)
        return self.counter.count(texts, contexts)


def wide_part(member: Member, counts: csr_matrix | None) -> NDArray[np.float32] | None:
    """A member's wide logits, None where it has no wide branch."""
    if member.wide is None or counts is None:
        return None
    return wide_logits(member.wide, counts)


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
        name: ready_member(
            name,
            read_weights(place),
            read_calibration(place),
            encoder,
            reading["depth"],
            own_scaling.get(name, scaling),
        )
        for name, place in ((name, member_folder(root, name)) for name in names)
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
