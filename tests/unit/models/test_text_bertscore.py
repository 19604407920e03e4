"""BERTScore against matchings that were worked out by hand."""

import numpy as np
import pytest

from models.encoder.load import load_encoder
from models.text.bertscore import bert_scores, matched, token_vectors, usual_layer
from tests.tiny_encoder import make_encoder


def unit(*degrees):
    """Vectors in the plane, by angle: their cosines are known."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_each_token_is_matched_with_the_most_alike():
    """Special tokens at 180° and 270°; the summary's words at 0° and 60°, the reference's at 0°, 30° and 90°."""
    precision, recall, f1 = matched(unit(180, 0, 60, 270), unit(180, 0, 30, 90, 270))
    # 0° finds 0° (1), 60° finds 30° or 90° (cos 30°); back: 0° finds 0°, 30° finds 0° or 60°, 90° finds 60° (each cos 30°)
    half = np.sqrt(3) / 2
    assert precision == pytest.approx((1 + half) / 2, abs=1e-6)
    assert recall == pytest.approx((1 + 2 * half) / 3, abs=1e-6)
    assert f1 == pytest.approx(2 * precision * recall / (precision + recall))


def test_special_tokens_are_matched_with_but_not_counted():
    """A word that is most like the other's special token takes that cosine, as bert-score has it."""
    precision, recall, _ = matched(unit(0, 90, 270), unit(80, 200, 270))
    assert precision == pytest.approx(np.cos(np.radians(10)), abs=1e-6)
    assert recall == pytest.approx(np.cos(np.radians(70)), abs=1e-6)


def test_the_same_words_score_one_and_none_score_nothing(encoder):
    found = bert_scores(encoder, ["remorse in court", "", "remorse"], ["remorse in court", "remorse", ""])
    np.testing.assert_allclose(found.scores, [[1, 1, 1], [0, 0, 0], [0, 0, 0]], atol=1e-6)
    assert found.cut == 0


def test_a_pair_scores_the_same_alone_and_among_others(encoder):
    written = ["the judge was ill", "a letter of regret", "my child in pain and work"]
    references = ["the doctor was ill", "remorse", "the family of my child"]
    together = bert_scores(encoder, written, references, layer=2).scores
    for row, pair in enumerate(zip(written, references, strict=True)):
        alone = bert_scores(encoder, [pair[0]], [pair[1]], layer=2).scores[0]
        np.testing.assert_allclose(together[row], alone, atol=2e-2)
    swapped = bert_scores(encoder, references, written, layer=2).scores
    np.testing.assert_allclose(swapped[:, :2], together[:, 1::-1], atol=1e-6)


def test_a_text_longer_than_the_model_reads_is_cut_and_counted(tmp_path):
    encoder = load_encoder(make_encoder(tmp_path / "bert"), "cpu")
    long = " ".join(["remorse"] * (encoder.max_tokens + 20))
    vectors, cut = token_vectors(encoder, [long, "the judge"], 1)
    assert (len(vectors[0]), cut) == (encoder.max_tokens, 1)


def test_the_layer_follows_from_the_depth_and_can_be_named(encoder):
    assert [usual_layer(depth) for depth in (1, 2, 6, 12, 24)] == [1, 2, 5, 10, 20]
    with pytest.raises(ValueError, match="layers 1 to 2, not 3"):
        bert_scores(encoder, ["a"], ["a"], layer=3)
