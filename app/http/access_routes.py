"""API keys, sign-in links and sign-in: the endpoints over app.http.keys and app.http.sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field
from sqlalchemy import text

from app.corpora.queries import find_corpus
from app.db.tables import ApiKey, AuditLog
from app.http import keys, sessions
from app.http.database import ReadDB, WriteDB
from app.http.documented import problems
from app.http.keys import Role
from app.http.problems import Forbidden, NotFound
from app.http.schemas import AnswerModel, RequestModel
from app.http.security import Admin, Reader, forget_credentials, require_unscoped
from app.settings import get_settings

router = APIRouter(tags=["access"])


class KeyRequest(RequestModel):
    """A key to make."""

    name: str = Field(
        min_length=1,
        max_length=200,
        description="Whose key it is: the name reviews are signed with.",
        examples=["anna"],
    )
    role: Role = Field(
        description="reader sees, reviewer also decides, admin also imports, trains and deletes.",
        examples=["reviewer"],
    )
    corpus: str | None = Field(
        None, max_length=200, description="The only corpus the key reaches, by id or name; null: every one."
    )


class Key(AnswerModel):
    """A key without its secret."""

    id: str
    name: str
    role: Role
    corpus_id: str | None
    created_at: datetime
    last_used_at: datetime | None = Field(description="To within five minutes.")
    revoked_at: datetime | None


class NewKey(Key):
    """A key just made; the secret is shown this once."""

    secret: str = Field(examples=["rmd_…"])


class SignInLinkRequest(RequestModel):
    """A link to make; without `key_id`, for the caller's own key."""

    key_id: str | None = Field(None, max_length=100)


class SignInLink(AnswerModel):
    """A link that signs one browser in, once."""

    url: str
    minutes: int = Field(description="How long it waits to be used.")


class Me(AnswerModel):
    """Who the caller is."""

    key_id: str
    name: str
    role: Role
    corpus_id: str | None


@router.get("/me", summary="Who am I?", responses=problems(401))
def me(caller: Reader) -> Me:
    """The name, role and corpus of the key or session that asks."""
    return Me(key_id=caller.key_id, name=caller.name, role=caller.role, corpus_id=caller.corpus_id)


@router.post("/keys", status_code=201, summary="Make an API key", responses=problems(401, 403, 404, 422))
def make_key(body: KeyRequest, caller: Admin, db: WriteDB) -> NewKey:
    """Makes a key and shows its secret, this once. Only its HMAC is stored."""
    require_unscoped(caller)
    corpus_id = None if body.corpus is None else find_corpus(db, body.corpus, "/corpus").id
    key, secret = keys.create_api_key(db, body.name, body.role, corpus_id)
    db.refresh(key)
    db.add(
        AuditLog(
            actor=caller.name,
            action="key.create",
            object_id=key.id,
            detail={"name": key.name, "role": key.role},
        )
    )
    return NewKey(secret=secret, **_key(key).model_dump())


@router.get("/keys", summary="List API keys", responses=problems(401, 403))
def list_keys(caller: Admin, db: ReadDB) -> list[Key]:
    """Every key, revoked ones too, without secrets."""
    require_unscoped(caller)
    return [_key(key) for key in keys.list_api_keys(db)]


@router.delete(
    "/keys/{key_id}", status_code=204, summary="Revoke an API key", responses=problems(401, 403, 404)
)
def revoke_key(key_id: str, caller: Admin, db: WriteDB) -> Response:
    """Ends the key and every browser session made with it."""
    require_unscoped(caller)
    keys.revoke_api_key(db, key_id, caller.name)
    forget_credentials()
    return Response(status_code=204)


@router.post(
    "/sign-in-links",
    status_code=201,
    summary="Make a one-time sign-in link",
    responses=problems(401, 403, 404, 422),
)
def make_sign_in_link(body: SignInLinkRequest, caller: Admin, db: WriteDB) -> SignInLink:
    """Makes a link that signs a browser in once, with the rights of the key named."""
    key_id = body.key_id or caller.key_id
    if key_id != caller.key_id:
        require_unscoped(caller)
    known = db.scalar(text("SELECT 1 FROM api_keys WHERE id = :id AND revoked_at IS NULL"), {"id": key_id})
    if known is None:
        raise NotFound(f"There is no key {key_id} in force.", field="/key_id")
    token = sessions.create_sign_in_link(db, key_id)
    settings = get_settings()
    base = settings.public_url or f"http://{settings.host}:{settings.port}"
    return SignInLink(url=f"{base.rstrip('/')}/sign-in?token={token}", minutes=sessions.LINK_MINUTES)


@router.get(
    "/sign-in",
    status_code=303,
    summary="Sign a browser in with a link",
    response_class=RedirectResponse,
    responses=problems(401),
)
def sign_in(token: Annotated[str, Query(max_length=200)], db: WriteDB) -> Response:
    """Uses the link up, begins a session with a fresh cookie and goes to the first page."""
    return _signed_in(sessions.sign_in_with_link(db, token))


@router.post(
    "/sign-in",
    status_code=303,
    summary="Sign a browser in with a key",
    response_class=RedirectResponse,
    responses=problems(401, 403, 422),
)
def sign_in_with_key(request: Request, key: Annotated[str, Form(max_length=200)], db: WriteDB) -> Response:
    """The sign-in form: an API key becomes a session with a fresh cookie."""
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise Forbidden("Another site sent this form: open Remand's own sign-in page.", slug="csrf")
    return _signed_in(sessions.sign_in_with_key(db, key))


@router.post(
    "/sign-out",
    status_code=303,
    summary="Sign the browser out",
    response_class=RedirectResponse,
    responses=problems(401, 403),
)
def sign_out(request: Request, caller: Reader, db: WriteDB) -> Response:  # noqa: ARG001  (signed in, with the CSRF token)
    """Ends the session."""
    cookie = request.cookies.get(sessions.COOKIE)
    if cookie:
        sessions.sign_out(db, cookie)
        forget_credentials()
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(sessions.COOKIE, path="/")
    return answer


def _signed_in(begun: sessions.NewSession) -> Response:
    answer = RedirectResponse(
        "/", 303, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    )
    sessions.set_cookie(answer, begun)
    return answer


def _key(key: ApiKey) -> Key:
    return Key.model_validate(
        {
            name: getattr(key, name)
            for name in ("id", "name", "role", "corpus_id", "created_at", "last_used_at", "revoked_at")
        }
    )
