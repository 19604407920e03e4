"""A synthetic corpus of letters with known wrong labels, an adapter's folder without weights, and readers that know words only."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, text

from app.blobs import BlobStore
from app.db.session import writing
from app.db.tables import Adapter, Blob
from app.ids import new_id
from models.adapters.folder import finish
from models.adapters.member import given_contexts
from models.adapters.seen import seen_of, write_seen
from models.scheme import Option, Question, QuestionKind, Scheme
from tests.integration.review_corpus import Built, add_text, annotate, build_corpus
from workers.inference.reading import Answer, Plan, Prepared
from workers.inference.work import TextFailure

SCHEME = Scheme(
    (
        Question(
            "arguments",
            QuestionKind.YES_NO_SET,
            (Option("remorse", 0, "Remorse", "Regret."), Option("family", 1, "Family", "Dependants.")),
        ),
    )
)
OPTIONS = ("remorse", "family")
FOLD_CASES = (("c0", "c1", "c2"), ("c3", "c4", "c5"))
"""Cases that fold k's model has not seen."""
SEEN_BY_ALL = "z"
PER_CASE = 12
_WORDS = [
    "court",
    "letter",
    "honour",
    "judge",
    "day",
    "friend",
    "street",
    "winter",
    "garden",
    "paper",
    "school",
    "number",
    "river",
    "house",
    "market",
]


@dataclass
class World:
    """The corpus, its adapter and what is true."""

    built: Built
    adapter_id: str
    blob: str
    wrong: set[tuple[str, str]] = field(default_factory=set)
    """(external id, option) of labels made wrong on purpose."""


def truth_of(content: str) -> tuple[int, int]:
    """Whether a letter speaks of remorse and of family."""
    return int("sorry" in content), int("children" in content)


def letters(per_case: int = PER_CASE) -> dict[str, tuple[str, str]]:
    """External id -> (case, content) of synthetic letters; no two are near duplicates."""
    rng = np.random.default_rng(7)
    found = {}
    for case in (*FOLD_CASES[0], *FOLD_CASES[1], SEEN_BY_ALL):
        for number in range(per_case):
            words = list(rng.permutation(_WORDS)) + [f"{case}{number}{w}" for w in rng.choice(_WORDS, 6)]
            words += ["sorry"] * (number % 2) + ["children"] * (number % 3 == 0)
            found[f"{case}-{number}"] = (case, " ".join(rng.permutation(words)))
    return found


def build_world(engine: Engine, blobs: BlobStore, per_case: int = PER_CASE) -> World:
    """Write the corpus with one annotator, two wrong labels, and an adapter of two fold models."""
    wrong = {("c0-1", "remorse"), ("c4-3", "family")}
    texts = letters(per_case)
    with writing(engine) as session:
        built = build_corpus(session, "synthetic letters", SCHEME, synthetic=True)
        for name, (case, content) in texts.items():
            add_text(session, built, name, content, groups={"case": case})
            values: list[int | None] = [
                1 - value if (name, option) in wrong else value
                for option, value in zip(OPTIONS, truth_of(content), strict=True)
            ]
            annotate(session, built, name, "ann", "arguments", values)
        blob = blobs.put_bytes(adapter_tar(texts))
        session.add(
            Blob(digest=blob.digest, size=blob.size, media_type="application/x-tar", purpose="adapter")
        )
        session.flush()
        adapter = adapter_row(built.corpus_id, blob.digest)
        session.add(adapter)
    return World(built, adapter.id, blob.digest, wrong)


def rewrite(world: World, name: str) -> None:
    """Gives a letter a second version, of other words."""
    query = """INSERT INTO text_versions (text_id, version, content, sha256)
        SELECT text_id, 2, 'new words', sha256 FROM text_versions WHERE id = :id RETURNING id"""
    with writing() as session:
        version = session.scalars(text(query), {"id": world.built.versions[name]}).one()
        session.execute(
            text("UPDATE texts SET current_version_id = :v WHERE id = :t"),
            {"v": version, "t": world.built.texts[name]},
        )


def adapter_row(corpus_id: str, blob: str) -> Adapter:
    return Adapter(
        id=new_id("adp"), corpus_id=corpus_id, task="classify", name="synthetic", base_model="minilm", option_keys=list(OPTIONS),
        digest="d" * 64, blob_digest=blob, manifest={"scheme": SCHEME.to_document(), "base": {"sha256": "b" * 64}},
    )  # fmt: skip


def adapter_tar(texts: dict[str, tuple[str, str]]) -> bytes:
    """An adapter folder with everything but weights, as a tar."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for fold, cases in enumerate(FOLD_CASES):
            seen = {name: text for name, text in texts.items() if text[0] not in cases}
            groups, contents = zip(*seen.values(), strict=True)
            (folder / "folds" / str(fold)).mkdir(parents=True)
            write_seen(folder / "folds" / str(fold), seen_of(contents, groups, list(seen)))
        options = [{"key": key, "slope": 1.0, "intercept": 0.0, "threshold": 0.5} for key in OPTIONS]
        (folder / "calibration.json").write_text(json.dumps({"options": options, "softmax": []}))
        base = {"name": "minilm", "sha256": "b" * 64, "revision": "", "family": "bert"}
        finish(folder, {"task": "classify", "members": ["final", "fold0", "fold1"], "base": base})
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.add(folder, arcname=".")
        return buffer.getvalue()


@dataclass(eq=False)
class WordReader:
    """Says .9 or .1 by the words of a letter, and .02 more with fold1, .04 more with the final model: who read what shows."""

    size: int = 0
    batching: None = None
    gate: threading.Event | None = None
    unreadable: str = "\0"
    reads: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Which models read which content."""
    embedded: int = 0
    description: dict[str, Any] = field(
        default_factory=lambda: {
            "option_keys": list(OPTIONS),
            "thresholds": [0.5, 0.5],
            "lone_thresholds": [0.5, 0.5],
        }
    )

    @property
    def company(self) -> Any:
        return self

    def prepare(self, texts: Any, plan: Plan) -> Prepared:
        windows = tuple(
            TextFailure("unreadable") if text == self.unreadable else [np.ones(len(text), dtype=np.int32)]
            for text in texts
        )
        context = tuple((text, plan.members_of(row)) for row, text in enumerate(texts))
        return Prepared(windows, tuple(((0, len(text)),) for text in texts), context)

    def run(self, windows: Any) -> list[int]:
        if self.gate is not None:
            assert self.gate.wait(30)
        return [window.tokens for window in windows]

    def finish(self, prepared: Prepared, results: Any, plan: Plan, pool: Any) -> Answer:
        probabilities = np.full((len(results), 2), np.nan, dtype=np.float32)
        failures = {}
        for row, (content, members) in enumerate(prepared.context):
            if isinstance(results[row], TextFailure):
                failures[row] = results[row]
                continue
            self.reads[content] = members
            extra = np.mean([{"fold0": 0.0, "fold1": 0.02, "final": 0.04}[member] for member in members])
            probabilities[row] = [0.05 + extra + 0.8 * said for said in truth_of(content)]
        embeddings = None
        if plan.embeddings:
            self.embedded += len(results)
            embeddings = np.array([_embedding(content) for content, _ in prepared.context], dtype=np.float32)
        beside = given_contexts(plan.contexts, len(results))
        return Answer(failures, probabilities, np.zeros(probabilities.shape, np.int32), embeddings, beside)


def _embedding(content: str) -> list[float]:
    vector = np.random.default_rng(len(content)).normal(size=8)
    return list(vector / np.linalg.norm(vector))
