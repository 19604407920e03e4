import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.near_duplicates import (
    PERMUTATIONS,
    SHINGLE,
    content_digest,
    duplicate_groups,
    near_duplicate_pairs,
    resemblance,
    seen_by,
    signatures,
)

WORDS = [f"word{i}" for i in range(400)]


def letter(seed, words=60):
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def reworded(text, changes, seed=0):
    tokens = text.split()
    for place in random.Random(seed).sample(range(len(tokens)), changes):
        tokens[place] = "changed"
    return " ".join(tokens)


def shingles(text):
    tokens = text.split()
    return {tuple(tokens[i : i + SHINGLE]) for i in range(len(tokens) - SHINGLE + 1)}


def test_signatures_have_the_promised_shape():
    signed = signatures([letter(0), "Heading", ""])
    assert signed.shape == (3, PERMUTATIONS)
    assert signed.dtype == np.uint32
    assert signatures([]).shape == (0, PERMUTATIONS)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=12))
def test_a_signature_depends_on_its_text_alone(texts):
    together = signatures(texts)
    alone = np.concatenate([signatures([text]) for text in texts])
    assert np.array_equal(together, alone)


@settings(deadline=None, max_examples=30)
@given(st.text(max_size=200))
def test_case_and_white_space_do_not_tell_texts_apart(text):
    spaced = f"  {' '.join(text.split())}\n"
    assert content_digest(text) == content_digest(spaced)
    assert seen_by(signatures([spaced]), signatures([text]))[0]


def test_signatures_are_the_same_in_another_process():
    code = (
        f"from models.data.near_duplicates import signatures; print(signatures([{letter(1)!r}])[0].tolist())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == str(signatures([letter(1)])[0].tolist())


@pytest.mark.parametrize("changes", [1, 3, 8])
def test_resemblance_estimates_the_jaccard_of_shingles(changes):
    pairs = [(letter(i), reworded(letter(i), changes, i)) for i in range(60)]
    true = np.mean([len(shingles(a) & shingles(b)) / len(shingles(a) | shingles(b)) for a, b in pairs])
    estimate = resemblance(signatures([a for a, _ in pairs]), signatures([b for _, b in pairs]))
    assert estimate.mean() == pytest.approx(true, abs=0.03)


def test_near_duplicates_are_found_and_strangers_are_not():
    texts = [letter(i) for i in range(40)]
    query = [reworded(text, 1) for text in texts] + [letter(1000 + i) for i in range(40)]
    found = seen_by(signatures(query), signatures(texts))
    assert found[:40].all()
    assert not found[40:].any()


def test_short_headings_match_only_exactly():
    seen = signatures(["A. Admissibility", "THE FACTS", "I. ALLEGED VIOLATION OF ARTICLE 8"])
    query = signatures(["B. Admissibility", "The  facts", "I. ALLEGED VIOLATION OF ARTICLE 9"])
    assert seen_by(query, seen).tolist() == [False, True, False]


def test_nothing_is_seen_by_nothing():
    assert not seen_by(signatures(["a text"]), signatures([])).any()
    assert seen_by(signatures([]), signatures(["a text"])).shape == (0,)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000))
def test_pairs_and_seen_by_agree(seed):
    rng = random.Random(seed)
    texts = [letter(rng.randrange(8), 30) for _ in range(20)] + [
        reworded(letter(i, 30), 1, seed) for i in range(8)
    ]
    signed = signatures(texts)
    pairs = near_duplicate_pairs(signed)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    linked = np.zeros(len(texts), dtype=bool)
    linked[pairs.ravel()] = True
    for row in range(len(texts)):
        others = np.arange(len(texts)) != row
        assert seen_by(signed[[row]], signed[others])[0] == linked[row]


def test_groups_join_through_chains_and_name_the_first_row():
    first = letter(5)
    second = reworded(first, 2, seed=1)
    third = reworded(second, 2, seed=2)
    groups = duplicate_groups(signatures([letter(9), third, second, first, letter(9)]))
    assert groups.tolist() == [0, 1, 1, 1, 0]


def test_thousands_of_copies_cost_one_pair_each():
    pairs = near_duplicate_pairs(signatures(["THE LAW"] * 3000))
    assert len(pairs) == 2999
    assert set(pairs[:, 0]) == {0}
