"""How a job is carried out: steps, rate, blocks, and what a short measurement says of its time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.generative.estimate import EPOCHS, EVALUATION, RESERVE, affordable, units_per_step
from models.generative.fit import FitSettings, Task
from models.generative.request import GenerativeRequest

RATES = {"causal": 2e-4, "summarize": 1e-3}
UNKNOWN_SPEED = 1.0
"""Tokens a second where memory did not hold a single unit; what is measured is more."""
_MEASURED = 3
"""Micro-batches that the measurement reads; the first one, which warms up, is not counted."""
_LONG_SECONDS = 20.0
"""A first micro-batch that takes so long is the measurement: what it warmed up is little beside that."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What was decided at the start; kept with the checkpoints, because a measurement is never the same twice."""

    epochs: int
    steps: int
    steps_per_epoch: int
    units: int
    units_per_step: int
    micro_batch: int
    learning_rate: float
    train_tokens: int
    """Read in one epoch."""
    measured_tokens: int
    """Read once to measure: held-out and stopping documents together."""
    tokens_per_second: float
    seconds: float
    """Of the whole job, as estimated."""
    cut_to_budget: bool
    input_digest: str

    def settings(self, request: GenerativeRequest) -> FitSettings:
        """How the task is fitted."""
        return FitSettings(
            self.steps,
            self.steps_per_epoch,
            self.units_per_step,
            self.learning_rate,
            request.schedule,
            request.seed,
            request.checkpoint_seconds,
        )

    def to_document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def make_plan(
    request: GenerativeRequest, task: Task, device: torch.device, measured: int, spent: Callable[[], float], digest: str
) -> Plan:  # fmt: skip
    """Resolve "auto", measure the speed and, under a time budget, cut the steps to what will fit.

    Args:
        request, task: what is fitted.
        device: where.
        measured: tokens of the held-out and stopping documents.
        spent: seconds used so far.
        digest: of the input.
    """
    kind, units = request.task, len(task.read_tokens)
    per_step = units_per_step(kind, units)
    if request.units_per_step != "auto":
        per_step = min(units, request.units_per_step)
    epochs = EPOCHS[kind] if request.epochs == "auto" else request.epochs
    # On a CPU a unit already fills the cores; on a GPU as many as memory holds.
    micro = per_step if device.type == "cuda" or kind == "summarize" else 1
    speed, micro = measured_speed(task, micro, device)
    steps_per_epoch = -(-units // per_step)
    train = int(task.read_tokens.sum())
    evaluated = measured * EVALUATION * (epochs + 2)
    budget = request.time_budget_s
    steps = affordable(epochs * steps_per_epoch, train * epochs, evaluated, speed, spent(), budget)
    done = steps / max(1, epochs * steps_per_epoch)
    return Plan(
        epochs=epochs, steps=steps, steps_per_epoch=steps_per_epoch, units=units, units_per_step=per_step,
        micro_batch=micro,
        learning_rate=RATES[kind] if request.learning_rate == "auto" else request.learning_rate,
        train_tokens=train, measured_tokens=measured, tokens_per_second=round(speed, 1),
        seconds=round(spent() + (train * epochs * done + evaluated * done) / speed / RESERVE, 1),
        cut_to_budget=steps < epochs * steps_per_epoch, input_digest=digest,
    )  # fmt: skip


def measured_speed(task: Task, micro: int, device: torch.device) -> tuple[float, int]:
    """Tokens a second of training, and the micro-batch that memory allows, from a few passes whose gradients are thrown away."""
    order = np.argsort(-task.read_tokens, kind="stable")
    tokens, began = 0, time.perf_counter()
    place = 0
    while place < _MEASURED:
        part = np.resize(order, micro * _MEASURED)[place * micro : (place + 1) * micro].tolist()
        try:
            task.loss(part).backward()  # type: ignore[no-untyped-call]
        except torch.OutOfMemoryError:
            if micro == 1:
                return (
                    UNKNOWN_SPEED,
                    1,
                )  # the fit will keep fewer activations and tell; there is no speed to know yet
            micro //= 2
            torch.cuda.empty_cache()
            began = time.perf_counter()
            continue
        _wait(device)
        read = int(task.read_tokens[part].sum())
        if place == 0 and time.perf_counter() - began > _LONG_SECONDS:
            return _speed(read, began), micro
        if place == 0:
            tokens, began = 0, time.perf_counter()
        else:
            tokens += read
        place += 1
    return _speed(tokens, began), micro


def kept_plan(path: Path, digest: str) -> Plan | None:
    """The plan of the checkpoints beside `path`; None where there is none of this input."""
    if not path.exists():
        return None
    plan = Plan(**json.loads(path.read_text(encoding="utf-8")))
    return plan if plan.input_digest == digest else None


def keep_plan(path: Path, plan: Plan) -> None:
    """Write the plan: complete or absent."""
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_text(json.dumps(plan.to_document()), encoding="utf-8")
    temporary.replace(path)


def _speed(tokens: int, began: float) -> float:
    return max(1.001 * UNKNOWN_SPEED, tokens / max(1e-6, time.perf_counter() - began))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
