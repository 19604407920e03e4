"""Pages of summaries: the list of a run, and one summary beside its text, with what the text does not have marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse

from app.corpora.queries import corpus_for
from app.db.tables import SummaryRun
from app.http.database import ReadDB
from app.http.problems import NotFound
from app.http.security import Reader, check_scope
from app.ids import number_of
from app.pages import queries
from app.pages.render import page
from app.summaries.job_schemas import SummaryAnswer, run_answer, summary_answer
from app.summaries.queries import find_summary_run, list_summaries, list_summary_runs, one_summary

router = APIRouter(include_in_schema=False)
PAGE_ITEMS = 20
RUNS = 20
Show = Literal["all", "doubtful", "without"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text, its class in the style sheet, and what a reader is told of it."""

    text: str
    kind: str = ""
    """`missing` (an item that the text does not have), `doubt` (a sentence without support), `source` (what speaks for a sentence)."""
    told: str = ""
    number: int = 0
    """Of the sentence that begins here and has support, or whose support begins here; 0: none does."""


@router.get("/summarized")
def summarized(
    request: Request,
    caller: Reader,
    db: ReadDB,
    corpus: Annotated[str, Query(max_length=200)],
    run: Annotated[str | None, Query(max_length=100)] = None,
    show: Annotated[Show, Query()] = "all",
    after: Annotated[int, Query(ge=0, lt=2**62)] = 0,
) -> HTMLResponse:
    """The summaries of a run; `doubtful`: those of which a sentence is not supported."""
    found = corpus_for(db, corpus, caller, "corpus")
    chosen = find_summary_run(db, found.id, run or None)
    filters = {"all": {}, "doubtful": {"max_supported": 0.9999}, "without": {"without": True}}[show]
    rows = list(list_summaries(db, chosen.id, after=after, limit=PAGE_ITEMS + 1, **filters))  # type: ignore[arg-type]
    shown = [summary_answer(row) for row in rows[:PAGE_ITEMS]]
    return page(
        request,
        "summaries.html",
        caller,
        corpus=queries.corpus_row(db, found.id),
        run=run_answer(chosen),
        runs=[run_answer(one) for one in list_summary_runs(db, found.id, None, RUNS)],
        items=[(item, summary_pieces(item)) for item in shown],
        show=show,
        after=after,
        more=rows[PAGE_ITEMS - 1].text_id if len(rows) > PAGE_ITEMS else None,
    )


@router.get("/summarized/{run_id}/{text_id}")
def one(
    request: Request,
    caller: Reader,
    db: ReadDB,
    run_id: Annotated[str, Path(max_length=100)],
    text_id: Annotated[str, Path(max_length=40)],
) -> HTMLResponse:
    """One summary beside the text that was summarized."""
    run = db.get(SummaryRun, run_id)
    if run is None:
        raise NotFound(f"There is no summary run {run_id!r}.", field="run_id")
    check_scope(caller, run.corpus_id)
    number = number_of("txt", text_id)
    found = None if number is None else one_summary(db, run.id, number)
    if found is None:
        raise NotFound(f"The run has no summary of {text_id!r}.", field="text_id")
    row, content = found
    item = summary_answer(row)
    return page(
        request,
        "summary.html",
        caller,
        corpus=queries.corpus_row(db, run.corpus_id),
        run=run_answer(run),
        item=item,
        summary=summary_pieces(item),
        source=source_pieces(content, support_of(item)),
        numbered=item.faithfulness is not None,
    )


def summary_pieces(item: SummaryAnswer) -> list[Piece]:
    """A summary with its unsupported sentences and items marked."""
    text, found = item.summary, item.faithfulness
    if text is None:
        return []
    if found is None:
        return [Piece(text)]
    missing = {(one.start, one.end): f"{one.kind}: not in the text" for one in found.unsupported}
    doubts = [(one.start, one.end) for one in found.sentences if not one.supported]
    starts = {one.start: number for number, one in enumerate(found.sentences, 1) if one.source}
    begins = [one.start for one in found.sentences]
    edges = {0, len(text), *begins, *(edge for span in (*missing, *doubts) for edge in span)}
    pieces = []
    for start, end in _between(edges):
        told = next((words for (first, last), words in missing.items() if first <= start < last), "")
        doubtful = any(first <= start < last for first, last in doubts)
        kind = "missing" if told else "doubt" if doubtful else ""
        pieces.append(Piece(text[start:end], kind, told, starts.get(start, 0)))
    return pieces


def support_of(item: SummaryAnswer) -> list[tuple[int, int]]:
    """What of the text speaks for each sentence of its summary, in their order; (0, 0) where nothing does."""
    if item.faithfulness is not None:
        return [
            (one.source[0], one.source[1]) if one.source else (0, 0) for one in item.faithfulness.sentences
        ]
    spans: Sequence[Any] = item.details.get("sentences", [])
    return [(start, end) for start, end in spans]


def source_pieces(content: str, support: Sequence[tuple[int, int]]) -> list[Piece]:
    """A text with what speaks for its summary marked; `number` where the support of that sentence begins first."""
    spans = [span for span in support if span[0] < span[1]]
    begins: Mapping[int, int] = {
        start: number for number, (start, end) in reversed(list(enumerate(support, 1))) if start < end
    }
    pieces = []
    for start, end in _between({0, len(content), *(edge for span in spans for edge in span)}):
        marked = any(first <= start < last for first, last in spans)
        pieces.append(Piece(content[start:end], "source" if marked else "", "", begins.get(start, 0)))
    return pieces


def _between(edges: set[int]) -> list[tuple[int, int]]:
    ordered = sorted(edges)
    return list(pairwise(ordered))
