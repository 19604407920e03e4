"""Options of `remand train` and `remand fine-tune`: their words, which task each belongs to, and the request they make."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

TaskName = Literal["classify", "causal", "summarize"]
Task = Annotated[
    TaskName,
    typer.Option(
        help="What is learned: the labels, how documents are written (causal), or summaries (docs/documents.md)."
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        help="Base model: a name of the catalog, or an allowed folder; of classify by default minilm."
    ),
]
Epochs = Annotated[int | None, typer.Option(help="At most so many; default: chosen for the task.")]
Method = Annotated[
    str, typer.Option(help="lora, rslora, qlora; of classify also full or probe (docs/models.md).")
]
Seed = Annotated[int, typer.Option(help="The same seed, data and machine give the same adapter.")]
TimeBudget = Annotated[
    float | None,
    typer.Option(help="Seconds the job may take; cuts epochs (of causal and summarize steps), never folds."),
]
LoraRank = Annotated[int | None, typer.Option(help="Rank of LoRA; default 16.")]
LearningRate = Annotated[float | None, typer.Option(help="Default: chosen for the task and method.")]
Checkpointing = Annotated[
    bool, typer.Option("--activation-checkpointing", help="Run layers again backwards: slower, less memory.")
]
Name = Annotated[str | None, typer.Option(help="Name of the adapter.")]

Folds = Annotated[int | None, typer.Option(help="classify: held-out folds; default: chosen for the corpus.")]
Limit = Annotated[int | None, typer.Option(help="classify: at most so many labelled texts.")]
Wide = Annotated[bool, typer.Option(help="classify: fit and add the TF-IDF branch.")]
Options = Annotated[
    str | None, typer.Option(help="classify: only these options of the codebook, separated by commas.")
]
Sample = Annotated[
    str | None,
    typer.Option(
        help="classify: a recorded sample (smp_…), or a number: so many texts drawn, stratified, of each training part (docs/sampling.md)."
    ),
]
Search = Annotated[
    Path | None,
    typer.Option(
        help="classify: search hyperparameters: a JSON file with the search, or its space (docs/search.md)."
    ),
]
Trials = Annotated[
    int | None, typer.Option(help="classify: trials of the search; without --search of a usual space.")
]

Documents = Annotated[
    str | None,
    typer.Option(
        help="causal, summarize: the document set to learn from (doc_…); default: the corpus's texts."
    ),
]
DocumentLimit = Annotated[
    int | None,
    typer.Option(help="causal, summarize: at most so many documents or pairs, chosen by the seed."),
]
HeldOutShare = Annotated[
    float | None, typer.Option(help="causal, summarize: share of the documents measured on; default 0.1.")
]
Schedule = Annotated[
    str | None,
    typer.Option(help="causal, summarize: how the learning rate decays, cosine (default) or linear."),
]
BlockTokens = Annotated[
    int | None,
    typer.Option(help="causal: tokens of a block; default 2,048, or what the model reads at once."),
]
TextField = Annotated[str | None, typer.Option(help="summarize: field of a row with the text; default text.")]
SummaryField = Annotated[
    str | None,
    typer.Option(
        help="summarize: field of a row, or metadata key of the corpus's texts, with the summary; default summary."
    ),
]
GroupField = Annotated[
    str | None, typer.Option(help="summarize: field that keeps rows together; default group.")
]
IdField = Annotated[str | None, typer.Option(help="summarize: field that names a row; default id.")]
Style = Annotated[str | None, typer.Option(help="summarize: document (default) or dialogue.")]
MaxInputTokens = Annotated[int | None, typer.Option(help="summarize: longer texts are cut; default 1,024.")]
MaxTargetTokens = Annotated[
    int | None, typer.Option(help="summarize: longer summaries are cut; default 256.")
]
RougePairs = Annotated[
    int | None,
    typer.Option(
        help="summarize: held-out pairs that summaries are written for, before and after; default 100."
    ),
]

_GENERATIVE = ("causal", "summarize")
_TASKS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("folds", "limit", "wide", "options", "sample", "search", "trials"), ("classify",)),
    **dict.fromkeys(("document_set", "document_limit", "held_out_share", "schedule"), _GENERATIVE),
    "block_tokens": ("causal",),
    **dict.fromkeys(
        ("text_field", "summary_field", "group_field", "id_field", "style", "max_input_tokens", "max_target_tokens", "rouge_pairs"),
        ("summarize",),
    ),
}  # fmt: skip
"""Tasks of each option that does not go with all of them, by its field of the request."""
_WORDS = {"document_set": "--documents", "wide": "--no-wide"}
_INSTEAD = {"limit": "--document-limit limits documents", "options": "labels are not looked at"}


def train_request(
    task: str, model: str | None, shared: dict[str, Any], own: dict[str, Any]
) -> dict[str, Any]:
    """The request that options make, without those not given. Ends the command for options of another task.

    Args:
        task: asked for.
        model: base model; None where none was named.
        shared: fields of all tasks.
        own: fields of single tasks; None, or True for `wide`: not given.
    """
    given = {
        name: value for name, value in own.items() if value is not None and (name, value) != ("wide", True)
    }
    for name in given:
        _check(task, name)
    fields = {name: value for name, value in shared.items() if value is not None}
    fields |= {"task": task, "base_model": _model(task, model)}
    return fields | (given if task == "classify" else {task: given})


def _check(task: str, name: str) -> None:
    from app.cli.client import fail

    tasks = _TASKS[name]
    if task in tasks:
        return
    option = _WORDS.get(name, f"--{name.replace('_', '-')}")
    instead = f" ({_INSTEAD[name]})" if name in _INSTEAD and task != "classify" else ""
    fail(f"{option} belongs to --task {' or '.join(tasks)}; the task is {task}. Leave it out{instead}.")


def _model(task: str, model: str | None) -> str:
    """A catalog name, or the absolute path of a folder: whoever reads it may stand elsewhere."""
    from app.cli.client import fail
    from models.catalog import CATALOG, DEFAULT, GENERATIVE_FAMILIES

    if model is None and task == "classify":
        return DEFAULT
    if model is None:
        fitting = GENERATIVE_FAMILIES[task]
        known = ", ".join(entry.name for entry in CATALOG.values() if entry.family in fitting)
        fail(f"--task {task} needs --model: {known}, or a folder of the family {' or '.join(fitting)}.")
    folder = Path(model).expanduser()
    return str(folder.absolute()) if model not in CATALOG and folder.is_dir() else model
