"""What the demo may say of its disagreements: the synthetic letters' true labels are known, so every flag can be checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Truth = Mapping[tuple[str, str], bool]
"""Whether a letter (external id) truly makes an argument (option key)."""


@dataclass(frozen=True, slots=True)
class Checked:
    """How many labels are truly wrong, among the most suspicious and over all."""

    read: int
    wrong: int
    labels: int
    wrong_labels: int

    @property
    def random_finds(self) -> float:
        """How many wrong labels reading as many at random finds on average."""
        return self.read * self.wrong_labels / self.labels if self.labels else 0.0


def check(
    disagreements: Sequence[Mapping[str, Any]], in_force: Mapping[tuple[str, str], bool], truth: Truth
) -> Checked:
    """Compare the most suspicious cells, and all labels in force, with the truth.

    Args:
        disagreements: as listed by the api, most suspicious first.
        in_force: the value in force of every labelled cell: (external id, option) → yes.
        truth: the true values of the same cells.
    """
    wrong = sum(is_wrong(item, truth) for item in disagreements)
    wrong_labels = sum(value != truth[cell] for cell, value in in_force.items())
    return Checked(len(disagreements), wrong, len(in_force), wrong_labels)


def is_wrong(disagreement: Mapping[str, Any], truth: Truth) -> bool:
    """Whether the human value of a disagreement is truly wrong."""
    said_yes: bool = disagreement["human_value"] == "yes"
    return said_yes != truth[disagreement["external_id"], disagreement["option"]]
