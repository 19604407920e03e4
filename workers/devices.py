"""Which device a trainer may use: one lease row for each host and device, so that two trainers never share one."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError

from app.db.session import writing
from app.jobs.leases import give_lease_back, ring_trainers, take_lease
from app.settings import Settings

log = structlog.get_logger("remand.supervise")


@dataclass(frozen=True, slots=True)
class Device:
    """A device that this process holds. `name` is `cpu`, a number as CUDA_VISIBLE_DEVICES knows it, or `cuda` (device_names)."""

    name: str
    lease: str
    owner: str

    @property
    def environment(self) -> dict[str, str]:
        """What makes a child see this device only."""
        return {} if self.name in {"cpu", "cuda"} else {"CUDA_VISIBLE_DEVICES": self.name}


def wanted_device(params: Mapping[str, Any]) -> str:
    """What a job asks for: `auto`, `cpu` or `cuda`. A trial asks for what its search was asked for."""
    request = params.get("request")
    asked: Mapping[str, Any] = request if isinstance(request, Mapping) else params
    return str(asked.get("device", "auto"))


def device_names(settings: Settings, folder: Path = Path("/dev"), wanted: str = "auto") -> tuple[str, ...]:
    """The devices of this host, without asking torch: GPUs where there are any and they may be used, else `cpu`.

    wanted: what the job asks for. A job for the CPU leaves the GPUs to others; one for a GPU never waits for the CPU: where no
    GPU is found it has a lease of its own, `cuda`, under which it finds one that this does not know of, or says that there is none.
    """
    if "cpu" in {settings.device, wanted}:
        return ("cpu",)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        found = tuple(part.strip() for part in visible.split(",") if part.strip() not in {"", "-1"})
    else:
        numbers = [
            path.name.removeprefix("nvidia")
            for path in folder.glob("nvidia*")
            if re.fullmatch(r"nvidia\d+", path.name)
        ]
        found = tuple(sorted(numbers, key=int))
    return found or (("cuda",) if wanted == "cuda" else ("cpu",))


@contextmanager
def held_device(settings: Settings, owner: str, wanted: str = "auto") -> Iterator[Device | None]:
    """The first free device until the block ends, or None; at the end the waiting trainer jobs are rung."""
    device = _take(settings, owner, wanted)
    try:
        yield device
    finally:
        if device is not None:
            _give_back(device)


def keep(device: Device, seconds: float) -> bool:
    """Renew the lease; False when somebody else took it."""
    with writing() as session:
        return take_lease(session, device.lease, device.owner, seconds) is not None


def _give_back(device: Device) -> None:
    try:
        with writing() as session:
            give_lease_back(session, device.lease, device.owner)
            ring_trainers(session)
    except DBAPIError as error:
        log.warning(
            "device not given back: its lease will expire", device=device.name, error=type(error).__name__
        )


def _take(settings: Settings, owner: str, wanted: str) -> Device | None:
    for name in device_names(settings, wanted=wanted):
        lease = f"trainer:{socket.gethostname()}:{name}"
        with writing() as session:
            if take_lease(session, lease, owner, settings.lease_seconds) is not None:
                return Device(name, lease, owner)
    return None
