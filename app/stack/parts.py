"""The Python parts of the stack: their commands, environment and signs of readiness."""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import psycopg
from pydantic import SecretStr

import app
from app.settings import Settings
from app.stack.account import Account
from app.stack.addresses import Addresses
from app.stack.binaries import can_run
from app.stack.credentials import Secrets
from app.stack.program import Program

SERVERS, MODELS, SERVICES = 1, 2, 3
ROOT = Path(app.__path__[0]).resolve().parent


@dataclass(frozen=True, slots=True)
class Part:
    """One supervised program: its name, how to run it, and whether it answers.

    rank: SERVERS, MODELS or SERVICES; parts stop from the highest rank down, each rank together.
    start_seconds: how long the first answer may take.
    """

    name: str
    program: Program
    answers: Callable[[], bool]
    rank: int
    address: str = ""
    start_seconds: float = 120.0


def part_environment(
    settings: Settings, folder: Path, addresses: Addresses, secrets: Secrets, account: Account
) -> dict[str, str]:
    """What every Python part gets: the caller's environment, every setting that was given, and the stack's own."""
    given = {
        f"REMAND_{name.upper()}": _as_text(getattr(settings, name))
        for name in settings.model_fields_set
        if getattr(settings, name) is not None
    }
    own = {
        "REMAND_BLOB_ROOT": str(folder / "blobs"),
        "REMAND_WORK_ROOT": str(folder / "work"),
        "REMAND_SECRET_KEY": secrets.secret_key,
        "REMAND_INFERENCE_TOKEN": secrets.inference_token,
        "REMAND_INFERENCE_URLS": addresses.inference,
        "REMAND_PUBLIC_URL": addresses.public_url,
    }
    fixed = {
        "REMAND_HOME": str(folder),
        "REMAND_DATABASE_URL": addresses.database_url,
        "REMAND_REDIS_URL": addresses.redis_url,
        "REMAND_HOST": addresses.host,
        "REMAND_PORT": str(addresses.port),
        "REMAND_INFERENCE_HOST": addresses.inference_host,
        "REMAND_INFERENCE_PORT": str(addresses.inference_port),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TZ": "UTC",
    }
    if account.switch:
        fixed |= {"HOME": str(folder), "USER": account.name, "LOGNAME": account.name}
    return dict(os.environ) | own | given | fixed


def python_account(account: Account) -> tuple[Account, str | None]:
    """The user the Python parts run as, and a sentence when it is not simply the service user.

    Root's Python often lies in a closed home. Then the service user keeps the right to read all files; where the
    container forbids even that, the Python parts stay root.
    """
    if not account.switch:
        return account, None
    probe = (sys.executable, "-c", "import app.settings")
    environment = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    if can_run(account, probe, environment):
        return account, None
    reader = replace(account, reads_all=True)
    if can_run(reader, probe, environment):
        return (
            reader,
            f"user {account.name!r} may read all files, because {sys.executable} or {ROOT} lies in a closed folder",
        )
    return (
        replace(account, switch=False),
        f"the Python parts run as root: user {account.name!r} cannot read {sys.executable} or {ROOT}. Move both to a folder it can read",
    )


def python_parts(
    environment: Mapping[str, str], folder: Path, account: Account, addresses: Addresses
) -> tuple[Part, ...]:
    """The inference worker, the jobs worker, the dispatcher and the api, in the order of the table."""

    def program(*arguments: str, seconds: float) -> Program:
        command = (sys.executable, "-m", *arguments)
        return Program(command, account, environment, folder, stop=((signal.SIGTERM, seconds),))

    api = f"uvicorn app.main:create_app --factory --host {addresses.host} --port {addresses.port}"
    quiet = "--no-server-header --timeout-keep-alive 75 --timeout-graceful-shutdown 3"
    jobs = "celery -A workers.celery_app worker --pool=threads --loglevel=INFO"
    return (
        Part(
            "inference",
            program("workers.inference", seconds=5),
            lambda: http_answers(f"{addresses.inference}/readyz"),
            MODELS,
            addresses.inference,
        ),
        Part(
            "jobs",
            program(*f"{jobs} --without-gossip --without-mingle".split(), seconds=22),
            lambda: celery_answers(addresses.redis_url),
            SERVICES,
        ),
        Part(
            "dispatcher",
            program("workers.dispatch", seconds=8),
            lambda: dispatcher_leads(addresses.database_url),
            SERVICES,
        ),
        Part(
            "api",
            program(*f"{api} {quiet}".split(), seconds=6),
            lambda: http_answers(f"{addresses.api}/livez"),
            SERVICES,
            addresses.public_url,
        ),
    )


def migration(environment: Mapping[str, str], folder: Path, account: Account) -> Program:
    """What brings the database to the newest schema; ends by itself."""
    return Program((sys.executable, "-m", "app.db.migrate"), account, environment, folder)


def celery_answers(redis_url: str, names: tuple[str, ...] | None = None) -> bool:
    """Whether a jobs worker (one of `names`, else any) answers a ping over the broker."""
    from celery import Celery

    with Celery(broker=redis_url) as client:
        client.conf.broker_transport_options = {"socket_timeout": 5, "socket_connect_timeout": 2}
        client.conf.broker_connection_retry = False
        return bool(client.control.ping(names, timeout=2.0, limit=1))


def dispatcher_leads(database_url: str) -> bool:
    """Whether a dispatcher holds its lease now."""
    held = "SELECT EXISTS (SELECT FROM leases WHERE name LIKE 'dispatcher%' AND until > now())"
    with psycopg.connect(database_url, connect_timeout=3) as connection:
        row = connection.execute(held).fetchone()
    return bool(row and row[0])


def http_answers(url: str) -> bool:
    """Whether a GET is answered with success."""
    try:
        return httpx.get(url, timeout=3.0, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _as_text(value: object) -> str:
    """A setting as an environment variable spells it."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    if isinstance(value, Path):
        return str(value.expanduser().absolute())
    return str(value)
