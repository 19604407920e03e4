"""The model families that classification trains and serves, as data: where their layers lie, which linears LoRA may take. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

FLAT_ATTENTION = "remand_sdpa"
"""transformers' name of the attention that reads padded batches and flat streams alike (`models.encoder.segments`)."""

_BERT_LINEARS = (
    "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
    "intermediate.dense", "output.dense",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Family:
    """One family of base models. Names of modules are those of transformers, and so of PEFT."""

    name: str
    """`model_type` of its configuration."""
    layers: str
    """Where the model keeps its transformer layers."""
    embeddings: str
    """Its module that turns token ids into the first hidden states."""
    targets: tuple[str, ...]
    """Every linear of a layer. All of them get LoRA unless a request names some."""
    final_norm: str = ""
    """The norm after the last layer, empty where layers end with one themselves."""
    longest: int = 512
    """Tokens of the longest window, special ones included, where the configuration allows so many."""
    positions_lost: int = 0
    """Positions that the configuration counts and the model never uses."""
    attention: str = FLAT_ATTENTION
    """transformers' name of the attention to load it with."""
    places: bool = False
    """Whether its embeddings are told each token's place; elsewhere places matter to the layers alone."""
    causal: bool = False
    """Whether a token sees only what stands before it, as in pre-training."""
    residual: bool = False
    """Whether hidden states run unnormed from layer to layer: they grow beyond what fp16 holds, so bf16 keeps them."""

    @property
    def flat(self) -> bool:
        """Whether its layers can read windows in one stream without padding."""
        return self.attention == FLAT_ATTENTION


class UnknownTargetError(ValueError):
    """A target module that the family does not have; the text lists those it has."""

    code = "unknown-target-module"


FAMILIES: Mapping[str, Family] = MappingProxyType({
    family.name: family
    for family in (
        Family("bert", "encoder.layer", "embeddings", _BERT_LINEARS, places=True),
        # RoBERTa counts positions from its padding index + 1, so two of its positions are never used.
        Family("roberta", "encoder.layer", "embeddings", _BERT_LINEARS, positions_lost=2, places=True),
        Family("xlm-roberta", "encoder.layer", "embeddings", _BERT_LINEARS, positions_lost=2, places=True),
        Family(
            "distilbert", "transformer.layer", "embeddings",
            ("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "ffn.lin1", "ffn.lin2"),
            places=True,
        ),
        Family(
            "modernbert", "layers", "embeddings", ("attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo"),
            final_norm="final_norm", longest=8192, residual=True,
        ),
        Family(
            "llama", "layers", "embed_tokens",
            (
                "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
            ),
            final_norm="norm", longest=8192, causal=True, residual=True,
        ),
        Family(
            "gptj", "h", "wte",
            ("attn.k_proj", "attn.v_proj", "attn.q_proj", "attn.out_proj", "mlp.fc_in", "mlp.fc_out"),
            final_norm="ln_f", longest=2048, attention="eager", causal=True, residual=True,
        ),
        Family(
            "t5", "encoder.block", "shared",
            (
                "layer.0.SelfAttention.q", "layer.0.SelfAttention.k", "layer.0.SelfAttention.v", "layer.0.SelfAttention.o",
                "layer.1.DenseReluDense.wi", "layer.1.DenseReluDense.wi_0", "layer.1.DenseReluDense.wi_1",
                "layer.1.DenseReluDense.wo",
            ),
            final_norm="encoder.final_layer_norm", attention="sdpa", residual=True,
        ),
    )
})  # fmt: skip
"""By `model_type`. T5's feed-forward is `wi`, or gated (FLAN-T5) `wi_0` and `wi_1`; only its encoder is used."""


def chosen_targets(family: Family, wanted: Sequence[str]) -> tuple[str, ...]:
    """The linears of a layer that are meant: a name, or the end of one (`q_proj`, `output.dense`); none named: every linear.

    Raises:
        UnknownTargetError: a name that fits no linear of the family.
    """
    if not wanted:
        return family.targets
    for name in wanted:
        if not any(_means(name, target) for target in family.targets):
            raise UnknownTargetError(
                f"{name!r} is no linear of a {family.name} layer; it has {', '.join(family.targets)}. "
                "Name one of them or its last part, or leave target_modules out for all."
            )
    return tuple(target for target in family.targets if any(_means(name, target) for name in wanted))


def _means(name: str, target: str) -> bool:
    return target == name or target.endswith(f".{name}")
