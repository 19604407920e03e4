"""Kinds of wrong labels made on purpose, for benches: how people err, not only how often.

A slip turns one option off, another one on, or both (a swap; in a choose_one question always both). Every kind says which
slips it knows and in which order they come; they are made in that order until enough cells are wrong. A slip that would
leave a text's options impossible together is passed over, as is one on a cell that is wrong already, and no option loses
more than half of its yes values: rare options bear fewer slips than were asked for, so the share that was reached is to be read
off the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.audit.injection import Injected, possible, requirements
from models.scheme import NO, YES, Labels, QuestionKind, Scheme

Indices = NDArray[np.int64]
Vector = NDArray[np.float64]

MISSED = 2.0
"""How much likelier a yes is missed than a no is turned into a yes, where classes differ."""
SPREAD = 0.5
"""Log spread of the rates of different options and directions."""
SOURCE_SPREAD = 1.0
"""Log spread of the rates of different sources (teams and years)."""
KEPT = 0.5
"""Share of an option's yes values that no kind takes away."""
_NONE = -1


@dataclass(frozen=True, slots=True)
class Slips:
    """What may go wrong, the first ones first."""

    texts: Indices
    """int64 (slips)."""
    off: Indices
    """int64 (slips): option that is yes and becomes no, -1 for none."""
    on: Indices
    """int64 (slips): option that is no and becomes yes, -1 for none."""

    def sorted_by(self, keys: Vector) -> Slips:
        """The same slips, smallest key first."""
        order = np.argsort(keys, kind="stable")
        return Slips(self.texts[order], self.off[order], self.on[order])


def class_conditional(labels: Labels, scheme: Scheme, share: float, seed: int) -> Injected:
    """Each option and direction (each pair of answers of a choose_one) has a rate of its own; a yes is missed more easily."""
    rng = np.random.default_rng(seed)
    slips = all_slips(labels, scheme)
    rates = _rates(rng, labels.shape[1])[slips.off, slips.on]
    return made(labels, scheme, share, _raced(slips, rates * np.where(slips.on == _NONE, MISSED, 1.0), rng))


def confusable(labels: Labels, scheme: Scheme, share: float, seed: int, likeness: Vector) -> Injected:
    """An option is taken for the one of its question that is most like it: one off, the other on.

    Args:
        likeness: float64 (options, options), such as cosines between the mean embeddings of their texts.
    """
    rng = np.random.default_rng(seed)
    partner = _partners(scheme, likeness)
    texts, off = np.nonzero(labels == YES)
    on = partner[off]
    fits = (on != _NONE) & (labels[texts, on] == NO)
    slips = Slips(texts[fits], off[fits], on[fits])
    return made(labels, scheme, share, _raced(slips, np.ones(len(slips.texts)), rng))


def text_dependent(
    labels: Labels, scheme: Scheme, share: float, seed: int, probabilities: NDArray[np.floating]
) -> Injected:
    """The more a text looks like the wrong value, the likelier it is given.

    Args:
        probabilities: (texts, options) held-out probabilities of models that learnt from right labels.
    """
    rng = np.random.default_rng(seed)
    slips = all_slips(labels, scheme)
    found = np.column_stack([probabilities.astype(np.float64), np.zeros(len(labels))])
    looks = np.where(slips.on != _NONE, found[slips.texts, slips.on], 1 - found[slips.texts, slips.off])
    return made(labels, scheme, share, _raced(slips, np.clip(looks, 1e-3, 1.0), rng))


def by_source(labels: Labels, scheme: Scheme, share: float, seed: int, sources: Sequence[str]) -> Injected:
    """Each source (a team in a year, say) has a rate of its own, and one for each option and direction.

    Args:
        sources: source of each text.
    """
    rng = np.random.default_rng(seed)
    slips = all_slips(labels, scheme)
    names, codes = np.unique(np.asarray(sources, dtype=np.str_), return_inverse=True)
    general = np.exp(rng.normal(0, SOURCE_SPREAD, len(names)))
    own = np.stack([_rates(rng, labels.shape[1]) for _ in names])
    source = codes[slips.texts]
    return made(labels, scheme, share, _raced(slips, general[source] * own[source, slips.off, slips.on], rng))


def systematic(labels: Labels, scheme: Scheme, share: float, seed: int, sources: Sequence[str]) -> Injected:
    """Each source misreads the codebook in its own ways, and always: it never gives an option, or sees another beside it.

    Args:
        sources: who gave each text's values.
    """
    rng = np.random.default_rng(seed)
    readings = _misreadings(labels, scheme)
    slips = _joined(readings)
    reading = np.repeat(np.arange(len(readings)), [len(each.texts) for each in readings])
    names, codes = np.unique(np.asarray(sources, dtype=np.str_), return_inverse=True)
    turn = rng.permutation(len(names) * len(readings)).astype(np.float64)
    return made(labels, scheme, share, slips.sorted_by(turn[codes[slips.texts] * len(readings) + reading]))


def all_slips(labels: Labels, scheme: Scheme) -> Slips:
    """Every slip of a single cell: int64 arrays in the order of the cells."""
    found = []
    for cell in scheme.cells:
        if cell.option is not None:
            column = cell.positions[0]
            for value, places in ((YES, (column, _NONE)), (NO, (_NONE, column))):
                rows = np.flatnonzero(labels[:, column] == value)
                found.append(_slips(rows, *places))
            continue
        for off in cell.positions:
            rows = np.flatnonzero(labels[:, off] == YES)
            found.extend(_slips(rows, off, on) for on in cell.positions if on != off)
    return _joined(found)


def made(labels: Labels, scheme: Scheme, share: float, slips: Slips) -> Injected:
    """Make slips in their order until `share` of the labelled cells is wrong.

    Raises:
        ValueError: `share` is not between 0 and 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie between 0 and 1, not {share}")
    cell_of = {position: place for place, cell in enumerate(scheme.cells) for position in cell.positions}
    known = np.isin(labels, (NO, YES))
    labelled = np.column_stack([known[:, cell.positions].all(axis=1) for cell in scheme.cells])
    left, needs = round(share * int(labelled.sum())), requirements(scheme)
    spare = np.floor((1 - KEPT) * (labels == YES).sum(axis=0))
    noisy, flipped = labels.copy(), np.zeros(labelled.shape, dtype=np.bool_)
    for text, off, on in zip(slips.texts.tolist(), slips.off.tolist(), slips.on.tolist(), strict=True):
        cells = sorted({cell_of[option] for option in (off, on) if option != _NONE})
        if left < len(cells):
            break
        if flipped[text, cells].any() or (off != _NONE and spare[off] < 1):
            continue
        turned = noisy[text].copy()
        if off != _NONE:
            turned[off] = NO
        if on != _NONE:
            turned[on] = YES
        if possible(turned, needs):
            noisy[text], flipped[text, cells] = turned, True
            left -= len(cells)
            if off != _NONE:
                spare[off] -= 1
    return Injected(noisy, flipped)


def _misreadings(labels: Labels, scheme: Scheme) -> list[Slips]:
    """The slips of each rule: an option is never given, or given wherever another of its question is."""
    found = []
    for question in scheme.questions:
        columns = [option.position for option in question.options]
        one = question.kind is QuestionKind.CHOOSE_ONE
        for first in columns:
            yes = labels[:, first] == YES
            if not one:
                found.append(_slips(np.flatnonzero(yes), first, _NONE))
            for other in columns:
                if other != first:
                    rows = np.flatnonzero(yes & (labels[:, other] == NO))
                    found.append(_slips(rows, first if one else _NONE, other))
    return found


def _raced(slips: Slips, rates: Vector, rng: np.random.Generator) -> Slips:
    """Drawn without replacement in proportion to their rates (Efraimidis and Spirakis 2006)."""
    return slips.sorted_by(rng.exponential(size=len(rates)) / rates)


def _rates(rng: np.random.Generator, options: int) -> Vector:
    """float64 (options + 1, options + 1): a rate for each pair of off and on; the last place stands for none."""
    return np.exp(rng.normal(0, SPREAD, (options + 1, options + 1)))


def _partners(scheme: Scheme, likeness: Vector) -> Indices:
    """The most similar other option of each option's question, -1 where it is alone: int64 (options)."""
    found = np.full(len(likeness), _NONE, dtype=np.int64)
    for question in scheme.questions:
        columns = np.array([option.position for option in question.options])
        for column in columns:
            others = columns[columns != column]
            if len(others):
                found[column] = others[np.argmax(likeness[column, others])]
    return found


def _slips(rows: NDArray[np.intp], off: int, on: int) -> Slips:
    return Slips(rows.astype(np.int64), np.full(len(rows), off), np.full(len(rows), on))


def _joined(found: Sequence[Slips]) -> Slips:
    texts, off, on = ([getattr(each, name) for each in found] for name in ("texts", "off", "on"))
    return Slips(np.concatenate(texts), np.concatenate(off), np.concatenate(on))
