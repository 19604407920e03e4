"""The embedded Redis: a real server on a loopback port with a password; it keeps nothing that Postgres does not have."""

import secrets
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

import redis

from app.stack.account import Account
from app.stack.folders import private_file, private_folder
from app.stack.program import Program

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A prepared server: its program, and the address as a redis:// URL."""

    program: Program
    url: str


def prepare_redis(folder: Path, binaries: Path, account: Account) -> RedisServer:
    """Write a configuration with a fresh password and a free loopback port; gives what starts it.

    Nothing is persisted: jobs live in Postgres, and the dispatcher rings again for a lost message.
    """
    home = private_folder(folder / "redis", account)
    port, password = free_port(), secrets.token_urlsafe(32)
    configuration = "\n".join(
        (
            f"bind {HOST}",
            f"port {port}",
            f"requirepass {password}",
            f'dir "{home}"',
            'save ""',
            "appendonly no",
            "maxmemory 256mb",
            "maxmemory-policy noeviction",
            "tcp-keepalive 60",
            "daemonize no",
            "",
        )
    )
    file = private_file(home / "redis.conf", configuration, account)
    program = Program(
        (str(binaries / "redis-server"), str(file)),
        account,
        {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        home,
        stop=((signal.SIGTERM, 5.0),),
        orphaned=signal.SIGTERM,
    )
    return RedisServer(program, f"redis://:{password}@{HOST}:{port}/0")


def redis_answers(url: str) -> bool:
    """Whether the server answers PING with this password."""
    client = redis.Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def free_port(host: str = HOST) -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
