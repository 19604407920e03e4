"""Adapters over HTTP: imported, listed, promoted, downloaded; what is no whole adapter is refused and leaves nothing."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from app.adapters.archive import pack
from app.db.session import reading, writing
from app.db.tables import AuditLog, Corpus
from app.http.security import create_api_key
from models.adapters.folder import finish
from tests.integration.review_corpus import Built, build_corpus
from tests.small_corpus import TWO_ARGUMENTS

REPORT = {"macro": {"model": {"f1": 0.7}}, "verdict": {"beats_baselines": True, "sentence": "It beats both."}}


@pytest.fixture
def letters(engine: Engine) -> Built:
    """A corpus with a scheme and no texts."""
    with writing(engine) as session:
        return build_corpus(session, "letters", TWO_ARGUMENTS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An adapter folder that is whole by its manifest; its weights are of no matter here."""
    place = tmp_path / "adapter"
    (place / "folds" / "0").mkdir(parents=True)
    (place / "head.safetensors").write_bytes(b"weights")
    (place / "folds" / "0" / "head.safetensors").write_bytes(b"fold weights")
    (place / "report.json").write_text(json.dumps(REPORT))
    scheme = TWO_ARGUMENTS.to_document()
    manifest = {
        "task": "classify",
        "scheme": scheme,
        "option_keys": ["remorse", "dependants"],
        "base": {"name": "minilm"},
    }
    finish(place, manifest)
    return place


def tarred(folder: Path) -> bytes:
    target = folder.parent / "packed.tar"
    pack(folder, target)
    return target.read_bytes()


def send(client: TestClient, content: bytes, **form: str) -> Any:
    return client.post("/adapters", files={"file": ("adapter", content)}, data=form)


def stored(engine: Engine, environment: Path) -> tuple[int, int]:
    """Adapter rows, and files in the blob store."""
    with reading(engine) as session:
        rows = session.execute(text("SELECT count(*) FROM adapters")).scalar_one()
    return rows, sum(path.is_file() for path in (environment / "blobs").rglob("*"))


def test_an_adapter_travels_as_an_archive(
    client: TestClient, engine: Engine, letters: Built, folder: Path, environment: Path
) -> None:
    first = send(client, tarred(folder), corpus="letters", name="guest")
    assert (first.status_code, first.json()["name"], first.json()["macro_f1"]) == (201, "guest", 0.7)
    archive = client.get(f"/adapters/{first.json()['id']}/download").content
    again = send(client, archive, corpus="letters")
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    elsewhere = send(client, archive)
    assert (elsewhere.status_code, elsewhere.json()["corpus_id"]) == (201, None)
    assert stored(engine, environment) == (2, 1)
    report = client.get(f"/adapters/{first.json()['id']}/report").json()
    assert {key: report[key] for key in REPORT} == REPORT
    assert report["provenance"]["digest"] == first.json()["digest"]
    assert [item["id"] for item in client.get("/adapters?corpus=letters").json()["items"]] == [
        first.json()["id"]
    ]
    assert len(client.get("/adapters").json()["items"]) == 2


def test_a_zip_with_one_folder_is_taken_too(client: TestClient, letters: Built, folder: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in folder.rglob("*"):
            archive.write(path, f"my adapter/{path.relative_to(folder)}")
    assert send(client, buffer.getvalue(), corpus="letters").status_code == 201


def test_promoting_needs_the_corpus_as_it_was_read(
    client: TestClient, engine: Engine, letters: Built, folder: Path
) -> None:
    path = f"/adapters/{send(client, tarred(folder), corpus='letters').json()['id']}"
    etag = client.get(path).headers["ETag"]
    assert client.post(f"{path}/promote").status_code == 428
    promoted = client.post(f"{path}/promote", headers={"If-Match": etag})
    assert (promoted.status_code, promoted.json()["promoted"]) == (200, True)
    assert client.post(f"{path}/promote", headers={"If-Match": etag}).status_code == 412
    assert client.get("/adapters").json()["items"][0]["promoted"]
    with reading(engine) as session:
        assert session.get_one(Corpus, letters.corpus_id).promoted_adapter_id == promoted.json()["id"]
        assert session.query(AuditLog).filter_by(action="adapter.promote").count() == 1


def test_a_key_of_another_corpus_sees_nothing(
    client: TestClient, engine: Engine, letters: Built, folder: Path
) -> None:
    adapter_id = send(client, tarred(folder), corpus="letters").json()["id"]
    with writing(engine) as session:
        other = build_corpus(session, "other", TWO_ARGUMENTS)
        _key, secret = create_api_key(session, "bob", "admin", other.corpus_id)
    bob = {"Authorization": f"Bearer {secret}"}
    assert client.get("/adapters", headers=bob).json()["items"] == []
    for path in ("", "/report", "/download"):
        assert client.get(f"/adapters/{adapter_id}{path}", headers=bob).status_code == 404


def _changed(folder: Path) -> bytes:
    (folder / "head.safetensors").write_bytes(b"other")
    return tarred(folder)


def _missing(folder: Path) -> bytes:
    (folder / "head.safetensors").unlink()
    return tarred(folder)


def _pickled(folder: Path) -> bytes:
    (folder / "pytorch_model.bin").write_bytes(b"x")
    return tarred(folder)


def _forged(folder: Path) -> bytes:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"task": "causal"}))
    return tarred(folder)


def _bare(folder: Path) -> bytes:
    (folder / "manifest.json").unlink()
    return tarred(folder)


def _taskless(folder: Path) -> bytes:
    manifest = json.loads((folder / "manifest.json").read_text())
    finish(folder, {key: value for key, value in manifest.items() if key not in {"task", "digest", "files"}})
    return tarred(folder)


def _entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> Callable[[Path], bytes]:
    def make(_folder: Path) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            archive.addfile(entry, io.BytesIO())
        return buffer.getvalue()

    return make


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_changed, "head.safetensors was changed"),
        (_missing, "head.safetensors is missing"),
        (_pickled, "'pytorch_model.bin' is no file of an adapter"),
        (_forged, "its digest differs"),
        (_bare, "holds no manifest.json"),
        (_taskless, "lacks 'task'"),
        (lambda _folder: b"not an archive", "neither a tar nor a zip"),
        (_entry("../../escape.json"), "leads out of the archive"),
        (_entry("/etc/escape.json"), "leads out of the archive"),
        (_entry("a\\..\\b.json"), "leads out of the archive"),
        (_entry("link.json", tarfile.SYMTYPE, "/etc/passwd"), "link or a device"),
        (_entry("link.json", tarfile.LNKTYPE, "/etc/passwd"), "link or a device"),
        (_entry("fifo.json", tarfile.FIFOTYPE), "link or a device"),
    ],
)
def test_what_is_no_whole_adapter_is_refused_and_leaves_nothing(
    client: TestClient,
    engine: Engine,
    letters: Built,
    folder: Path,
    environment: Path,
    make: Callable[[Path], bytes],
    words: str,
) -> None:
    answer = send(client, make(folder), corpus="letters")
    problem = answer.json()
    assert (answer.status_code, problem["type"], problem["field"]) == (
        422,
        "urn:remand:problem:adapter-invalid",
        "file",
    )
    assert words in problem["detail"]
    assert stored(engine, environment) == (0, 0)


def test_options_that_the_corpus_lacks_are_named(
    client: TestClient, engine: Engine, letters: Built, folder: Path, environment: Path
) -> None:
    manifest = json.loads((folder / "manifest.json").read_text()) | {"option_keys": ["remorse", "greed"]}
    finish(folder, {key: value for key, value in manifest.items() if key not in {"digest", "files"}})
    problem = send(client, tarred(folder), corpus="letters").json()
    assert (problem["type"], problem["options"]) == ("urn:remand:problem:foreign-options", ["greed"])
    assert stored(engine, environment) == (0, 0)


def test_a_bomb_is_too_large(
    client: TestClient, engine: Engine, letters: Built, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.settings import get_settings

    monkeypatch.setenv("REMAND_MAX_UPLOAD_BYTES", "100000")
    get_settings.cache_clear()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b" " * 10_000_000)
    answer = send(client, buffer.getvalue(), corpus="letters")
    assert (answer.status_code, answer.json()["field"]) == (413, "file")
    assert stored(engine, environment) == (0, 0)
