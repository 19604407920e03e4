"""What the operator sees of a running stack: a live table in a terminal, plain lines elsewhere."""

import sys
import time

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from app.stack.state import Condition, StackState

COLOURS: dict[Condition, str] = {
    "waiting": "dim",
    "starting": "yellow",
    "ready": "green",
    "not answering": "red",
    "restarting": "red",
    "stopping": "yellow",
    "stopped": "dim",
}


def part_table(state: StackState, now: float) -> Table:
    """The parts with condition, process, age and restarts."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("part", "condition", "for", "process", "restarts", "address"):
        table.add_column(heading, justify="right" if heading in {"for", "process", "restarts"} else "left")
    for part in state.parts:
        table.add_row(
            part.name,
            Text(part.condition, style=COLOURS[part.condition]),
            duration(now - part.since) if part.since else "",
            str(part.pid or ""),
            str(part.restarts or ""),
            part.address,
        )
    return table


def duration(seconds: float) -> str:
    """A length of time for people: 45 s, 12 min, 3 h 20 min, 2 d 4 h."""
    seconds = max(0.0, seconds)
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{int(seconds)} s"


class PlainScreen:
    """Lines with the time, for logs and pipes; a part's line when it first answers."""

    def __init__(self) -> None:
        self._ready: set[str] = set()

    def report(self, message: str) -> None:
        """Write one line at once."""
        sys.stdout.write(f"{time.strftime('%H:%M:%S')} {message}\n")
        sys.stdout.flush()

    def show(self, state: StackState) -> None:
        """Say which parts have become ready."""
        for part in state.parts:
            if part.condition == "ready" and part.name not in self._ready:
                self._ready.add(part.name)
                self.report(f"{part.name} is ready" + (f" at {part.address}" if part.address else ""))


class LiveScreen:
    """A table that is redrawn in place, with the news scrolling above it. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._drawn = 0.0

    def __enter__(self) -> "LiveScreen":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def report(self, message: str) -> None:
        """Print above the table."""
        self._live.console.print(
            f"{time.strftime('%H:%M:%S')} {message}", markup=False, highlight=False, soft_wrap=True
        )

    def show(self, state: StackState) -> None:
        """Redraw, at most four times a second."""
        if time.monotonic() - self._drawn < 0.25:
            return
        self._drawn = time.monotonic()
        hint = {
            "starting": "starting …",
            "ready": f"Remand runs at {state.url}. Ctrl-C stops everything.",
            "stopping": "stopping …",
        }
        self._live.update(
            Group(part_table(state, time.time()), Text(hint[state.phase], style="bold")), refresh=True
        )
