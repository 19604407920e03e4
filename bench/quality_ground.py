"""What `bench quality_ideas` stands on: whole cases of ECHR drawn by seed, and one pass of the frozen encoder for all ideas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.quality_data import Collection
from models.adapters.wide import term_counter
from models.data.context import Context
from models.encoder.batches import Rows, token_batches
from models.encoder.forward import budget_of, embedded, masked_sum, padded_rows, run_layers
from models.encoder.load import Encoder
from models.encoder.tokens import Windows, tokenize
from models.encoder.trunk import Trunk, text_means
from models.scheme import Labels
from models.training.fold import split_fold
from models.training.inputs import TrainingSet
from models.training.material import Material, training_rows
from models.training.member_task import member_task, wide_choice
from models.training.plan import pooled_layers, unmeasured_plan
from models.training.request import TrainRequest
from models.training.run import make_material
from models.training.task import FitTask
from models.training.wide import fit_wide, wide_logits
from models.training.wide_choice import WideChoice

WINDOWS = 1
"""Windows read of a text: ideas are compared on how texts begin, which costs half of reading them whole."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of the plain base model over some texts, everything kept that an idea could ask for."""

    windows: Windows
    hidden: dict[int, torch.Tensor]
    """Layer: (tokens, hidden) float16, activations after it; 0 for the embeddings."""
    sums: NDArray[np.float32]
    """float32 (windows, layers, hidden): masked sums of every layer's activations, from the first on."""

    def trunk(self, encoder: Encoder, depth: int) -> Trunk:
        """The cached trunk of so many frozen layers, pooled as the recipe pools."""
        pooled = pooled_layers(encoder)
        frozen = np.ascontiguousarray(self.sums[:, [layer - 1 for layer in pooled]])
        return Trunk(self.windows, depth, pooled, self.hidden[depth], frozen, encoder.device, encoder.dtype)

    def features(self, layers: Sequence[int]) -> NDArray[np.float32]:
        """Means of some layers over a text's tokens: float32 (texts, layers · hidden)."""
        return text_means(self.sums[:, [layer - 1 for layer in layers]], self.windows)


def read_through(encoder: Encoder, texts: Sequence[str], max_tokens: int, depths: Sequence[int]) -> Pass:
    """Run every layer over all texts once, keeping the activations after some of them and the sums of all."""
    windows = tokenize(encoder, texts, max_tokens, WINDOWS)
    hidden = {depth: torch.empty((windows.tokens, encoder.hidden_size), dtype=torch.float16) for depth in depths}  # fmt: skip
    sums = np.zeros((len(windows.lengths), encoder.depth, encoder.hidden_size), dtype=np.float32)
    for rows in token_batches(windows.lengths, budget_of(encoder)):
        places, mask_array = padded_rows(windows.starts, rows)
        mask, flat = torch.from_numpy(mask_array), torch.from_numpy(places[mask_array])
        ids = torch.from_numpy(windows.ids[places].astype(np.int64)).masked_fill(~mask, encoder.pad_id)
        with torch.inference_mode():
            state = embedded(encoder, ids)
            if 0 in hidden:
                hidden[0][flat] = state[mask].half()
            for layer, state in enumerate(run_layers(encoder.layers, state, mask), 1):  # noqa: B020
                sums[rows, layer - 1] = masked_sum(state, mask).numpy()
                if layer in hidden:
                    hidden[layer][flat] = state[mask].half()
    return Pass(windows, hidden, sums)


@dataclass(frozen=True, slots=True)
class Part:
    """One fold: what is trained on, and what is held out."""

    fold: int
    rows: Rows
    held_out: Rows
    choice: WideChoice
    task: FitTask
    """Of the whole training part; its wide branch is filled in at the held-out rows, too."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The sample and the recipe's tasks on it."""

    collection: Collection
    material: Material
    terms: tuple[str, ...]
    read: Pass
    parts: tuple[Part, ...]

    @property
    def labels(self) -> Labels:
        """int8 (texts, options)."""
        return self.material.data.labels


def draw_cases(collection: Collection, rows: Rows, count: int, seed: int) -> Rows:
    """Whole cases in an order drawn by seed until so many rows are together; in rising order."""
    groups = np.array([collection.groups[row] for row in rows])
    kept = np.zeros(len(rows), dtype=np.bool_)
    for case in np.random.default_rng(seed).permutation(np.unique(groups)):
        if kept.sum() >= count:
            break
        kept |= groups == case
    return rows[kept]


def lay_ground(collection: Collection, rows: Rows, encoder: Encoder, asked: dict[str, Any]) -> Ground:
    """Read the sample once and make the recipe's tasks of every fold.

    Args:
        collection: all texts.
        rows: the sample.
        encoder: the base model.
        asked: fields of the train request, folds and max_tokens among them.
    """
    data = training_set(collection, rows, asked)
    read = read_through(encoder, data.texts, int(asked["max_tokens"]), depths_of(encoder))
    trunk = read.trunk(encoder, encoder.depth - 1)
    folds = int(asked["folds"])
    material, terms = make_material(encoder, trunk, data, unmeasured_plan(encoder, trunk, data, folds))
    parts = tuple(part_of(material, fold) for fold in range(folds))
    return Ground(collection, material, terms, read, parts)


def depths_of(encoder: Encoder) -> tuple[int, ...]:
    """Depths of the trunk that ideas ask for: all layers trained, two, one."""
    return (0, encoder.depth - 2, encoder.depth - 1)


def training_set(collection: Collection, rows: Rows, asked: dict[str, Any]) -> TrainingSet:
    """The sample as a train job would read it."""
    around, groups = collection.contexts(), tuple(collection.groups[row] for row in rows)
    return TrainingSet(
        request=TrainRequest.model_validate({"scheme": collection.scheme.to_document(), **asked}),
        scheme=collection.scheme,
        keys=tuple(str(row) for row in rows),
        texts=tuple(collection.texts[row] for row in rows),
        groups=groups,
        labels=collection.labels[rows],
        corpus_sizes=Counter(groups),
        contexts=tuple(around[row] for row in rows),
        human_pair=None,
        digest="",
    )


def part_of(material: Material, fold: int, choice: WideChoice | None = None) -> Part:
    """A fold's task as the recipe makes it; `choice` of its wide branch where it is not the recipe's own."""
    split = split_fold(material, fold)
    rows = training_rows(material, split.train)
    held_out = np.flatnonzero(split.held_out).astype(np.int64)
    choice = choice or wide_choice(material, rows)
    task = member_task(material, f"fold{fold}", rows, choice)
    assert task.wide is not None
    wide = fit_wide(material.counts, material.data.labels, rows, task.seed, choice.wide)
    task.wide[held_out] = wide_logits(wide, material.counts[held_out])
    return Part(fold, rows, held_out, choice, replace(task, watch_rows=held_out))


@dataclass(frozen=True, slots=True)
class Unseen:
    """Cases of the held-out split that no fold has a part in."""

    labels: Labels
    groups: list[str]
    features: NDArray[np.float32]
    counts: Any
    """float32 sparse (texts, vocabulary of the ground)."""


def unseen_cases(ground: Ground, count: int, seed: int) -> Unseen:
    """Whole cases of the held-out split, read as the sample is."""
    collection, material = ground.collection, ground.material
    rows = draw_cases(collection, np.flatnonzero(collection.held_out), count, seed)
    texts, around = [collection.texts[row] for row in rows], collection.contexts()
    contexts: list[Context] = [around[row] for row in rows]
    read = read_through(material.encoder, texts, int(material.data.request.max_tokens), ())
    return Unseen(
        collection.labels[rows],
        [collection.groups[row] for row in rows],
        read.features(pooled_layers(material.encoder)),
        term_counter(ground.terms).count(texts, contexts),
    )
