"""Keyset paging: signed cursors that name what they page through, and the page schema."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field

from app.http.problems import Invalid
from app.http.schemas import AnswerModel
from app.settings import get_settings

_SIGNATURE_BYTES = 16
T = TypeVar("T")

Limit = Annotated[int, Field(ge=1, le=500, description="Most items on one page.")]
Cursor = Annotated[
    str | None,
    Field(max_length=2000, description="`next_cursor` of the page before; leave out for the first page."),
]


class Page(AnswerModel, Generic[T]):
    """One page of a listing."""

    items: list[T]
    next_cursor: str | None = Field(
        None, description="Give it as `cursor` to get the next page; null on the last one."
    )


def encode_cursor(kind: str, values: list[Any]) -> str:
    """A cursor over JSON `values` (the sort key of the page's last item), signed, only good for `kind`."""
    content = json.dumps([kind, values], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_signature(content) + content).rstrip(b"=").decode()


def decode_cursor(cursor: str, kind: str) -> list[Any]:
    """Inverse of `encode_cursor`; Invalid when the cursor was made elsewhere, for something else, or changed."""
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
    except (binascii.Error, UnicodeEncodeError, ValueError):
        raise _wrong() from None
    signature, content = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(content)):
        raise _wrong()
    found, values = json.loads(content)
    if found != kind:
        raise Invalid(
            "This cursor belongs to another listing or another ranking: start again without it.",
            field="cursor",
            slug="foreign-cursor",
        )
    return list(values)


def newest_before(cursor: str | None, kind: str) -> tuple[datetime, str] | None:
    """Where a listing that shows the newest first goes on: moment and id of the last item shown; None for its first page."""
    if cursor is None:
        return None
    moment, identifier = decode_cursor(cursor, kind)
    return datetime.fromisoformat(moment), str(identifier)


def newest_cursor(kind: str, moment: datetime, identifier: str) -> str:
    """The cursor that `newest_before` reads, of the last item of a page."""
    return encode_cursor(kind, [moment.isoformat(), identifier])


def _signature(content: bytes) -> bytes:
    key = get_settings().secret_key.get_secret_value().encode()
    return hmac.new(key, b"cursor:" + content, hashlib.sha256).digest()[:_SIGNATURE_BYTES]


def _wrong() -> Invalid:
    return Invalid(
        "This cursor was not made here or has been changed: start again without it.",
        field="cursor",
        slug="bad-cursor",
    )
