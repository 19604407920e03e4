"""How the layers of each family are called: the positions, masks and biases that transformers' own models make around them.

A layer carries its frame, so that any stretch of layers, copied or not, can be run on its own and gives what the whole
model gives. Layers of BERT's kind need a mask alone and carry none.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from models.encoder.attention import causal_attention
from models.encoder.segments import Segments
from models.families import Family

_FRAME = "remand_frame"
Step = Callable[[nn.Module, Tensor], Tensor]
"""Runs one layer on hidden states."""
Place = Tensor | Segments
"""Where the tokens of a batch lie: a mask, bool (batch, length), of a padded one; the segments of a flat stream."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What a family's layers need beside hidden states."""

    begin: Callable[[Frame, Tensor, Place], Step]
    """Prepares a run from hidden states, (batch, length, hidden) or (1, tokens, hidden), and where tokens lie."""
    source: Any = None
    """The base model's module that knows positions: rotary embeddings, or the block with T5's relative bias."""
    final: nn.Module | None = None
    """The norm after the last layer; only the last layer's frame has it."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Frame:
        """Copies of a layer share the frame: it is frozen, whatever is trained."""
        return self


def attention_mask(mask: Tensor) -> Tensor | None:
    """The mask as scaled-dot-product attention takes it: bool (batch, 1, length, length), None where nothing is padded."""
    if bool(mask.all()):
        return None
    return mask[:, None, None, :].expand(-1, 1, mask.shape[1], -1)


def step_of(layers: Sequence[nn.Module] | nn.ModuleList, hidden: Tensor, place: Place) -> Step:
    """How to run each of some layers of one model, with what they share computed once."""
    frame = frame_of(layers[0]) if len(layers) else _PLAIN
    return frame.begin(frame, hidden, place)


def frame_of(layer: nn.Module) -> Frame:
    """A layer's frame."""
    found: Frame = getattr(layer, _FRAME, _PLAIN)
    return found


def give_frames(model: nn.Module, family: Family) -> None:
    """Give each layer of a base model its family's frame, in place."""
    if family.name not in _BEGIN:
        return
    layers: nn.ModuleList = attrgetter(family.layers)(model)
    source = _SOURCE[family.name](model)
    frame = Frame(_BEGIN[family.name], source)
    for layer in layers[:-1]:
        setattr(layer, _FRAME, frame)
    setattr(layers[-1], _FRAME, Frame(frame.begin, source, attrgetter(family.final_norm)(model)))
    if family.name == "gptj":
        _own_attention(model, layers)


def widened(layers: nn.ModuleList) -> nn.ModuleList:
    """Copied layers of one model in fp32, in place, with a copy in fp32 of the norm after the last of them."""
    last = layers[-1]
    frame = frame_of(last)
    if frame.final is not None:
        setattr(last, _FRAME, replace(frame, final=copy.deepcopy(frame.final).float()))
    return layers.float()


def _plain(_frame: Frame, _hidden: Tensor, place: Place) -> Step:
    if isinstance(place, Segments):
        return lambda layer, hidden: layer(hidden, None, segments=place)
    attend = attention_mask(place)
    return lambda layer, hidden: layer(hidden, attend)


def _modernbert(frame: Frame, hidden: Tensor, place: Place) -> Step:
    """Rotary embeddings and a mask for each kind of layer: some see all tokens, most only their neighbours."""
    rotary = frame.source
    positions = _positions(hidden, place)
    angles = {kind: rotary(hidden, positions, kind) for kind in rotary.layer_types}
    masks: dict[str, Tensor | None] = dict.fromkeys(("full_attention", "sliding_attention"))
    if not isinstance(place, Segments):
        masks = {
            "full_attention": attention_mask(place),
            "sliding_attention": neighbour_mask(place, rotary.config.sliding_window),
        }

    def step(layer: nn.Module, states: Tensor) -> Tensor:
        kind = str(layer.attention_type)
        found: Tensor = layer(
            states, attention_mask=masks[kind], position_embeddings=angles[kind], **_flat(place)
        )
        return found

    return step


def neighbour_mask(mask: Tensor, reach: int) -> Tensor | None:
    """Who attends to whom within `reach` tokens: bool (batch, 1, length, length); the plain mask where all are so near.

    A padded token attends to itself at least: a softmax over nothing would be no number.
    """
    length = mask.shape[1]
    if length <= reach + 1:
        return attention_mask(mask)
    place = torch.arange(length, device=mask.device)
    distance = (place[:, None] - place[None, :]).abs()
    allowed = (distance <= reach)[None] & (mask[:, None, :] | (distance == 0)[None])
    return allowed[:, None]


def _llama(frame: Frame, hidden: Tensor, place: Place) -> Step:
    """Causal attention needs no mask: padding stands behind every token, so no token sees it."""
    angles = frame.source(hidden, _positions(hidden, place))
    flat = _flat(place)
    return lambda layer, states: layer(states, attention_mask=None, position_embeddings=angles, **flat)


def _gptj(_frame: Frame, hidden: Tensor, place: Place) -> Step:
    positions = _positions(hidden, place)
    return lambda layer, states: layer(states, position_ids=positions)[0]


def _t5(frame: Frame, hidden: Tensor, place: Place) -> Step:
    """The relative position bias belongs to the lowest layer; all layers add it to their scores, and the mask with it."""
    assert isinstance(place, Tensor), "T5's bias is of one length"
    length = hidden.shape[1]
    bias = frame.source.compute_bias(length, length, device=hidden.device).to(hidden.dtype)
    attend = attention_mask(place)
    if attend is not None:
        bias = torch.where(attend, bias, torch.finfo(hidden.dtype).min)
    return lambda layer, states: layer(states, attention_mask=None, position_bias=bias)[0]


def _flat(place: Place) -> dict[str, Segments]:
    """What a layer's attention is told of a flat stream."""
    return {"segments": place} if isinstance(place, Segments) else {}


def _positions(hidden: Tensor, place: Place) -> Tensor:
    if isinstance(place, Segments):
        return place.positions
    return torch.arange(hidden.shape[1], device=hidden.device)[None]


def _own_attention(model: nn.Module, layers: nn.ModuleList) -> None:
    """GPT-J in transformers has neither a fused attention nor, without a mask, a causal one: it gets ours.

    Its tables of positions are made anew in fp32 (loading may have cast them) and shared by all layers.
    """
    from transformers.models.gptj.modeling_gptj import create_sinusoidal_positions

    attentions: list[Any] = [layer.attn for layer in layers]
    place = next(model.parameters()).device
    size = (attentions[0].max_positions, attentions[0].pos_embd_dim)
    table = create_sinusoidal_positions(*size).float().to(place)
    for attention in attentions:
        attention.embed_positions = table
        attention._attn = causal_attention  # noqa: SLF001 - the one place where its scores are computed


_PLAIN = Frame(_plain)
_BEGIN = MappingProxyType({"modernbert": _modernbert, "llama": _llama, "gptj": _gptj, "t5": _t5})
_SOURCE: MappingProxyType[str, Callable[[nn.Module], Any]] = MappingProxyType(
    {
        "modernbert": attrgetter("rotary_emb"),
        "llama": attrgetter("rotary_emb"),
        "gptj": lambda _: None,
        "t5": lambda model: attrgetter("encoder.block")(model)[0].layer[0].SelfAttention,
    }
)
