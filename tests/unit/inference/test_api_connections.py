"""Kept connections to a worker over real sockets: whole answers in whatever pieces they come, reuse, breaks, silence, and callers that stop waiting."""

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest

from app.inference.connections import Connections


@asynccontextmanager
async def server(talk):
    """A server whose every connection is `talk(reader, writer)`; its address and the number of connections so far."""
    seen = []

    async def handle(reader, writer):
        seen.append(True)
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield f"http://127.0.0.1:{port}/classify", seen


async def request(reader):
    """Head and body of the next request; None at the end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    length = int(
        next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")).split(b":")[
            1
        ]
    )
    return head, await reader.readexactly(length)


def answering(*pieces):
    """A talk that answers every request with these pieces, each sent by itself."""

    async def talk(reader, writer):
        while await request(reader) is not None:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)

    return talk


def run(talk, use, **seconds):
    async def main():
        connections = Connections(
            {"Authorization": "Bearer t"}, seconds.get("connect", 5), seconds.get("answer", 20)
        )
        async with server(talk) as (url, seen):
            try:
                return await use(connections, url), len(seen)
            finally:
                connections.close()

    return asyncio.run(main())


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nX-Here: 7\r\n\r\nhello",),
        (b"HTTP/1.1 200 OK\r\ncontent-le", b"ngth: 5\r\nx-here: 7\r\n\r", b"\nhel", b"lo"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-here: 7\r\n\r\n3\r\nhel\r",
            b"\n2;a=b\r\nlo\r\n0\r\n",
            b"\r\n",
        ),
    ],
)
def test_answers_are_read_whole_and_the_connection_is_kept(pieces):
    async def twice(connections, url):
        return [await connections.post(url, b"{}") for _ in range(2)]

    answers, opened = run(answering(*pieces), twice)
    assert [(a.status_code, a.content, a.headers["X-Here"]) for a in answers] == [(200, b"hello", "7")] * 2
    assert opened == 1


def test_the_request_is_what_a_server_expects():
    heard = []

    async def talk(reader, writer):
        heard.append(await request(reader))
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async def once(connections, url):
        return await connections.post(url, b'{"texts":[]}')

    answer, _ = run(talk, once)
    head, body = heard[0]
    assert head.startswith(b"POST /classify HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nAuthorization: Bearer t\r\n" in head
    assert (body, answer.status_code, answer.content) == (b'{"texts":[]}', 503, b"")


def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again():
    async def talk(reader, writer):
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def twice(connections, url):
        first = await connections.post(url, b"{}")
        while any(connection.open for idle in connections._idle.values() for connection in idle):  # noqa: ASYNC110  # until this side has heard of it
            await asyncio.sleep(0)
        return first, await connections.post(url, b"{}")

    answers, opened = run(talk, twice)
    assert ([answer.content for answer in answers], opened) == ([b"ok", b"ok"], 2)


def test_a_break_in_the_middle_of_an_answer_and_an_answer_that_is_no_http_are_errors():
    async def broken(reader, writer):
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf")

    async def nonsense(reader, writer):
        await request(reader)
        writer.write(b"hello\r\n\r\n")
        await reader.read()

    async def once(connections, url):
        return await connections.post(url, b"{}")

    with pytest.raises(httpx.ReadError):
        run(broken, once)
    with pytest.raises(httpx.RemoteProtocolError):
        run(nonsense, once)


def test_nobody_there_and_nobody_answering_are_told_apart():
    async def silent(reader, _writer):
        await reader.read()

    async def once(connections, url):
        return await connections.post(url, b"{}")

    async def elsewhere(connections, _url):
        return await connections.post("http://127.0.0.1:9/classify", b"{}")

    with pytest.raises(httpx.ReadTimeout):
        run(silent, once, answer=0.05)
    with pytest.raises(httpx.ConnectError):
        run(silent, elsewhere)


def test_whoever_stops_waiting_closes_the_connection():
    closed = []

    async def talk(reader, _writer):
        await request(reader)
        asked.set()
        closed.append(await reader.read())
        ended.set()

    async def leave(connections, url):
        asking = asyncio.ensure_future(connections.post(url, b"{}"))
        await asked.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await ended.wait()

    asked, ended = asyncio.Event(), asyncio.Event()
    run(talk, leave)
    assert closed == [b""]
