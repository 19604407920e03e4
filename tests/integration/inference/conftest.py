"""A real adapter on a two-layer encoder, trained once, packed as a blob."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.blobs import BlobStore
from models.adapters.load import LoadedAdapter, load_adapter
from models.encoder.load import load_encoder
from models.training import run
from tests.tiny_encoder import make_encoder, synthetic_letters, write_training_folder


@dataclass(frozen=True, slots=True)
class Trained:
    """An adapter folder, its base model, and its tar in a blob store."""

    folder: Path
    base: Path
    blob_root: Path
    digest: str
    texts: list[str]

    def load(self) -> LoadedAdapter:
        return load_adapter(self.folder, load_encoder(self.base, "cpu"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    place = tmp_path_factory.mktemp("inference")
    base = make_encoder(place / "models" / "tiny")
    texts, labels = synthetic_letters(48, seed=1)
    options = {"folds": 2, "epochs": 1, "learning_rate": 0.01, "lora_rank": 4, "max_tokens": 32}
    source = write_training_folder(place / "in", base, texts, labels, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "reload_check", lambda *_: 0.0)  # tested where training is
        run.train(source, place / "work", place / "out", lambda _event: None)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(place / "out", arcname=".")
    blob = BlobStore(str(place / "blobs")).put_bytes(buffer.getvalue())
    return Trained(place / "out", base, place / "blobs", blob.digest, texts)
