"""The filters of the list page as an address: read from a query, written back into links and forms."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import get_args
from urllib.parse import parse_qsl, urlencode

from app.http.problems import Invalid
from app.http.schemas import check_string
from app.review.filters import Filters, StateFilter

_PLAIN = ("corpus", "ranking", "option", "question", "annotator", "team", "order_by")


@dataclass(frozen=True, slots=True)
class Browsing:
    """What a reviewer walks through: the filters, and the place after which the next one is looked for."""

    filters: Filters
    after: int = 0

    def query(self, **changes: str | int | None) -> str:
        """As a query string; blank and None are left out."""
        chosen = self.filters
        pairs: dict[str, str | int | float | None] = {name: getattr(chosen, name) for name in _PLAIN}
        pairs |= {
            "state": None if chosen.state == "open" else chosen.state,
            "minimum_score": chosen.minimum_score,
        }
        pairs |= {f"metadata.{key}": value for key, value in chosen.metadata.items()}
        pairs |= {f"group.{key}": value for key, value in chosen.groups.items()}
        pairs |= changes
        return urlencode({name: value for name, value in pairs.items() if value not in {None, ""}})

    def of_ranking(self, ranking_id: str) -> Browsing:
        """The same, held to one ranking, so that going on does not jump to a newer one."""
        return replace(self, filters=replace(self.filters, ranking=ranking_id))


def browsing(pairs: Iterable[tuple[str, str]]) -> Browsing:
    """From query parameters; blank ones (an empty form field) count as not given. Invalid names a parameter that makes no sense."""
    found = {name: value for name, value in pairs if value.strip()}
    for name, value in found.items():
        check_string(value, name)
    states: tuple[StateFilter, ...] = get_args(StateFilter)
    state = next((known for known in states if known == found.get("state", "open")), None)
    if state is None:
        raise Invalid(f"There is no state “{found['state']}”.", field="state")
    keyed = {
        prefix: {name.removeprefix(prefix): v for name, v in found.items() if name.startswith(prefix)}
        for prefix in ("metadata.", "group.")
    }
    return Browsing(
        Filters(
            **{name: found.get(name) for name in _PLAIN},
            state=state,
            minimum_score=_number(found, "minimum_score"),
            metadata=keyed["metadata."],
            groups=keyed["group."],
        ),
        after=int(_number(found, "after") or 0),
    )


def back_to(query: str) -> Browsing:
    """From a form's hidden field."""
    return browsing(parse_qsl(query))


def _number(found: dict[str, str], name: str) -> float | None:
    try:
        value = float(found[name]) if name in found else None
    except ValueError:
        value = math.nan
    if value is not None and not 0 <= value < 2**31:
        raise Invalid(f"“{found[name]}” is no number that fits here.", field=name)
    return value
