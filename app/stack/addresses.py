"""Where the parts of the stack listen, and whether those ports are free."""

import socket
from dataclasses import dataclass

import psutil

from app.settings import Settings
from app.stack.errors import PortTaken
from app.stack.redis_server import free_port

WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  (compared, not bound)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the parts listen, and the servers' addresses."""

    database_url: str
    redis_url: str
    host: str
    port: int
    inference_host: str
    inference_port: int
    public_url: str

    @property
    def api(self) -> str:
        """The api as this machine reaches it."""
        return f"http://{WILDCARDS.get(self.host, self.host)}:{self.port}"

    @property
    def inference(self) -> str:
        """The inference worker as this machine reaches it."""
        return f"http://{WILDCARDS.get(self.inference_host, self.inference_host)}:{self.inference_port}"


def choose_addresses(settings: Settings, database_url: str, redis_url: str) -> Addresses:
    """Check the ports before anything starts: PortTaken names the holder of a taken one and the setting to change.

    An inference port that nobody chose moves aside by itself: only the stack uses it.
    """
    require_free(settings.host, settings.port, "REMAND_PORT")
    inference_port = settings.inference_port
    if "inference_port" in settings.model_fields_set:
        require_free(settings.inference_host, inference_port, "REMAND_INFERENCE_PORT")
    elif not _is_free(settings.inference_host, inference_port):
        inference_port = free_port(settings.inference_host)
    here = f"http://{WILDCARDS.get(settings.host, settings.host)}:{settings.port}"
    return Addresses(
        database_url,
        redis_url,
        settings.host,
        settings.port,
        settings.inference_host,
        inference_port,
        (settings.public_url or here).rstrip("/"),
    )


def require_free(host: str, port: int, setting: str) -> None:
    """PortTaken when something listens there, or when the address is not this machine's."""
    try:
        _bind(host, port)
    except OSError as error:
        holder = _holder(port)
        reason = f"by {holder}" if holder else f"({error.strerror or error})"
        raise PortTaken(
            f"Cannot listen on {host}:{port}: taken {reason}. Stop it, or set {setting} to another port."
        ) from error


def _is_free(host: str, port: int) -> bool:
    """Whether one can listen there now."""
    try:
        _bind(host, port)
    except OSError:
        return False
    return True


def _bind(host: str, port: int) -> None:
    """Listen there for a moment; OSError says why not."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen(1)


def _holder(port: int) -> str:
    """The process that listens on a port, as far as this user may see."""
    try:
        pids = {
            found.pid
            for found in psutil.net_connections("tcp")
            if found.laddr and found.laddr.port == port and found.status == psutil.CONN_LISTEN
        }
        pid = next(iter(pids - {None}), None)
        return f"process {pid} ({psutil.Process(pid).name()})" if pid else ""
    except psutil.Error:
        return ""
