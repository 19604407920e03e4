"""The bulk lane's patience: which answers are waited out and which end the job."""

import asyncio

import httpx
import pytest

from workers.inference.wire import QUEUED_HEADER
from workers.job_context import JobFailed
from workers.relabel import bulk
from workers.relabel.bulk import BulkWorkers


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    """Pauses are noted, not slept."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(bulk.asyncio, "sleep", sleep)
    return slept


def ask(answers, hosts=("a",), patience=600.0, times=1):
    """What a client gets from workers that answer in turn."""
    asked = []

    def respond(request):
        asked.append(request.url.host)
        given = answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    async def main():
        workers = BulkWorkers(
            [f"http://{host}" for host in hosts], "", patience, httpx.MockTransport(respond)
        )
        found = [await workers.post("/bulk", {}) for _ in range(times)]
        await workers.close()
        return found

    return asyncio.run(main()), asked


def full(seconds):
    return httpx.Response(
        503, json={"code": "queue-full", "detail": "full"}, headers={"Retry-After": str(seconds)}
    )


OK = httpx.Response(200, content=b"done")


def test_a_full_queue_is_waited_for_as_long_as_it_says(no_pause):
    found, _ = ask([full(3), full(2), OK])
    assert found[0].content == b"done"
    assert no_pause == [3, 2]


def test_broken_connections_and_errors_are_waited_out_with_growing_pauses(no_pause):
    answers = [
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
        httpx.Response(500),
        httpx.Response(503),
        OK,
    ]
    assert ask(answers)[0][0].content == b"done"
    assert no_pause == sorted(no_pause)
    assert len(no_pause) == 4


def test_a_refusal_ends_the_job_with_its_reason():
    refusal = httpx.Response(422, json={"code": "base-model-unavailable", "detail": "provide it"})
    with pytest.raises(JobFailed) as failed:
        ask([refusal])
    assert (failed.value.code, "provide it" in failed.value.detail) == ("base-model-unavailable", True)


def test_patience_ends():
    with pytest.raises(JobFailed) as failed:
        ask([httpx.ConnectError("refused")] * 3, patience=-1)
    assert failed.value.code == "no-inference-worker"


def test_a_full_queue_is_a_sign_of_life():
    assert ask([full(1)] * 5 + [OK], patience=-1)[0][0].content == b"done"


def test_the_least_queued_worker_is_asked_and_one_that_broke_is_avoided():
    answers = [
        httpx.ReadError("reset"),
        httpx.Response(200, headers={QUEUED_HEADER: "50"}),
        httpx.Response(200, headers={QUEUED_HEADER: "10"}),
    ]
    assert ask(answers, hosts=("a", "b"), times=2)[1] == ["a", "b", "b"]
