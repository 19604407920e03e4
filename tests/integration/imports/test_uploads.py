"""Uploads: what is not a file, too large, broken off or on a full disk leaves nothing behind; repeats are carried out once."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from app.blobs import Blob, BlobStore
from tests.imports import Imports

GOOD = b"id,text,remorse\n1,I am sorry.,1\n"


def files_under(folder: Path) -> list[Path]:
    """Every file in the blob store, half-written ones too."""
    return [path for path in folder.rglob("*") if path.is_file()]


def test_empty_upload(imports: Imports, environment: Path) -> None:
    """A file of no bytes is refused at once."""
    answer = imports.client.post("/corpora/letters/imports", files={"file": ("f.csv", b"")})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:remand:problem:empty-file")
    assert files_under(environment / "blobs") == []


def test_no_file_and_foreign_parts(imports: Imports) -> None:
    """The part must be named file; other parts than mapping and commit do not exist."""
    url = "/corpora/letters/imports"
    assert imports.client.post(url, files={"mapping": (None, "{}")}).json()["field"] == "file"
    assert imports.client.post(url, files={"data": ("f.csv", GOOD)}).json()["field"] == "data"
    assert (
        imports.client.post(url, files={"file": ("f", GOOD)}, data={"commit": "perhaps"}).json()["field"]
        == "commit"
    )
    answer = imports.client.post(url, content=GOOD, headers={"Content-Type": "text/csv"})
    assert (answer.status_code, answer.json()["field"]) == (415, "Content-Type")


def test_broken_off_multipart(imports: Imports, environment: Path) -> None:
    """A body that ends before its last boundary."""
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="f.csv"\r\n\r\n' + GOOD
    answer = imports.client.post(
        "/corpora/letters/imports", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert answer.status_code == 422
    assert files_under(environment / "blobs") == []


def test_upload_over_the_limit(imports: Imports, environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Announced or not, a file over the limit is a 413 and is not kept."""
    from app.settings import get_settings

    monkeypatch.setenv("REMAND_MAX_UPLOAD_BYTES", "100000")
    get_settings.cache_clear()
    answer = imports.client.post("/corpora/letters/imports", files={"file": ("f.csv", b"x" * 200_000)})
    assert (answer.status_code, answer.json()["limit_bytes"]) == (413, 100_000)

    def chunks() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="f.csv"\r\n\r\n'
        for _ in range(20):
            yield b"y" * 10_000
        yield b"\r\n--x--\r\n"

    answer = imports.client.post(
        "/corpora/letters/imports",
        content=chunks(),
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert answer.status_code == 413
    assert files_under(environment / "blobs") == []


def test_full_disk(imports: Imports, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOSPC while the file is written is a 507; no job, no blob."""

    def full(_store: BlobStore, chunks: Iterable[bytes]) -> Blob:
        next(iter(chunks))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(BlobStore, "put", full)
    answer = imports.client.post("/corpora/letters/imports", files={"file": ("f.csv", GOOD * 100_000)})
    assert (answer.status_code, answer.json()["type"]) == (507, "urn:remand:problem:insufficient-storage")
    assert imports.rows("SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM blobs)") == [(0,)]


def test_repeat_with_the_same_key(imports: Imports) -> None:
    """The same upload under one Idempotency-Key makes one job; another mapping under it is refused."""
    url, headers = "/corpora/letters/imports", {"Idempotency-Key": "monday"}
    first = imports.client.post(url, files={"file": ("f.csv", GOOD)}, headers=headers)
    again = imports.client.post(url, files={"file": ("f.csv", GOOD)}, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert first.headers["location"] == again.headers["location"]
    other = imports.client.post(
        url, files={"file": ("f.csv", GOOD)}, data={"commit": "true"}, headers=headers
    )
    assert (other.status_code, other.json()["type"]) == (422, "urn:remand:problem:idempotency-mismatch")
    assert imports.rows("SELECT count(*) FROM jobs") == [(1,)]


def test_refused_upload_does_not_take_an_earlier_one_with_it(imports: Imports, environment: Path) -> None:
    """The same content, once accepted and once refused: the file of the first stays."""
    url = "/corpora/letters/imports"
    assert imports.client.post(url, files={"file": ("f.csv", GOOD)}).status_code == 202
    assert imports.client.post(url, files={"file": ("f.csv", GOOD)}, data={"mapping": "["}).status_code == 422
    assert len(files_under(environment / "blobs")) == 1


def test_blob_of_another_corpus(imports: Imports) -> None:
    """A digest is no key to another corpus's uploads."""
    job = imports.client.post("/corpora/letters/imports", files={"file": ("f.csv", GOOD)}).json()
    imports.client.post("/corpora", json={"name": "other"})
    answer = imports.client.post("/corpora/other/imports", json={"blob": job["params"]["blob"]})
    assert (answer.status_code, answer.json()["field"]) == (404, "/blob")


def test_file_names_are_for_display_only(imports: Imports, environment: Path) -> None:
    """A path in the name goes nowhere."""
    job = imports.client.post(
        "/corpora/letters/imports", files={"file": ("../../../etc/passwd\n.csv", GOOD)}
    ).json()
    assert job["params"]["filename"] in {"passwd.csv", "passwd%0A.csv"}
    assert [path.name for path in files_under(environment / "blobs")] == [job["params"]["blob"]]


def test_deleting_a_corpus_deletes_its_files(imports: Imports, environment: Path) -> None:
    """Uploads and lists of rejected rows go with the corpus; the audit log says who did it."""
    imports.send("id,text,remorse\n1,I am sorry.,1\n2,,1\n")
    assert len(files_under(environment / "blobs")) == 2
    assert imports.client.delete("/corpora/letters").status_code == 204
    assert files_under(environment / "blobs") == []
    assert imports.counts()["texts"] == 0
    assert imports.rows("SELECT actor, action FROM audit_log ORDER BY id DESC LIMIT 1") == [
        ("ada", "corpus.delete")
    ]
