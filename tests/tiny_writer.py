"""Tiny models that say different things, and adapters on them, made without training: what serving of generation is tested with."""

from __future__ import annotations

import io
import tarfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.tiny_decoder import make_decoder

FAMILIES = ("llama", "gptj", "t5")
TASKS = {"llama": "causal", "gptj": "causal", "t5": "summarize"}


def transformers_model(folder: Path, family: str) -> Any:
    """The folder's model as transformers has it."""
    import torch

    from models.generative.load import load_model

    return load_model(folder, TASKS[family], torch.float32, torch.device("cpu")).eval()


def make_writer(folder: Path, family: str, seed: int = 0) -> Path:
    """A tiny model whose weights are spread so far that its answers differ from prompt to prompt and from step to step."""
    import torch

    make_decoder(folder, family, seed)
    model = transformers_model(folder, family)
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=stream) * 0.3)
    model.save_pretrained(folder)
    return folder


def make_writer_adapter(
    folder: Path, base: Path, family: str, seed: int = 1, learned: Sequence[str] | None = None, **reading: Any
) -> dict[str, Any]:
    """An adapter folder with random LoRA on a base made by `make_writer`; its manifest. learned: texts that it says it has seen."""
    import torch
    from peft import LoraConfig, get_peft_model

    from models.adapters.folder import finish
    from models.adapters.seen import Seen, write_seen
    from models.catalog import weights_digest
    from models.data.near_duplicates import content_digests, signatures

    task = TASKS[family]
    targets = {
        "llama": ["q_proj", "v_proj", "down_proj"],
        "gptj": ["k_proj", "out_proj", "fc_in"],
        "t5": ["q", "v", "wi_0", "wo"],
    }[family]
    kind = "CAUSAL_LM" if task == "causal" else "SEQ_2_SEQ_LM"
    config = LoraConfig(task_type=kind, r=4, lora_alpha=8, target_modules=targets, lora_dropout=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by a name of before
        model = get_peft_model(transformers_model(base, family), config)
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.copy_(torch.randn(weight.shape, generator=stream) * 0.3)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    read = {"block_tokens": 32} if task == "causal" else {"style": "document", "prefix": "summarize: ", "max_input_tokens": 64, "max_target_tokens": 16}  # fmt: skip
    (folder / "report.json").write_text("{}")
    if learned is not None:
        seen = Seen(frozenset(), frozenset(content_digests(learned)), signatures(learned))
        write_seen(folder, seen)
    return finish(folder, {
        "task": task,
        "option_keys": [],
        "base": {"name": base.name, "revision": None, "sha256": weights_digest(base), "family": family},
        "members": ["final"],
        "method": "lora",
        "lora_rank": 4,
        "reading": read | reading,
        "seed": seed,
        "input_digest": "0" * 64,
        "versions": {},
    })  # fmt: skip


def peft_model(base: Path, folder: Path, family: str) -> Any:
    """Base and adapter as transformers and peft have them."""
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # as above
        return PeftModel.from_pretrained(transformers_model(base, family), str(folder)).eval()


def adapter_tar(folder: Path) -> bytes:
    """An adapter folder as the blob store holds it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(folder, arcname=".")
    return buffer.getvalue()


def said(model: Any, family: str, prompt: Any, most: int, **options: Any) -> list[int]:
    """Token ids that transformers' `generate` writes after one prompt, read alone; its end mark is not among them."""
    import torch

    ids = torch.from_numpy(prompt.astype("int64"))[None]
    settings = {"do_sample": False, "num_beams": 1, "pad_token_id": 0} | options
    found = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=most, **settings
    )[0].tolist()
    written: list[int] = found[1 if family == "t5" else len(prompt) :]
    return written[: written.index(3)] if 3 in written else written
