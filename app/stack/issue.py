"""Makes sure that an admin key exists, and makes a one-time sign-in link: `python -m app.stack.issue`.

Reads {"api_key": str | null} on stdin, writes {"api_key", "created", "token"} on stdout. A process of its own, because keys
depend on the secret key in its environment. The key is made anew when the database does not know the given one.
"""

import json
import sys

from app.db.session import writing
from app.http.keys import create_api_key, find_credential, secret_hmac
from app.http.sessions import create_sign_in_link

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


if __name__ == "__main__":
    sys.stdout.write(json.dumps(issue(json.load(sys.stdin)["api_key"])) + "\n")
