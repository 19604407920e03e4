"""Keys, roles, corpus scope and browser sessions over HTTP."""

from __future__ import annotations

from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from tests.api import Keys, bearer

WRITES = [
    ("POST", "/corpora", {"name": "x"}),
    ("POST", "/keys", {"name": "x", "role": "reader"}),
    ("DELETE", "/keys/key_0", None),
    ("POST", "/sign-in-links", {}),
    ("PUT", "/corpora/letters/scheme", {"questions": []}),
    ("DELETE", "/corpora/letters", None),
    ("POST", "/corpora/letters/samples", {"size": 1}),
    ("POST", "/audit-samples", {"corpus": "letters", "size": 1}),
    ("POST", "/audit-samples/aud_x/close", {}),
    ("POST", "/audit-samples/aud_x/release", None),
]


def test_only_admins_change_things(client: TestClient, keys: Keys) -> None:
    """Without a key 401, as reader or reviewer 403 with the role that is needed."""
    for method, path, body in WRITES:
        assert client.request(method, path, json=body).status_code == 401
        for secret in (keys.reader, keys.reviewer):
            answer = client.request(method, path, json=body, headers=bearer(secret))
            assert (answer.status_code, answer.json()["needed_role"]) == (403, "admin")


def test_keys_are_made_shown_once_and_revoked(admin: TestClient, engine: Engine) -> None:
    """The secret works until it is revoked; the database holds no trace of it."""
    made = admin.post("/keys", json={"name": "anna", "role": "reviewer"}).json()
    assert made["secret"].startswith("rmd_")
    assert admin.get("/me", headers=bearer(made["secret"])).json()["name"] == "anna"
    with engine.connect() as connection:
        stored = connection.execute(
            text("SELECT k::text FROM api_keys k WHERE id = :id"), {"id": made["id"]}
        ).scalar_one()
    assert made["secret"] not in stored
    assert made["secret"].removeprefix("rmd_").encode().hex() not in stored
    assert "secret" not in admin.get("/keys").json()[-1]
    assert admin.delete(f"/keys/{made['id']}").status_code == 204
    assert admin.get("/me", headers=bearer(made["secret"])).status_code == 401
    assert admin.delete(f"/keys/{made['id']}").status_code == 404


def test_last_used_is_not_written_on_every_request(admin: TestClient, engine: Engine) -> None:
    """Once, then not again within five minutes."""
    from app.http.security import forget_credentials

    seen = set()
    for _ in range(3):
        forget_credentials()
        admin.get("/me")
        with engine.connect() as connection:
            seen.add(
                connection.execute(text("SELECT last_used_at FROM api_keys WHERE name = 'ada'")).scalar_one()
            )
    assert len(seen) == 1
    assert None not in seen


def test_scoped_key_sees_its_corpus_only(admin: TestClient) -> None:
    """Another corpus does not exist for it, nor do keys and new corpora."""
    corpora = [admin.post("/corpora", json={"name": name}).json()["id"] for name in ("mine", "other")]
    secret = admin.post("/keys", json={"name": "ben", "role": "admin", "corpus": "mine"}).json()["secret"]
    scoped = bearer(secret)
    assert [c["name"] for c in admin.get("/corpora", headers=scoped).json()["items"]] == ["mine"]
    assert admin.get("/corpora/mine", headers=scoped).status_code == 200
    for path in ("/corpora/other", f"/corpora/{corpora[1]}", "/corpora/other/texts", "/corpora/other/scheme"):
        assert admin.get(path, headers=scoped).status_code == 404
    refusals = [
        admin.get(f"/corpora/{name}", headers=scoped).json()["detail"] for name in ("other", "absent")
    ]
    assert refusals[0].replace("other", "absent") == refusals[1]  # nor can names be tried out
    assert (
        admin.post("/corpora/other/imports", files={"file": ("f", b"a")}, headers=scoped).status_code == 404
    )
    assert admin.post("/corpora", json={"name": "third"}, headers=scoped).status_code == 403
    assert admin.post("/keys", json={"name": "c", "role": "admin"}, headers=scoped).status_code == 403
    assert admin.get("/keys", headers=scoped).status_code == 403


def test_sign_in_link_begins_a_session_once(admin: TestClient, client: TestClient) -> None:
    """The second use is refused; the session acts with the key's role, edits need the CSRF token."""
    link = admin.post("/sign-in-links", json={}).json()["url"]
    path = link[link.index("/sign-in") :]
    del client.headers["Authorization"]
    begun = client.get(path)
    assert (begun.status_code, begun.headers["location"]) == (303, "/")
    cookie = begun.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert client.get("/me").json()["name"] == "ada"
    again = client.get(path)
    assert again.status_code == 401


def test_edits_by_browser_need_the_csrf_token(
    admin: TestClient, client: TestClient, engine: Engine, keys: Keys
) -> None:
    """As a header or as a form field; a foreign page has neither."""
    del client.headers["Authorization"]
    assert client.post("/sign-in", data={"key": keys.admin}).status_code == 303
    refused = client.post("/corpora", json={"name": "x"})
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:remand:problem:csrf")
    assert client.post("/corpora", json={"name": "x"}, headers={"X-CSRF-Token": "guess"}).status_code == 403
    with engine.connect() as connection:
        token = connection.execute(text("SELECT csrf FROM browser_sessions")).scalar_one()
    assert client.post("/corpora", json={"name": "x"}, headers={"X-CSRF-Token": token}).status_code == 201
    assert client.post("/sign-out", data={"csrf_token": "guess"}).status_code == 403
    assert client.post("/sign-out", data={"csrf_token": token}).status_code == 303
    assert client.get("/me").status_code == 401


def test_a_planted_cookie_never_becomes_a_session(client: TestClient, keys: Keys) -> None:
    """Session fixation: signing in gives a fresh cookie, the planted one stays worthless."""
    client.cookies.set("remand_session", "planted")
    begun = client.post("/sign-in", data={"key": keys.reader})
    assert "planted" not in begun.headers["set-cookie"]
    client.cookies.clear()
    client.cookies.set("remand_session", "planted")
    assert client.get("/me").status_code == 401


def test_secrets_of_one_kind_do_not_pass_as_another(
    client: TestClient, admin: TestClient, keys: Keys
) -> None:
    """A link's token is no key, a key no cookie, and an unused link no session."""
    token = admin.post("/sign-in-links", json={}).json()["url"].partition("token=")[2]
    del client.headers["Authorization"]
    assert client.get("/me", headers=bearer(token)).status_code == 401
    for secret in (keys.admin, token):
        client.cookies.set("remand_session", secret)
        assert client.get("/me").status_code == 401
    client.cookies.clear()
    assert client.get("/sign-in", params={"token": keys.admin}).status_code == 401
    assert client.post("/sign-in", data={"key": token}).status_code == 401


def test_expired_sessions_and_links(
    admin: TestClient, client: TestClient, engine: Engine, keys: Keys
) -> None:
    """What has run out is refused."""
    from app.http.security import forget_credentials

    path = admin.post("/sign-in-links", json={}).json()["url"].partition("8100")[2]
    del client.headers["Authorization"]
    client.post("/sign-in", data={"key": keys.admin})
    assert client.get("/me").status_code == 200
    with engine.begin() as connection:
        connection.execute(text("UPDATE browser_sessions SET expires_at = now() - interval '1 second'"))
        connection.execute(text("UPDATE sign_in_links SET expires_at = now() - interval '1 second'"))
    forget_credentials()
    assert client.get("/me").status_code == 401
    assert client.get(path).status_code == 401


MALFORMED = ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer rmd_", "Bearer \xff", "rmd_x", "Bearer a b c"]


def test_malformed_authorization(client: TestClient) -> None:
    """401, never an error of the server, and no fallback to another way in."""
    for header in MALFORMED:
        answer = client.get("/me", headers={"Authorization": header.encode("latin-1")})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
