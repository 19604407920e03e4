"""What a summary is worth: common words and vectors with a reference, and what of it is found in its source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.encoder.forward import embed
from models.encoder.load import Encoder
from models.evaluation.arms import SUMMARY_MEASURES
from models.generative.rouge import ROUGE, rouge_scores
from models.text.bertscore import bert_scores
from models.text.faithfulness import faithfulness
from models.text.items import Kind
from models.text.words import count_words

_ITEMS: tuple[tuple[str, Kind], ...] = (
    ("numbers", "number"),
    ("dates", "date"),
    ("citations", "citation"),
    ("names", "name"),
)
_COLUMN = {measure.key: place for place, measure in enumerate(SUMMARY_MEASURES)}


def summary_scores(
    written: Sequence[str],
    references: Sequence[str],
    sources: Sequence[str],
    encoder: Encoder,
    layer: int | None,
) -> tuple[NDArray[np.float64], int]:
    """Every measure of every summary, and how many texts BERTScore cut to what its model reads.

    Args:
        written: the summaries.
        references: what people wrote of the same texts.
        sources: the texts.
        encoder: for BERTScore, and for sentences of which words alone do not tell that the source supports them.
        layer: of BERTScore; None: the usual one.

    Returns:
        float64 (summaries, SUMMARY_MEASURES); NaN for a share of nothing.
    """
    found = np.full((len(written), len(SUMMARY_MEASURES)), np.nan)
    found[:, [_COLUMN[name] for name in ROUGE]] = rouge_scores(references, written)
    matched = bert_scores(encoder, written, references, layer)
    found[:, _COLUMN["bertscore"]] = matched.scores[:, 2]
    for row, (summary, source) in enumerate(zip(written, sources, strict=True)):
        told = faithfulness(summary, source, lambda sentences: embed(encoder, sentences))
        for key, kind in _ITEMS:
            share = told.precision(kind)
            found[row, _COLUMN[key]] = np.nan if share is None else share
        found[row, _COLUMN["supported"]] = told.supported_share
        words = count_words(references[row])
        found[row, _COLUMN["length_ratio"]] = count_words(summary) / words if words else np.nan
    return found, matched.cut
