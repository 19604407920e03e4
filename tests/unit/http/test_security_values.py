"""Cursors, ETags, stored strings and display names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.etags import etag_of, require_match
from app.http.keys import secret_hmac
from app.http.paging import decode_cursor, encode_cursor
from app.http.problems import Invalid, PreconditionFailed, PreconditionRequired
from app.http.schemas import check_storable
from app.http.uploads import display_name

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
    max_leaves=8,
)


@given(st.lists(JSON))
def test_cursors_come_back(values: list[object]) -> None:
    """Whatever JSON is put in; and only for what it was made for."""
    cursor = encode_cursor("texts", values)
    assert decode_cursor(cursor, "texts") == values
    with pytest.raises(Invalid):
        decode_cursor(cursor, "corpora")


@given(JSON)
def test_what_can_be_stored_passes(value: object) -> None:
    """No NUL, no surrogate: nothing is refused."""
    check_storable(value)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"a": ["x", "y\x00"]}, "/a/1"),
        ({"a/b": "\ud800"}, "/a~1b"),
        ({"\x00": 1}, "/"),
        ([[float("nan")]], "/0/0"),
        ("\x00", ""),
    ],
)
def test_what_cannot_be_stored_is_pointed_at(value: object, field: str) -> None:
    """As a JSON pointer."""
    with pytest.raises(Invalid) as refused:
        check_storable(value)
    assert refused.value.field == field


def test_etags() -> None:
    """One of several may match; weak ones, stars and nothing do not."""
    require_match('"1", "2"', etag_of(2))
    for stale in ('W/"2"', "*", '"3"', "2"):
        with pytest.raises(PreconditionFailed):
            require_match(stale, etag_of(2))
    for nothing in (None, "", "  "):
        with pytest.raises(PreconditionRequired):
            require_match(nothing, etag_of(2))


def test_hmacs_differ_by_purpose() -> None:
    """The same secret as key, session and link gives three values."""
    assert len({secret_hmac(purpose, "s") for purpose in ("key", "session", "link")}) == 3  # type: ignore[arg-type]


@given(st.text())
def test_display_names_hold_no_path(name: str) -> None:
    """No separator, no control character, bounded."""
    shown = display_name(name)
    assert not set(shown) & {"/", "\\", "\x00", "\n"}
    assert len(shown) <= 200
