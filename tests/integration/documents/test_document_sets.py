"""Document sets over HTTP: uploaded, read in a job, listed, deleted with all that belongs to them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from app.blobs import BlobStore
from app.db.session import writing
from app.documents.queries import readable
from app.jobs import leases
from app.settings import get_settings
from tests.api import bearer
from tests.attempts import exit_of_attempt
from tests.document_sets import read, upload
from tests.made_documents import docx, pdf, scanned_pdf
from workers import documents
from workers.stopping import StopFlag


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def stored(folder: Path) -> int:
    return sum(path.is_file() for path in (folder / "blobs").rglob("*"))


def test_files_are_read_or_refused_one_by_one(client: TestClient, engine: Engine) -> None:
    archive = zipped({"cases/one.txt": b"The first case.", "cases/again.txt": b"A plain text.", "deep.zip": zipped({"x.txt": b"x"})})  # fmt: skip
    made = upload(
        client,
        {"a.txt": b"A plain text.", "b.pdf": pdf([["One page only."]]), "c.docx": docx(["Words."]), "scan.pdf": scanned_pdf(), "d.zip": archive, "p.csv": b"text,summary\nlong,short\n"},
    )  # fmt: skip
    assert (made["state"], made["waiting"], made["name"]) == ("reading", 6, "a.txt")
    found = read(client, made)
    assert (found["state"], found["documents"], found["rows"], found["refused"]) == ("ready", 5, 1, 2)
    files = {file["filename"]: file for file in found["files"]}
    assert files["b.pdf"]["pages"] == 1
    assert files["a.txt"]["characters"] == 13
    assert files["p.csv"]["rows"] == 1
    assert (files["scan.pdf"]["status"], files["scan.pdf"]["code"]) == ("refused", "document-scanned")
    assert "OCR" in files["scan.pdf"]["detail"]
    assert files["d.zip"]["status"] == "unpacked"
    assert files["d.zip/cases/again.txt"]["warnings"] == ["The same file as a.txt."]
    assert files["d.zip/deep.zip"]["code"] == "document-kind-unknown"
    job = client.get(f"/document-jobs/{made['job_id']}").json()
    assert (job["state"], job["result"]["documents"], len(job["result"]["refusals"])) == ("succeeded", 5, 2)
    assert [item["id"] for item in client.get("/document-sets?corpus=judgments").json()["items"]] == [
        made["id"]
    ]
    with writing(engine) as session:
        texts = readable(session, made["id"], "document")
    blobs = BlobStore(get_settings().blob_root)
    assert [blobs.path(row["text_blob"]).read_text() for row in texts][:3] == [
        "A plain text.",
        "One page only.",
        "Words.",
    ]


def test_an_interrupted_job_goes_on_where_it_was(client: TestClient, engine: Engine) -> None:
    made = upload(client, {f"{number}.txt": f"Text {number}.".encode() for number in range(4)})

    class AfterTwo(StopFlag):
        def reason(self) -> Any:
            return "shutdown" if client.get(f"/document-sets/{made['id']}").json()["waiting"] == 2 else None

    assert read(client, made, AfterTwo())["waiting"] == 2
    with writing(engine) as session:
        leases.release(
            session, made["job_id"], 1, code="shutdown", reason="asked", counted=False, max_attempts=3
        )
    found = read(client, made)
    assert (found["state"], found["documents"], found["waiting"]) == ("ready", 4, 0)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT max(tries) FROM document_files")).scalar_one() == 1


def test_a_long_file_and_an_archive_are_left_halfway_and_do_not_count_as_tried(
    client: TestClient, engine: Engine, environment: Path
) -> None:
    files = {
        "long.pdf": pdf([["A page of words."]] * 3),
        "many.zip": zipped({f"{n}.txt": b"%d" % n for n in range(3)}),
    }
    made = upload(client, files)
    uploaded = stored(environment)

    class AfterLooks(StopFlag):
        def __init__(self, looks: int) -> None:
            super().__init__()
            self.left = looks

        def reason(self) -> Any:
            self.left -= 1
            return "shutdown" if self.left < 0 else None

    for attempt, looks in enumerate((2, 6), 1):  # in the PDF; then, after it is read, in the archive
        assert read(client, made, AfterLooks(looks))["waiting"] == 3 - attempt
        with writing(engine) as session:
            leases.release(
                session,
                made["job_id"],
                attempt,
                code="shutdown",
                reason="asked",
                counted=False,
                max_attempts=3,
            )
    with engine.connect() as connection:
        assert connection.execute(text("SELECT tries FROM document_files ORDER BY id")).scalars().all() == [
            1,
            0,
        ]
    assert stored(environment) == uploaded + 1
    found = read(client, made)
    assert (found["state"], found["documents"], found["refused"]) == ("ready", 4, 0)


def test_a_file_that_ends_the_process_twice_is_refused(client: TestClient, engine: Engine) -> None:
    made = upload(client, {"bad.txt": b"Text.", "good.txt": b"Text, too."})
    with engine.begin() as connection:
        connection.execute(text("UPDATE document_files SET tries = :tries WHERE filename = 'bad.txt'"), {"tries": documents.MOST_TRIES})  # fmt: skip
    codes = {file["filename"]: file["code"] for file in read(client, made)["files"]}
    assert codes == {"bad.txt": "document-unreadable", "good.txt": None}


def test_deleting_a_set_or_its_corpus_leaves_no_file(client: TestClient, environment: Path) -> None:
    shared = b"The same in both sets."
    first, second = (
        upload(client, {"a.txt": shared, f"{name}.txt": name.encode() * 9}) for name in ("one", "two")
    )
    for made in (first, second):
        read(client, made)
    # both files of each set, and the same again as text: content that is equal is stored once
    assert stored(environment) == 3
    assert client.delete(f"/document-sets/{first['id']}").status_code == 204
    assert client.get(f"/document-sets/{first['id']}").status_code == 404
    assert stored(environment) == 2
    assert client.get(f"/document-sets/{second['id']}").json()["documents"] == 2
    assert client.delete("/corpora/judgments").status_code == 204
    assert stored(environment) == 0


@pytest.mark.parametrize("path", ["/document-sets/{id}", "/corpora/judgments"])
def test_what_is_deleted_while_it_is_read_leaves_no_file(
    client: TestClient, environment: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    made = upload(client, {"d.zip": zipped({"a.txt": b"The first.", "b.txt": b"The second."})})
    read_it = documents._read

    def deleted_meanwhile(*given: Any) -> Any:
        found = read_it(*given)
        assert client.delete(path.format(**made)).status_code == 204
        return found

    monkeypatch.setattr(documents, "_read", deleted_meanwhile)
    exit_of_attempt(made["job_id"], documents.run)
    assert stored(environment) == 0


def test_the_same_upload_again_with_its_key_is_one_set(client: TestClient, environment: Path) -> None:
    key = {"Idempotency-Key": "k1"}
    first, again = (upload(client, {"a.txt": b"Text."}, **key) for _ in range(2))
    assert first == again
    other = client.post("/document-sets", files=[("files", ("a.txt", b"Other."))], data={"corpus": "judgments"}, headers=key)  # fmt: skip
    assert (other.status_code, other.json()["type"]) == (422, "urn:remand:problem:idempotency-mismatch")
    assert stored(environment) == 1


@pytest.mark.parametrize(
    ("files", "data", "status", "field"),
    [
        ([], {"corpus": "judgments"}, 422, "/files"),
        ([("files", ("a.txt", b"x"))], {}, 422, "/corpus"),
        ([("files", ("a.txt", b"x"))], {"corpus": "nowhere"}, 404, "corpus"),
        ([("files", ("../", b"x"))], {"corpus": "judgments"}, 422, "files"),
        ([("files", ("ok.txt", b"fine")), ("files", ("big.txt", b"x" * 2000))], {"corpus": "judgments"}, 413, "files"),
    ],
)  # fmt: skip
def test_wrong_uploads_are_problems_and_leave_nothing(
    client: TestClient, environment: Path, monkeypatch: pytest.MonkeyPatch, files: Any, data: Any, status: int, field: str
) -> None:  # fmt: skip
    monkeypatch.setenv("REMAND_MAX_DOCUMENT_BYTES", "1000")
    get_settings.cache_clear()
    answer = client.post("/document-sets", files=files or None, data=data)
    assert answer.status_code == status, answer.text
    assert answer.json()["field"].strip("/").endswith(field.strip("/"))
    assert client.get("/document-sets").json()["items"] == []
    assert stored(environment) == 0


def test_a_key_of_another_corpus_sees_no_set(client: TestClient) -> None:
    made = upload(client, {"a.txt": b"Text."})
    client.post("/corpora", json={"name": "mine"})
    secret = client.post("/keys", json={"name": "ben", "role": "admin", "corpus": "mine"}).json()["secret"]
    scoped = bearer(secret)
    for method in ("GET", "DELETE"):
        assert client.request(method, f"/document-sets/{made['id']}", headers=scoped).status_code == 404
    assert client.get("/document-sets", headers=scoped).json()["items"] == []
    parts = [("files", ("a.txt", b"Text."))]
    assert (
        client.post("/document-sets", files=parts, data={"corpus": "judgments"}, headers=scoped).status_code
        == 404
    )
