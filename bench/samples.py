"""How long audit samples and rankings keep Postgres: draw, read, close, release, a ranking's rows, and the corpus's deletion. `remand bench samples`.

A corpus of made-up labels is written into a real embedded Postgres of its own (with fsync); no text is read by a model. What scoring takes is
`remand bench refit`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import text

from bench.machine import describe

T = TypeVar("T")
OPTIONS, ANNOTATORS = 12, 30
ACTOR = "ada"

_TEXTS = """
    INSERT INTO texts (corpus_id, external_id, groups, metadata, ordinal)
    SELECT :corpus, 'text-' || n, jsonb_build_object('case', n / 17), jsonb_build_object('year', 2000 + n % 20), n
    FROM generate_series(0, :texts - 1) n
"""
_VERSIONS = """
    INSERT INTO text_versions (text_id, version, content, sha256)
    SELECT id, 1, repeat(external_id || ' ', 60), sha256(convert_to(external_id, 'UTF8')) FROM texts WHERE corpus_id = :corpus
"""
_CURRENT = """UPDATE texts t SET current_version_id = v.id FROM text_versions v
    WHERE v.text_id = t.id AND t.corpus_id = :corpus"""
_ANNOTATIONS = """
    INSERT INTO annotations (text_id, text_version_id, question_id, annotator_id, source, annotated_at, values)
    SELECT t.id, t.current_version_id, :question, :first + t.ordinal / 17 % :people, 'import:bench', now(),
        (SELECT array_agg((n > 0 AND random() < .12 + t.id * 0)::int) FROM generate_series(1, :options) n)
    FROM texts t WHERE t.corpus_id = :corpus
"""
_PREDICTIONS = """
    INSERT INTO predictions (run_id, text_version_id, probabilities, held_out, models)
    SELECT :run, current_version_id, (SELECT array_agg((random() + t.id * 0 + n * 0)::real) FROM generate_series(1, :options) n), true, 1
    FROM texts t WHERE corpus_id = :corpus
"""
_READINGS = """
    INSERT INTO audit_readings (audit_sample_id, text_id, text_version_id, reader, role, values)
    SELECT s.audit_sample_id, s.text_id, s.text_version_id, r.name, 'reader', (
        SELECT array_agg((n > 0 AND random() < .12 + s.text_id * 0)::int) FROM generate_series(1, :options) n)
    FROM audit_sample_texts s, (VALUES ('vera'), ('wim')) r(name) WHERE s.audit_sample_id = :sample
        AND (r.name = 'vera' OR s.reading_order > 0)
"""


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, body: Callable[[], T]) -> T:
        """Run and time one stage."""
        begun = time.monotonic()
        found = body()
        self.seconds[name] = round(time.monotonic() - begun, 2)
        print(json.dumps({name: self.seconds[name]}), file=sys.stderr, flush=True)
        return found


def main() -> None:
    """Print a JSON document: seconds by stage, and the machine."""
    arguments = argparse.ArgumentParser(prog="remand bench samples", description=__doc__)
    arguments.add_argument("--texts", type=int, default=35_000)
    arguments.add_argument("--size", type=int, default=1_000, help="Texts that are drawn.")
    given = arguments.parse_args()
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        _measured(clock, Path(folder), given.texts, given.size)
    told: dict[str, Any] = {
        "texts": given.texts,
        "options": OPTIONS,
        "size": given.size,
        "seconds": clock.seconds,
    }
    print(
        json.dumps(
            told | {"cores": os.cpu_count(), "load": os.getloadavg()[0], "machine": describe()}, indent=1
        )
    )


def _measured(clock: Clock, folder: Path, texts: int, size: int) -> None:
    from app.db.migrate import upgrade
    from app.db.session import get_engine
    from app.stack.embedded import embedded_postgres

    os.environ |= {
        "REMAND_BLOB_ROOT": str(folder / "blobs"),
        "REMAND_SECRET_KEY": "bench",
        "REMAND_HOME": str(folder),
    }
    with embedded_postgres(folder / "pg") as url:
        os.environ["REMAND_DATABASE_URL"] = url
        upgrade(url)
        try:
            _stages(clock, clock("made", lambda: _corpus(texts)), texts, size)
        finally:
            get_engine().dispose()


def _stages(clock: Clock, built: dict[str, Any], texts: int, size: int) -> None:
    from app.audits.making import make_sample, plan_sample
    from app.audits.releasing import release
    from app.audits.schemas import AuditSampleRequest
    from app.db.session import reading, writing

    ranking = clock("rows of a first ranking", lambda: _rank(built, texts))
    assert ranking
    asked = AuditSampleRequest(corpus=built["corpus"], purpose="totals", size=size, readers=2)
    with reading() as session:
        clock("plan", lambda: plan_sample(session, built["corpus"], asked))

    def drawn() -> str:
        with writing() as session:
            return make_sample(session, _blobs(), built["corpus"], asked, ACTOR).id

    sample = clock("draw", drawn)
    with writing() as session:
        session.execute(text(_READINGS), {"sample": sample, "options": OPTIONS})
    clock("a text shown and read", lambda: _read_one(sample))
    clock("close", lambda: _with_sample(sample, _close))
    clock(
        "release", lambda: _with_sample(sample, lambda session, row: release(session, row, _blobs(), ACTOR))
    )
    clock("rows of a later ranking", lambda: _rank(built, texts))
    clock("delete the corpus", lambda: _delete(built["corpus"]))


def _corpus(texts: int) -> dict[str, Any]:
    """A corpus with one annotation and one prediction per text, and a finished run without a ranking."""
    from app.corpora.snapshots import freeze
    from app.db.session import writing
    from app.db.tables import Adapter, Annotator, Corpus, Job, Option, Question, RelabelRun, SchemeVersion
    from app.ids import new_id

    ids = {
        name: new_id(kind)
        for name, kind in (("corpus", "cor"), ("job", "job"), ("adapter", "adp"), ("run", "run"))
    }
    scheme = _scheme()
    keys = list(scheme.option_keys)
    with writing() as session:
        session.add(Corpus(id=ids["corpus"], name="bench", fold_group="case"))
        session.flush()
        session.add(
            SchemeVersion(corpus_id=ids["corpus"], version=1, document=scheme.to_document(), digest="d")
        )
        question = Question(corpus_id=ids["corpus"], key="q", kind="yes_no_set")
        people = [Annotator(corpus_id=ids["corpus"], name=f"person {n}") for n in range(ANNOTATORS)]
        session.add_all([question, *people])
        session.flush()
        session.add_all(
            Option(corpus_id=ids["corpus"], question_id=question.id, key=key, position=n)
            for n, key in enumerate(keys)
        )
        given = {"corpus": ids["corpus"], "texts": texts, "question": question.id, "options": OPTIONS}
        given |= {"first": min(person.id for person in people), "people": ANNOTATORS, "run": ids["run"]}
        for statement in (_TEXTS, _VERSIONS, _CURRENT, _ANNOTATIONS):
            session.execute(text(statement), given)
        snapshot = freeze(session, ids["corpus"], _blobs())
        session.add(Job(id=ids["job"], corpus_id=ids["corpus"], kind="relabel", state="succeeded"))
        session.add(
            Adapter(
                id=ids["adapter"], corpus_id=ids["corpus"], task="classify", name="bench", base_model="minilm", option_keys=keys,
                digest="d", blob_digest=snapshot.blob_digest, manifest={}, report={},
            )
        )  # fmt: skip
        session.flush()
        session.add(
            RelabelRun(
                id=ids["run"], job_id=ids["job"], corpus_id=ids["corpus"], adapter_id=ids["adapter"], snapshot_id=snapshot.id,
                scheme_version=1, option_keys=keys, texts_blob=snapshot.blob_digest, text_count=texts,
            )
        )  # fmt: skip
        session.flush()
        session.execute(text(_PREDICTIONS), given)
        session.execute(text("UPDATE relabel_runs SET finished_at = now()"))
        built = ids | {"snapshot": snapshot.id, "blob": snapshot.blob_digest}
    with writing() as session:
        session.execute(text("ANALYZE"))
    return built


def _rank(built: dict[str, Any], texts: int) -> str:
    """What a rank job reads and writes beside its scores: predictions, decisions, audits, then every row of a ranking."""
    from app.corpora.snapshots import read_snapshot
    from app.db.session import writing
    from models.audit.ranking import flagged
    from models.audit.sample.calibration import NotCalibrated
    from workers.relabel.frozen import Run
    from workers.relabel.listing import Reading
    from workers.relabel.ranking import store
    from workers.relabel.scoring import Scored, _read

    scheme, blobs = _scheme(), _blobs()
    frozen = read_snapshot(blobs.path(built["blob"]))
    run = Run(
        built["run"], built["corpus"], built["snapshot"], scheme.option_keys, frozen, np.zeros(texts, dtype=np.int64), texts,
        None,  # type: ignore[arg-type]  # no adapter's files are read
    )  # fmt: skip
    basis = _read(run)
    every = (
        np.random.default_rng(0).random((5, texts, OPTIONS), dtype=np.float32) ** 20
    )  # one cell in thirty is flagged
    every[:, ~basis.held_out] = np.nan
    settled = np.zeros((texts, OPTIONS), dtype=np.bool_)
    scored = Scored(
        codebook=basis.codebook, scheme=scheme,
        reading=Reading(
            scheme.cells, scheme.option_keys, basis.probabilities, frozen.values, np.full((texts, OPTIONS), 0.5, dtype=np.float32)
        ),
        names=("stacked", "self_confidence", "margin", "confident_learning", "knn"), every=every, parameters={},
        flags=flagged(every[0]), settled=settled, calibration=NotCalibrated("made up", 0, 0), samples=basis.audited.samples,
    )  # fmt: skip
    with writing() as session:
        return store(session, run, scored, built["snapshot"], 0.1).id


def _read_one(sample: str) -> None:
    """The only text that the second reader has not read, shown and read."""
    from app.audits.progress import progress
    from app.audits.queries import find_audit_sample
    from app.audits.reading import blind_text, next_place, record
    from app.audits.schemas import ReadingRequest
    from app.db.session import writing

    with writing() as session:
        row = find_audit_sample(session, sample, _admin(), lock=True)
        found = next_place(session, row, "reader", "wim")
        assert found is not None
        blind_text(session, row, *found, "reader", "wim")
        said = ReadingRequest(values=dict.fromkeys(_scheme().option_keys, "no"))
        record(session, row, found[0]["text_id"], "wim", said)
        progress(session, row)


def _with_sample(sample: str, body: Callable[[Any, Any], T]) -> T:
    from app.audits.queries import find_audit_sample
    from app.db.session import writing

    with writing() as session:
        return body(session, find_audit_sample(session, sample, _admin(), lock=True))


def _close(session: Any, row: Any) -> Any:
    from app.audits.closing import close
    from app.audits.progress import progress

    return close(session, row, _blobs(), progress(session, row), ACTOR, skip=True)


def _delete(corpus: str) -> None:
    from app.corpora.queries import delete_corpus
    from app.db.session import writing
    from app.db.tables import Corpus

    with writing() as session:
        delete_corpus(session, session.get_one(Corpus, corpus), ACTOR)


def _admin() -> Any:
    from app.http.security import Principal

    return Principal("key", ACTOR, "admin", None)


def _blobs() -> Any:
    from app.blobs import BlobStore
    from app.settings import get_settings

    return BlobStore(get_settings().blob_root)


def _scheme() -> Any:
    from models.scheme import Option, Question, QuestionKind, Scheme

    options = tuple(Option(f"o{place}", place) for place in range(OPTIONS))
    return Scheme((Question("q", QuestionKind.YES_NO_SET, options),))


if __name__ == "__main__":
    main()
