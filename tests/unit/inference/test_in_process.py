"""A worker's routes called in its own process: events as they are sent, refusals whole, and a caller who leaves."""

import asyncio
from contextlib import aclosing

import httpx
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from workers.inference.in_process import posted_events


class Stream:
    """Sends its body back as events, then waits for ever."""

    def __init__(self):
        self.ended = asyncio.Event()
        self.headers = None

    async def answer(self, request):
        words = await request.json()
        self.headers = request.headers
        if not words:
            return JSONResponse({"code": "empty"}, 422, {"Retry-After": "3"})
        return StreamingResponse(self._events(words), media_type="text/event-stream")

    async def _events(self, words):
        try:
            yield b": alive\n\nevent: first\nda"
            yield b'ta: {"n": 1}\n\n'
            for word in words:
                yield f'event: word\ndata: {{"text": "{word}"}}\n\n'.encode()
            await asyncio.Event().wait()
        finally:
            self.ended.set()


async def taken(body, most):
    stream, found = Stream(), []
    app = Starlette(routes=[Route("/x", stream.answer, methods=["POST"])])
    async with aclosing(posted_events(app, "/x", body, {"Authorization": "Bearer t"})) as events:
        async for event in events:
            found.append(event)
            if len(found) == most:
                break
    return stream, found


def test_events_come_one_by_one_and_leaving_ends_the_route():
    stream, found = asyncio.run(taken(["a", "b"], 3))
    assert found == [("first", {"n": 1}), ("word", {"text": "a"}), ("word", {"text": "b"})]
    assert stream.ended.is_set()
    assert stream.headers["authorization"] == "Bearer t"


def test_an_answer_that_is_no_stream_comes_whole():
    _, (answer,) = asyncio.run(taken([], 5))
    assert isinstance(answer, httpx.Response)
    assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (422, {"code": "empty"}, "3")
