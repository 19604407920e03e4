"""The first key and the sign-in links of a stack; `connection.json` is how the other commands find server and key."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.stack.account import Account
from app.stack.errors import PartFailed
from app.stack.folders import private_file
from app.stack.program import Program, launch
from app.stack.state import CONNECTION


@dataclass(frozen=True, slots=True)
class Access:
    """An admin key and a link that signs a browser in once; `created` says that the key is new and has never been shown."""

    api_key: str
    link: str
    created: bool


def give_access(
    folder: Path, url: str, public_url: str, environment: Mapping[str, str], account: Account
) -> Access:
    """Make sure of an admin key, write `connection.json` (0600), and make a sign-in link. PartFailed with the reason."""
    program = Program((sys.executable, "-m", "app.stack.issue"), account, environment, folder)
    known = _known_key(folder)
    process = launch(program, subprocess.PIPE)
    output, _ = process.communicate(json.dumps({"api_key": known}).encode())
    if process.returncode != 0:
        raise PartFailed(f"No admin key could be made: {output.decode(errors='replace').strip()[-800:]}")
    issued = json.loads(output.splitlines()[-1])
    private_file(folder / CONNECTION, json.dumps({"url": url, "api_key": issued["api_key"]}) + "\n", account)
    return Access(issued["api_key"], f"{public_url}/sign-in?token={issued['token']}", issued["created"])


def _known_key(folder: Path) -> str | None:
    """The key of an earlier start."""
    try:
        key = json.loads((folder / CONNECTION).read_text(encoding="utf-8")).get("api_key")
    except (OSError, ValueError, AttributeError):
        return None
    return key if isinstance(key, str) else None
