"""Cursors, uploads and words that try to be something else."""

from __future__ import annotations

import asyncio
import base64
import logging

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.http.paging import decode_cursor, encode_cursor
from app.http.problems import Invalid
from app.settings import get_settings
from tests.api import Keys, bearer
from tests.imports import Imports

SECRET_WORDS = "Dear judge, my daughter Annabel has asthma"


def test_cursors_cannot_be_made_or_changed(admin: TestClient, environment: object) -> None:
    """Every changed character is noticed; so is a cursor signed with another key."""
    cursor = encode_cursor("corpora", ["2026-01-01T00:00:00+00:00", "cor_1"])
    assert decode_cursor(cursor, "corpora") == ["2026-01-01T00:00:00+00:00", "cor_1"]
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        with pytest.raises(Invalid):
            decode_cursor(base64.urlsafe_b64encode(changed).decode().rstrip("="), "corpora")
    for wrong in ("", "x", "€", "A" * 2000, cursor[:-1], cursor + "AAAA", "=" * 8):
        answer = admin.get("/corpora", params={"cursor": wrong})
        assert (answer.status_code, answer.json()["field"]) == (422, "cursor")
    assert admin.get("/corpora", params={"cursor": cursor}).status_code == 200


def test_cursor_of_another_server(environment: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret key signs."""
    cursor = encode_cursor("corpora", [1])
    monkeypatch.setenv("REMAND_SECRET_KEY", "another")
    get_settings.cache_clear()
    with pytest.raises(Invalid):
        decode_cursor(cursor, "corpora")


def test_no_text_reaches_the_logs(
    imports: Imports, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Imported, rejected, wrongly encoded, contradicting: no line of any log quotes a text or a label's row."""
    caplog.set_level(logging.DEBUG)
    imports.send(f"id,text,remorse\n1,{SECRET_WORDS},1\n1,{SECRET_WORDS} and more,1\n2,{SECRET_WORDS}\n")
    imports.send(f"id,text,remorse\n1,{SECRET_WORDS},1\n".encode() + b"2,\xff,1\n")
    imports.send(f'{{"id": 1, "text": "{SECRET_WORDS}", "labels": ["{SECRET_WORDS}"]\n')
    imports.client.post("/corpora", json={"name": SECRET_WORDS + "/"})
    imports.client.get("/corpora/letters/texts", params={"external_id": SECRET_WORDS})
    imports.client.get(f"/corpora/{SECRET_WORDS}")
    # httpx2 is the client of this test: what it sends is its own affair.
    records = [record.getMessage() for record in caplog.records if not record.name.startswith("httpx")]
    logged = "".join(capfd.readouterr()) + "".join(records)
    assert "request" in logged
    assert "Annabel" not in logged


def test_database_errors_are_not_quoted(imports: Imports, capfd: pytest.CaptureFixture[str]) -> None:
    """Postgres quotes values in its messages; neither the answer nor the log passes them on."""
    with imports.engine.begin() as connection:
        connection.execute(
            text("ALTER TABLE corpora ADD CONSTRAINT ck_corpora_test CHECK (description <> 'Annabel')")
        )
    answer = imports.client.post("/corpora", json={"name": "x", "description": "Annabel"})
    assert answer.status_code == 500
    assert "Annabel" not in answer.text + "".join(capfd.readouterr())


def test_labels_and_ids_that_look_like_sql_or_formulas(imports: Imports) -> None:
    """They are stored and compared as what they are; the list of rejected rows has no cell that a spreadsheet would run."""
    nasty = "'); DROP TABLE texts; --"
    content = f'id,text,"{nasty}",=cmd|x\n"{nasty}",A letter.,1,0\n"{nasty}",Another letter.,1,0\n=1+1,,1,0\n'
    job = imports.send(content)
    assert job["state"] == "succeeded"
    assert imports.rows("SELECT external_id FROM texts") == [(nasty,)]
    assert [
        o["key"] for o in imports.client.get("/corpora/letters/scheme").json()["questions"][0]["options"]
    ] == [nasty, "=cmd|x"]
    lines = imports.client.get(f"/imports/{job['id']}/rejected").text.splitlines()
    assert len(lines) == 3
    assert not any(cell.startswith(("=", "+", "-", "@")) for line in lines for cell in line.split(","))


def test_scoped_key_cannot_reach_jobs_and_uploads_of_another_corpus(imports: Imports) -> None:
    """Neither the job, nor its events, nor its rejected rows."""
    job = imports.send("id,text,remorse\n1,,1\n2,A letter.,1\n")
    other = imports.client.post("/corpora", json={"name": "other"}).json()["id"]
    secret = imports.client.post("/keys", json={"name": "ben", "role": "admin", "corpus": other}).json()[
        "secret"
    ]
    for path in ("", "/events", "/rejected"):
        assert imports.client.get(f"/imports/{job['id']}{path}").status_code == 200
        assert imports.client.get(f"/imports/{job['id']}{path}", headers=bearer(secret)).status_code == 404
    assert imports.client.get("/imports", headers=bearer(secret)).json()["items"] == []
    upload = {"blob": job["params"]["blob"]}
    assert (
        imports.client.post("/corpora/other/imports", json=upload, headers=bearer(secret)).status_code == 404
    )


CROOKED_NAMES = ["..", "../x", "a/b", "a\\b", "a?b", "a#b", "%2e%2e", "", " ", "a\nb", "x" * 201]


def test_names_that_would_be_paths(admin: TestClient) -> None:
    """A corpus's name stands in addresses: what would change an address is refused."""
    for name in CROOKED_NAMES:
        answer = admin.post("/corpora", json={"name": name})
        assert (answer.status_code, answer.json()["field"]) == (422, "/name")


CROOKED_PATHS = ["/corpora/../keys", "/corpora/%2e%2e/keys", "/corpora/..%2fkeys", "//keys", "/keys/"]


def test_crooked_paths_are_not_another_way_in(client: TestClient) -> None:
    """Without a key nothing is answered but 401, 404 or a redirect to the straight path."""
    for path in CROOKED_PATHS:
        assert client.get(path).status_code in {307, 401, 404}


def test_a_zip_that_unpacks_to_too_much(imports: Imports, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workbook of a few kilobytes that unpacks to megabytes is refused before it is unpacked."""
    import io
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", b"\0" * 5_000_000)
    monkeypatch.setenv("REMAND_MAX_UPLOAD_BYTES", "1000000")
    get_settings.cache_clear()
    assert imports.failure(file.getvalue(), name="x.xlsx")["code"] == "too-large"


def test_uploads_by_nobody_are_not_read(client: TestClient, keys: Keys) -> None:
    """Answered 401 before the first byte of the body is asked for."""

    async def request(path: str, headers: list[tuple[bytes, bytes]]) -> int:
        statuses: list[int] = []

        async def receive() -> dict[str, object]:
            raise AssertionError("the body was read")

        async def send(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])  # type: ignore[arg-type]

        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": headers,
        }
        await client.app(scope, receive, send)  # type: ignore[arg-type]
        return statuses[0]

    for path in ("/adapters", "/corpora/letters/imports"):
        for headers in ([], [(b"authorization", b"Bearer rmd_x")], [(b"cookie", b"remand_session=x")]):
            assert asyncio.run(request(path, headers)) == 401


def test_deep_nesting_is_refused(admin: TestClient) -> None:
    """Neither the parser nor the checks run out of stack."""
    for depth in (500, 900, 5_000, 100_000):
        body = b'{"name": ' + b"[" * depth + b"]" * depth + b"}"
        answer = admin.post("/corpora", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}, depth


def test_sign_in_form_of_another_site(client: TestClient, keys: Keys) -> None:
    """Nobody is signed in under somebody else's key unknowingly."""
    answer = client.post("/sign-in", data={"key": keys.reader}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
