"""The api's choice of worker: least queued first, one second try, refusals passed on."""

import asyncio

import httpx
import pytest

from app.http.problems import Unavailable
from app.inference import pool as pools
from app.inference.pool import QUEUED_HEADER, CallerLeft, WorkerPool


class Network:
    """Workers by host name: each has a list of what it answers in turn (status, queued tokens) or an error to raise."""

    def __init__(self, **answers):
        self.answers = {host: list(given) for host, given in answers.items()}
        self.asked, self.waits = [], []

    def __call__(self, request):
        host = request.url.host
        self.asked.append(host)
        self.waits.append(request.headers.get("prefer"))
        given = self.answers[host].pop(0) if len(self.answers[host]) > 1 else self.answers[host][0]
        if isinstance(given, Exception):
            raise given
        status, queued, *code = given
        return httpx.Response(
            status,
            json={"host": host, "code": code},
            headers={QUEUED_HEADER: str(queued), "Retry-After": "7"},
        )


def ask(network, times=1, **rest):
    async def main():
        pool = WorkerPool(
            [f"http://{host}" for host in network.answers], transport=httpx.MockTransport(network)
        )
        answers = [await pool.post("/classify", {}, **rest) for _ in range(times)]
        await pool.close()
        return answers

    return asyncio.run(main())


def test_the_least_queued_worker_is_asked():
    network = Network(a=[(200, 500), (200, 10)], b=[(200, 100)])
    ask(network, 3)
    assert network.asked == ["a", "b", "b"]


def test_a_connection_that_breaks_is_tried_elsewhere_and_avoided_afterwards():
    network = Network(a=[httpx.ReadError("reset")], b=[(200, 100)])
    assert [answer.json()["host"] for answer in ask(network, 2)] == ["b", "b"]
    assert network.asked == ["a", "b", "b"]


def test_a_single_worker_is_asked_a_second_time_after_a_break():
    network = Network(a=[httpx.RemoteProtocolError("closed"), (200, 0)])
    assert ask(network)[0].status_code == 200


def test_a_full_worker_is_passed_over_once():
    network = Network(a=[(503, 0)], b=[(200, 10)])
    assert ask(network)[0].json()["host"] == "b"


def test_when_all_are_full_the_refusal_comes_through_with_its_retry_after():
    answer = ask(Network(a=[(503, 0)], b=[(503, 0)]))[0]
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")


def test_a_full_single_worker_is_not_asked_twice():
    network = Network(a=[(503, 0)])
    assert ask(network)[0].status_code == 503
    assert network.asked == ["a"]


def test_no_worker_at_all_is_a_problem_that_says_so():
    with pytest.raises(Unavailable) as problem:
        ask(Network(a=[httpx.ConnectError("refused")]))
    assert problem.value.slug == "no-inference-worker"


def test_a_worker_that_broke_off_is_asked_again_after_a_while(monkeypatch):
    network = Network(a=[httpx.ReadError("reset"), (200, 0)], b=[(200, 100)])
    monkeypatch.setattr(pools, "AVOIDED_SECONDS", 0.0)
    assert [answer.json()["host"] for answer in ask(network, 2)] == ["b", "a"]


def test_a_worker_that_is_starting_again_does_not_draw_requests_by_its_empty_queue():
    network = Network(a=[(503, 0), (503, 0), (200, 0)], b=[(200, 10)])
    assert [answer.json()["host"] for answer in ask(network, 2)] == ["b", "b"]
    assert network.asked == ["a", "b", "b"]


def test_workers_are_told_how_long_is_waited():
    network = Network(a=[httpx.ReadError("reset"), (200, 0)])
    ask(network)
    ask(network, wait=7.5)
    ask(network, wait=1e6)
    assert network.waits == [*["wait=90"] * 2, "wait=8", "wait=90"]


def test_when_the_time_is_up_no_other_worker_is_asked_and_who_was_busy_is_not_avoided():
    network = Network(a=[(503, 0, "late"), (200, 0)], b=[(200, 10)])
    assert ask(network, wait=0)[0].status_code == 503
    assert network.asked == ["a"]
    network = Network(a=[(503, 0, "late"), (200, 0)], b=[(200, 10)])
    assert [answer.json()["host"] for answer in ask(network, 2)] == ["b", "a"]


def test_what_is_under_way_counts_as_queued():
    entered, answers = [], {}

    async def main():
        let = asyncio.Event()

        async def slow(request):
            entered.append(request.url.host)
            if len(entered) == 4:
                let.set()
            await let.wait()
            return httpx.Response(200, headers={QUEUED_HEADER: "0"})

        pool = WorkerPool(["http://a", "http://b"], transport=httpx.MockTransport(slow))
        asking = [asyncio.ensure_future(pool.post("/classify", {"texts": ["x" * 400]})) for _ in range(4)]
        answers["all"] = await asyncio.gather(*asking)

    asyncio.run(main())
    assert sorted(entered) == ["a", "a", "b", "b"]
    assert len(answers["all"]) == 4


def test_a_worker_that_does_not_answer_in_time_is_not_asked_to_do_it_twice():
    network = Network(a=[httpx.ReadTimeout("slow")], b=[(200, 0)])
    with pytest.raises(Unavailable) as problem:
        ask(network)
    assert problem.value.slug == "inference-timeout"
    assert network.asked == ["a"]


def test_what_may_not_be_asked_twice_is_asked_once():
    async def main():
        pool = WorkerPool(["http://a"], transport=httpx.MockTransport(network))
        with pytest.raises(Unavailable):
            await pool.post("/generate", {}, again=False)

    network = Network(a=[httpx.ReadError("reset")])
    asyncio.run(main())
    assert network.asked == ["a"]


def test_when_the_caller_goes_the_request_to_the_worker_is_withdrawn():
    withdrawn = []

    async def main():
        asked, left = asyncio.Event(), asyncio.Event()

        async def never(_request):
            asked.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                withdrawn.append(True)
                raise

        async def leave():
            await asked.wait()
            left.set()

        pool = WorkerPool(["http://a"], transport=httpx.MockTransport(never))
        leaving = asyncio.ensure_future(leave())
        with pytest.raises(CallerLeft):
            await pool.post("/classify", {}, left.wait)
        await leaving

    asyncio.run(main())
    assert withdrawn == [True]
