"""ROUGE against counts worked out by hand, and as rouge-score has it."""

import pytest
from rouge_score.rouge_scorer import RougeScorer

from models.generative.rouge import ROUGE, rouge_l, rouge_scores


def test_by_hand():
    """Reference of 6 tokens, summary of 5: four words in common, two pairs of neighbours, three in order."""
    reference, written = "the court dismissed the late appeal", "the appeal the court dismissed"
    found = dict(zip(ROUGE, rouge_scores([reference], [written])[0], strict=True))
    # the ×2, court, dismissed, appeal: 5 of 5 and 5 of 6
    assert found["rouge1"] == pytest.approx(2 * 5 / 11)
    # "the court", "court dismissed": 2 of 4 and 2 of 5
    assert found["rouge2"] == pytest.approx(2 * 2 / 9)
    # "the court dismissed": 3 of 5 and 3 of 6
    assert found["rougeL"] == pytest.approx(2 * 3 / 11)


def test_sentences_in_another_order_count_for_lsum_alone():
    reference, written = "The claim failed. Costs were granted.", "Costs were granted. The claim failed."
    found = dict(zip(ROUGE, rouge_scores([reference], [written])[0], strict=True))
    assert found["rougeLsum"] == 1.0
    assert found["rougeL"] == pytest.approx(0.5)


def test_latin_text_scores_as_rouge_score_has_it():
    pairs = [
        ("Judges sat; 3 of them were hearing claims.", "A judge sits, hears the claims & 3 cafés."),
        ("", "a"),
        ("a", ""),
    ]
    theirs = RougeScorer(list(ROUGE), use_stemmer=True)
    found = rouge_scores(*zip(*pairs, strict=True))
    for row, (reference, written) in zip(found, pairs, strict=True):
        scored = theirs.score(reference, written)
        assert row.tolist() == [scored[name].fmeasure for name in ROUGE]
    assert rouge_l(*zip(*pairs, strict=True)) == found[:, 2].tolist()


@pytest.mark.parametrize(
    ("reference", "written", "one"),
    [
        ("בית המשפט דחה", "בית המשפט קיבל", 2 / 3),
        ("法院驳回", "法院受理", 0.5),
        ("رفضت المحكمة", "رفضت المحكمة", 1.0),
    ],
)
def test_scripts_that_rouge_score_drops_are_compared_by_words(reference, written, one):
    assert rouge_scores([reference], [written])[0, 0] == pytest.approx(one)
