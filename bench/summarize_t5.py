"""A small T5 through the product's own training path: whether it is better than its own start on dialogues it has not seen.

Proof of the path, not of quality: the model has some million weights, knows a few hundred dialogues, and was made here. Its
tokenizer and its first weights come of the training part alone (an utterance is left out and has to be written); then
`models.generative.run` trains LoRA on pairs as for a train job, and the inference worker's decoder writes.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from models.evaluation.arms import SUMMARY_MEASURES, compared, pairs_of
from models.generative.cutting import cut_to
from models.generative.decode.batch import Limits, RunningBatch
from models.generative.decode.choice import Choice
from models.generative.decode.load import Writer, adapted, load_writer
from models.generative.decode.low_rank import read_low_rank
from models.generative.decode.sequence import Sequence as Written
from models.generative.inputs import Documents, read_documents
from models.generative.prompts import PREFIXES
from models.generative.rouge import ROUGE, rouge_scores
from models.generative.run import train
from models.generative.split import split_documents
from models.text.extractive import Budget, Method, Unit, split_sentences, summarize
from models.text.words import count_words

VOCABULARY, MOST_INPUT, MOST_TARGET = 2000, 128, 32
PRETRAINING_STEPS, PER_STEP = 200, 8
MEASURES = tuple(measure for measure in SUMMARY_MEASURES if measure.key in ROUGE)
EXTRACTIVE: tuple[Method, ...] = ("lead", "textrank", "lexrank")
REQUEST = {
    "task": "summarize", "style": "dialogue", "method": "lora", "lora_rank": 32, "learning_rate": 0.005, "epochs": 6,
    "held_out_share": 0.2, "max_input_tokens": MOST_INPUT, "max_target_tokens": MOST_TARGET, "rouge_pairs": 0,
    "units_per_step": 16, "device": "cpu", "dtype": "float32",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """Pairs that nothing was learned from."""

    keys: list[str]
    groups: list[str]
    texts: list[str]
    references: list[str]


def small_t5(data: Path, seed: int, steps: int = PRETRAINING_STEPS) -> dict[str, Any]:
    """Make, pre-train, train and evaluate; JSON-ready.

    Args:
        data: JSONL with id, text and summary.
        seed: of everything.
        steps: of pre-training.
    """
    began = time.perf_counter()
    torch.set_num_threads(1)  # the model is so small that threads cost more than they save
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        given = _input(root, data, seed)
        split = split_documents(given)
        learned = np.concatenate((split.train, split.stopping)).tolist()
        made_base = _make_base(
            root / "models" / "small-t5", [given.texts[row] for row in learned], seed, steps
        )
        made = time.perf_counter()
        train(root / "in", root / "work", root / "out")
        trained = time.perf_counter()
        rows = split.held_out.tolist()
        held_out = _HeldOut(
            *(
                [given_[row] for row in rows]
                for given_ in (given.keys, given.groups, given.texts, given.summaries)
            )
        )
        base = load_writer(root / "models" / "small-t5", "small-t5", torch.device("cpu"))
        manifest = json.loads((root / "out" / "manifest.json").read_text())
        report = json.loads((root / "out" / "report.json").read_text())
        tuned = adapted(base, read_low_rank(root / "out"), manifest["reading"])
        written = {
            name: _write(writer, held_out.texts) for name, writer in (("tuned", tuned), ("base", base))
        }
    words = [max(1, count_words(text)) for text in written["tuned"]]
    for method in EXTRACTIVE:
        written[method] = [
            _extract(text, method, most) for text, most in zip(held_out.texts, words, strict=True)
        ]
    scores = {name: rouge_scores(held_out.references, texts) for name, texts in written.items()}
    found = compared(
        scores, MEASURES, held_out.groups, pairs_of(list(written), ["tuned", "base"], "lead"), seed
    )
    return {
        **found,
        "held_out": len(held_out.texts), "trained_on": len(learned), **made_base,
        "loss_before": report["result"]["loss_before"], "loss_after": report["result"]["loss_after"], "epochs": report["best_epoch"],
        "words": {name: float(np.mean([count_words(text) for text in texts])) for name, texts in written.items()},
        "sample": {name: texts[0] for name, texts in written.items()} | {"reference": held_out.references[0]},
        "seconds": {"pre-training": made - began, "training": trained - made, "all": time.perf_counter() - began},
    }  # fmt: skip


def as_table(found: dict[str, Any]) -> str:
    """The comparison as text."""
    names = {
        "tuned": "after training",
        "base": "its own start",
        "lead": "Lead",
        "textrank": "TextRank",
        "lexrank": "LexRank",
    }
    titles = {measure.key: measure.title for measure in MEASURES}
    lines = [
        f"\nsmall T5 ({found['weights'] / 1e6:.1f} M weights, made here): {found['held_out']} held-out dialogues, trained on {found['trained_on']}",
        f"held-out loss {found['loss_before']:.2f} → {found['loss_after']:.2f}; {found['seconds']['all']:.0f} s; proof of the training path, not of quality",
        f"{'':16}" + "".join(f"{title:>22}" for title in titles.values()) + f"{'words':>8}",
    ]  # fmt: skip
    for name, words in names.items():
        cells = "".join(f"{_cell(found['arms'][name]['measures'][key], 'mean'):>22}" for key in titles)
        lines.append(f"{words:16}{cells}{found['words'][name]:8.1f}")
    for pair in found["differences"][:2]:
        cells = "".join(f"{_cell(pair['measures'][key], 'difference'):>22}" for key in titles)
        lines.append(f"{'− ' + names[pair['second']]:16}{cells}")
    return "\n".join(lines)


def _cell(found: dict[str, Any], part: str) -> str:
    if found[part] is None:
        return "–"
    sign = "+" if part == "difference" else ""
    low, high = found["interval"] or (float("nan"),) * 2
    return f"{100 * found[part]:{sign}.1f} ({100 * low:{sign}.1f} to {100 * high:{sign}.1f})"


def _input(root: Path, data: Path, seed: int) -> Documents:
    """The training folder, and what is read of it."""
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    (root / "in").mkdir()
    request = REQUEST | {
        "base_model": str(root / "models" / "small-t5"), "seed": seed, "catalog": {"allowed_dirs": [str(root / "models")]},
    }  # fmt: skip
    (root / "in" / "request.json").write_text(json.dumps(request))
    columns = {"key": "id", "content": "text", "group": "id", "summary": "summary"}
    pl.DataFrame({name: [row[source] for row in rows] for name, source in columns.items()}).write_ipc(
        root / "in" / "texts.arrow"
    )
    return read_documents(root / "in")


def _make_base(folder: Path, texts: Sequence[str], seed: int, steps: int) -> dict[str, Any]:
    """A T5 with a tokenizer of these texts, which has learned to write the utterance that was left out; its size and last loss per token."""
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = _tokenizer(texts)
    torch.manual_seed(seed)
    model = T5ForConditionalGeneration(T5Config(
        vocab_size=len(tokenizer), d_model=128, d_kv=32, d_ff=256, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu",
        tie_word_embeddings=False, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, dropout_rate=0.0,
    ))  # fmt: skip
    draw = random.Random(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model.train()
    losses = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1.0, (step + 1) / 40, (steps - step) / 80)
        pairs = [_gap(draw.choice(texts), draw) for _ in range(PER_STEP)]
        inputs, targets = (
            tokenizer(
                [pair[side] for pair in pairs],
                return_tensors="pt",
                padding=True,
                truncation=True,
                max_length=most,
            )
            for side, most in ((0, MOST_INPUT), (1, MOST_TARGET))
        )
        labels = targets.input_ids.masked_fill(targets.attention_mask == 0, -100)
        loss = model(input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    weights = sum(value.numel() for value in model.parameters())
    return {"weights": weights, "pretraining_loss": float(np.mean(losses[-20:]))}


def _gap(text: str, draw: random.Random) -> tuple[str, str]:
    """A dialogue without one of its utterances, and that utterance."""
    lines = text.split("\n")
    place = draw.randrange(len(lines))
    return PREFIXES["dialogue"] + "\n".join([*lines[:place], *lines[place + 1 :]]), lines[place]


def _tokenizer(texts: Sequence[str]) -> Any:
    """Byte-pair pieces of these texts, ended by an end mark."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def _write(writer: Writer, texts: Sequence[str]) -> list[str]:
    """Greedy summaries by the inference worker's decoder, of inputs as training made and cut them."""
    prompts = [cut_to(writer.wording.tokenizer, PREFIXES["dialogue"] + text, MOST_INPUT)[0] for text in texts]
    sequences = [
        Written(writer.wording.ids(prompt), writer.wording, Choice(), MOST_TARGET) for prompt in prompts
    ]
    batch = RunningBatch(writer.model, Limits(32, 4096))
    for sequence in sequences:
        batch.add(sequence)
    while not batch.idle:
        batch.advance()
    return [sequence.text() for sequence in sequences]


def _extract(text: str, method: Method, words: int) -> str:
    sentences = [text[start:end] for start, end in split_sentences(text)]
    return " ".join(sentences[place] for place in summarize(sentences, Budget(Unit.WORDS, words), method))
