"""From a fitted model to an adapter folder: weights, report, manifest, reload check in a fresh process, publication."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.adapters.folder import finish, publish
from models.adapters.seen import Seen, key_digest, write_seen
from models.data.near_duplicates import content_digests, signatures
from models.generative.causal import hidden_states
from models.generative.inputs import Documents
from models.generative.load import Base, output_layer
from models.generative.lora import write_lora
from models.generative.prompts import PREFIXES
from models.generative.split import Split
from models.training.reload import fresh_process
from models.versions import installed

_PACKAGES = ("remand", "torch", "transformers", "peft", "numpy", "tokenizers", "bitsandbytes", "rouge-score")
_CHECK_SECONDS = 1800
_CHECK_TOKENS = 32
_TASK_TYPES = {"causal": "CAUSAL_LM", "summarize": "SEQ_2_SEQ_LM"}


def write_adapter(
    folder: Path, base: Base, given: Documents, split: Split, reading: Mapping[str, Any], report: Mapping[str, Any]
) -> dict[str, Any]:  # fmt: skip
    """Write every file of the adapter into an empty folder; its manifest.

    Args:
        folder: empty.
        base: as fitted.
        given: the documents.
        split: which of them it has seen.
        reading: what inference has to do as training did, such as the block's tokens or the prefix.
        report: of the job.
    """
    request = given.request
    state = {name: value.detach().float().cpu() for name, value in base.trained.items()}
    write_lora(folder, state, {
        "base_model_name_or_path": base.name, "task_type": _TASK_TYPES[request.task], "r": request.lora_rank,
        "method": request.method, "target_modules": base.targets,
    })  # fmt: skip
    write_seen(folder, seen_of_split(given, split))
    (folder / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
    return finish(folder, {
        "task": request.task,
        "option_keys": [],
        "base": {
            "name": base.name,
            "revision": request.catalog.revisions.get(base.name),
            "sha256": base.sha256,
            "family": base.family,
        },
        "members": ["final"],
        "method": request.method,
        "lora_rank": request.lora_rank,
        "reading": dict(reading),
        "seed": request.seed,
        "input_digest": given.digest,
        "versions": versions(),
    })  # fmt: skip


def seen_of_split(given: Documents, split: Split) -> Seen:
    """What an adapter has learned from or was stopped by, as digests: an evaluation leaves it out.

    A document without a group is its own; no other document is of that one.
    """
    rows = np.concatenate((split.train, split.stopping)).tolist()
    texts = [given.texts[row] for row in rows]
    groups = {given.groups[row] for row in rows if not given.groups[row].startswith("\x00")}
    signed = signatures(texts) if split.signed is None else split.signed[rows]
    return Seen(frozenset(map(key_digest, groups)), frozenset(content_digests(texts)), signed)


def reading_of(given: Documents, block_tokens: int) -> dict[str, Any]:
    """What inference has to do as training did."""
    request = given.request
    if request.task == "causal":
        return {"block_tokens": block_tokens}
    return {
        "style": request.style,
        "prefix": PREFIXES[request.style],
        "max_input_tokens": request.max_input_tokens,
        "max_target_tokens": request.max_target_tokens,
    }


def deliver(draft: Path, output: Path, base: Base, work: Path) -> float:
    """Check a written adapter in a fresh process and publish it; the largest difference of a logit."""
    difference = reload_check(draft, base, work)
    publish(draft, output)
    shutil.rmtree(draft)
    return difference


def reload_check(folder: Path, base: Base, work: Path) -> float:
    """Load base and adapter in a fresh process by transformers and peft alone, and compare logits.

    Raises:
        TrainingRefusedError: the fresh process answers otherwise, so the adapter must not be used.
    """
    ids = np.random.default_rng(0).integers(0, base.vocabulary, _CHECK_TOKENS).astype(np.int32)
    expected = work / "reload.npz"
    np.savez(expected, ids=ids, logits=_logits(base, ids))
    four_bit = bool(getattr(base.model, "is_loaded_in_4bit", False))
    arguments = [
        str(folder), "--base", str(base.path), "--expected", str(expected), "--device", str(base.device),
        "--dtype", str(base.dtype).removeprefix("torch."), *(["--four-bit"] if four_bit else []),
    ]  # fmt: skip
    try:
        return fresh_process("models.generative.verify", arguments, _CHECK_SECONDS)
    finally:
        expected.unlink()


def versions() -> dict[str, str]:
    """Python's and the packages' versions."""
    return {"python": platform.python_version()} | installed(_PACKAGES)


@torch.no_grad()
def _logits(base: Base, ids: np.ndarray[Any, np.dtype[np.int32]]) -> Any:
    """float32 (tokens, vocabulary); for an encoder-decoder of the same ids as input and as output."""
    if base.family in {"llama", "gptj"}:
        states = hidden_states(base, ids, [len(ids)])
        return output_layer(base.model)[1](states).float().cpu().numpy()
    row = torch.from_numpy(ids.astype(np.int64)).to(base.device).unsqueeze(0)
    return base.model(input_ids=row, decoder_input_ids=row, use_cache=False).logits[0].float().cpu().numpy()
