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

from models.generative.fit import FitSettings, Task
from models.generative.request import GenerativeRequest

RATES = {"causal": 2e-4, "summarize": 1e-3}
EPOCHS = {"causal": 3, "summarize": 5}
MOST_UNITS = {"causal": 8, "summarize": 16}
"""Units of an optimizer step where there is plenty of data."""
STEPS_PER_EPOCH = 32
"""With little data a step takes fewer units, so that an epoch has about this many."""
_MEASURED = 3
"""Micro-batches that the measurement reads; the first one, which warms up, is not counted."""
_RESERVE = 0.9
_EVALUATION = 1 / 3
"""A token that is only read costs about a third of one that is learned from."""


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
    per_step = min(MOST_UNITS[kind], max(1, units // STEPS_PER_EPOCH))
    if request.units_per_step != "auto":
        per_step = min(units, request.units_per_step)
    epochs = EPOCHS[kind] if request.epochs == "auto" else request.epochs
    # On a CPU a unit already fills the cores; on a GPU as many as memory holds.
    micro = per_step if device.type == "cuda" or kind == "summarize" else 1
    speed, micro = measured_speed(task, micro, device)
    steps_per_epoch = -(-units // per_step)
    train = int(task.read_tokens.sum())
    evaluated = measured * _EVALUATION * (epochs + 2)
    steps = affordable(request, epochs * steps_per_epoch, train * epochs, evaluated, speed, spent())
    done = steps / max(1, epochs * steps_per_epoch)
    return Plan(
        epochs=epochs, steps=steps, steps_per_epoch=steps_per_epoch, units=units, units_per_step=per_step,
        micro_batch=micro,
        learning_rate=RATES[kind] if request.learning_rate == "auto" else request.learning_rate,
        train_tokens=train, measured_tokens=measured, tokens_per_second=round(speed, 1),
        seconds=round(spent() + (train * epochs * done + evaluated * done) / speed / _RESERVE, 1),
        cut_to_budget=steps < epochs * steps_per_epoch, input_digest=digest,
    )  # fmt: skip


def affordable(
    request: GenerativeRequest, steps: int, train: float, evaluated: float, speed: float, spent: float
) -> int:
    """Steps that the time budget allows, at least one: of `steps`, which read `train` and `evaluated` tokens at `speed` a second."""
    if request.time_budget_s is None:
        return steps
    left = max(0.0, request.time_budget_s - spent) * _RESERVE - evaluated / speed
    return int(np.clip(left // max(train / steps / speed, 1e-9), 1, steps))


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
                return 1.0, 1  # the fit will keep fewer activations and tell; there is no speed to know yet
            micro //= 2
            torch.cuda.empty_cache()
            continue
        _wait(device)
        if place == 0:
            tokens, began = 0, time.perf_counter()
        else:
            tokens += int(task.read_tokens[part].sum())
        place += 1
    return max(1.0, tokens / max(1e-6, time.perf_counter() - began)), micro


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


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
