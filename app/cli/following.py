"""Following a job on the terminal: its events over SSE, across lost connections, and a progress bar for them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import typer

from app.cli import following_documents
from app.cli.durations import duration

if TYPE_CHECKING:
    import httpx

FINAL = frozenset({"succeeded", "failed", "cancelled"})
LONGEST_SILENCE_SECONDS = 30.0
PATIENCE_SECONDS = 120.0
"""How long a server that does not answer is waited for."""

Event = tuple[str, dict[str, Any]]


def job_events(client: httpx.Client, path: str) -> Iterator[Event]:
    """(kind, data) of every event of a job until its end; goes on after the last one seen when the connection is lost.

    httpx.TransportError when nobody answers for two minutes, httpx.HTTPStatusError for a problem.
    """
    import httpx

    last, lost_since = "0", None
    while True:
        try:
            for number, kind, data in _stream(client, path, last):
                last, lost_since = number, None
                yield kind, data
                if kind in FINAL:
                    return
        except httpx.TransportError:
            lost_since = lost_since or time.monotonic()
            if time.monotonic() - lost_since > PATIENCE_SECONDS:
                raise
        if lost_since is None:
            lost_since = time.monotonic()
        time.sleep(0.5)


def _stream(client: httpx.Client, path: str, last: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    headers = {"Accept": "text/event-stream", "Last-Event-ID": last}
    with client.stream("GET", path, headers=headers, timeout=LONGEST_SILENCE_SECONDS) as answer:
        answer.raise_for_status()
        frame: dict[str, str] = {}
        for line in answer.iter_lines():
            if line:
                key, _, value = line.partition(":")
                frame[key] = value.removeprefix(" ")
            else:
                if "event" in frame:
                    yield frame["id"], frame["event"], json.loads(frame["data"])["data"]
                frame = {}


class JobDisplay(AbstractContextManager["JobDisplay"]):
    """A progress bar with what happened above it, gone at the end; one line an event where there is no terminal."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
        )
        console = Console(soft_wrap=True)
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task(title, total=None, left="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, events: Iterable[Event]) -> Event | None:
        """Show events until there are no more; gives the last one."""
        last: Event | None = None
        for last in events:
            kind, data = last
            if kind == "progress":
                self._advance(data)
            elif line := told(kind, data):
                self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        return last

    def clear(self) -> None:
        """Take the bar away: what follows is the reason why there is nothing more to wait for."""
        self._progress.update(self._task, visible=False)

    def _advance(self, data: dict[str, Any]) -> None:
        left = data.get("eta_seconds")
        self._progress.update(
            self._task,
            description=str(data.get("stage", "")),
            completed=data.get("done") or 0,
            total=data.get("total"),
            left="" if left is None else f"{duration(left)} left",
        )


def told(kind: str, data: dict[str, Any]) -> str | None:
    """A line for what happened; None for what the bar shows or nobody needs."""
    try:
        return _LINES[kind](data) if kind in _LINES else None
    except (KeyError, TypeError, ValueError):  # an event of another version
        return kind


def _read(data: dict[str, Any]) -> str:
    lines = [f"{_counted(data['rows'], 'row')}, {_counted(data['texts'], 'text')}"]
    lines += [f"  {name}: {_shown(value)}" for name, value in data["guessed"].items() if value]
    lines += [
        f"  {_counted(item['rows'], 'row')} left out: {item['reason']} (column {item['column']}, first on line {item['first_line']})"
        for item in data["rejected"][:10]
    ]
    return "\n".join(lines)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _shown(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "; ".join(
            f"{item['key']} ({', '.join(map(_name, item.get('columns') or [item.get('column')]))})"
            for item in value
        )
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _name(column: Any) -> str:
    return str(column.get("column") if isinstance(column, dict) else column)


def _estimate(data: dict[str, Any]) -> str:
    if "folds" not in data:
        return following_documents.estimate(data)
    cut = ", fewer than asked for to keep the time budget" if data.get("epochs_cut") else ""
    epochs = "1 epoch" if data["epochs"] == 1 else f"{data['epochs']} epochs"
    return f"{data['folds']} folds, {epochs}{cut}, about {duration(data['estimated_seconds'])}"


def _report(data: dict[str, Any]) -> str:
    if "macro" not in data:
        return following_documents.report(data)
    scores = [
        f"{name} {macro['f1']:.3f}" for name, macro in data["macro"].items() if macro.get("f1") is not None
    ]
    return f"held-out macro-F1: {', '.join(scores)}\n{data['verdict']['sentence']}"


def _trial_ended(data: dict[str, Any]) -> str:
    tried = data["parameters"][0] if all(one == data["parameters"][0] for one in data["parameters"]) else None
    words = (
        "settings of its own for each fold"
        if tried is None
        else ", ".join(f"{k} {_shown_setting(v)}" for k, v in tried.items())
    )
    if data["state"] != "succeeded":
        return (
            f"trial {data['trial']} {data['state']} ({words}): {(data.get('error') or {}).get('detail', '')}"
        )
    given_up = f", given up in {', '.join(data['pruned'])}" if data["pruned"] else ""
    return f"trial {data['trial']}: {data['score']:.4f} in {duration(data['seconds'])}{given_up} ({words})"


def _shown_setting(value: Any) -> str:
    return (
        f"{value:.3g}"
        if isinstance(value, float)
        else str(value.get("kind", value) if isinstance(value, dict) else value)
    )


def _chosen(data: dict[str, Any]) -> str:
    members = [
        f"  {name}: trial {choice['trial']}, {choice['score']:.4f}"
        for name, choice in sorted(
            data["members"].items(), key=lambda member: (member[0] == "final", member[0])
        )
    ]
    return "\n".join(["chosen by inner average precision:", *members, f"training it: {data['job_id']}"])


_LINES: dict[str, Callable[[dict[str, Any]], str | None]] = {
    "read": _read,
    "snapshot": lambda data: (
        f"{data['texts']:,} texts, {data['cells']:,} labels ({data['ties']:,} ties left out)"
    ),
    "warning": lambda data: f"note: {data['detail']}",
    "estimate": _estimate,
    "fold_finished": lambda data: (
        f"fold {data['fold'] + 1} of {data['folds']} done, best epoch {data['best_epoch']}"
    ),
    "report": _report,
    "documents_read": following_documents.documents_read,
    "measured": following_documents.measured,
    "epoch": following_documents.epoch,
    "out_of_memory": following_documents.out_of_memory,
    "trial_ended": _trial_ended,
    "chosen": _chosen,
    "requeued": lambda data: f"interrupted, will go on: {data['reason']}",
    "cancel_requested": lambda _data: "cancelling …",
    "pause_requested": lambda _data: "pausing after the next checkpoint …",
    "paused": lambda _data: "paused; `remand jobs resume` lets it go on",
    "resumed": lambda _data: "resumed",
    "started_anew": lambda data: f"note: {data['detail']}",
    "stuck": lambda data: (
        f"stuck at the stage “{data.get('stage') or 'start'}”: no sign of life for {duration(data['seconds'])}"
    ),
    "refused": lambda data: str(data["detail"]),
    "stopped": lambda _data: "stopped; the same command goes on from here",
    "failed": lambda data: f"failed: {data.get('detail')}",
    "cancelled": lambda _data: "cancelled",
}


def result_of(client: httpx.Client, events: str, title: str) -> dict[str, Any]:
    """Wait for a job with its stages shown under a title; its result, or exit status 1 with the reason."""
    with JobDisplay(title) as display:
        last = display.show(job_events(client, events))
    kind, data = last or ("failed", {})
    if kind != "succeeded":
        raise typer.Exit(1)
    return data
