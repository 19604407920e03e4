"""The adapter's arithmetic with transformers alone, as somebody without Remand would write it: padded batch, mean over tokens, head, Platt scaling."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import gelu, linear
from transformers import AutoModel, AutoTokenizer

THREADS = int(os.environ.get("BENCH_THREADS", "1"))
MAX_BATCH = int(os.environ.get("BENCH_MAX_BATCH", "32"))
WAIT_SECONDS = float(os.environ.get("BENCH_WAIT_SECONDS", "0.005"))
PORT = int(os.environ.get("BENCH_PORT", "8000"))


class Reference:
    """Texts in, calibrated probabilities out."""

    def __init__(self, folder: str | None = None) -> None:
        place = Path(folder or os.environ["BENCH_MODEL"])
        torch.set_num_threads(THREADS)
        settings = json.loads((place / "settings.json").read_text())
        self._pooled, self._max_tokens = settings["pooled"], settings["max_tokens"]
        self._tokenizer = AutoTokenizer.from_pretrained(place / "base", local_files_only=True)
        self._model = AutoModel.from_pretrained(place / "base", local_files_only=True).float().eval()
        with np.load(place / "head.npz") as arrays:
            self._head = {name: torch.from_numpy(arrays[name]) for name in arrays.files}

    @torch.inference_mode()
    def __call__(self, texts: list[str]) -> list[list[float]]:
        """Per text its probabilities."""
        given = self._tokenizer(
            texts, padding=True, truncation=True, max_length=self._max_tokens, return_tensors="pt"
        )
        states = self._model(**given, output_hidden_states=True).hidden_states
        mask = given["attention_mask"][..., None].float()
        means = [(states[layer] * mask).sum(1) / mask.sum(1) for layer in self._pooled]
        head = self._head
        z = (torch.cat(means, dim=1) - head["mean"]) / head["spread"]
        logits = linear(z, head["linear.weight"], head["linear.bias"])
        logits = logits + linear(
            gelu(linear(z, head["inner.weight"], head["inner.bias"])), head["outer.weight"]
        )
        logits = torch.where(torch.isnan(head["fixed"]), logits, head["fixed"]).clamp(-30, 30).double()
        return torch.sigmoid(logits * head["slopes"] + head["intercepts"]).tolist()
