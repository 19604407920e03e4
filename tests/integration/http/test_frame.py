"""What every endpoint shares: problems, limits, idempotency, cursors, ETags, logs, metrics, health."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from tests.api import Keys


def test_unknown_paths_and_methods(client: TestClient) -> None:
    """404 and 405 are problems too."""
    missing = client.get("/no/such/thing")
    assert (missing.status_code, missing.json()["type"]) == (404, "urn:remand:problem:not-found")
    wrong = client.put("/livez")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET")
    assert wrong.json()["detail"] == "This address takes GET."
    for answer in (missing, wrong):
        assert answer.headers["content-type"] == "application/problem+json"


WRONG_BODIES = [
    (b"{", "body"),
    (b'{"name": 3}', "/name"),
    (b'{"nam": "x"}', "/name"),
    (b'{"name": "x", "extra": 1}', "/extra"),
    (b'{"name": "a\\u0000b"}', "/name"),
    (b'{"name": "\\ud800"}', "/name"),
    (
        b'{"name": "x", "scheme": {"questions": [{"key": "q", "kind": "maybe", "options": [{"key": "a"}]}]}}',
        "/scheme/questions/0/kind",
    ),
    (
        b'{"name": "x", "scheme": {"questions": [{"key": "q", "kind": "choose_one", "options": [{"key": "a\\u0000"}]}]}}',
        "/scheme/questions/0/options/0/key",
    ),
    (b'{"name": "x", "sensitive": NaN}', "/sensitive"),
    (b'{"name": "../etc"}', "/name"),
    (b'{"name": " x"}', "/name"),
]


def test_validation_names_the_field(admin: TestClient) -> None:
    """422 with a JSON pointer to the first field at fault; what was sent is not echoed."""
    for body, field in WRONG_BODIES:
        answer = admin.post("/corpora", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, answer.text
        assert answer.json()["field"] == field
        assert "input" not in answer.text


WRONG_ADDRESSES = [
    "/corpora/a%00b",
    "/corpora/x/texts?external_id=%00",
    "/corpora/%ff",
    "/corpora?cursor=%ff",
    "/corpora/x/texts?metadata=%00",
]


WRONG_KINDS_OF_BODY = [
    (b"", "application/json", 422, "send a JSON object"),
    (b"[]", "application/json", 422, "no JSON object"),
    (b'{"name": "x"}', "text/plain", 422, "Content-Type: application/json"),
    (b'{"name": "caf\xe9"}', "application/json", 400, "not valid UTF-8 (byte 14)"),
    (b'{"name": "a/b"}', "application/json", 422, "A name has no /"),
]


def test_a_body_of_the_wrong_kind_is_told_what_to_be(admin: TestClient) -> None:
    """Words of our own, where the framework's do not help."""
    for body, kind, status, words in WRONG_KINDS_OF_BODY:
        answer = admin.post("/corpora", content=body, headers={"Content-Type": kind})
        assert answer.status_code == status
        assert words in answer.json()["detail"]
        assert answer.json()["field"] in {"body", "/name"}


def test_a_field_of_two_kinds_is_named_once(admin: TestClient) -> None:
    """Both kinds in one sentence, and no name of a branch in the pointer."""
    problem = admin.post("/train-jobs", json={"corpus": "x", "folds": "many"}).json()
    assert problem["field"] == "/folds"
    assert {error["field"] for error in problem["errors"]} == {"/folds"}
    assert "integer" in problem["detail"]
    assert "'auto'" in problem["detail"]


def test_an_unknown_corpus_is_named_by_the_field_it_stood_in(admin: TestClient) -> None:
    """`/corpus` in bodies, `corpus` in queries, `corpus_id` in addresses."""
    asked = [
        (admin.post("/train-jobs", json={"corpus": "nope"}), "/corpus"),
        (admin.post("/relabel-jobs", json={"corpus": "nope"}), "/corpus"),
        (admin.post("/keys", json={"name": "x", "role": "reader", "corpus": "nope"}), "/corpus"),
        (admin.get("/jobs", params={"corpus": "nope"}), "corpus"),
        (admin.get("/adapters", params={"corpus": "nope"}), "corpus"),
        (admin.get("/label-disagreements", params={"corpus": "nope"}), "corpus"),
        (admin.get("/corpora/nope"), "corpus_id"),
    ]
    assert [(answer.status_code, answer.json()["field"]) for answer, _ in asked] == [
        (404, field) for _, field in asked
    ]


def test_addresses_that_no_text_can_hold(admin: TestClient) -> None:
    """NUL bytes and invalid UTF-8 in path or query never reach the database."""
    for path in WRONG_ADDRESSES:
        assert admin.get(path).status_code == 422


def test_body_limit_announced_and_chunked(admin: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """413 names the limit, however the body is sent."""
    from app.settings import get_settings

    monkeypatch.setenv("REMAND_MAX_BODY_BYTES", "1000")
    get_settings.cache_clear()

    def chunks() -> Iterator[bytes]:
        for _ in range(50):
            yield b" " * 100

    for content in (b" " * 5000, chunks()):
        answer = admin.post("/corpora", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["limit_bytes"]) == (413, 1000)


def test_idempotency_of_corpora(admin: TestClient) -> None:
    """Same body: the first answer again, with its headers. Other body: 422. A failed request does not use the key up."""
    headers = {"Idempotency-Key": "k1"}
    assert admin.post("/corpora", json={"name": "cor_x"}, headers=headers).status_code == 422
    first = admin.post("/corpora", json={"name": "a"}, headers=headers)
    again = admin.post("/corpora", json={"name": "a"}, headers=headers)
    assert first.status_code == again.status_code == 201
    assert again.json() == first.json()
    assert (again.headers["location"], again.headers["idempotency-replayed"]) == (
        first.headers["location"],
        "true",
    )
    other = admin.post("/corpora", json={"name": "b"}, headers=headers)
    assert (other.status_code, other.json()["field"]) == (422, "Idempotency-Key")
    assert [c["name"] for c in admin.get("/corpora").json()["items"]] == ["a"]


def test_idempotency_keys_belong_to_their_api_key(admin: TestClient) -> None:
    """Another caller's key of the same name is another key."""
    secret = admin.post("/keys", json={"name": "zoe", "role": "admin"}).json()["secret"]
    admin.post("/corpora", json={"name": "a"}, headers={"Idempotency-Key": "k"})
    answer = admin.post(
        "/corpora", json={"name": "b"}, headers={"Idempotency-Key": "k", "Authorization": f"Bearer {secret}"}
    )
    assert answer.status_code == 201


def test_second_request_waits_for_the_first(admin: TestClient, engine: Engine, keys: Keys) -> None:
    """In flight: the second waits; when the first is rolled back it is carried out."""
    with engine.connect() as connection, ThreadPoolExecutor(1) as pool:
        connection.execute(
            text("INSERT INTO idempotency_keys (api_key_id, key, request_digest) VALUES (:id, 'k', 'other')"),
            {"id": keys.admin_id},
        )
        started = Event()

        def second() -> int:
            started.set()
            return admin.post("/corpora", json={"name": "a"}, headers={"Idempotency-Key": "k"}).status_code

        waiting = pool.submit(second)
        started.wait(10)
        _until_blocked(engine)
        connection.rollback()
        assert waiting.result(20) == 201


def test_second_request_gives_up_after_a_while(
    admin: TestClient, engine: Engine, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """409 with Retry-After when the first does not end."""
    monkeypatch.setattr("app.http.idempotency._WAIT", "200ms")
    with engine.connect() as connection:
        connection.execute(
            text("INSERT INTO idempotency_keys (api_key_id, key, request_digest) VALUES (:id, 'k', 'other')"),
            {"id": keys.admin_id},
        )
        answer = admin.post("/corpora", json={"name": "a"}, headers={"Idempotency-Key": "k"})
        connection.rollback()
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:remand:problem:idempotency-in-flight")
    assert int(answer.headers["retry-after"]) > 0


def test_cursors_go_through_everything_once(admin: TestClient) -> None:
    """Pages of two over five corpora."""
    for number in range(5):
        admin.post("/corpora", json={"name": f"c{number}"})
    seen, cursor = [], None
    while True:
        page = admin.get("/corpora", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [corpus["name"] for corpus in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["c4", "c3", "c2", "c1", "c0"]


def test_unexpected_errors(
    client: TestClient, admin: TestClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """500 is a problem with the request id; the log has place and kind of the error, not its words."""

    def broken(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("Dear judge, I am sorry.")

    monkeypatch.setattr("app.corpora.routes.list_corpora", broken)
    capsys.readouterr()
    answer = admin.get("/corpora", headers={"X-Request-ID": "abc-1"})
    assert (answer.status_code, answer.json()["request_id"], answer.headers["x-request-id"]) == (
        500,
        "abc-1",
        "abc-1",
    )
    logged = capsys.readouterr().out
    assert "Dear judge" not in logged + answer.text
    lines = [json.loads(line) for line in logged.splitlines() if line.startswith("{")]
    assert {"unexpected_error", "request"} <= {
        line["event"] for line in lines if line["request_id"] == "abc-1"
    }
    assert any(line.get("error") == "RuntimeError" for line in lines)


def test_request_ids_are_checked(client: TestClient) -> None:
    """A caller's id is taken over only if it is harmless."""
    assert client.get("/livez", headers={"X-Request-ID": "ok_1.2-3"}).headers["x-request-id"] == "ok_1.2-3"
    for given in ("a b", "x" * 65, '"}'):
        assert client.get("/livez", headers={"X-Request-ID": given}).headers["x-request-id"] != given


def test_logs_hold_no_query_and_no_path_values(admin: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    """What somebody searches for is not written down: the route's template is."""
    admin.post("/corpora", json={"name": "letters"})
    capsys.readouterr()
    admin.get("/corpora/letters/texts?metadata=name=Smith&external_id=Jones")
    admin.get("/corpora/Miller")
    logged = capsys.readouterr().out
    assert '"/corpora/{corpus_id}/texts"' in logged
    for word in ("Smith", "Jones", "Miller"):
        assert word not in logged


def test_metrics_count_by_route(client: TestClient) -> None:
    """The template of the route is the label; unknown paths share one."""
    client.get("/livez")
    client.get("/x/y/z")
    page = client.get("/metrics").text
    assert 'remand_http_request_seconds_count{method="GET",route="/livez",status="200"}' in page
    assert 'route="unmatched"' in page
    assert "/x/y/z" not in page


def test_readiness_in_parts(client: TestClient, engine: Engine) -> None:
    """Degraded without inference workers; not ready when the schema is at another revision."""
    health = client.get("/readyz")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert health.json()["parts"]["database"]["ready"]
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    behind = client.get("/readyz")
    assert (behind.status_code, behind.json()["parts"]["migrations"]["ready"]) == (503, False)
    assert client.get("/livez").status_code == 200


def test_docs_page_needs_nothing_from_elsewhere(client: TestClient) -> None:
    """Every operation with its fields, without script and without another server."""
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for word in (
        "POST /corpora/{corpus_id}/imports",
        "PUT /label-disagreements/{disagreement_id}/review",
        "Idempotency-Key",
    ):
        assert word in page.text
    for foreign in ("<script", "https://", "src="):
        assert foreign not in page.text


def test_metrics_of_several_processes(tmp_path: Path) -> None:
    """With PROMETHEUS_MULTIPROC_DIR, /metrics adds up what every process has counted."""
    count = "from app.http.telemetry import _SECONDS; _SECONDS.labels('GET', '/x', '200').observe(1)"
    read = count + "; from app.http.telemetry import metrics_page; print(metrics_page()[0].decode())"
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", count], env=environment, check=True)
    page = subprocess.run(
        [sys.executable, "-c", read], env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert 'remand_http_request_seconds_count{method="GET",route="/x",status="200"} 2.0' in page


def test_database_away(client: TestClient, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with Retry-After, and readyz says which part."""
    from app.settings import get_settings

    monkeypatch.setenv("REMAND_DATABASE_URL", "postgresql://nobody:x@127.0.0.1:1/none")
    get_settings.cache_clear()
    answer = client.get("/me", headers={"Authorization": f"Bearer {keys.admin}"})
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:remand:problem:unavailable")
    assert int(answer.headers["retry-after"]) > 0
    upload = client.post("/adapters", headers={"Authorization": f"Bearer {keys.admin}"}, content=b"x")
    assert upload.status_code == 503
    assert client.get("/readyz").json()["parts"]["database"]["ready"] is False


def _until_blocked(engine: Engine) -> None:
    """Wait until some backend waits for a lock."""
    import time

    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with engine.connect() as connection:
            blocked = connection.execute(
                text(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
            ).scalar_one()
        if blocked:
            return
        time.sleep(0.02)
    raise AssertionError("the second request never waited")
