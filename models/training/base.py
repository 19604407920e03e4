"""The base model of a train job: found, fit for the method, loaded as the method wants it."""

from __future__ import annotations

from pathlib import Path

from models.catalog import family_of, full_refusal, locate
from models.encoder.load import Encoder, load_encoder
from models.families import FAMILIES, UnknownTargetError, chosen_targets
from models.training.errors import TrainingRefusedError
from models.training.request import TrainRequest


def load_base(request: TrainRequest) -> Encoder:
    """Load the base model of a request, in 4 bits for qlora.

    Raises:
        ModelUnavailableError: it cannot be had.
        TrainingRefusedError: it is of another kind (`unsupported-encoder`), too large for the method (`model-too-large`), has no
            such target module (`unknown-target-module`), or the machine lacks the device (`device-unavailable`) or what qlora
            needs (`qlora-unavailable`).
    """
    folder = locate(request.base_model, request.catalog.settings())
    check_method(request, folder)
    try:
        return load_encoder(folder, request.device, quantization="nf4" if request.method == "qlora" else None)
    except ValueError as error:
        code = getattr(error, "code", "unsupported-encoder")
        raise TrainingRefusedError(code, getattr(error, "field", "base_model"), str(error)) from error


def check_method(request: TrainRequest, folder: Path) -> None:
    """Raise TrainingRefusedError for a method or target modules that do not go with a model; cheap, before it is loaded."""
    if request.method == "full" and (refusal := full_refusal(request.base_model, folder)):
        raise TrainingRefusedError("model-too-large", "method", refusal)
    family = FAMILIES.get(family_of(folder))
    if family is not None:
        try:
            chosen_targets(family, request.tuning().targets)
        except UnknownTargetError as error:
            raise TrainingRefusedError(error.code, "target_modules", str(error)) from error
