"""Every route of the app, walked: without a key none answers, and a key of one corpus finds nothing of another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.db.session import writing
from app.db.tables import Corpus
from app.http.security import create_api_key, forget_credentials
from app.ids import new_id
from app.main import create_app
from tests.api import bearer
from tests.integration.relabel.conftest import attempt, plain_score, reader, server, world
from tests.integration.relabel.world import World

__all__ = ["attempt", "plain_score", "reader", "server", "world"]

PUBLIC = {
    ("GET", "/livez"), ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/docs"), ("GET", "/openapi.json"),
    ("GET", "/sign-in"), ("POST", "/sign-in"), ("GET", "/static"),
}  # fmt: skip
"""What answers without a key."""
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("PUT", "/corpora/{corpus_id}"): {"json": {"name": "mine now"}},
    ("PUT", "/corpora/{corpus_id}/scheme"): {"json": {"questions": []}},
    ("POST", "/corpora/{corpus_id}/samples"): {"json": {"size": 1}},
    ("POST", "/corpora/{corpus_id}/imports"): {"files": {"file": ("f.csv", b"text\na\n")}},
    ("PUT", "/label-disagreements/{disagreement_id}/review"): {"json": {"value": "yes"}},
    ("POST", "/review/{disagreement_id}/vote"): {"data": {"value": "yes", "etag": '"x"'}},
    ("POST", "/review/{disagreement_id}/undo"): {"data": {"etag": '"x"'}},
    ("PUT", "/audit-samples/{audit_sample_id}/texts/{text_id}/reading"): {"json": {"skip": True}},
    ("POST", "/audit-samples/{audit_sample_id}/close"): {"json": {}},
    ("GET", "/adapters/{adapter_id}/compare"): {"params": {"with": "adp_x"}},
}
"""Valid bodies: what is refused is refused for its corpus alone."""


def every_route(app: FastAPI) -> Iterator[tuple[str, str]]:
    """(method, path template) of every route, those of included routers too."""
    waiting = list(app.routes)
    while waiting:
        route: Any = waiting.pop()
        if hasattr(route, "original_router"):
            waiting += route.original_router.routes
            continue
        for method in getattr(route, "methods", None) or {"GET"}:
            if method != "HEAD":
                yield method, route.path


def test_without_a_key_nothing_answers_that_is_not_meant_to(client: TestClient) -> None:
    """Neither a reader's route nor a page nor a stream; the walk itself must find what there is."""
    found = set(every_route(create_app()))
    assert found >= PUBLIC
    assert len(found) > 50
    open_ones = {
        (method, path)
        for method, path in found - PUBLIC
        if client.request(method, path.replace("{", "").replace("}", "")).status_code != 401
    }
    assert open_ones == set()


@pytest.mark.usefixtures("plain_score")
def test_a_key_of_one_corpus_reaches_nothing_of_another(world: World, attempt: Any) -> None:
    """Corpora, texts, jobs and their streams, adapters, runs, rankings, disagreements, files: none of it exists for it."""
    with writing() as session:
        mine = Corpus(id=new_id("cor"), name="mine")
        session.add(mine)
        session.flush()
        _, all_over = create_api_key(session, "ada", "admin")
        _, scoped = create_api_key(session, "ben", "admin", mine.id)
    forget_credentials()
    with TestClient(create_app(), follow_redirects=False) as client:
        client.headers.update(bearer(all_over))
        job = client.post(
            "/relabel-jobs", json={"corpus": world.built.corpus_id, "adapter": world.adapter_id}
        ).json()["id"]
        result = attempt(job).result
        first = client.get("/label-disagreements", params={"corpus": world.built.corpus_id}).json()["items"][
            0
        ]
        drawn = client.post(
            "/audit-samples", json={"corpus": world.built.corpus_id, "size": 2, "design": "random"}
        ).json()["id"]
        places = {
            "corpus_id": world.built.corpus_id, "job_id": job, "adapter_id": world.adapter_id, "key_id": "key_x",
            "ranking_id": result["ranking"], "disagreement_id": first["id"], "text_id": first["text_id"],
            "sample_id": "smp_x", "run_id": "smr_x", "document_set_id": "doc_x", "audit_sample_id": drawn,
        }  # fmt: skip
        client.headers.update(bearer(scoped))
        reached = {}
        for method, path in sorted(every_route(create_app())):
            if "{" in path:
                answer = client.request(method, path.format(**places), **BODIES.get((method, path), {}))
                if answer.status_code not in {403, 404}:
                    reached[method, path] = answer.status_code
        assert reached == {}
        theirs = {
            "corpus": world.built.corpus_id,
            "adapter": world.adapter_id,
            "run": result["run"],
            "ranking": result["ranking"],
            "audit_sample": drawn,
        }
        for method, path in sorted(every_route(create_app())):
            if method == "GET" and "{" not in path and (method, path) not in PUBLIC:
                listed = client.get(path)
                assert not any(name in listed.text for name in (*theirs.values(), job, first["id"])), path
                for name, value in theirs.items():
                    asked = client.get(path, params={name: value})
                    quoted = asked.text.replace(value, "")  # a refusal may say what it was asked for
                    others = [
                        other
                        for other in (*theirs.values(), first["id"], first["external_id"])
                        if other in quoted
                    ]
                    assert others == [], (path, name)
        for path, body in {
            "/classify": {"text": "a letter"} | {"corpus": theirs["corpus"]},
            "/classify ": {"text": "a letter"} | {"adapter": theirs["adapter"]},
            "/generate": {"prompt": "a"} | {"adapter": theirs["adapter"]},
            "/perplexity": {"text": "a"} | {"adapter": theirs["adapter"]},
            "/train-jobs": {"corpus": theirs["corpus"]},
            "/relabel-jobs": {"corpus": theirs["corpus"]},
            "/rankings": {"corpus": theirs["corpus"]},
            "/rankings ": {"corpus": "mine", "run": theirs["run"]},
            "/relabel-jobs ": {"corpus": "mine", "adapter": theirs["adapter"]},
            "/audit-samples": {"corpus": theirs["corpus"], "size": 1},
            "/estimates": {"corpus": theirs["corpus"], "analyses": [{"kind": "prevalence"}]},
            "/annotator-reports": {"corpus": theirs["corpus"]},
            "/summary-jobs": {"corpus": theirs["corpus"], "method": "lead"},
            "/evaluations": {"corpus": theirs["corpus"]},
            "/evaluations ": {"corpus": "mine", "adapter": theirs["adapter"]},
            "/evaluations  ": {"corpus": "mine", "base": "minilm", "compare_with": theirs["adapter"]},
        }.items():
            assert client.post(path.strip(), json=body).status_code == 404, path
        tar = {"file": ("a.tar", b"")}
        assert client.post("/adapters", files=tar, data={"corpus": theirs["corpus"]}).status_code == 404
        assert client.post("/adapters", files=tar).status_code == 403
