"""Kept connections to inference workers: just enough HTTP/1.1 for JSON there and back, at a tenth of a general client's processor time."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import cast
from urllib.parse import SplitResult, urlsplit

import httpx

IDLE_SECONDS = 60.0
"""Connections idle for longer are closed, before the worker does it (75 s)."""
_KEPT = 64
"""Idle connections kept to one worker."""
_HEAD_BYTES = 65_536
_PORTS = {"http": 80, "https": 443}


@dataclass(slots=True)
class _Incoming:
    """An answer as it arrives."""

    buffer: bytearray = field(default_factory=bytearray)
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body_from: int = 0
    """Where the body begins; 0: the head is not whole."""
    length: int | None = None
    """Bytes of the body; None: it comes in chunks."""
    looked_to: int = 0
    content: bytearray = field(default_factory=bytearray)
    """The chunks so far."""

    def take(self, data: bytes) -> httpx.Response | None:
        """The answer once it is whole; ValueError when it is no HTTP."""
        self.buffer += data
        if not self.body_from and not self._read_head():
            return None
        body = self._body()
        return None if body is None else httpx.Response(self.status, headers=self.headers, content=body)

    @property
    def kept(self) -> bool:
        """Whether the server keeps the connection open."""
        return all(name != b"connection" or value.lower() != b"close" for name, value in self.headers)

    def _read_head(self) -> bool:
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self.buffer) > _HEAD_BYTES:
                raise ValueError("no end of the headers")
            return False
        first, *lines = bytes(self.buffer[:end]).split(b"\r\n")
        self.status = int(first.split(b" ", 2)[1])
        for line in lines:
            name, _, value = line.partition(b":")
            self.headers.append((name.strip().lower(), value.strip()))
        found = dict(self.headers)
        self.body_from = self.looked_to = end + 4
        if b"chunked" not in found.get(b"transfer-encoding", b"").lower():
            self.length = int(found.get(b"content-length", b"0"))
        return True

    def _body(self) -> bytes | None:
        if self.length is not None:
            end = self.body_from + self.length
            return bytes(self.buffer[self.body_from : end]) if len(self.buffer) >= end else None
        while (end := self.buffer.find(b"\r\n", self.looked_to)) >= 0:
            size = int(bytes(self.buffer[self.looked_to : end]).split(b";")[0], 16)
            if len(self.buffer) < end + 2 + size + 2:
                return None
            self.content += self.buffer[end + 2 : end + 2 + size]
            self.looked_to = end + 2 + size + 2
            if size == 0:
                return bytes(self.content)
        return None


class _Connection(asyncio.Protocol):
    """One connection with one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[httpx.Response] | None = None
        self._incoming = _Incoming()
        self.idle_since = 0.0
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport, self.open = (
            cast("asyncio.Transport", transport),
            True,
        )  # uvloop's is none by its class

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits hears of it."""
        self.open = False
        self._fail(httpx.ReadError(f"the worker closed the connection ({type(exc).__name__})"))

    def data_received(self, data: bytes) -> None:
        """Part of an answer; bytes that nobody asked for end the connection."""
        if self._answer is None or self._answer.done():
            self.close()
            return
        try:
            found = self._incoming.take(data)
        except (ValueError, IndexError) as error:
            self._fail(httpx.RemoteProtocolError(f"the worker's answer is no HTTP: {error}"))
            self.close()
            return
        if found is not None:
            self.open = self.open and self._incoming.kept
            self._answer.set_result(found)

    async def ask(self, raw: bytes, seconds: float) -> httpx.Response:
        """Send a request, wait for its answer. Whoever stops waiting closes the connection, which tells the worker."""
        assert self._transport is not None
        self._incoming = _Incoming()
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(raw)
        try:
            async with asyncio.timeout(seconds):
                return await self._answer
        except TimeoutError:
            raise httpx.ReadTimeout(f"no answer within {seconds:.0f} s") from None
        finally:
            if not self._answer.done() or self._answer.cancelled() or self._answer.exception() is not None:
                self.close()

    def close(self) -> None:
        """End the connection at once."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


class Connections:
    """Connections to any number of servers, opened as they are needed and kept. Belongs to one event loop."""

    def __init__(self, headers: Mapping[str, str], connect_seconds: float, answer_seconds: float) -> None:
        """Args:
        headers: sent with every request.
        connect_seconds, answer_seconds: how long is waited for a connection, and for an answer.
        """
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._connect_seconds, self._answer_seconds = connect_seconds, answer_seconds
        self._idle: dict[str, deque[_Connection]] = {}

    async def post(
        self, url: str, content: bytes, headers: Mapping[str, str] = MappingProxyType({})
    ) -> httpx.Response:
        """Send JSON, with these headers besides.

        Raises:
            httpx.ConnectError, httpx.ConnectTimeout: nobody is there.
            httpx.ReadError, httpx.RemoteProtocolError: the connection broke before the answer was whole.
            httpx.ReadTimeout: no answer in time.
        """
        to = urlsplit(url)
        connection = self._kept(to.netloc) or await self._connect(to)
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = (
            f"POST {to.path or '/'} HTTP/1.1\r\nHost: {to.netloc}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n{self._headers}{more}\r\n"
        )
        answer = await connection.ask(head.encode("latin-1") + content, self._answer_seconds)
        if connection.open:
            connection.idle_since = time.monotonic()
            idle = self._idle.setdefault(to.netloc, deque(maxlen=_KEPT))
            if len(idle) == _KEPT:
                idle[0].close()
            idle.append(connection)
        return answer

    def close(self) -> None:
        """Close those that are idle; those under way end with whoever waits."""
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()

    def _kept(self, origin: str) -> _Connection | None:
        """The connection used last, if it is still good."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.open and time.monotonic() - connection.idle_since < IDLE_SECONDS:
                return connection
            connection.close()
        return None

    async def _connect(self, to: SplitResult) -> _Connection:
        context = ssl.create_default_context() if to.scheme == "https" else None
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await asyncio.get_running_loop().create_connection(
                    _Connection, to.hostname or "", to.port or _PORTS[to.scheme], ssl=context
                )
        except TimeoutError:
            raise httpx.ConnectTimeout(f"no connection within {self._connect_seconds:.0f} s") from None
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        return connection
