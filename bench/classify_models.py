"""The models, the windows and the arms of `remand bench classify`."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModel, AutoTokenizer, LlamaConfig, RobertaConfig
from transformers import DistilBertConfig as Distil

from bench.machine import cpu_seconds
from models.catalog import locate
from models.encoder.forward import trunk_batches
from models.encoder.frames import give_frames
from models.encoder.load import Encoder, load_encoder
from models.encoder.tokens import Windows, tokenize
from models.families import FAMILIES

Matrix = NDArray[np.float32]
MAX_TOKENS = 256
SEED = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """What one pass took, and its means over tokens, float32 (windows, hidden), to compare with."""

    seconds: float
    cpu_seconds: float
    means: Matrix | None


def base_model(name: str, device: str, dtype: torch.dtype) -> Encoder:
    """MiniLM, or a model of a known one's size with random weights, which do for speed."""
    if name == "minilm":
        return load_encoder(locate("minilm"), device, dtype)
    config = _CONFIGS[name]()
    family = FAMILIES[config.model_type]
    torch.manual_seed(SEED)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = AutoModel.from_config(config, attn_implementation=family.attention)
    finally:
        torch.set_default_dtype(before)
    model.eval().requires_grad_(False)
    give_frames(model, family)
    return Encoder(
        path=Path(name), family=family.name, sha256="", model=model, tokenizer=_tokenizer(),
        device=torch.device(device), dtype=dtype, hidden_size=config.hidden_size, depth=config.num_hidden_layers,
        max_tokens=512, pad_id=config.pad_token_id or 0, special_ids=((101,), (102,)),
    )  # fmt: skip


def _tokenizer() -> Tokenizer:
    """MiniLM's where it is installed; elsewhere one is not needed, since ids are drawn."""
    try:
        found: Tokenizer = AutoTokenizer.from_pretrained(locate("minilm")).backend_tokenizer
        found.no_truncation()
        found.no_padding()
    except Exception:  # noqa: BLE001  # a machine with torch, transformers and peft alone
        from tokenizers import models

        found = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    return found


_CONFIGS: dict[str, Callable[[], Any]] = {
    # MiniLM's vocabulary, so that its tokenizer serves; the embeddings cost next to nothing either way.
    "roberta-base": lambda: RobertaConfig(
        vocab_size=30_522, max_position_embeddings=514, pad_token_id=0, bos_token_id=101, eos_token_id=102
    ),
    "distilbert": lambda: Distil(vocab_size=30_522, pad_token_id=0),
    "llama-2-7b": lambda: LlamaConfig(
        hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, intermediate_size=11_008
    ),
}
MODELS = ("minilm", *_CONFIGS)


def labels_of(data: Path, texts: Sequence[str]) -> NDArray[np.int8] | None:
    """int8 (texts, options): what experts marked in paragraphs of ECHR; None where the texts are none of them."""
    path = data / "echr_arguments" / "paragraphs.csv"
    if not path.exists():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        marked = {
            row["text"]: [int(value) for value in list(row.values())[4:]] for row in csv.DictReader(file)
        }
    found = [marked.get(text) for text in texts]
    return None if None in found else np.array(found, dtype=np.int8)


def agreement(exact: Matrix, other: Matrix, labels: NDArray[np.int8]) -> dict[str, float]:
    """Whether decisions stay the same: linear heads fitted on one half of the texts' exact means, used on the other half.

    Args:
        exact, other: float32 (texts, hidden), means over tokens.
        labels: int8 (texts, options).
    """
    from models.training.linear import fit_linear

    half = len(exact) // 2
    head = fit_linear(exact[:half], labels[:half], 5.0)
    right, wrong = head.logits(exact[half:]), head.logits(other[half:])
    off = np.abs(1 / (1 + np.exp(-right)) - 1 / (1 + np.exp(-wrong)))
    return {
        "same_labels": float(((right > 0) == (wrong > 0)).mean()),
        "probability_off_99": float(np.quantile(off, 0.99)),
        "probability_off_most": float(off.max()),
    }


def texts_of(distribution: str, data: Path, count: int) -> list[str] | None:
    """Texts of a distribution; None where its file is not at hand.

    `echr`: paragraphs of judgments, drawn at random. `letters`: words of the same, 160 to 240 a text, as letters have.
    """
    path = data / "echr_arguments" / "paragraphs.csv"
    if not path.exists():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        paragraphs = [row["text"] for row in csv.DictReader(file)]
    draw = np.random.default_rng(SEED)
    if distribution == "echr":
        return [paragraphs[row] for row in draw.choice(len(paragraphs), count, replace=False)]
    words = " ".join(paragraphs[row] for row in draw.permutation(len(paragraphs))[: 20 * count + 50]).split()
    letters, start = [], 0
    for _ in range(count):
        size = int(draw.integers(160, 241))
        letters.append(" ".join(words[start : start + size]))
        start = (start + size) % max(1, len(words) - 240)
    return letters


def windows_of(encoder: Encoder, texts: Sequence[str] | None, count: int) -> Windows:
    """The first MAX_TOKENS tokens of each text; without texts, ids drawn at the lengths of ECHR's paragraphs (log-normal)."""
    if texts is not None:
        return tokenize(encoder, texts, MAX_TOKENS, max_windows=1)
    draw = np.random.default_rng(SEED)
    lengths = np.clip(np.exp(draw.normal(3.8, 1.1, count)).round(), 5, MAX_TOKENS).astype(np.int64)
    ids = draw.integers(200, 20_000, int(lengths.sum())).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Windows(ids, starts, np.arange(count, dtype=np.int32), np.zeros((count, 2), np.int32), count)


def work_gflop(encoder: Encoder, windows: Windows) -> float:
    """Multiplications and additions, in 10⁹, of linears and attention over the windows' own tokens, without padding."""
    linears = sum(value.numel() for value in encoder.layers.parameters() if value.ndim == 2)
    lengths = windows.lengths.astype(np.float64)
    pairs = float((lengths**2).sum()) * (0.5 if FAMILIES[encoder.family].causal else 1.0)
    attention = 4.0 * encoder.hidden_size * encoder.depth * pairs
    return (2.0 * linears * float(lengths.sum()) + attention) / 1e9


def ours(encoder: Encoder, windows: Windows, flat: bool, budget: int) -> Taken:
    """Our forward from ids."""
    means = np.zeros((len(windows.lengths), encoder.hidden_size), dtype=np.float32)
    with _clock() as took:
        kept = [
            (batch.rows, batch.sums[encoder.depth])
            for batch in trunk_batches(encoder, windows, encoder.depth, (encoder.depth,), budget, flat)
        ]
        for rows, sums in kept:
            means[rows] = sums.cpu().numpy() / windows.lengths[rows][:, None]
    return took(means)


def ours_from_texts(encoder: Encoder, texts: Sequence[str], flat: bool, budget: int) -> Taken:
    """The same with tokenizing."""
    with _clock() as took:
        windows = tokenize(encoder, texts, MAX_TOKENS, max_windows=1)
        inner = ours(encoder, windows, flat, budget)
    return took(inner.means)


class MeanPooled(torch.nn.Module):
    """A stock transformers model with the mean over tokens as its "logits", so that a pipeline can be held to the others."""

    def __init__(self, plain: Any) -> None:
        super().__init__()
        self.plain = plain
        self.config = plain.config
        self.device, self.dtype = plain.device, plain.dtype
        self.base_model_prefix = ""
        self.name_or_path = "plain"

    def can_generate(self) -> bool:
        """As pipelines ask."""
        return False

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> dict[str, Any]:
        """Means over tokens as `logits`."""
        hidden = self.plain(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask[:, :, None].to(hidden.dtype)
        return {"logits": (hidden * mask).sum(1) / mask.sum(1)}


def plain_model(encoder: Encoder) -> Any:
    """transformers' own model with its own attention, on the encoder's weights."""
    config = AutoConfig.for_model(**encoder.model.config.to_dict())
    model = AutoModel.from_config(config, attn_implementation="sdpa")
    model.load_state_dict(encoder.model.state_dict(), strict=False)
    return model.to(encoder.device, encoder.dtype).eval().requires_grad_(False)


def pipeline_arm(
    encoder: Encoder, plain: Any, texts: Sequence[str], ordered: bool, batch: int = 32
) -> Callable[[], Taken]:
    """transformers' text-classification pipeline, batches of 32 padded to their longest; `ordered`: given sorted by length."""
    from transformers import PreTrainedTokenizerFast, TextClassificationPipeline
    from transformers.utils import logging

    logging.set_verbosity(50)  # it calls it an error that it does not know the wrapped model
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(encoder.tokenizer.to_str()), pad_token="[PAD]", model_max_length=MAX_TOKENS
    )  # fmt: skip
    tokenizer.model_input_names = ["input_ids", "attention_mask"]

    class Means(TextClassificationPipeline):
        def postprocess(self, outputs: Any, **_: Any) -> Any:
            return outputs["logits"].float().cpu().numpy()

    pipe = Means(model=MeanPooled(plain), tokenizer=tokenizer, device=encoder.device, batch_size=batch)  # type: ignore[arg-type,no-untyped-call]

    def run() -> Taken:
        with _clock() as took, torch.inference_mode():
            order = np.argsort([-len(text) for text in texts]) if ordered else np.arange(len(texts))
            found = pipe([texts[row] for row in order], truncation=True, max_length=MAX_TOKENS)
        means = np.zeros((len(texts), encoder.hidden_size), dtype=np.float32)
        means[order] = np.concatenate([np.atleast_2d(np.squeeze(row)) for row in found])
        return took(means)

    return run


class _clock:  # noqa: N801  # reads as what it is
    """Seconds and processor seconds between entering and leaving; called with the means it gives a `Taken`."""

    def __enter__(self) -> _clock:
        self.began, self.spent = time.perf_counter(), cpu_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        self.began, self.spent = time.perf_counter() - self.began, cpu_seconds() - self.spent

    def __call__(self, means: Matrix | None) -> Taken:
        return Taken(self.began, self.spent, means)


def rounds_of(run: Callable[[], Taken], rounds: int) -> Iterator[Taken]:
    """Passes of an arm, after one that warms up."""
    run()
    for _ in range(rounds):
        yield run()
