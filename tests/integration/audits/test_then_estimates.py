"""A sample that was drawn, read and closed through the API carries estimates, before its outcomes are released and after."""

from __future__ import annotations

from collections.abc import Callable

from fastapi.testclient import TestClient

from app.db.tables import Job
from tests.audits import TEXTS, close, draw, read_all, truth_of
from tests.integration.audits.conftest import Person
from tests.integration.estimates.conftest import attempt

__all__ = ["attempt"]
BODY = {"corpus": "letters", "cluster_by": None, "analyses": [{"kind": "prevalence"}]}


def test_from_the_draw_to_the_numbers(ada: TestClient, person: Person, attempt: Callable[[str], Job]) -> None:
    sample = draw(ada, size=45, seed=3, name="first")
    early = ada.post("/estimates", json=BODY)
    assert (early.status_code, early.json()["type"]) == (409, "urn:remand:problem:no-closed-audit-sample")
    read_all(person("vera"), sample["id"])
    close(ada, sample["id"])
    reports = []
    for released in (False, True):
        if released:
            assert ada.post(f"/audit-samples/{sample['id']}/release").status_code == 200
        job = attempt(ada.post("/estimates", json=BODY).json()["id"])
        assert job.state == "succeeded", job.error
        reports.append(ada.get(f"/estimates/{job.id}/report").json())
    page = ada.get(f"/audits/{sample['id']}", headers={"Accept": "text/html"}).text
    assert f'href="/estimates/{job.id}/report"' in page
    found = {one["name"]: one for analysis in reports[0]["analyses"] for one in analysis["estimates"]}
    assert list(found) == ["remorse", "dependants", "granted", "denied", "open"]
    for name, one in found.items():
        true = sum(
            name in (key if value == "yes" else value for key, value in truth_of(n).items())
            for n in range(TEXTS)
        )
        assert one["low"] <= true / TEXTS <= one["high"], name
    assert found["remorse"]["naive"] * TEXTS == 22  # every tenth is wrong: four of six are said, two are not
    # what the release wrote into reviews changes nothing: labels given are those that were sealed
    assert reports[0]["analyses"] == reports[1]["analyses"]
