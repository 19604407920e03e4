"""The secrets of a data folder, made at its first start: the key of all HMACs, and the parts' shared token."""

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from app.stack.account import Account
from app.stack.errors import FolderUnusable
from app.stack.folders import private_file

FILE = "secrets.json"


@dataclass(frozen=True, slots=True)
class Secrets:
    """`secret_key` signs keys, sessions and cursors; `inference_token` is shared by the parts. Lost, every API key is void."""

    secret_key: str
    inference_token: str


def load_secrets(folder: Path, account: Account) -> Secrets:
    """The folder's secrets, made when there are none; FolderUnusable when the file is damaged."""
    path = folder / FILE
    if not path.exists():
        made = Secrets(secrets.token_urlsafe(48), secrets.token_urlsafe(32))
        private_file(path, json.dumps(asdict(made)) + "\n", account)
    try:
        return Secrets(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise FolderUnusable(
            f"{path} is damaged. Put it back from a backup; without it every API key is void."
        ) from error
