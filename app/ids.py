"""Identifiers that carry their kind, sort by time and cannot be guessed: `job_01jd…`."""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(kind: str) -> str:
    """`kind` + `_` + 48 bits of milliseconds and 72 random bits in Crockford's base 32 (24 characters)."""
    number = (time.time_ns() // 1_000_000) << 72 | secrets.randbits(72)
    return kind + "_" + "".join(_ALPHABET[(number >> shift) & 31] for shift in range(115, -1, -5))


def numbered(kind: str, number: int) -> str:
    """Public form of a bulk row's number: `txt_42`."""
    return f"{kind}_{number}"


def number_of(kind: str, identifier: str) -> int | None:
    """Inverse of `numbered`; None when the identifier is of another kind or malformed."""
    prefix, _, digits = identifier.partition("_")
    return (
        int(digits) if prefix == kind and digits.isascii() and digits.isdigit() and len(digits) < 19 else None
    )
