"""Strong ETags on what people edit: 428 without If-Match, 412 when stale (RFC 9110, RFC 6585)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header

from app.http.problems import PreconditionFailed, PreconditionRequired

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=400,
        description="The ETag you were given with what you edit.",
        examples=['"3"'],
    ),
]


def etag_of(version: int | str) -> str:
    """The ETag for a version: `"3"`."""
    return f'"{version}"'


def require_match(if_match: str | None, current: str) -> None:
    """Compare the caller's If-Match (or form field) with the current ETag.

    Raises PreconditionRequired when there is none and PreconditionFailed, with the current ETag, when it differs. `*` is
    refused: it would say "whatever it is now", which is what the condition exists to prevent.
    """
    if not if_match or not if_match.strip():
        raise PreconditionRequired(
            "Send If-Match with the ETag of what you edit, so that nobody's work is overwritten unseen.",
            field="If-Match",
        )
    if current not in [tag.strip() for tag in if_match.split(",")]:
        raise PreconditionFailed(
            "Somebody changed it since you read it: read it again, then decide again.",
            field="If-Match",
            headers={"ETag": current},
            current_etag=current,
        )
