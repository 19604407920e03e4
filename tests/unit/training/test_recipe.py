"""What a train job asks of its recipe reaches the trainer as it was asked."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from app.training.schemas import TrainJobRequest
from models.training.request import TrainRequest

LOSSES = (
    {"kind": "bce", "positive_weight": 3.0, "class_weight": "auto"},
    {"kind": "focal", "gamma": 1.5, "alpha": None},
    {"kind": "asymmetric", "gamma_positive": 1.0, "gamma_negative": 2.0, "margin": 0.1},
    {"kind": "distribution_balanced", "alpha": 0.2, "beta": 5.0, "mu": 0.2, "tolerance": 2.0, "bias": 0.1, "gamma": 2.0},
)  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: str(loss["kind"]))
def test_every_number_of_a_loss_reaches_the_trainer(loss: dict[str, object]) -> None:
    asked = TrainJobRequest.model_validate({"corpus": "letters", "loss": loss}).trainer_request()
    assert TrainRequest.model_validate({**asked, "scheme": {}}).loss.model_dump() == loss


def test_the_recipe_reaches_the_trainer() -> None:
    recipe = {
        "window_pooling": "attention", "weight_decay": 0.1, "dropout": 0.3, "lora_dropout": 0.2, "warm_up": 0.1,
        "patience": 3, "batch_tokens": 512, "accumulation": 4, "activation_checkpointing": True,
    }  # fmt: skip
    asked = TrainJobRequest.model_validate({"corpus": "letters", **recipe}).trainer_request()
    request = TrainRequest.model_validate({**asked, "scheme": {}})
    assert {name: getattr(request, name) for name in recipe} == recipe


def test_defaults_of_the_api_and_the_trainer_are_the_same() -> None:
    asked = TrainJobRequest(corpus="letters").trainer_request()
    assert TrainRequest.model_validate({**asked, "scheme": {}}) == TrainRequest(scheme={})


def test_a_number_of_another_loss_is_refused() -> None:
    with pytest.raises(ValidationError, match="margin"):
        TrainJobRequest.model_validate({"corpus": "letters", "loss": {"kind": "focal", "margin": 0.1}})
