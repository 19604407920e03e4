"""What training refuses, in words a person can act on."""

from __future__ import annotations


class TrainingRefusedError(ValueError):
    """The request or the labels cannot be trained on. `code` is stable, `field` names what is at fault."""

    def __init__(self, code: str, field: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.field = field


class TrainingStoppedError(RuntimeError):
    """Training was asked to stop. Its checkpoints are complete: the same call resumes it."""

    code = "training-stopped"
