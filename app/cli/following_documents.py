"""What is said of the events of generative training."""

from __future__ import annotations

from typing import Any

from app.cli.durations import duration


def documents_read(data: dict[str, Any]) -> str:
    """What `remand fine-tune` found."""
    return f"{data['documents']:,} {data['what']}, {data['characters']:,} characters, {data['refused']:,} files refused"


def estimate(data: dict[str, Any]) -> str:
    """Documents, tokens and time, once the job has measured."""
    epochs = data["steps"] / max(1, data["steps_per_epoch"])
    cut = ", cut to the time budget" if data["cut_to_budget"] else ""
    return (
        f"{data['documents']:,} documents: {data['train_documents']:,} to learn from, {data['stopping_documents']:,} for early "
        f"stopping, {data['held_out_documents']:,} held out; {data['train_tokens']:,} tokens an epoch\n"
        f"{data['steps']:,} steps, {epochs:.3g} epochs{cut}, about {duration(data['seconds'])}"
    )


def measured(data: dict[str, Any]) -> str:
    """The held-out loss."""
    return f"held-out loss per token {data['when']} training: {data['loss']:.4f}"


def epoch(data: dict[str, Any]) -> str | None:
    """An epoch's losses; nothing for those of classification, which have a bar."""
    if "stopping_loss" not in data:
        return None
    trained = "" if data["train_loss"] is None else f", training loss {data['train_loss']:.4f}"
    stopping = "" if data["stopping_loss"] is None else f", early stopping {data['stopping_loss']:.4f}"
    return f"epoch {data['epoch']}{trained}{stopping}{', best so far' if data['best'] else ''}"


def report(data: dict[str, Any]) -> str:
    """What came of it."""
    if "rouge" in data:
        before, after = (data["rouge"][when]["rouge_l"] for when in ("before", "after"))
        return f"held-out ROUGE-L {before:.3f} before, {after:.3f} after"
    before, after = (data["perplexity"][when]["perplexity"] for when in ("before", "after"))
    return f"held-out perplexity {before:.2f} before, {after:.2f} after"


def out_of_memory(data: dict[str, Any]) -> str:
    """How the trainer went on with less."""
    if data["activation_checkpointing"]:
        return "memory was full: layers are now run again backwards"
    return f"memory was full: {data['micro_batch']} at once from now on"
