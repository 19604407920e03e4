"""Files to download, sent block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from fastapi.responses import Response, StreamingResponse

Format = Literal["csv", "jsonl"]
_MEDIA = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}


def file_answer(blocks: Iterator[bytes], format: Format, stem: str) -> Response:
    """A file that no cache keeps.

    Args:
        blocks: its bytes, in order.
        format: its kind.
        stem: its name, without the ending.
    """
    return StreamingResponse(
        blocks,
        media_type=_MEDIA[format],
        headers={
            "Content-Disposition": f'attachment; filename="{stem}.{format}"',
            "Cache-Control": "private, no-store",
        },
    )
