"""An adapter in memory on a tiny encoder: a head fitted in closed steps on frozen layers, a wide branch, nothing written or trained long."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
import torch

from models.adapters.head import Head, Pooling
from models.adapters.load import FINAL, LoadedAdapter
from models.adapters.member import Member
from models.adapters.wide import term_counter
from models.encoder.forward import trunk_batches
from models.encoder.load import Encoder
from models.encoder.lora import copy_layers
from models.encoder.tokens import tokenize
from models.encoder.trunk import text_means, window_sums
from models.scheme import Labels, Scheme
from models.training.calibration import fit_calibration
from models.training.linear import fit_linear
from models.training.wide import count_vocabulary, fit_wide

MAX_TOKENS = 32
PENALTY = 5.0


def quick_adapter(
    encoder: Encoder,
    texts: Sequence[str],
    labels: Labels,
    scheme: Scheme,
    depth: int = 1,
    pooling: Pooling = Pooling.MEAN,
    wide: bool = True,
) -> LoadedAdapter:
    """An adapter whose only member is `final`.

    Args:
        encoder: the base model.
        texts, labels: int8 (texts, options), what it learns from.
        scheme: of the options.
        depth: layers of the trunk; the others are the member's own copy.
        pooling: of its head, whose hidden part (and attention) is random and not zero.
        wide: whether it has a wide branch.
    """
    pooled = tuple(range(1, encoder.depth + 1))
    upper = copy_layers(encoder, depth)
    windows = tokenize(encoder, texts, MAX_TOKENS)
    batches = trunk_batches(encoder, windows, depth, pooled)
    (sums,) = window_sums(batches, [upper], depth, pooled, (len(windows.lengths), encoder.hidden_size))
    features = text_means(sums, windows)
    vocabulary, counts = count_vocabulary(texts)
    branch = fit_wide(counts, labels, np.arange(len(texts)), 0) if wide else None
    linear = fit_linear(features, labels, PENALTY)
    calibration = fit_calibration(linear.logits(features), labels, scheme)
    head = _head(linear, pooling, float(wide))
    member = Member(FINAL, upper, head.eval().requires_grad_(False), branch, calibration)
    manifest = MappingProxyType({"digest": "d" * 64, "base": {"name": "tiny", "sha256": encoder.sha256}})
    terms = vocabulary if wide else ()
    counter = term_counter(terms) if terms else None
    return LoadedAdapter(
        manifest, scheme, encoder, depth, pooled, MAX_TOKENS, terms, counter, {FINAL: member}, {}
    )


def _head(linear, pooling: Pooling, scale: float) -> Head:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    features, options = linear.weights.shape
    head = Head(features, options, 8, pooling=pooling)
    with torch.no_grad():
        head.mean.copy_(torch.from_numpy(linear.mean))
        head.spread.copy_(torch.from_numpy(linear.spread))
        head.linear.weight.copy_(torch.from_numpy(linear.weights.T))
        head.linear.bias.copy_(torch.from_numpy(linear.bias))
        head.wide_scale.fill_(scale)
        head.outer.weight.normal_(std=0.05)
        if pooling is Pooling.ATTENTION:
            head.attention.normal_(std=0.5)
    return head
