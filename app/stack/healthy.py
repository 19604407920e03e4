"""Health checks of containers: `python -m app.stack.healthy api|inference|jobs|dispatcher` exits 0 when that part of this container answers."""

import socket
import sys
from collections.abc import Callable, Mapping

from app.settings import Settings, get_settings
from app.stack.addresses import WILDCARDS
from app.stack.parts import celery_answers, dispatcher_leads, http_answers


def checks(settings: Settings) -> Mapping[str, Callable[[], bool]]:
    """One check by part; they look at this container only, except the dispatcher's: one leads for all."""
    here = WILDCARDS.get(settings.host, settings.host)
    models_here = WILDCARDS.get(settings.inference_host, settings.inference_host)
    return {
        "api": lambda: http_answers(f"http://{here}:{settings.port}/readyz"),
        "inference": lambda: http_answers(f"http://{models_here}:{settings.inference_port}/readyz"),
        "jobs": lambda: celery_answers(settings.redis_url or "", (f"celery@{socket.gethostname()}",)),
        "dispatcher": lambda: dispatcher_leads(settings.database_url or ""),
    }


def main(arguments: list[str]) -> int:
    """0: it answers; 1: it does not, with the reason on stderr; 2: wrong usage."""
    known = checks(get_settings())
    if len(arguments) != 1 or arguments[0] not in known:
        sys.stderr.write(f"usage: python -m app.stack.healthy {'|'.join(known)}\n")
        return 2
    try:
        answers = known[arguments[0]]()
    except Exception as error:  # noqa: BLE001  (whatever it is, it is the answer)
        sys.stderr.write(f"{arguments[0]}: {type(error).__name__}\n")
        return 1
    return 0 if answers else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
