"""The report of a generative train job: held-out numbers before and after, and all that is needed to weigh them."""

from __future__ import annotations

from typing import Any

import torch

from models.generative.inputs import Documents
from models.generative.load import Base
from models.generative.material import Material, likelihood_of
from models.generative.output import versions
from models.generative.perplexity import change, perplexity
from models.generative.plan import Plan
from models.generative.rouge import rouge_document
from models.generative.split import Split


def build_report(
    given: Documents, split: Split, material: Material, base: Base, plan: Plan, history: list[dict[str, Any]],
    measured: tuple[dict[str, Any], dict[str, Any]], seconds: float,
) -> dict[str, Any]:  # fmt: skip
    """The report, ready for JSON.

    Args:
        history: of the fit, an entry per epoch.
        measured: held-out measurements before and after.
        seconds: of the whole job.
    """
    request = given.request
    result = _result(measured, request.seed)
    chosen = [entry["epoch"] for entry in history if entry["best"]]
    steps = history[-1]["step"]
    best = chosen[-1] if chosen else history[-1]["epoch"]
    return {
        "task": request.task,
        "result": result,
        "sentence": sentence(request.task, result),
        "documents": {
            "used": len(given.keys), "empty": given.empty, "repeated": given.repeated,
            "beyond_limit": given.beyond_limit, **split.to_document(),
        },
        "tokens": material.tokens,
        "best_epoch": best,
        "epochs": history,
        "early_stopping": material.task.stopping is not None,
        "warnings": list(_warnings(material, plan, best)),
        "settings": request.model_dump(mode="json", exclude={"catalog", "device", "base_model", "checkpoint_seconds"}) | {"block_tokens": material.block_tokens},
        "plan": plan.to_document(),
        "base": {"name": base.name, "family": base.family, "dtype": str(base.dtype).removeprefix("torch.")},
        "trained_parameters": sum(value.numel() for value in base.trained.values()),
        "device": torch.cuda.get_device_name(base.device) if base.device.type == "cuda" else "cpu",
        "seconds": round(seconds, 1),
        "tokens_per_second": plan.tokens_per_second,
        "tokens_trained_on": round(plan.train_tokens * steps / plan.steps_per_epoch),
        "seed": request.seed,
        "input_digest": given.digest,
        "versions": versions(),
    }  # fmt: skip


def sentence(task: str, result: dict[str, Any]) -> str:
    """The result in words, its uncertainty included."""
    if task == "summarize":
        if "rouge" not in result:
            return f"Held-out loss per token {result['loss_before']:.3f} before, {result['loss_after']:.3f} after."
        before, after = result["rouge"]["before"], result["rouge"]["after"]
        low, high = after["interval"]
        return (
            f"Held-out ROUGE-L {before['rouge_l']:.3f} before and {after['rouge_l']:.3f} after "
            f"(95 % interval {low:.3f} to {high:.3f}, {after['pairs']} pairs)."
        )
    before, after = result["perplexity"]["before"], result["perplexity"]["after"]
    low, high = result["change"]["interval"]
    return (
        f"Held-out perplexity {before['perplexity']:.2f} before and {after['perplexity']:.2f} after on {after['documents']} documents; "
        f"ratio {result['change']['ratio']:.3f} (95 % interval {low:.3f} to {high:.3f}, by document)."
    )


def _result(measured: tuple[dict[str, Any], dict[str, Any]], seed: int) -> dict[str, Any]:
    before, after = (likelihood_of(found) for found in measured)
    result: dict[str, Any] = {
        "loss_before": round(before.mean, 5),
        "loss_after": round(after.mean, 5),
        "perplexity": {"before": perplexity(before, seed), "after": perplexity(after, seed)},
        "change": change(before, after, seed),
    }
    if "rouge" in measured[0]:
        result["rouge"] = {
            when: rouge_document(found["rouge"], seed)
            for when, found in zip(("before", "after"), measured, strict=True)
        }
    return result


def _warnings(material: Material, plan: Plan, best: int) -> list[str]:
    found = list(material.warnings)
    if plan.cut_to_budget:
        epochs = plan.steps / plan.steps_per_epoch
        found.append(f"The time budget allowed {plan.steps} steps: {epochs:.2f} of {plan.epochs} epochs.")
    if material.task.stopping is None:
        found.append("Too few documents for early stopping: the epochs are as asked.")
    elif best == 0:
        found.append(
            "No epoch read unseen documents better than the base model: the adapter changes nothing."
        )
    return found
