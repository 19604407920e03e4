"""`python -m app.openapi`: writes openapi.json at the root of the project; a test compares the file with the code."""

from __future__ import annotations

import json
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / "openapi.json"


def rendered() -> str:
    """The document as it is committed: sorted keys, two spaces."""
    from app.main import create_app

    return json.dumps(create_app().openapi(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the file."""
    FILE.write_text(rendered(), encoding="utf-8")


if __name__ == "__main__":
    main()
