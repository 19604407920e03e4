"""Makes sure that an admin key exists, and makes a one-time sign-in link: `python -m app.stack.issue`.

Reads {"api_key": str | null} on stdin, writes {"api_key", "created", "token"} on stdout. A process of its own, because keys
depend on the secret key in its environment. The key is made anew when the database does not know the given one.

`python -m app.stack.issue first` makes a key and shows it with its link, for people who run the containers.
"""

import json
import sys

from app.db.session import writing
from app.http.keys import create_api_key, find_credential, secret_hmac
from app.http.sessions import create_sign_in_link
from app.settings import get_settings

NAME = "admin (made by remand up)"


def issue(known: str | None) -> dict[str, str | bool]:
    """The admin key that is in force, whether it was just made, and the token of a new sign-in link."""
    credential = find_credential(secret_hmac("key", known), by_session=False) if known else None
    with writing() as session:
        if known is not None and credential is not None and credential.role == "admin":
            key_id, secret, created = credential.key_id, known, False
        else:
            key, secret = create_api_key(session, NAME, "admin")
            key_id, created = key.id, True
        token = create_sign_in_link(session, key_id)
    return {"api_key": secret, "created": created, "token": token}


def first() -> str:
    """A new admin key and its sign-in link, in words."""
    settings = get_settings()
    issued = issue(None)
    url = settings.public_url or f"http://{settings.host}:{settings.port}"
    return f"Admin key, shown this once: {issued['api_key']}\nSign in within an hour, once: {url}/sign-in?token={issued['token']}\n"


if __name__ == "__main__":
    sys.stdout.write(
        first() if sys.argv[1:] == ["first"] else json.dumps(issue(json.load(sys.stdin)["api_key"])) + "\n"
    )
