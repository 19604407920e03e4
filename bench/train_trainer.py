"""The same fit by Hugging Face's Trainer and PEFT: same texts, same trainable parameters, same precision, 32 texts a batch.

Two peers: as it comes, and as somebody would set it who minds its speed. Both pad to a batch's longest text.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import AutoModel, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_pt_utils import get_length_grouped_indices
from transformers.utils import logging as transformers_logging

from bench.train_ours import WARM_STEPS, Speed, pooled_of
from bench.train_setup import Texts, windows_of
from models.adapters.head import Head
from models.encoder.load import Encoder
from models.encoder.lora import ALPHA_PER_RANK, linears, model_name

BATCH = 32


@dataclass(frozen=True, slots=True)
class Peer:
    """How the Trainer is set."""

    name: str
    by_length: bool
    """Batches of like length (`train_sampling_strategy="group_by_length"`)."""
    attention: str | None
    """`attn_implementation`; None for transformers' choice."""


STOCK = Peer("HF Trainer", by_length=False, attention=None)


def tuned(device: str) -> Peer:
    """Batches by length, and on a CPU attention as plain products, whose backward pass is quicker than the fused one's."""
    if device == "cpu":
        return Peer("HF Trainer, by length, eager attention", by_length=True, attention="eager")
    return Peer("HF Trainer, by length", by_length=True, attention=None)


class Member(nn.Module):
    """A base model under PEFT with our head: what our trainer trains, as somebody would write it for the Trainer."""

    def __init__(self, encoder: Encoder, trained_layers: int, rank: int, options: int, peer: Peer) -> None:
        super().__init__()
        depth = encoder.depth - trained_layers
        names = [model_name(name, encoder.layer_path, depth) for name, _ in linears(encoder.layers[depth:])]
        chosen = {} if peer.attention is None else {"attn_implementation": peer.attention}
        base = AutoModel.from_pretrained(encoder.path, dtype=torch.float32, **chosen)
        config = LoraConfig(r=rank, lora_alpha=rank * ALPHA_PER_RANK, target_modules=names, lora_dropout=0.0)
        self.base = get_peft_model(base, config)
        self.pooled = pooled_of(encoder)
        self.head = Head(len(self.pooled) * encoder.hidden_size, options, 64, 0.1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Loss and logits of a padded batch."""
        found = self.base(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        mask = attention_mask[:, :, None]
        sums = [(found.hidden_states[layer] * mask).sum(dim=1) for layer in self.pooled]
        pooled = torch.cat(sums, dim=1) / mask.sum(dim=1)
        logits = self.head(pooled, torch.zeros_like(labels))
        return {"loss": nn.functional.binary_cross_entropy_with_logits(logits, labels), "logits": logits}


class Clock(TrainerCallback):
    """Starts after the warm-up steps; notes when each step ended, by the clock and by processor time."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """One more optimizer step is done."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append((time.perf_counter(), time.process_time()))


def trainer(
    encoder: Encoder, texts: Texts, trained_layers: int, tokens: int, rank: int, seed: int, peer: Peer = STOCK
) -> Speed:
    """As `bench.train_ours.ours`; steps until about `tokens` are read. For more than the texts hold: several epochs.

    bf16 autocast where the encoder is computed in bf16, fp32 elsewhere.
    """
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    windows = windows_of(encoder, texts)
    torch.manual_seed(seed)
    model = Member(encoder, trained_layers, rank, texts.labels.shape[1], peer)
    lengths: list[tuple[int, int]] = []

    def padded(rows: list[int]) -> dict[str, Tensor]:
        parts = [windows.ids[windows.starts[row] : windows.starts[row + 1]] for row in rows]
        longest = max(map(len, parts))
        ids, mask = (
            np.full((len(rows), longest), encoder.pad_id),
            np.zeros((len(rows), longest), dtype=np.int64),
        )
        for place, part in enumerate(parts):
            ids[place, : len(part)], mask[place, : len(part)] = part, 1
        lengths.append((int(mask.sum()), mask.size))
        labels = torch.from_numpy(texts.labels[rows].astype(np.float32))
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask),
            "labels": labels,
        }

    steps = WARM_STEPS + max(1, round(tokens / (windows.tokens / len(texts.contents)) / BATCH))
    clock = Clock()
    rows: Any = by_length(windows.lengths, seed) if peer.by_length else list(range(len(texts.contents)))
    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=str(Path(folder)), max_steps=steps, per_device_train_batch_size=BATCH, bf16=encoder.dtype is torch.bfloat16,
            use_cpu=encoder.device.type == "cpu", learning_rate=3e-4, save_strategy="no", report_to=[],
            logging_strategy="no", disable_tqdm=True, remove_unused_columns=False, seed=seed,
            dataloader_pin_memory=encoder.device.type == "cuda",
            train_sampling_strategy="sequential" if peer.by_length else "random",
        )  # fmt: skip
        Trainer(model, arguments, data_collator=padded, train_dataset=rows, callbacks=[clock]).train()
    read, computed = (sum(part) for part in zip(*lengths[WARM_STEPS:steps], strict=True))
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    (began, used), (ended, used_then) = clock.times[WARM_STEPS - 1], clock.times[-1]
    return Speed(read, ended - began, used_then - used, parameters, computed)


def by_length(lengths: NDArray[np.int64], seed: int, size: int = BATCH) -> list[int]:
    """Rows in the batches of "group_by_length", but the batches in random order.

    transformers reads the longest of every fifty batches first: the first steps of an epoch would not be like the rest.
    """
    generator = torch.Generator().manual_seed(seed)
    grouped: list[int] = get_length_grouped_indices(lengths.tolist(), size, generator=generator)  # type: ignore[no-untyped-call]
    batches = [grouped[start : start + size] for start in range(0, len(grouped) - size + 1, size)]
    order = torch.randperm(len(batches), generator=generator).tolist()
    rest = grouped[len(batches) * size :]
    return [row for place in order for row in batches[place]] + rest
