"""What a dry run of training prints."""

from __future__ import annotations

from app.cli.durations import duration
from app.cli.train_preview import estimate_lines, preview_lines

MEASURED = {"host": "box", "device": "cpu", "at": "2026-01-05T09:00:00Z"}
LABELS = {
    "seconds": 1020.0, "seconds_if_start_kept": 360.0, "range_seconds": [180.0, 1632.0], "folds": 5, "epochs": 1,
    "epochs_in_time_budget": 1, "tokens_read": 1_200_000, "memory_bytes": 3 << 29, "disk_bytes": 1 << 30,
    "tokens_per_second": 15_000.4, "trunk_tokens_per_second": 30_000.0, "measured": MEASURED,
}  # fmt: skip
DOCUMENTS = {
    "seconds": 7200.0, "seconds_if_start_kept": 7200.0, "range_seconds": [3600.0, 11_520.0], "documents": 693,
    "train_documents": 562, "stopping_documents": 62, "held_out_documents": 69, "epochs": 1.5, "epochs_in_time_budget": None,
    "steps": 120, "tokens": 5_000_000, "tokens_read": 6_000_000, "tokens_per_second": 900.0, "read_tokens_per_second": 2700.0,
    "seconds_per_summary": None, "memory_bytes": 3 << 29, "device_memory_bytes": 14 << 30, "disk_bytes": 1 << 30, "measured": MEASURED,
}  # fmt: skip


def test_both_ends_of_training_are_told() -> None:
    assert estimate_lines({"estimate": LABELS}) == [
        "5 folds, up to 1 epoch within the time budget, 1,200,000 tokens read.",
        (
            "It would take about 6 min 00 s if training does not beat its start, about 17 min 00 s if every epoch is kept "
            "(between 3 min 00 s and 27 min 12 s)."
        ),
        "Memory up to 1.5 GiB, disk up to 1.0 GiB.",
        "Measured on box (cpu), 2026-01-05 09:00 UTC: 15,000 tokens a second in training, 30,000 in the frozen layers.",
    ]


def test_an_estimate_that_is_waited_for_or_cannot_be_had() -> None:
    assert estimate_lines({"estimate": None, "measuring": None}) == []
    assert "job_1 measures it" in estimate_lines({"estimate": None, "measuring": "job_1"})[0]


def test_documents_are_counted_and_estimated() -> None:
    preview = {
        "task": "causal", "documents": 700, "characters": 20_000_000, "warnings": ["Few."], "estimate": DOCUMENTS,
    }  # fmt: skip
    assert preview_lines(preview) == [
        "700 documents, 20,000,000 characters.",
        "note: Few.",
        "693 are used, 5,000,000 tokens: 562 to learn from, 69 held out, 62 for early stopping.",
        "Up to 1.5 epochs (120 steps), 6,000,000 tokens learned from.",
        "It would take about 2 h 00 min (between 1 h 00 min and 3 h 12 min).",
        "Memory up to 1.5 GiB, disk up to 1.0 GiB, on the GPU up to 14.0 GiB.",
        "Measured on box (cpu), 2026-01-05 09:00 UTC: 900 tokens a second in training, 2,700 in reading.",
    ]


def test_pairs_say_what_a_summary_costs() -> None:
    found = DOCUMENTS | {"seconds_per_summary": 1.25, "stopping_documents": 0, "device_memory_bytes": None}
    preview = {"task": "summarize", "documents": 12, "characters": 900, "warnings": [], "estimate": found}
    lines = preview_lines(preview)
    assert lines[0] == "12 pairs of text and summary, 900 characters."
    assert "too few for early stopping" in lines[1]
    assert "GPU" not in lines[4]
    small = preview | {"estimate": found | {"disk_bytes": 5 << 20, "seconds_if_start_kept": 7199.9}}
    assert preview_lines(small)[3] == lines[3]  # figures that are told alike are told once
    assert preview_lines(small)[4] == "Memory up to 1.5 GiB, disk up to 5 MiB."
    assert lines[5].endswith("2,700 in reading, 1.25 s a summary.")


def test_durations_of_any_length() -> None:
    spans = [duration(seconds) for seconds in (9.4, 65, 3_660, 200_000)]
    assert spans == ["9 s", "1 min 05 s", "1 h 01 min", "2 d 07 h"]
