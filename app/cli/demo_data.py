"""`remand demo-data`: writes synthetic letters from defendants to judges, their labels and, beside them, the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("demo-data")(demo_data)


def demo_data(
    texts: int = typer.Option(1000, min=1, help="Number of synthetic letters."),
    out: Path = typer.Option(
        Path("synthetic-letters.csv"),
        dir_okay=False,
        help="The label file; the truth goes beside it, ….truth.csv.",
    ),
    seed: int = typer.Option(0, help="The same seed writes the same file."),
) -> None:
    """Write SYNTHETIC letters from defendants to judges with labels of three synthetic teams, and the truth beside."""
    from models.data.demo import write_demo

    try:
        written = write_demo(out, texts, seed)
    except OSError as error:
        typer.echo(f"{out} cannot be written: {error.strerror}. Name another file with --out.", err=True)
        raise typer.Exit(1) from error
    typer.echo(
        f"{written.labels}: {written.letters} synthetic letters in {written.annotations} rows, "
        f"{written.wrong_cells} of {written.cells} labels wrong on purpose "
        f"({written.wrong_cells / written.cells:.1%}).\n{written.truth}: the truth."
    )


def mapping() -> dict[str, Any]:
    """The column mapping of the written file, as an import takes it."""
    from models.data.demo import OPTIONS

    return {
        "format": "csv",
        "id": "letter_id",
        "text": "text",
        "groups": ["defendant", "judge"],
        "fold_group": "defendant",
        "annotator": "annotator",
        "team": "team",
        "annotated_at": "annotated_at",
        "codebook_version": "codebook_version",
        "metadata": ["year", "court", "synthetic"],
        "questions": [
            {
                "key": "arguments",
                "kind": "yes_no_set",
                "name": "Arguments (synthetic)",
                "definition": "What the letter argues for a milder sentence.",
                "columns": [{"column": key, "definition": definition} for key, definition in OPTIONS.items()],
            }
        ],
    }
