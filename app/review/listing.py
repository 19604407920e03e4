"""Disagreements in SQL: which ranking a listing walks, and its rows in the order of that ranking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Row

from app.corpora.codebook import Codebook, load_codebook
from app.corpora.queries import corpus_for
from app.db.session import AnySession
from app.http.problems import Invalid, NotFound
from app.http.security import Principal, check_scope
from app.review.filters import SETTLED_COLUMN, Filters, conditions
from app.review.queries import DEFINITIONS, IN_FORCE, definition_parameters

STREAM_ROWS = 500

_ROWS = f"""
    WITH definitions AS ({DEFINITIONS}) {{extra}}
    SELECT d.id, d.position, d.text_id, t.external_id, d.question_id, d.option_id, q.key AS question, q.kind, o.key AS option,
        d.human_value, d.model_value, d.probability, d.suspicion, d.error_probability, d.scores, d.reason,
        d.text_version_id <> t.current_version_id AS text_changed,
        t.metadata, t.groups, r.id AS review_id, r.value AS review_value, r.reviewer, r.note, r.created_at AS reviewed_at,
        {SETTLED_COLUMN} AS settled, c.reviewer AS claimed_by, c.expires_at AS claimed_until,
        EXISTS (SELECT FROM reviews mine WHERE mine.text_id = d.text_id AND mine.question_id = d.question_id
            AND mine.option_id IS NOT DISTINCT FROM d.option_id AND mine.value IS NOT NULL AND mine.reviewer = :reader) AS voted
    FROM disagreements d
    JOIN texts t ON t.id = d.text_id
    JOIN text_versions now ON now.id = t.current_version_id
    JOIN questions q ON q.id = d.question_id
    LEFT JOIN options o ON o.id = d.option_id
    LEFT JOIN definitions f ON f.question_id = d.question_id AND coalesce(f.option_id, 0) = coalesce(d.option_id, 0)
    {{reviews}}
    LEFT JOIN text_versions seen ON seen.id = r.text_version_id
    LEFT JOIN claims c ON c.text_id = d.text_id AND c.question_id = d.question_id
        AND c.option_id IS NOT DISTINCT FROM d.option_id AND c.expires_at > now()
    WHERE d.ranking_id = :ranking AND {{which}}
"""  # noqa: S608  # built from constants; every value is bound
_QUEUE = "d.reason <> 'finding'"
_AFTER = "d.position > :after"
# a cell that has no such score comes last: to Postgres NaN is above every number
_PLACE = "coalesce({d}.places[:score], nullif({d}.scores[:score], 'NaN'), -1)"
_AFTER_BY_SCORE = f"""(:after = 0 OR ({_PLACE.format(d="d")}, -d.position) < (
    SELECT {_PLACE.format(d="p")}, -p.position FROM disagreements p WHERE p.ranking_id = :ranking AND p.position = :after))"""  # noqa: S608  # built from constants
_BY_SCORE = f"{_PLACE.format(d='d')} DESC, d.position"
_FIRST_FEW = _ROWS.format(
    extra="",
    which="{which}",
    reviews="""LEFT JOIN LATERAL (
        SELECT * FROM reviews v
        WHERE v.text_id = d.text_id AND v.question_id = d.question_id AND v.option_id IS NOT DISTINCT FROM d.option_id
            AND v.undoes IS NULL AND NOT EXISTS (SELECT FROM reviews u WHERE u.undoes = v.id)
        ORDER BY v.id DESC LIMIT 1
    ) r ON true""",
)
"""Looks the decision of each row up: right for a page."""
_ALL = _ROWS.format(
    which="{which}",
    extra=f", in_force AS MATERIALIZED ({IN_FORCE})",
    reviews="""LEFT JOIN in_force r ON r.text_id = d.text_id AND r.question_id = d.question_id
        AND coalesce(r.option_id, 0) = coalesce(d.option_id, 0)""",
)
"""Joins with every decision of the corpus at once: right for counting and exporting."""


@dataclass(frozen=True, slots=True)
class RankingRef:
    """The ranking that a listing walks."""

    id: str
    run_id: str
    corpus_id: str
    created_at: datetime
    score_names: tuple[str, ...] = ()
    """Every score that the ranking keeps, the one that orders it first."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many disagreements of a ranking are in which state, for one reader."""

    total: int
    open: int
    claimed: int
    settled: int


def find_corpus(session: AnySession, reference: str, caller: Principal) -> str:
    """A corpus id from an id or a name; NotFound when there is none that this key reaches."""
    return corpus_for(session, reference, caller, "corpus").id


def find_ranking(
    session: AnySession, chosen: Filters, caller: Principal, cursor_ranking: str | None = None
) -> RankingRef | None:
    """The ranking asked for: by id, the newest of a run, the cursor's, or the newest of the corpus; None when there is none yet.

    Raises Invalid when nothing says which corpus, or when the cursor walks another ranking than the one asked for; NotFound outside the key's corpus.
    """
    corpus_id = None if chosen.corpus is None else find_corpus(session, chosen.corpus, caller)
    if corpus_id is None and chosen.run is None and chosen.ranking is None:
        raise Invalid("Say which corpus (or run, or ranking) the disagreements are to be of.", field="corpus")
    found = _ranking(session, chosen.ranking or cursor_ranking, chosen.run, corpus_id)
    if found is None and (chosen.ranking or chosen.run):
        raise NotFound(
            "There is no such ranking, or it is of another corpus or run.",
            field="ranking" if chosen.ranking else "run",
        )
    if cursor_ranking is not None and (found is None or found.id != cursor_ranking):
        raise Invalid(
            "The cursor walks another ranking than the one asked for: leave out the cursor to start from its top.",
            field="cursor",
            slug="cursor-of-another-ranking",
            cursor_ranking=cursor_ranking,
        )
    if found is not None:
        check_scope(caller, found.corpus_id)
    return found


def _ranking(
    session: AnySession, ranking: str | None, run: str | None, corpus_id: str | None
) -> RankingRef | None:
    row = session.execute(
        text(
            """SELECT id, run_id, corpus_id, created_at, score_names FROM rankings
            WHERE (CAST(:ranking AS text) IS NULL OR id = :ranking) AND (CAST(:run AS text) IS NULL OR run_id = :run)
            AND (CAST(:corpus AS text) IS NULL OR corpus_id = :corpus) ORDER BY created_at DESC, id DESC LIMIT 1"""
        ),
        {"ranking": ranking, "run": run, "corpus": corpus_id},
    ).first()
    return (
        None
        if row is None
        else RankingRef(row.id, row.run_id, row.corpus_id, row.created_at, tuple(row.score_names))
    )


def check_keys(codebook: Codebook, chosen: Filters) -> None:
    """Invalid for an option or question that the codebook does not have."""
    options, questions = codebook.scheme.option_keys, [question.key for question in codebook.scheme.questions]
    for field, value, known in (("option", chosen.option, options), ("question", chosen.question, questions)):
        if value is not None and value not in known:
            raise Invalid(
                f"There is no {field} “{value}” in the scheme: it has {', '.join(known)}.", field=field
            )


def list_disagreements(
    session: AnySession,
    ranking: RankingRef,
    chosen: Filters,
    reader: str,
    *,
    after: int = 0,
    limit: int | None = 50,
    blind: bool = False,
) -> Iterator[Row[Any]]:
    """Rows of a ranking in the order asked for; without a limit they are streamed from a server-side cursor.

    after: position of the last row already seen, whatever orders: a cursor that held its score would tell it to a blind reader.
    """
    codebook = load_codebook(session, ranking.corpus_id)
    check_keys(codebook, chosen)
    where, values = conditions(chosen, blind)
    number = score_number(ranking, chosen.order_by)
    passed = {"after": after, "score": number, "limit": limit}
    parameters = _parameters(ranking, reader, codebook) | values | passed
    listed = (_ALL if limit is None else _FIRST_FEW).format(
        which=f"{_QUEUE} AND {_AFTER if number is None else _AFTER_BY_SCORE}"
    )
    order = "d.position" if number is None else _BY_SCORE
    statement = text(f"{listed}{where} ORDER BY {order} LIMIT CAST(:limit AS bigint)")
    options = {"yield_per": STREAM_ROWS} if limit is None else {}
    yield from session.execute(
        statement, parameters | definition_parameters(codebook), execution_options=options
    )


def rows_of(
    session: AnySession, ranking: RankingRef, disagreements: Sequence[int], reader: str
) -> list[Row[Any]]:
    """Some rows of a ranking, those that are in no queue too, by position."""
    codebook = load_codebook(session, ranking.corpus_id)
    statement = text(_FIRST_FEW.format(which="d.id = ANY(:ids)") + " ORDER BY d.position")
    parameters = _parameters(ranking, reader, codebook) | {"ids": list(disagreements)}
    return list(session.execute(statement, parameters))


def score_number(ranking: RankingRef, name: str | None) -> int | None:
    """Which of a ranking's scores orders, counted from 1; None where the ranking's own order is asked for. Invalid for a score that it lacks."""
    if name is None or (ranking.score_names and name == ranking.score_names[0]):
        return None
    if name not in ranking.score_names:
        known = (
            ", ".join(ranking.score_names) or "no score by name, because it was made before scores were kept"
        )
        raise Invalid(f"The ranking has no score “{name}”: it has {known}.", field="order_by")
    return ranking.score_names.index(name) + 1


def count_states(
    session: AnySession, ranking: RankingRef, chosen: Filters, reader: str, *, blind: bool = False
) -> Counts:
    """Disagreements by state, narrowed by every filter but the state."""
    codebook = load_codebook(session, ranking.corpus_id)
    check_keys(codebook, chosen)
    where, values = conditions(replace(chosen, state="all"), blind)
    statement = text(
        f"""SELECT count(*) AS total, count(*) FILTER (WHERE settled) AS settled,
            count(*) FILTER (WHERE NOT settled AND claimed_by <> :reader) AS claimed
            FROM ({_ALL.format(which=_QUEUE)}{where}) listed"""  # noqa: S608  # built from constants
    )
    row = session.execute(statement, _parameters(ranking, reader, codebook) | values).one()
    return Counts(row.total, row.total - row.settled - row.claimed, row.claimed, row.settled)


def _parameters(ranking: RankingRef, reader: str, codebook: Codebook) -> dict[str, Any]:
    """What every listing binds."""
    return {
        "ranking": ranking.id,
        "corpus": ranking.corpus_id,
        "texts": None,
        "reader": reader,
        **definition_parameters(codebook),
    }
