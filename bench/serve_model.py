"""The model that `bench.serve` serves everywhere: MiniLM with a linear head of seven options, as an adapter and as plain tensors for the peers."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from bench.loop import GIVEN, read
from models.adapters.folder import MANIFEST, finish, read_manifest
from models.adapters.load import FINAL, LoadedAdapter, load_adapter
from models.catalog import DEFAULT, CatalogSettings, locate
from models.encoder.load import load_encoder
from models.scheme import Option, Question, QuestionKind, Scheme
from models.training.run import train
from workers.inference.base_reader import token_windows
from workers.inference.work import TextFailure

OPTIONS = 7
ROWS = 80
PER_CASE = 20
MAX_TOKENS = 256
LETTER_WORDS = 200


@dataclass(frozen=True, slots=True)
class Served:
    """One adapter, what the peers are given of it, and texts to read with what they must answer."""

    folder: Path
    peer_folder: Path
    adapter: LoadedAdapter


def make_model(data: Path, folder: Path, threads: int) -> Served:
    """Train a probe on a few paragraphs (a minute or two), and write its head as plain tensors.

    Args:
        data: paragraphs.csv of the ECHR arguments.
        folder: where to work; what is there already is used.
        threads: of torch.
    """
    import torch

    torch.set_num_threads(threads)
    made = folder / "adapter"
    if not (made / MANIFEST).is_file():
        _train(data, folder / "training", made)
    adapter = load_adapter(made, load_encoder(locate(DEFAULT, CatalogSettings()), "cpu", torch.float32))
    peers = folder / "peer_model"
    if not (peers / "head.npz").is_file():
        _write_for_peers(adapter, peers)
    return Served(made, peers, adapter)


def texts_of(data: Path, kind: str, count: int, seed: int) -> list[str]:
    """Texts of val in an order drawn by seed: `echr`, paragraphs as they are; `letters`, paragraphs joined and cut at 200 words."""
    frame = pl.read_csv(data, schema_overrides=dict.fromkeys(GIVEN, pl.String))
    texts = frame.filter(pl.col("split") == "val").get_column("text").to_list()
    order = np.random.default_rng(seed).permutation(len(texts))
    shuffled = [texts[place] for place in order]
    if kind == "letters":
        words = " ".join(shuffled).split()
        cuts = range(0, len(words) - LETTER_WORDS, LETTER_WORDS)
        shuffled = [" ".join(words[start : start + LETTER_WORDS]) for start in cuts]
    return [shuffled[place % len(shuffled)] for place in range(count)]


def whole_in_one_window(served: Served, texts: Sequence[str]) -> list[str]:
    """Those texts that the peers, which cut at the adapter's `max_tokens`, read to their end."""
    windows_of, _ = token_windows(served.adapter.encoder, texts, served.adapter.max_tokens)
    return [
        text
        for text, windows in zip(texts, windows_of, strict=True)
        if not isinstance(windows, TextFailure) and len(windows) == 1
    ]


def archive_of(folder: Path, copy: int = 0) -> bytes:
    """The adapter as a tar; copy: a number that makes it another adapter (another digest) with the same weights."""
    buffer = io.BytesIO()
    place = folder.with_name(f"{folder.name}-{copy}")
    if copy:
        shutil.copytree(folder, place, dirs_exist_ok=True)
        manifest = {
            name: value
            for name, value in read_manifest(place).items()
            if name not in {"format", "files", "digest"}
        }
        (place / MANIFEST).unlink()
        (place / "README.md").write_text(f"Copy {copy} for a benchmark.\n", encoding="utf-8")
        finish(place, manifest)
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(place if copy else folder, arcname=".")
    if copy:
        shutil.rmtree(place)
    return buffer.getvalue()


def _train(data: Path, work: Path, made: Path) -> None:
    train_rows = read(data, 10**9, 0).filter(pl.col("split") == "train")
    frame = train_rows.group_by("case", maintain_order=True).head(PER_CASE).head(ROWS)
    names = [name for name in frame.columns if name not in GIVEN][:OPTIONS]
    options = tuple(Option(name, place) for place, name in enumerate(names))
    scheme = Scheme((Question("argument", QuestionKind.YES_NO_SET, options),))
    source = work / "in"
    shutil.rmtree(work, ignore_errors=True)
    source.mkdir(parents=True)
    request = {
        "scheme": scheme.to_document(), "method": "probe", "folds": 2, "epochs": 1, "max_tokens": MAX_TOKENS,
        "device": "cpu", "wide": False, "seed": 0,
    }  # fmt: skip
    (source / "request.json").write_text(json.dumps(request))
    table = {
        "key": frame.get_column("id"), "content": frame.get_column("text"), "group": frame.get_column("case"),
        "split": pl.Series([None] * len(frame), dtype=pl.String),
    }  # fmt: skip
    pl.DataFrame(table).write_ipc(source / "texts.arrow")
    np.save(source / "labels.npy", frame.select(names).to_numpy().astype(np.int8))
    train(source, work / "work", made, lambda _event: None)


def _write_for_peers(adapter: LoadedAdapter, folder: Path) -> None:
    """Base model, head and calibration as bench/peers/reference.py reads them."""
    member = adapter.loaded[FINAL]
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(adapter.encoder.path, folder / "base", dirs_exist_ok=True)
    tensors = {name: tensor.numpy() for name, tensor in member.head.state_dict().items()}
    calibration = {"slopes": member.calibration.slopes, "intercepts": member.calibration.intercepts}
    np.savez(folder / "head.npz", **tensors, **calibration)
    settings = {"pooled": list(adapter.pooled), "max_tokens": adapter.max_tokens}
    (folder / "settings.json").write_text(json.dumps(settings))


def sequence_model(served: Served) -> Path:
    """The same base model as transformers' own BertForSequenceClassification, which infinity serves: its head, drawn by seed, reads the first token."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = served.peer_folder / "sequence"
    if not (folder / "config.json").is_file():
        torch.manual_seed(0)
        base = served.peer_folder / "base"
        model = AutoModelForSequenceClassification.from_pretrained(
            base, num_labels=OPTIONS, problem_type="multi_label_classification", dtype=torch.float32
        )
        torch.nn.init.normal_(model.classifier.weight, std=0.5)
        model.save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(base, model_max_length=MAX_TOKENS)
        tokenizer.save_pretrained(folder)
    return folder
