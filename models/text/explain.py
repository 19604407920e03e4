"""What in a text speaks for and against each option: words by integrated gradients and exact TF-IDF shares, sentences by leaving them out.

Everything is on the scale of the option's logit before calibration: base logit + all words = logit, up to the
completeness error that comes with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.adapters.head import window_logits
from models.adapters.load import FINAL, LoadedAdapter
from models.adapters.member import wide_part
from models.data.context import Context
from models.encoder.tokens import Windows, token_offsets, window_places
from models.text.explain_gradients import Integrated, Steps, integrate
from models.text.explain_model import (
    Carry,
    Explained,
    at_once,
    differentiable,
    explained,
    read_logits,
    window_sums,
)
from models.text.explain_sentences import LeftOut, leave_out
from models.text.explain_words import Spans, spread, wide_terms, word_of_characters, word_spans

METHOD = "integrated-gradients"
Vector = NDArray[np.float64]


class UnknownOptionError(ValueError):
    """An option that the adapter does not have."""

    code = "unknown-option"


class NothingToExplainError(ValueError):
    """A text without a word."""

    code = "nothing-to-explain"


@dataclass(frozen=True, slots=True)
class ExplainSettings:
    """How much is read for one explanation."""

    steps: Steps = field(default_factory=Steps)
    window_tokens: int = 1024
    """Tokens of the windows whose words the encoder's part is spread over; one window at least."""
    sentence_tokens: int = 100_000
    """Tokens read for leaving sentences out; beyond it neighbouring sentences are left out together."""


@dataclass(frozen=True, slots=True)
class OptionExplanation:
    """One option. `base_logit` + `encoder` + `wide` = `logit`, up to `completeness_error`."""

    key: str
    logit: float
    """Before calibration, in fp32."""
    base_logit: float
    """Of the text with its words blanked."""
    encoder: Vector
    """float64 (words): the encoder's part of each word's weight."""
    wide: Vector
    """float64 (words): the share of the TF-IDF terms that the word is in."""
    delta_logit: Vector
    """float64 (sentences): logit of the text less that of the text without the sentence; positive speaks for the option."""
    delta_probability: Vector
    """float64 (sentences): the same for the calibrated probability."""
    completeness_error: float
    bound: float
    """What `completeness_error` was to stay below."""
    steps: int

    @property
    def weights(self) -> Vector:
        """float64 (words): what each word adds to the logit."""
        return self.encoder + self.wide


@dataclass(frozen=True, slots=True)
class TextExplanation:
    """One text."""

    words: Spans
    """int32 (words, 2): characters of each word."""
    sentences: tuple[tuple[int, int], ...]
    """Characters of each sentence, or of each run of sentences in a long text."""
    sentences_in_text: int
    options: tuple[OptionExplanation, ...]
    windows: int
    """Windows the text was read in."""
    explained_windows: tuple[tuple[int, int], ...]
    """Characters of the windows that the encoder's part is spread over; the others are held fixed in `base_logit`."""
    precision: str
    """What the encoder's part was computed in."""


def explain(
    adapter: LoadedAdapter,
    text: str,
    options: Sequence[str] | None = None,
    settings: ExplainSettings | None = None,
    carry: Carry = at_once,
    member: str = FINAL,
    context: Context | None = None,
    *,
    strongest_window: bool = False,
) -> TextExplanation:
    """Explain one member's reading of a text.

    Args:
        adapter: any that classifies, with whatever layers were trained.
        text: a text with a word in it.
        options: keys; None for all.
        settings: how much is read.
        carry: carries out each piece of arithmetic; a worker takes other requests in between.
        member: of the adapter.
        context: what stands around the text, for an adapter that reads it; its terms are part of the base logit.
        strongest_window: pool long texts by each option's strongest window, as `pool: "max"` of /classify does.

    Raises:
        UnknownOptionError, NothingToExplainError.
    """
    asked = settings or ExplainSettings()
    columns = option_columns(adapter, options)
    words = word_spans(text)
    if not len(words):
        raise NothingToExplainError("the text has no word: there is nothing to explain")
    who = explained(adapter, member, carry, context, strongest=strongest_window)
    windows = adapter.tokenize([text])
    sums = window_sums(who, windows)
    chosen = chosen_windows(who, windows, sums, columns, asked.window_tokens)
    model = differentiable(who, windows, sums, chosen)
    parts = _parts(who, text, words, windows, chosen, integrate(model, columns, asked.steps, carry), columns)
    left = leave_out(who, text, read_logits(who, [text], windows, sums)[0], asked.sentence_tokens)
    return TextExplanation(
        words,
        left.sentences,
        left.sentences_in_text,
        tuple(_option(adapter, parts, left, place, column) for place, column in enumerate(columns)),
        len(windows.lengths),
        tuple((int(windows.spans[place][0]), int(windows.spans[place][1])) for place in chosen),
        model.precision,
    )


def option_columns(adapter: LoadedAdapter, options: Sequence[str] | None) -> list[int]:
    """Columns of some options, or of all; UnknownOptionError for one that the adapter does not have."""
    known = {key: column for column, key in enumerate(adapter.option_keys)}
    for key in options or ():
        if key not in known:
            raise UnknownOptionError(
                f"the adapter has no option {key!r}; it has {', '.join(adapter.option_keys)}"
            )
    return [known[key] for key in dict.fromkeys(adapter.option_keys if options is None else options)]


def chosen_windows(
    who: Explained, windows: Windows, sums: NDArray[np.float32], columns: Sequence[int], tokens: int
) -> list[int]:
    """The windows that the encoder's part is spread over: all, or within `tokens` those that say most, read alone.

    They are taken in turn from each option's list of windows by how far their logit lies from the option's mean.
    """
    if windows.tokens <= tokens or len(windows.lengths) == 1:
        return list(range(len(windows.lengths)))
    first = np.arange(len(windows.lengths) + 1, dtype=np.int64)
    alone = window_logits(who.head, sums, windows.lengths, first, None)[:, list(columns)]
    ranks = np.argsort(-np.abs(alone - alone.mean(axis=0)), axis=0, kind="stable")
    chosen: list[int] = []
    left = tokens
    for window in dict.fromkeys(ranks.ravel().tolist()):
        if chosen and windows.lengths[window] > left:
            break
        chosen.append(int(window))
        left -= int(windows.lengths[window])
    return sorted(chosen)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What adds up to the logits of the options asked for."""

    found: Integrated
    encoder: Vector
    """float64 (words, options)."""
    wide: Vector
    """float64 (words, options)."""
    base: Vector
    """float64 (options)."""
    logits: Vector
    """float64 (options): computed as a whole, not from the parts."""


def _parts(
    who: Explained, text: str, words: Spans, windows: Windows, chosen: Sequence[int],
    found: Integrated, columns: Sequence[int],
) -> _Parts:  # fmt: skip
    owner = word_of_characters(text, words)
    spans, weights = _tokens(who, text, windows, chosen, found)
    encoder, over = spread(spans, weights, owner, len(words))
    options = list(columns)
    member, none = who.member, (np.zeros((len(words), len(options))), np.zeros(len(options)))
    scale = np.where(np.isnan(who.head.fixed.cpu().numpy()), who.head.wide_scale.detach().cpu().numpy(), 0.0)
    scale = scale[options].astype(np.float64)
    counts = who.counts([text])
    if member.wide is None or counts is None:
        return _Parts(found, encoder, none[0], found.blank + over, found.full)
    terms = wide_terms(text, member.wide, who.adapter.vocabulary, counts)
    wide, rest = spread(terms.spans, terms.weights[:, options] * scale, owner, len(words))
    whole = wide_part(member, counts)
    assert whole is not None
    base = found.blank + over + terms.bias[options] * scale + rest
    return _Parts(found, encoder, wide, base, found.full + whole[0, options] * scale)


def _tokens(
    who: Explained, text: str, windows: Windows, chosen: Sequence[int], found: Integrated
) -> tuple[list[tuple[int, int]], Vector]:
    """Characters of the tokens in the explained windows, and their weights: float64 (tokens, options)."""
    offsets = token_offsets(who.adapter.encoder, text)
    before, after = map(len, who.adapter.encoder.special_ids)
    limit = int(windows.lengths.max()) - before - after
    places = window_places(len(offsets), limit) if len(windows.lengths) > 1 else [0]
    spans: list[tuple[int, int]] = []
    weights: list[Vector] = []
    for row, window in enumerate(chosen):
        content = int(windows.lengths[window]) - before - after
        spans.extend(offsets[places[window] : places[window] + content])
        weights.append(found.weights[:, row, before : before + content].T)
    return spans, np.concatenate(weights) if weights else np.zeros((0, len(found.full)))


def _option(
    adapter: LoadedAdapter, parts: _Parts, left: LeftOut, place: int, column: int
) -> OptionExplanation:
    encoder, wide = parts.encoder[:, place], parts.wide[:, place]
    logit, base = float(parts.logits[place]), float(parts.base[place])
    return OptionExplanation(
        key=adapter.option_keys[column],
        logit=logit,
        base_logit=base,
        encoder=encoder,
        wide=wide,
        delta_logit=left.delta_logit[:, column],
        delta_probability=left.delta_probability[:, column],
        completeness_error=abs(logit - base - float(encoder.sum() + wide.sum())),
        bound=float(parts.found.bound[place]),
        steps=int(parts.found.steps[place]),
    )
