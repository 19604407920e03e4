"""A small reviewed corpus written straight into the tables: two questions, three annotators, a ranking with disagreements."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine

from app.db.session import WriteSession, writing
from app.db.tables import (
    Adapter,
    Annotation,
    Annotator,
    Blob,
    Corpus,
    Disagreement,
    Job,
    LabelSnapshot,
    Option,
    Prediction,
    Question,
    Ranking,
    RelabelRun,
    SchemeVersion,
    Text,
    TextVersion,
)
from app.http.security import create_api_key
from app.ids import new_id
from models.data.near_duplicates import content_digest
from models.scheme import Option as SchemeOption
from models.scheme import Question as SchemeQuestion
from models.scheme import QuestionKind, Scheme

SCHEME = Scheme(
    (
        SchemeQuestion(
            "arguments",
            QuestionKind.YES_NO_SET,
            (
                SchemeOption("remorse", 0, "Remorse", "The writer regrets the act."),
                SchemeOption("dependants", 1, "Dependants", "Somebody depends on the writer."),
            ),
            "Arguments",
        ),
        SchemeQuestion(
            "outcome",
            QuestionKind.CHOOSE_ONE,
            (
                SchemeOption("granted", 2, "Granted", "The plea was granted."),
                SchemeOption("denied", 3, "Denied", "The plea was denied."),
                SchemeOption("open", 4, "Open", "No outcome is told."),
            ),
            "Outcome",
        ),
    )
)
CELLS: list[list[str | None]] = [["arguments", "remorse"], ["arguments", "dependants"], ["outcome", None]]


@dataclass
class Built:
    """What was built: ids by name, and a key's secret per person."""

    corpus_id: str
    questions: dict[str, int]
    options: dict[str, int]
    annotators: dict[str, int]
    texts: dict[str, int] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    key_ids: dict[str, str] = field(default_factory=dict)
    ranking_id: str = ""
    run_id: str = ""
    disagreements: list[int] = field(default_factory=list)


def build_corpus(
    session: WriteSession, name: str = "letters", scheme: Scheme = SCHEME, **columns: Any
) -> Built:
    """A corpus with the scheme and annotators ann, ben, cem; no texts yet."""
    corpus_id = new_id("cor")
    session.add(Corpus(id=corpus_id, name=name, fold_group="case", **columns))
    session.flush()
    add_scheme(session, corpus_id, scheme, 1)
    questions: dict[str, int] = {}
    options: dict[str, int] = {}
    for question in scheme.questions:
        row = Question(corpus_id=corpus_id, key=question.key, kind=question.kind.value, name=question.name)
        session.add(row)
        session.flush()
        questions[question.key] = row.id
        for option in question.options:
            option_row = Option(
                corpus_id=corpus_id,
                question_id=row.id,
                key=option.key,
                position=option.position,
                name=option.name,
                definition=option.definition,
            )
            session.add(option_row)
            session.flush()
            options[option.key] = option_row.id
    annotators = {}
    for person in ("ann", "ben", "cem"):
        annotator = Annotator(corpus_id=corpus_id, name=person)
        session.add(annotator)
        session.flush()
        annotators[person] = annotator.id
    return Built(corpus_id, questions, options, annotators)


def add_scheme(session: WriteSession, corpus_id: str, scheme: Scheme, version: int) -> None:
    """A scheme version; the digest is of no matter to these tests beyond being its own."""
    document = scheme.to_document()
    session.add(
        SchemeVersion(
            corpus_id=corpus_id, version=version, document=document, digest=f"{version}:{hash(scheme)}"
        )
    )
    session.flush()


def add_text(session: WriteSession, built: Built, name: str, content: str, **columns: Any) -> int:
    """A text with its first version; `groups`, `metadata_`, `given_split`, `ordinal` as columns."""
    row = Text(corpus_id=built.corpus_id, external_id=name, **{"ordinal": len(built.texts), **columns})
    session.add(row)
    session.flush()
    built.texts[name] = row.id
    add_version(session, built, name, content)
    return row.id


def add_version(session: WriteSession, built: Built, name: str, content: str) -> int:
    """The next version of a text, made current."""
    text = session.get_one(Text, built.texts[name])
    earlier = session.query(TextVersion).filter_by(text_id=text.id).count()
    version = TextVersion(
        text_id=text.id, version=earlier + 1, content=content, sha256=bytes.fromhex(content_digest(content))
    )
    session.add(version)
    session.flush()
    text.current_version_id = version.id
    session.flush()
    built.versions[name] = version.id
    return version.id


def annotate(
    session: WriteSession,
    built: Built,
    text: str,
    person: str,
    question: str,
    values: list[int | None],
    **columns: Any,
) -> None:
    """One occasion; later calls are newer unless `annotated_at` says otherwise."""
    defaults: dict[str, Any] = {
        "team": "2019",
        "source": "import:test",
        "annotated_at": datetime(2019, 5, 1, tzinfo=UTC),
    }
    session.add(
        Annotation(
            text_id=built.texts[text],
            text_version_id=built.versions[text],
            question_id=built.questions[question],
            annotator_id=built.annotators[person],
            values=values,
            **{**defaults, **columns},
        )
    )
    session.flush()


def add_ranking(session: WriteSession, built: Built, cells: list[dict[str, Any]], **columns: Any) -> str:
    """A finished run with a ranking of the given cells, in order; `columns` of the ranking.

    Each cell: text, question, option (or None), human, model, probability, suspicion. Probabilities of every text are 0.1, 0.2, … by option.
    """
    digest = "b" * 64
    if session.get(Blob, digest) is None:
        session.add(Blob(digest=digest, size=1, media_type="x", purpose="test"))
        session.flush()
    job = Job(id=new_id("job"), corpus_id=built.corpus_id, kind="relabel", state="succeeded")
    session.add(job)
    session.flush()
    adapter_id, run_id, ranking_id = new_id("adp"), new_id("run"), new_id("rnk")
    snapshot = LabelSnapshot(
        id=new_id("snp"),
        corpus_id=built.corpus_id,
        digest=new_id("d"),
        blob_digest=digest,
        scheme_version=1,
        text_count=len(built.texts),
        cell_count=0,
    )
    adapter = Adapter(
        id=adapter_id,
        corpus_id=built.corpus_id,
        task="classify",
        name="letters adapter",
        base_model="minilm",
        option_keys=list(SCHEME.option_keys),
        digest=adapter_id,
        blob_digest=digest,
        manifest={},
        report=REPORT,
    )
    session.add_all([snapshot, adapter])
    session.flush()
    run = RelabelRun(
        id=run_id,
        job_id=job.id,
        corpus_id=built.corpus_id,
        adapter_id=adapter_id,
        snapshot_id=snapshot.id,
        scheme_version=1,
        option_keys=list(SCHEME.option_keys),
        texts_blob=digest,
        text_count=len(built.texts),
        finished_at=datetime.now(UTC),
    )
    session.add(run)
    session.flush()
    session.add_all(
        Prediction(
            run_id=run_id,
            text_version_id=version,
            probabilities=[round(0.1 * (place + 1), 1) for place in range(len(SCHEME.options))],
            held_out=True,
            models=1,
        )
        for version in built.versions.values()
    )
    ranking = Ranking(
        id=ranking_id,
        run_id=run_id,
        corpus_id=built.corpus_id,
        snapshot_id=snapshot.id,
        method="stacked",
        cells=CELLS,
        audited_cells=3 * len(built.texts),
        flagged_cells=len(cells),
        **columns,
    )
    session.add(ranking)
    session.flush()
    built.run_id, built.ranking_id, built.disagreements = run_id, ranking_id, []
    for position, cell in enumerate(cells, start=1):
        row = Disagreement(
            ranking_id=ranking_id,
            position=position,
            text_id=built.texts[cell["text"]],
            text_version_id=built.versions[cell["text"]],
            question_id=built.questions[cell["question"]],
            option_id=None if cell.get("option") is None else built.options[cell["option"]],
            human_value=cell["human"],
            model_value=cell["model"],
            probability=cell.get("probability", 0.05),
            suspicion=cell.get("suspicion", 1 - position / 100),
            scores=cell.get("scores", []),
        )
        session.add(row)
        session.flush()
        built.disagreements.append(row.id)
    return ranking_id


def add_key(session: WriteSession, built: Built, name: str, role: Any, corpus_id: str | None = None) -> str:
    """An API key for a person; its secret."""
    key, secret = create_api_key(session, name, role, corpus_id)
    built.keys[name], built.key_ids[name] = secret, key.id
    return secret


def reviewed_corpus(engine: Engine) -> Built:
    """Three letters with annotations by three people, five disagreements, and keys for vera, wim (reviewers), rita (reader), ada (admin)."""
    with writing(engine) as session:
        built = build_corpus(session, synthetic=True)
        add_text(
            session,
            built,
            "letter-1",
            "Your Honour, I am deeply sorry for what I did, and my two children wait for me at home.",
            groups={"case": "A"},
            metadata_={"year": 2019, "court": "North"},
        )
        add_text(
            session, built, "letter-2", "I did nothing wrong.", groups={"case": "B"}, metadata_={"year": 2020}
        )
        add_text(
            session,
            built,
            "letter-3",
            '=HYPERLINK("x") <script>window.pwned = 1</script> The court let me go.',
            groups={"case": "B"},
            metadata_={"year": 2020, "court": "South"},
        )
        for person, remorse in (("ann", 0), ("ben", 0), ("cem", 1)):
            annotate(session, built, "letter-1", person, "arguments", [remorse, 1])
        annotate(session, built, "letter-1", "ann", "outcome", [0, 0, 1])
        annotate(session, built, "letter-2", "ann", "arguments", [1, None], team="2020")
        annotate(session, built, "letter-2", "ben", "arguments", [0, None], team="2020")
        annotate(session, built, "letter-3", "cem", "arguments", [2, 0], team="2020")
        annotate(session, built, "letter-3", "cem", "outcome", [0, 1, 0], team="2020")
        cells: list[dict[str, Any]] = [
            {"text": "letter-1", "question": "arguments", "option": "remorse", "human": "no", "model": "yes"},
            {
                "text": "letter-3",
                "question": "outcome",
                "option": None,
                "human": "denied",
                "model": "granted",
            },
            {
                "text": "letter-1",
                "question": "arguments",
                "option": "dependants",
                "human": "yes",
                "model": "no",
            },
            {
                "text": "letter-3",
                "question": "arguments",
                "option": "dependants",
                "human": "no",
                "model": "yes",
            },
            {"text": "letter-1", "question": "outcome", "option": None, "human": "open", "model": "granted"},
        ]
        add_ranking(session, built, cells)
        add_key(session, built, "vera", "reviewer")
        add_key(session, built, "wim", "reviewer")
        add_key(session, built, "rita", "reader")
        add_key(session, built, "ada", "admin")
    return built


REPORT: dict[str, Any] = {}
