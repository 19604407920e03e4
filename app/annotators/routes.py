"""GET /corpora/{id}/agreement and /annotators."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request

from app.annotators.quality import places_of, quality_document
from app.annotators.queries import annotator_names, newest_report, value_choices
from app.annotators.rules import agreement_document
from app.annotators.schemas import AgreementAnswer, AnnotatorsAnswer, ValuesQuery
from app.annotators.values import Values, values_of
from app.corpora.queries import corpus_for
from app.corpora.routes import CorpusRef
from app.corpora.text_queries import pairs
from app.db.session import AnySession
from app.http.database import ReadDB
from app.http.documented import problems
from app.http.security import Reader
from app.pages.agreeing import agreement_page, annotators_page
from app.pages.errors import wants_page

Accept = Annotated[str, Header(description="`text/html` for a page; JSON otherwise.", max_length=1000)]
PAGE_TOO: dict[int | str, dict[str, Any]] = {
    200: {"description": "As asked for by Accept.", "content": {"text/html": {"schema": {"type": "string"}}}}
}
router = APIRouter(prefix="/corpora/{corpus_id}", tags=["annotators"])


@router.get(
    "/agreement",
    summary="How far annotators agree",
    response_model=AgreementAnswer,
    responses={**PAGE_TOO, **problems(404, 409, 422)},
)
def agreement(
    request: Request,
    corpus_id: CorpusRef,
    asked: Annotated[ValuesQuery, Query()],
    caller: Reader,
    db: ReadDB,
    accept: Accept = "*/*",
) -> Any:
    """Krippendorff's alpha, Fleiss' kappa and Cohen's kappa by pair for every option, with intervals by text.

    Values of one codebook version only; reviews never enter. Below 50 shared texts, or where nothing connects two groups of
    annotators, there is no number but the reason.
    """
    corpus = corpus_for(db, corpus_id, caller)
    values = _values(db, corpus.id, asked)
    document = agreement_document(values.scheme, values.given, annotator_names(db, corpus.id))
    found = AgreementAnswer.model_validate({"corpus_id": corpus.id, **values.about, **document})
    if not wants_page(accept):
        return found
    return agreement_page(request, caller, corpus, found, values.scheme, value_choices(db, corpus.id), asked)


@router.get(
    "/annotators",
    summary="How often annotators say what the consensus says",
    response_model=AnnotatorsAnswer,
    responses={**PAGE_TOO, **problems(404, 409, 422)},
)
def annotators(
    request: Request,
    corpus_id: CorpusRef,
    asked: Annotated[ValuesQuery, Query()],
    caller: Reader,
    db: ReadDB,
    accept: Accept = "*/*",
) -> Any:
    """Per annotator and team the share of right votes by the consensus, with intervals; by option and over time, too.

    This is agreement with what people say together, not with the truth. A vote counts where somebody else answered the cell, too;
    annotators with little are drawn to their team, teams to all teams. Values of one codebook version only; reviews never enter.
    """
    corpus = corpus_for(db, corpus_id, caller)
    values = _values(db, corpus.id, asked)
    places = places_of(values.frame, values.text_ids, values.given)
    document = quality_document(values.scheme, values.given, annotator_names(db, corpus.id), places)
    found = AnnotatorsAnswer.model_validate(
        {
            "corpus_id": corpus.id,
            **values.about,
            **document,
            "report": newest_report(db, corpus.id, values.about["codebook_version"]),
        }
    )
    if not wants_page(accept):
        return found
    return annotators_page(request, caller, corpus, found, values.scheme, value_choices(db, corpus.id), asked)


def _values(db: AnySession, corpus_id: str, asked: ValuesQuery) -> Values:
    filters = {"metadata": pairs(asked.metadata, "metadata"), "groups": pairs(asked.group, "group")}
    return values_of(db, corpus_id, asked.codebook_version, asked.team, (asked.since, asked.until), filters)
