"""`remand bench audit` on small made collections: all parts run, and the tables say what was put in."""

import csv
import json
from hashlib import sha256

import numpy as np
import pytest

from bench.audit import main, parser
from bench.audit_annotators import simulated
from bench.audit_arms import Arm
from bench.audit_corpora import corpora
from bench.audit_data import closed_rows, opp115, peer_round
from bench.audit_levels import Scored, level
from models.scheme import YES

WORDS = ("share", "collect", "retain", "secure")
ECHR = ("law", "facts", "court", "state")


def made_texts(rng, count, words):
    """Each text holds a word for each of its labels, most times."""
    labels = rng.random((count, len(words))) < 0.3
    seen = labels ^ (rng.random(labels.shape) < 0.05)
    fillers = [f"filler{rng.integers(40)} filler{rng.integers(40)}" for _ in range(count)]
    texts = [
        " ".join([*(w for w, here in zip(words, row, strict=True) if here), rest])
        for row, rest in zip(seen, fillers, strict=True)
    ]
    return texts, labels


def write_lines(path, rows):
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(json.dumps(row) for row in rows))


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    texts, labels = made_texts(rng, 600, WORDS)
    people = [("ada", "ben", "cleo"), ("dan", "eve", "ada")]
    rows = []
    for row, text in enumerate(texts):
        who = people[row // 8 % 2]
        given = {
            p: [w for w, yes in zip(WORDS, labels[row] ^ (rng.random(4) < 0.08), strict=True) if yes]
            for p in who
        }
        rows.append(
            {
                "id": str(row),
                "policy": f"policy-{row // 8}",
                "segment": row % 8,
                "text": text,
                "annotations": given,
            }
        )
    write_lines(tmp_path / "opp115" / "segments.jsonl", rows)
    texts, labels = made_texts(rng, 400, ECHR)
    labels[:, :2] &= labels[:, 2:].any(axis=1, keepdims=True)
    columns = [
        *ECHR[:2],
        *(f"argument_{i}" for i in range(5)),
        *ECHR[2:],
        *(f"speaker_{i}" for i in range(3)),
    ]
    values = {key: labels[:, place] for place, key in enumerate(ECHR)}
    (tmp_path / "echr_arguments").mkdir()
    with (tmp_path / "echr_arguments" / "paragraphs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "case", "split", "text", *columns])
        for row, text in enumerate(texts):
            filled = [
                int(values[c][row]) if c in values else int(rng.random() < 0.2 and values["court"][row])
                for c in columns
            ]
            writer.writerow([row, f"case-{row // 10}", "train", text, *filled])
    texts, labels = made_texts(rng, 300, WORDS)
    roles = [
        {"id": str(r), "doc": f"doc-{r // 10}", "text": t, "role": WORDS[given.argmax()]}
        for r, (t, given) in enumerate(zip(texts, labels, strict=True))
    ]
    write_lines(tmp_path / "vetclaims_roles" / "sentences.jsonl", roles)
    return tmp_path


def keep_embeddings(folder, texts):
    """Made-up embeddings where the bench looks for those it has computed."""
    digest = sha256("\x00".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    spoken = np.array([[word in text for word in (*WORDS, *ECHR)] for text in texts], dtype=np.float32)
    noise = np.random.default_rng(1).normal(0, 0.3, (len(texts), 8))
    np.save(folder / f"minilm-{digest}.npy", np.hstack([spoken + noise, noise]).astype(np.float32))


def test_all_parts_run_and_find_what_was_put_in(data, tmp_path, capsys):
    cache = tmp_path / "cache"
    cache.mkdir()
    segments = opp115(data / "opp115" / "segments.jsonl")
    keep_embeddings(cache, segments.of(~closed_rows(segments)).texts)
    for corpus in corpora(data, ["echr", "vetclaims"], 300):
        keep_embeddings(cache, corpus.texts)
    told = [
        *(
            "--data",
            str(data),
            "--cache",
            str(cache),
            "--json",
            str(tmp_path / "found.json"),
            "--draws",
            "20",
        ),
        *(
            "--texts",
            "300",
            "--corpora",
            "echr",
            "vetclaims",
            "--kinds",
            "class_conditional",
            "--shares",
            "0.1",
        ),
        *("--sources", "tfidf", "--crowds", "1"),
    ]
    assert main(told) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["peers"]["policies"] == 50
    for name in ("cells", "texts"):
        arms = found["peers"]["tfidf"][name]["arms"]
        assert arms["remand, noisy_or"]["ap"] > 2 * arms["random"]["ap"] - 0.2
    cells = {cell["corpus"]: cell for cell in found["injected"]["cells"]}
    assert cells.keys() == {"ECHR", "VetClaims"}
    for cell in cells.values():
        assert cell["reached"] == pytest.approx(0.1, abs=0.01)
        assert cell["cells"]["arms"]["remand, noisy_or"]["ap"] > cell["cells"]["arms"]["random"]["ap"] + 0.2
        assert cell["macro_f1"]["everything"] >= cell["macro_f1"]["nothing"] - 0.02
    full = next(c for c in found["annotators"]["cells"] if c["overlap"] == 1.0 and c["connected"])
    assert full["methods"]["remand consensus"]["accuracy"] > 0.9
    assert all(0.5 <= cell["truth known"][0] <= 1 for cell in found["intervals"]["cells"])
    assert "whole, without annotators" in found["scoring"]["seconds"]
    assert "peer disagreement" in capsys.readouterr().out


def test_every_option_has_a_default():
    options = parser().parse_args([])
    assert options.parts == ["peers", "injected", "annotators", "intervals", "scoring"]
    assert not options.final


def test_a_round_calls_wrong_what_both_others_contradict(data):
    segments = opp115(data / "opp115" / "segments.jsonl")
    found = peer_round(segments, 1)
    others = segments.annotations[:, [2, 0]]
    assert np.array_equal(found.agreed, others[:, 0] == others[:, 1])
    assert np.array_equal(found.wrong, found.agreed & (segments.annotations[:, 1] != others[:, 0]))


def test_cleanlabs_scorer_is_chosen_on_development_texts_alone():
    """The scorer that is better on the counted texts is not taken where it was worse on the others."""
    wrong = np.array([[True], [False], [True], [False]])
    counted = np.array([False, False, True, True])

    def arm(*suspicion):
        cells = np.array(suspicion, dtype=np.float32)[:, None]
        return Arm(cells, cells[:, 0].astype(np.float64), cells > 0.5, cells[:, 0] > 0.5)

    good_in_development, good_elsewhere = arm(0.9, 0.1, 0.1, 0.9), arm(0.1, 0.9, 0.9, 0.1)
    arms = {
        f"{source}: {name}": found
        for source in ("cleanlab, text", "cleanlab, stacked")
        for name, found in (("one", good_in_development), ("two", good_elsewhere))
    }
    scored = Scored(wrong, np.ones((4, 1), dtype=bool), arms, counted, ~counted)
    found = level([scored], ["a", "a", "b", "b"], "cells", 0, 0)
    assert found["best"]["cleanlab, text"] == "cleanlab, text: one"


@pytest.mark.parametrize("connected", [True, False])
def test_simulated_annotators_overlap_as_told(data, connected):
    corpus = corpora(data, ["echr"], None)[0]
    crowd = simulated(corpus, 0.5, connected, 0)
    read = np.zeros((len(corpus.texts), 8), dtype=bool)
    read[crowd.votes.texts, crowd.votes.annotators] = True
    assert set(read.sum(axis=1)) == {1, 3}
    assert read[:, 0].any()
    both_sites = (read[:, ::2].any(axis=1) & read[:, 1::2].any(axis=1)).any()
    assert both_sites == connected
    right = (crowd.votes.values == corpus.labels[crowd.votes.texts]).mean()
    assert right == pytest.approx(crowd.quality.mean(), abs=0.03)


def test_no_argument_without_a_speaker_in_what_is_read(data):
    corpus = corpora(data, ["echr"], None)[0]
    assert {d.option for d in corpus.scheme.dependencies} == set(corpus.scheme.option_keys[:7])
    argued = (corpus.labels[:, :7] == YES).any(axis=1)
    assert argued.any()
