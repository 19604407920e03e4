"""Rules of audit samples: what a request may ask for, how many texts it draws, what a reading must say. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from app.audits.cells import ReadCell, whole_options
from app.audits.schemas import AuditSampleRequest
from app.http.problems import Invalid
from models.scheme import NO, NOT_APPLICABLE, UNCERTAIN, YES, Scheme

CODES = {"yes": YES, "no": NO, "uncertain": UNCERTAIN, "not_applicable": NOT_APPLICABLE}
OUTSIDE = ("uncertain", "not_applicable")
WORDS = {code: word for word, code in CODES.items()}


def check_request(asked: AuditSampleRequest) -> None:
    """Raise Invalid for fields that do not go together."""
    if asked.size is not None and asked.budget is not None:
        _refuse("/budget", "Say `size` (texts) or `budget` (readings), not both.", "two-sizes")
    if asked.adjudicator and asked.readers == 1:
        _refuse("/adjudicator", "An adjudicator settles what two readers differ on: ask for two readers.")
    if asked.bands is not None and (asked.design == "random" or asked.purpose == "stopping"):
        _refuse("/bands", "`bands` belong to a stratified design, and this sample is simple random: leave them out.", "unused-field")  # fmt: skip
    if asked.purpose == "totals":
        for name in ("stopping", "plan"):
            if getattr(asked, name) is not None:
                _refuse(f"/{name}", f"`{name}` belongs to the purpose stopping.", "unused-field")
        if asked.size is None and asked.budget is None:
            _refuse("/size", "Say how many texts are to be read: `size`, or `budget` in readings.")
        return
    if (asked.stopping is None) == (asked.plan is None):
        _refuse(
            "/stopping",
            "Declare a new plan with `stopping`, or name the `plan` that this is the next look of.",
        )
    if asked.design == "stratified":
        _refuse("/design", "The stopping rule's test is exact for a simple random sample alone: ask for random.")  # fmt: skip


def chosen_options(scheme: Scheme, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The options that are read, by position: all in use, or those named (a question's key stands for its options).

    Raises:
        Invalid: an unknown or retired option is named.
    """
    in_use = {option.key for option in scheme.options if not option.retired}
    if wanted is None:
        return whole_options(scheme, sorted(in_use))
    questions = {q.key: [o.key for o in q.options if not o.retired] for q in scheme.questions}
    keys: list[str] = []
    for place, name in enumerate(wanted):
        if name not in in_use and not questions.get(name):
            _refuse(f"/options/{place}", f"The scheme has no option or question {name!r} in use.", "unknown-option")  # fmt: skip
        keys += [name] if name in in_use else questions[name]
    return whole_options(scheme, keys)


def coded(
    values: Mapping[str, str | None], asked: Sequence[ReadCell], option_keys: Sequence[str]
) -> list[int | None]:
    """A reading's values in the order of `option_keys`; None: skipped, or not asked.

    Args:
        values: by the key of a cell.
        asked: the cells that have to be answered.
        option_keys: what the sample reads.

    Raises:
        Invalid: a cell is missing, unknown, or has a value that does not fit it.
    """
    found: list[int | None] = [None] * len(option_keys)
    known = {cell.key for cell in asked}
    for key in values:
        if key not in known:
            _refuse(f"/values/{key}", f"{key!r} is not asked here. Asked: {', '.join(sorted(known))}.", "unknown-option")  # fmt: skip
    for cell in asked:
        if cell.key not in values:
            _refuse(f"/values/{cell.key}", f"Nothing is said of {cell.key!r}: give a value, or null to skip it.", "missing-value")  # fmt: skip
        value = values[cell.key]
        if value is not None:
            _place(found, cell, value, option_keys)
    return found


def spoken(values: Sequence[int | None], cell: ReadCell, option_keys: Sequence[str]) -> str | None:
    """A cell's value in a reading as it was said; None: skipped."""
    codes = [values[column] for column in cell.columns]
    if codes[0] is None:
        return None
    if cell.option is not None or YES not in codes:
        return WORDS[codes[0]]
    return option_keys[cell.columns[codes.index(YES)]]


def _place(found: list[int | None], cell: ReadCell, value: str, option_keys: Sequence[str]) -> None:
    keys = [option_keys[column] for column in cell.columns]
    allowed = ["yes", "no", *OUTSIDE] if cell.option is not None else [*keys, *OUTSIDE]
    if value not in allowed:
        _refuse(
            f"/values/{cell.key}", f"“{value}” does not fit {cell.key!r}: choose one of {', '.join(allowed)}."
        )
    for column, key in zip(cell.columns, keys, strict=True):
        if cell.option is not None or value in OUTSIDE:
            found[column] = CODES[value]
        else:
            found[column] = YES if key == value else NO


def _refuse(field: str, detail: str, slug: str = "invalid") -> NoReturn:
    raise Invalid(detail, field=field, slug=slug)
