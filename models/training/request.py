"""The request of a train job: what is trained, how, and what the operator allows. Every default is "auto" or a value."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.catalog import DEFAULT, CatalogSettings
from models.encoder.tuning import Method, Tuning, tuning_for
from models.scheme import Scheme
from models.training.errors import TrainingRefusedError
from models.training.loss_request import CrossEntropy, LossRequest
from models.training.sample_request import SampleRequest

Auto = Literal["auto"]
AUTO_TOKENS = 256
"""Tokens of a window where nobody said."""


class Catalog(BaseModel):
    """The operator's settings for base models (`models.catalog.CatalogSettings`); never filled from a user's request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    allowed_dirs: tuple[str, ...] = ()
    allow_hub: bool = False
    revisions: dict[str, str] = Field(default_factory=dict)

    def settings(self) -> CatalogSettings:
        """As the catalog takes them."""
        return CatalogSettings(self.allowed_dirs, self.allow_hub, self.revisions)


class TrainRequest(BaseModel):
    """Everything a train job needs beside its texts and labels. `"auto"` where a user cannot know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scheme: dict[str, Any]
    """`Scheme.to_document` of the labels' columns."""
    base_model: str = Field(default=DEFAULT, min_length=1, max_length=500)
    """A catalog name, or the path of a folder the operator allows."""
    method: Method = "lora"
    """What is trained above the trunk: LoRA, rank-stabilised LoRA, LoRA on a 4-bit base, every weight, or only a head."""
    folds: Auto | Annotated[int, Field(ge=2, le=20)] = "auto"
    epochs: Auto | Annotated[int, Field(ge=1, le=100)] = "auto"
    """At most so many; early stopping may take fewer."""
    trained_layers: Auto | Annotated[int, Field(ge=1, le=48)] = "auto"
    """Layers above the cached trunk that are trained."""
    lora_rank: int = Field(default=16, ge=1, le=256)
    lora_alpha: Auto | Annotated[float, Field(gt=0, le=1024)] = "auto"
    """LoRA's scaling is alpha / rank, of rslora alpha / √rank."""
    target_modules: Auto | tuple[str, ...] = "auto"
    """Linears of a layer that get LoRA, by name or the end of it (`models.families`); auto: every linear."""
    learning_rate: Auto | Annotated[float, Field(gt=0, le=0.1)] = "auto"
    loss: LossRequest = Field(default_factory=CrossEntropy)
    """Which loss, and the numbers that belong to it."""
    window_pooling: Literal["mean", "max", "attention"] = "mean"
    """How the windows of a text that is longer than one become one answer (`models.adapters.head.Pooling`)."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    """Of AdamW, for matrices of LoRA and head."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Of the head."""
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Of what goes into LoRA."""
    warm_up: float = Field(default=0.06, ge=0, lt=1)
    """Share of all steps over which the learning rate rises."""
    patience: int = Field(default=1, ge=1, le=100)
    """Epochs without improvement on the inner split after which a fit ends."""
    batch_tokens: Auto | Annotated[int, Field(ge=64, le=1 << 20)] = "auto"
    """Tokens of an optimizer step."""
    accumulation: int = Field(default=1, ge=1, le=1024)
    """Micro-batches that a step is read in: the same step with less memory."""
    activation_checkpointing: bool = False
    """Run layers again backwards instead of keeping their activations: less memory, one more forward pass."""
    context: Auto | bool = "auto"
    """Whether the wide branch reads the texts' neighbours too; "auto": where that ranks the inner part better."""
    wide: bool = True
    """Whether the TF-IDF branch is fitted and added."""
    wide_strength: Auto | Annotated[float, Field(gt=0, le=1000)] = "auto"
    """Inverse penalty of the TF-IDF branch and baseline; "auto": chosen within each training part."""
    sample: SampleRequest | None = None
    """Rows drawn of each training part; None: all of it is trained on."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    time_budget_s: float | None = Field(default=None, gt=0)
    """Seconds the whole job may take; the estimator cuts epochs to it, never folds."""
    max_tokens: Auto | Annotated[int, Field(ge=8, le=8192)] = "auto"
    """Tokens of a window."""
    memory_bytes: Auto | Annotated[int, Field(ge=0)] = "auto"
    """Activations of the trunk kept in RAM; more goes to a file."""
    fold_overrides: tuple[dict[str, Any], ...] | None = None
    """Per fold the fields that differ for it: what a search chose by that fold's own inner split (models.training.members)."""
    final_epochs: int | None = Field(default=None, ge=0, le=100)
    """Epochs of the final fit; None: the median of the folds' best."""
    search: dict[str, Any] | None = None
    """The search that chose the settings, as the report shows it (models.training.search_report)."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    catalog: Catalog = Field(default_factory=Catalog)

    @property
    def may_read_context(self) -> bool:
        """Whether the wide branch of some member may read contexts."""
        return any(fold.get("context", self.context) for fold in ({}, *(self.fold_overrides or ())))

    def tuning(self) -> Tuning:
        """Method, rank, alpha and targets as fits take them."""
        alpha = None if self.lora_alpha == "auto" else self.lora_alpha
        targets = () if self.target_modules == "auto" else self.target_modules
        return tuning_for(self.method, self.lora_rank, alpha, targets)

    def parsed_scheme(self) -> Scheme:
        """The scheme as values.

        Raises:
            TrainingRefusedError: it is not a scheme document, or its options are not numbered from 0.
        """
        try:
            scheme = Scheme.from_document(self.scheme)
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingRefusedError(
                "scheme-invalid", "scheme", f"not a scheme document: {error!r}"
            ) from error
        positions = [option.position for option in scheme.options]
        if not positions or positions != list(range(len(positions))):
            raise TrainingRefusedError(
                "scheme-invalid",
                "scheme",
                f"option positions must count from 0 without gaps, not {positions}",
            )
        return scheme


Request = TypeVar("Request", bound=BaseModel)


def read_request(path: Path) -> TrainRequest:
    """Read request.json; raises as `read_model` does."""
    return read_model(path, TrainRequest)


def read_model(path: Path, model: type[Request]) -> Request:
    """Read a request of some kind.

    Raises:
        TrainingRefusedError: it is missing, not JSON, or a field is wrong; `field` names the first.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise TrainingRefusedError(
            "request-missing", path.name, f"{path.name} is missing from the input"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(map(str, first["loc"])) or path.name
        raise TrainingRefusedError("request-invalid", field, f"{field}: {first['msg']}") from error
