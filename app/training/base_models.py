"""Whether a base model can be had and fine-tuned, asked before a job is made of it. Reads files, imports no model code."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from app.http.problems import Invalid
from app.settings import Settings
from models.catalog import (
    ENCODER_FAMILIES,
    CatalogSettings,
    ModelUnavailableError,
    family_of,
    known_names,
    locate,
)


def catalog_document(settings: Settings) -> dict[str, Any]:
    """What the operator allows, as the trainer's request carries it."""
    return {"allowed_dirs": [str(path) for path in settings.model_dirs], "allow_hub": settings.allow_hub}


def check_base_model(name: str, settings: Settings) -> Path:
    """The folder of a base model.

    Raises Invalid for one that is unknown, cannot be had here, or is of no family that classification trains; it names what
    there is and how to provide one.
    """
    folder = base_folder(name, settings)
    family = family_of(folder)
    if family not in ENCODER_FAMILIES:
        raise _unsuitable(name, family)
    return folder


def check_device(device: str, settings: Settings) -> None:
    """Raise Invalid for a device that this installation never trains on. Whether a worker's machine has a GPU only its job can find out."""
    if device == "cuda" and settings.device == "cpu":
        raise Invalid(
            "A GPU was asked for, and this installation trains on the CPU (REMAND_DEVICE=cpu): ask for 'auto' or 'cpu', or let "
            "the operator provide one.",
            field="/device",
            slug="device-unavailable",
        )


def base_folder(name: str, settings: Settings) -> Path:
    """The folder of a base model of any family; raises Invalid for one that is unknown or cannot be had here."""
    try:
        return _located(name, tuple(str(path) for path in settings.model_dirs), settings.allow_hub)
    except ModelUnavailableError as error:
        raise Invalid(
            str(error), field="/base_model", slug="base-model-unavailable", known=list(known_names())
        ) from None
    except (OSError, RuntimeError, ValueError):
        known = ", ".join(known_names())
        raise Invalid(
            f"{name!r} is neither in the catalog ({known}) nor a folder that the operator allows (REMAND_MODEL_DIRS).",
            field="/base_model",
            slug="base-model-unavailable",
        ) from None


@lru_cache(maxsize=32)
def _located(name: str, allowed: tuple[str, ...], allow_hub: bool) -> Path:
    """Weights are checked against their digest once per process."""
    return locate(name, CatalogSettings(allowed, allow_hub))


def _unsuitable(name: str, family: str) -> Invalid:
    return Invalid(
        f"{name!r} is a {family or 'nameless'} model; classification is trained on {', '.join(known_names())}, or a local "
        f"folder of the families {', '.join(sorted(ENCODER_FAMILIES))}.",
        field="/base_model",
        slug="base-model-unsuitable",
    )
