"""What `remand train --dry-run` prints: what would be learned from, and what it would take."""

from __future__ import annotations

from typing import Any

from app.cli.durations import duration


def preview_lines(preview: dict[str, Any]) -> list[str]:
    """The answer to a dry run, in words."""
    lines = _documents(preview) if "documents" in preview else _labels(preview)
    lines += [f"note: {warning}" for warning in preview["warnings"]]
    return lines + estimate_lines(preview)


def _labels(preview: dict[str, Any]) -> list[str]:
    return [
        (
            f"{preview['rows']:,} of {preview['texts']:,} texts are labelled, {preview['cells']:,} labels, "
            f"{preview['groups']:,} groups."
        ),
        *(
            f"  {option['key']}: {option['yes']:,} yes, {option['no']:,} no, {option['missing']:,} missing"
            for option in preview["options"]
        ),
    ]


def _documents(preview: dict[str, Any]) -> list[str]:
    what = "documents" if preview["task"] == "causal" else "pairs of text and summary"
    return [f"{preview['documents']:,} {what}, {preview['characters']:,} characters."]


def estimate_lines(preview: dict[str, Any]) -> list[str]:
    """What the job would take, in words."""
    found = preview.get("estimate")
    if found is None:
        waiting = preview.get("measuring")
        return (
            [f"No estimate yet: {waiting} measures it as soon as a trainer is free. Ask again in a moment."]
            if waiting
            else []
        )
    measured = found["measured"]
    gpu = found.get("device_memory_bytes")
    memory = (
        f"Memory up to {_size_words(found['memory_bytes'])}, disk up to {_size_words(found['disk_bytes'])}"
    )
    return [
        *(_generative_size(found) if "documents" in found else _size(found)),
        _time(found),
        f"{memory}{f', on the GPU up to {_size_words(gpu)}' if gpu else ''}.",
        (
            f"Measured on {measured['host']} ({measured['device']}), {measured['at'][:16].replace('T', ' ')} UTC: "
            f"{found['tokens_per_second']:,.0f} tokens a second in training, {_read(found)}."
        ),
    ]


def _size(found: dict[str, Any]) -> list[str]:
    epochs = "1 epoch" if found["epochs"] == 1 else f"{found['epochs']} epochs"
    within = " within the time budget" if found["epochs_in_time_budget"] is not None else ""
    return [f"{found['folds']} folds, up to {epochs}{within}, {found['tokens_read']:,} tokens read."]


def _generative_size(found: dict[str, Any]) -> list[str]:
    epochs = "1 epoch" if found["epochs"] == 1 else f"{found['epochs']:g} epochs"
    within = " within the time budget" if found["epochs_in_time_budget"] is not None else ""
    stopping = found["stopping_documents"]
    parts = f"{found['train_documents']:,} to learn from, {found['held_out_documents']:,} held out"
    return [
        (
            f"{found['documents']:,} are used, {found['tokens']:,} tokens: {parts}, "
            f"{f'{stopping:,} for early stopping' if stopping else 'too few for early stopping'}."
        ),
        f"Up to {epochs}{within} ({found['steps']:,} steps), {found['tokens_read']:,} tokens learned from.",
    ]


def _time(found: dict[str, Any]) -> str:
    low, high = found["range_seconds"]
    whole, start = duration(found["seconds"]), duration(found["seconds_if_start_kept"])
    bounds = f"(between {duration(low)} and {duration(high)})"
    if start == whole:
        return f"It would take about {whole} {bounds}."
    return f"It would take about {start} if training does not beat its start, about {whole} if every epoch is kept {bounds}."


def _read(found: dict[str, Any]) -> str:
    if "trunk_tokens_per_second" in found:
        return f"{found['trunk_tokens_per_second']:,.0f} in the frozen layers"
    summary = found["seconds_per_summary"]
    read = f"{found['read_tokens_per_second']:,.0f} in reading"
    return read if summary is None else f"{read}, {summary:.3g} s a summary"


def _size_words(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 // 10 else f"{max(1, round(size / 2**20))} MiB"
