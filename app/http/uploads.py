"""A file out of a multipart request, streamed to the blob store as it arrives: flat memory, nothing left behind when it breaks off."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from app.blobs import Blob, BlobStore
from app.http.problems import Invalid, Problem
from app.http.schemas import check_string

_LARGEST_FIELD = 1 << 20
_WAITING_PIECES = 16


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload: the stored file (None when the request had none), its name for display only, and the other fields."""

    blob: Blob | None
    filename: str
    fields: dict[str, str]


class _Pipe:
    """Pieces of the file on their way from the event loop to the thread that writes them."""

    def __init__(self) -> None:
        self._pieces: queue.Queue[bytes | BaseException | None] = queue.Queue(_WAITING_PIECES)

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._pieces.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    async def put(self, piece: bytes | BaseException | None, writer: asyncio.Task[Blob]) -> None:
        """Pass a piece on (None: that was all); raises what the writer raised, such as OSError for a full disk."""
        while True:
            if writer.done():
                writer.result()
                return
            try:
                self._pieces.put_nowait(piece)
            except queue.Full:
                await asyncio.wait([writer], timeout=0.01)
            else:
                return


@dataclass(slots=True)
class _Parts:
    """What the parser has said since it was last asked."""

    events: list[tuple[str, bytes]] = field(default_factory=list)

    def parser(self, boundary: bytes) -> MultipartParser:
        """A parser that notes everything here."""

        def noted(name: str):  # type: ignore[no-untyped-def]  # a callback of either kind
            def note(data: bytes = b"", start: int = 0, end: int = 0) -> None:
                self.events.append((name, data[start:end]))

            return note

        names = (
            "part_begin",
            "part_data",
            "part_end",
            "header_field",
            "header_value",
            "header_end",
            "headers_finished",
            "end",
        )
        return MultipartParser(boundary, {f"on_{name}": noted(name) for name in names})  # type: ignore[arg-type]

    def take(self) -> list[tuple[str, bytes]]:
        """The events so far, once."""
        taken, self.events = self.events, []
        return taken


async def receive_upload(request: Request, blobs: BlobStore, allowed: Collection[str]) -> Upload:
    """Read a multipart/form-data request with one part `file` and the text parts `allowed`.

    Raises Invalid for anything else and OSError when the disk is full. The blob has no row in `blobs` yet; whoever does not
    register it removes it with `app.corpora.queries.drop_unregistered`.
    """
    parser, parts = _parser(request)
    receiver = _Receiver(blobs, allowed)
    try:
        async for chunk in request.stream():
            parser.write(chunk)
            for name, data in parts.take():
                await receiver.on(name, data)
        parser.finalize()
    except MultipartParseError:
        await receiver.abort()
        raise Invalid("The multipart body is broken off or malformed: send it again.", field="body") from None
    except (Problem, OSError, ClientDisconnect, asyncio.CancelledError):
        await receiver.abort()
        raise
    return await receiver.finished()


def _parser(request: Request) -> tuple[MultipartParser, _Parts]:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise Problem(
            "Send the file as multipart/form-data with a part named file.",
            status=415,
            slug="unsupported-media-type",
            field="Content-Type",
        )
    parts = _Parts()
    return parts.parser(boundary), parts


class _Receiver:
    """Puts parts where they belong: the file into the pipe, fields into memory."""

    def __init__(self, blobs: BlobStore, allowed: Collection[str]) -> None:
        self._blobs = blobs
        self._allowed = allowed
        self._fields: dict[str, bytearray] = {}
        self._filename = ""
        self._pipe: _Pipe | None = None
        self._writer: asyncio.Task[Blob] | None = None
        self._header = [b"", b""]
        self._disposition: dict[bytes, bytes] = {}
        self._current: str | None = None
        self._ended = False

    async def on(self, event: str, data: bytes) -> None:
        """Take one event of the parser."""
        if event == "part_begin":
            self._disposition = {}
        elif event in {"header_field", "header_value"}:
            self._header[event == "header_value"] += data
        elif event == "header_end":
            if self._header[0].lower() == b"content-disposition":
                self._disposition = parse_options_header(self._header[1])[1]
            self._header = [b"", b""]
        elif event == "headers_finished":
            self._begin()
        elif event == "part_data":
            await self._data(data)
        elif event == "end":
            self._ended = True

    async def finished(self) -> Upload:
        """Everything has arrived: wait for the file to be stored."""
        if not self._ended:
            await self.abort()
            raise Invalid("The multipart body breaks off: send it again.", field="body")
        blob = None
        if self._pipe is not None and self._writer is not None:
            await self._pipe.put(None, self._writer)
            blob = await self._writer
        try:
            fields = {name: bytes(value).decode() for name, value in self._fields.items()}
        except UnicodeDecodeError:
            raise Invalid(
                "A field of the form is not valid UTF-8.", field="body", slug="invalid-unicode"
            ) from None
        for name, value in fields.items():
            check_string(value, name)
        return Upload(blob, self._filename, fields)

    async def abort(self) -> None:
        """Give up: the half-written file is removed by the blob store."""
        if self._pipe is not None and self._writer is not None and not self._writer.done():
            await asyncio.shield(self._stopped(self._pipe, self._writer))

    @staticmethod
    async def _stopped(pipe: _Pipe, writer: asyncio.Task[Blob]) -> None:
        await pipe.put(ConnectionError("the upload was broken off"), writer)
        await asyncio.wait([writer])
        writer.exception()

    def _begin(self) -> None:
        name = self._disposition.get(b"name", b"").decode("utf-8", "replace")
        if name in self._fields or (name == "file" and self._pipe is not None):
            raise Invalid(f"The part {name!r} is sent twice.", field=name)
        self._current = name
        if name == "file":
            self._filename = display_name(self._disposition.get(b"filename", b"").decode("utf-8", "replace"))
            self._pipe = _Pipe()
            self._writer = asyncio.create_task(run_in_threadpool(self._blobs.put, self._pipe))
        elif name in self._allowed:
            self._fields[name] = bytearray()
        else:
            raise Invalid(
                f"There is no part {name[:100]!r} here; parts are file, {', '.join(sorted(self._allowed))}.",
                field=name[:100] or "body",
            )

    async def _data(self, data: bytes) -> None:
        if self._current == "file" and self._pipe is not None and self._writer is not None:
            await self._pipe.put(data, self._writer)
            return
        buffer = self._fields[self._current or ""]
        buffer += data
        if len(buffer) > _LARGEST_FIELD:
            raise Invalid(
                f"The part {self._current!r} is larger than {_LARGEST_FIELD:,} bytes.", field=self._current
            )


def display_name(filename: str) -> str:
    """A file's name without any path in it, for display; never used to open anything."""
    name = PurePosixPath(filename.replace("\\", "/")).name.replace("\x00", "")
    return "".join(letter for letter in name if letter.isprintable())[:200]
