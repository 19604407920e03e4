"""What the API takes and says about train jobs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from app.corpora.schemas import Key
from app.http.schemas import AnswerModel, RequestModel
from app.training.estimate_schemas import EstimateAnswer
from app.training.generative_schemas import CausalSettings, SummarizeSettings
from app.training.recipe_schemas import CrossEntropyLoss, LossSettings
from app.training.sample_schemas import InlineSample, TrainingSample
from app.training.search_schemas import SearchRequest
from models.catalog import DEFAULT

Auto = Literal["auto"]


class TrainJobRequest(RequestModel):
    """What to train. `auto` where you cannot know."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"corpus": "letters", "folds": 5, "time_budget_seconds": 600}]}
    )

    corpus: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description="A corpus's id or name."
    )
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None, description="Name of the adapter; default: the corpus's name, the base model and the day."
    )
    task: Literal["classify", "summarize", "causal"] = Field(
        "classify",
        description="What is learned: the corpus's labels, summaries of texts, or how a body of documents is written.",
    )
    base_model: Annotated[str, StringConstraints(min_length=1, max_length=500)] = Field(
        DEFAULT, description="A name of the catalog, or a folder that the operator allows."
    )
    method: Literal["lora", "rslora", "qlora", "full", "probe"] = Field(
        "lora",
        description="Of the upper layers: LoRA, rank-stabilised LoRA, LoRA on a 4-bit base (CUDA), or every weight (models of at "
        "most 150 million); probe: only a head on the frozen model.",
    )
    folds: Annotated[int, Field(ge=2, le=20)] | Auto = Field(
        "auto", description="Held-out folds, split by group."
    )
    epochs: Annotated[int, Field(ge=1, le=100)] | Auto = Field(
        "auto", description="At most so many; early stopping may take fewer."
    )
    trained_layers: Annotated[int, Field(ge=1, le=48)] | Auto = "auto"
    lora_rank: int = Field(16, ge=1, le=256)
    lora_alpha: Annotated[float, Field(gt=0, le=1024)] | Auto = Field(
        "auto",
        description="LoRA is scaled by alpha / rank, rslora by alpha / √rank; auto: twice the rank, and 8.",
    )
    target_modules: (
        Annotated[
            list[Annotated[str, StringConstraints(min_length=1, max_length=200)]],
            Field(min_length=1, max_length=20),
        ]
        | Auto
    ) = Field(
        "auto",
        description="Linears of a layer that get LoRA, by name or its last part (docs/models.md); auto: every linear.",
    )
    learning_rate: Annotated[float, Field(gt=0, le=0.1)] | Auto = "auto"
    max_tokens: Annotated[int, Field(ge=8, le=8192)] | Auto = Field(
        "auto", description="Tokens of a window; longer texts are read in several."
    )
    window_pooling: Literal["mean", "max", "attention"] = Field(
        "mean", description="How the windows of a long text become one answer."
    )
    loss: LossSettings = Field(default_factory=CrossEntropyLoss, description="Which loss, and its numbers.")
    weight_decay: float = Field(0.0, ge=0, le=1)
    dropout: float = Field(0.1, ge=0, lt=1, description="Of the head.")
    lora_dropout: float = Field(0.0, ge=0, lt=1, description="Of what goes into LoRA.")
    warm_up: float = Field(
        0.06, ge=0, lt=1, description="Share of all steps over which the learning rate rises."
    )
    patience: int = Field(
        1, ge=1, le=100, description="Epochs without improvement on the inner split after which a fit ends."
    )
    batch_tokens: Annotated[int, Field(ge=64, le=1 << 20)] | Auto = Field(
        "auto", description="Tokens of an optimizer step."
    )
    accumulation: int = Field(
        1, ge=1, le=1024, description="Micro-batches that a step is read in: the same step, less memory."
    )
    activation_checkpointing: bool = Field(
        False, description="Run layers again backwards instead of keeping their activations: less memory."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where to train; auto: as the operator says, a GPU where there is one."
    )
    memory_bytes: Annotated[int, Field(ge=0)] | Auto = Field(
        "auto",
        description="Memory for the activations of the frozen layers (auto: 4 GiB); what is more goes to a file.",
    )
    wide: bool = Field(True, description="Whether the TF-IDF branch is fitted and added.")
    wide_strength: Annotated[float, Field(gt=0, le=1000)] | Auto = Field(
        "auto",
        description="Inverse penalty of the TF-IDF branch and baseline; auto: chosen within each training part.",
    )
    context: bool | Auto = Field(
        "auto",
        description="Whether the TF-IDF branch also reads what stands around a text: the nearest short texts above, and how its "
        "neighbours in the group begin; auto: where that ranks a part of each training part better.",
    )
    seed: int = Field(
        0, ge=0, lt=2**31, description="The same seed, labels and machine give the same adapter."
    )
    time_budget_seconds: float | None = Field(
        None, gt=0, le=30 * 86400, description="The whole job's; cuts epochs, never folds."
    )
    options: list[Key] | None = Field(
        None, min_length=1, max_length=1000, description="Only these options (or questions); default all."
    )
    splits: list[Annotated[str, StringConstraints(max_length=200)]] | None = Field(
        None, min_length=1, max_length=50, description="Only texts of these given splits."
    )
    sample: TrainingSample | None = Field(
        None,
        description="Only texts of this recorded sample (smp_…); or a sample to draw within each fold's training part, while all held-out "
        "texts are still read and scored.",
    )
    exclude_audit_samples: list[Annotated[str, StringConstraints(max_length=100)]] = Field(
        default_factory=list,
        max_length=100,
        description="No texts of these audit samples (aud_…), so that they stay a yardstick that no model has trained on.",
    )
    limit: int | None = Field(None, ge=1, description="At most so many labelled texts, chosen by the seed.")
    search: SearchRequest | None = Field(
        None, description="Search hyperparameters first; the answer is then a search job (/searches/{id})."
    )
    causal: CausalSettings | None = Field(
        None, description="Settings of the task causal; labels are not looked at."
    )
    summarize: SummarizeSettings | None = Field(
        None, description="Settings of the task summarize; labels are not looked at."
    )

    def trainer_request(self) -> dict[str, Any]:
        """The fields that the trainer shares (models.training.request), without scheme and catalog; `auto` is its default."""
        shared = {
            "accumulation",
            "activation_checkpointing",
            "base_model",
            "batch_tokens",
            "dropout",
            "lora_dropout",
            "loss",
            "patience",
            "warm_up",
            "weight_decay",
            "window_pooling",
            "method",
            "lora_alpha",
            "target_modules",
            "folds",
            "epochs",
            "trained_layers",
            "lora_rank",
            "learning_rate",
            "max_tokens",
            "memory_bytes",
            "wide",
            "wide_strength",
            "context",
            "seed",
        }
        if isinstance(self.sample, InlineSample):
            shared.add("sample")
        given = {name: value for name, value in self.model_dump(include=shared).items() if value != "auto"}
        return given | {"time_budget_s": self.time_budget_seconds}


class OptionCountAnswer(AnswerModel):
    """Labels of one option among the texts trained on."""

    key: str
    yes: int
    no: int
    missing: int


class TrainingPreview(AnswerModel):
    """What a train job would learn from; nothing was stored."""

    corpus_id: str
    texts: int = Field(description="Texts of the corpus.")
    rows: int = Field(description="Labelled texts that are trained on.")
    groups: int = Field(description="Groups of the corpus, of which folds are made.")
    cells: int = Field(description="Labels among them.")
    options: list[OptionCountAnswer]
    warnings: list[str]
    estimate: EstimateAnswer | None = Field(
        None, description="None while no trainer has measured this yet: ask again after Retry-After."
    )
    measuring: str | None = Field(None, description="The measuring job that the estimate waits for.")
