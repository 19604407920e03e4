"""The same fit by Hugging Face's Trainer and PEFT: same texts, same trainable parameters, bf16 autocast, 32 texts a batch, padded to the longest."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import AutoModel, Trainer, TrainerCallback, TrainingArguments
from transformers.utils import logging as transformers_logging

from bench.train_ours import WARM_STEPS, Speed, pooled_of
from bench.train_setup import Texts, windows_of
from models.adapters.head import Head
from models.encoder.load import Encoder
from models.encoder.lora import ALPHA_PER_RANK, linears, model_name

BATCH = 32


class Member(nn.Module):
    """A base model under PEFT with our head: what our trainer trains, as somebody would write it for the Trainer."""

    def __init__(self, encoder: Encoder, trained_layers: int, rank: int, options: int) -> None:
        super().__init__()
        depth = encoder.depth - trained_layers
        names = [model_name(name, encoder.layer_path, depth) for name, _ in linears(encoder.layers[depth:])]
        base = AutoModel.from_pretrained(encoder.path, dtype=torch.float32)
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
    """Starts after the warm-up steps; notes when each step ended."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """One more optimizer step is done."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())


def trainer(encoder: Encoder, texts: Texts, trained_layers: int, tokens: int, rank: int, seed: int) -> Speed:
    """As `bench.train_ours.ours`; steps until about `tokens` are read. For more than the texts hold: several epochs."""
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    windows = windows_of(encoder, texts)
    torch.manual_seed(seed)
    model = Member(encoder, trained_layers, rank, texts.labels.shape[1])
    lengths: list[int] = []

    def padded(rows: list[int]) -> dict[str, Tensor]:
        parts = [windows.ids[windows.starts[row] : windows.starts[row + 1]] for row in rows]
        longest = max(map(len, parts))
        ids, mask = (
            np.full((len(rows), longest), encoder.pad_id),
            np.zeros((len(rows), longest), dtype=np.int64),
        )
        for place, part in enumerate(parts):
            ids[place, : len(part)], mask[place, : len(part)] = part, 1
        lengths.append(int(mask.sum()))
        labels = torch.from_numpy(texts.labels[rows].astype(np.float32))
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask),
            "labels": labels,
        }

    steps = WARM_STEPS + max(1, round(tokens / (windows.tokens / len(texts.contents)) / BATCH))
    clock = Clock()
    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=str(Path(folder)), max_steps=steps, per_device_train_batch_size=BATCH, bf16=True,
            use_cpu=encoder.device.type == "cpu", learning_rate=3e-4, save_strategy="no", report_to=[],
            logging_strategy="no", disable_tqdm=True, remove_unused_columns=False, seed=seed,
            dataloader_pin_memory=encoder.device.type == "cuda",
        )  # fmt: skip
        rows: Any = list(range(len(texts.contents)))
        Trainer(model, arguments, data_collator=padded, train_dataset=rows, callbacks=[clock]).train()
    read = sum(lengths[WARM_STEPS:steps])
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Speed(read, clock.times[-1] - clock.times[WARM_STEPS - 1], parameters)
