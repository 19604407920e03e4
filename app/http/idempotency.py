"""Idempotency-Key on POSTs that create: the key's row, the thing made and its first event are one transaction.

Same key and body: the stored answer again. Other body: 422. Still in flight: Postgres makes the second request wait on the
key's row, up to 5 s, then 409. (draft-ietf-httpapi-idempotency-key-header.)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from starlette.responses import Response

from app.db.session import WriteSession
from app.db.tables import IdempotencyKey
from app.http.database import WriteDB
from app.http.problems import Conflict, Invalid
from app.http.security import Principal, principal

_WAIT = "5s"
_LOCK_NOT_AVAILABLE = "55P03"

IdempotencyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        description="Any unique string; a repeated request with it is carried out once and gets the first answer again.",
    ),
]


class Replay(Exception):
    """The request was answered before; the handler is not run again."""

    def __init__(self, response: Response) -> None:
        super().__init__("answered before")
        self.response = response


@dataclass(frozen=True, slots=True)
class Idempotency:
    """The key of this request, if it has one, in the handler's own transaction."""

    session: WriteSession
    api_key_id: str
    key: str | None

    def claim(self, digest: str) -> None:
        """Take the key for a request with this digest. Raises Replay when it was answered, Invalid for another body, Conflict while in flight."""
        if self.key is None:
            return
        if not self._inserted(digest):
            raise Replay(self._answer_of(digest))

    def store(self, status: int, body: Any, headers: dict[str, str] | None = None) -> JSONResponse:
        """The answer to give, kept with the key (in the transaction that made what it speaks of)."""
        if self.key is not None:
            self.session.execute(
                text(
                    """UPDATE idempotency_keys SET status = :status, headers = CAST(:headers AS jsonb), body = CAST(:body AS jsonb)
                    WHERE api_key_id = :api_key_id AND key = :key"""
                ).bindparams(
                    status=status,
                    headers=_json(headers or {}),
                    body=_json(body),
                    api_key_id=self.api_key_id,
                    key=self.key,
                )
            )
        return JSONResponse(body, status, headers)

    def _inserted(self, digest: str) -> bool:
        self.session.execute(text(f"SET LOCAL lock_timeout = '{_WAIT}'"))
        try:
            inserted = self.session.scalar(
                insert(IdempotencyKey)
                .values(api_key_id=self.api_key_id, key=self.key, request_digest=digest)
                .on_conflict_do_nothing()
                .returning(IdempotencyKey.key)
            )
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
                raise Conflict(
                    "A request with this Idempotency-Key is still being carried out: ask again in a moment.",
                    slug="idempotency-in-flight",
                    field="Idempotency-Key",
                    headers={"Retry-After": "2"},
                ) from None
            raise
        self.session.execute(text("SET LOCAL lock_timeout = 0"))
        return inserted is not None

    def _answer_of(self, digest: str) -> Response:
        known = self.session.get(IdempotencyKey, (self.api_key_id, self.key))
        if known is None or known.status is None:
            raise Conflict(
                "The first request with this Idempotency-Key has not ended.", slug="idempotency-in-flight"
            )
        if known.request_digest != digest:
            raise Invalid(
                "This Idempotency-Key was used for a different request: use a new one.",
                field="Idempotency-Key",
                slug="idempotency-mismatch",
            )
        return JSONResponse(known.body, known.status, {**known.headers, "Idempotency-Replayed": "true"})


async def request_digest(request: Request) -> str:
    """sha256 over method, path and body: what "the same request" means."""
    hasher = hashlib.sha256(f"{request.method} {request.url.path}\n".encode())
    hasher.update(await request.body())
    return hasher.hexdigest()


def unclaimed(
    db: WriteDB, caller: Annotated[Principal, Depends(principal)], key: IdempotencyHeader = None
) -> Idempotency:
    """The request's key, not taken yet; for handlers that stream their body and call `claim` themselves."""
    return Idempotency(db, caller.key_id, key)


def _claimed(
    given: Annotated[Idempotency, Depends(unclaimed)], digest: Annotated[str, Depends(request_digest)]
) -> Idempotency:
    given.claim(digest)
    return given


Idempotent = Annotated[Idempotency, Depends(_claimed)]
"""For POSTs that create: end the handler with `return idempotent.store(202, body, {"Location": …})`."""


def install_replay(app: FastAPI) -> None:
    """Answer Replay with the stored answer."""

    async def replay(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Replay)
        return error.response

    app.add_exception_handler(Replay, replay)


def _json(value: Any) -> str:
    import json

    return json.dumps(value)
