"""docker-compose.yml without an engine: its commands and environment run as processes against real servers until its health checks pass."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from app.settings import Settings
from app.stack.account import current_account
from app.stack.program import Program, launch, stop
from app.stack.redis_server import free_port
from tests.integration.embedded import Servers, running_servers

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
REFERENCE = re.compile(r"\$(?:\$|\{(\w+)(?:(:[?-])([^}]*))?\})")
SECRETS = {
    "REMAND_POSTGRES_PASSWORD": "p" * 32,
    "REMAND_REDIS_PASSWORD": "r" * 32,
    "REMAND_SECRET_KEY": "s" * 32,
    "REMAND_INFERENCE_TOKEN": "t" * 32,
}
OURS = ("inference", "jobs", "dispatcher", "api")
PATIENCE_SECONDS = 150.0
"""For all four to become healthy; how long it takes is nobody's promise here, only that they do."""


class MissingVariable(Exception):
    """What docker compose says when a `:?` variable is not set."""


def expand(value: Any, variables: Mapping[str, str]) -> Any:
    """Interpolate as docker compose does: ${NAME:-default}, ${NAME:?message}, $$."""
    if isinstance(value, dict):
        return {key: expand(part, variables) for key, part in value.items()}
    if isinstance(value, list):
        return [expand(part, variables) for part in value]
    return (
        REFERENCE.sub(lambda found: _reference(found, variables), value) if isinstance(value, str) else value
    )


def _reference(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name, kind, rest = found.groups()
    if name is None:
        return "$"
    if variables.get(name):
        return variables[name]
    if kind == ":?":
        raise MissingVariable(f"{name}: {rest}")
    return rest or ""


def compose(variables: Mapping[str, str] = SECRETS) -> dict[str, Any]:
    document: dict[str, Any] = expand(yaml.safe_load(COMPOSE.read_text()), variables)
    return document


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with running_servers() as running:
        yield running


def test_every_secret_is_required_with_a_reason() -> None:
    for name in SECRETS:
        with pytest.raises(MissingVariable, match=f"{name}: set it in .env"):
            compose({key: value for key, value in SECRETS.items() if key != name})


def test_the_example_file_names_every_variable_that_the_compose_file_reads() -> None:
    read = {found[1] for found in REFERENCE.finditer(COMPOSE.read_text()) if found[1]}
    named = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert read - named == {"REMAND_LOG_LEVEL"}
    assert named - read == {"COMPOSE_PROFILES"}


def test_every_setting_of_the_compose_file_exists() -> None:
    known = {f"REMAND_{name.upper()}" for name in Settings.model_fields}
    for name in ("migrate", *OURS):
        assert set(compose()["services"][name]["environment"]) <= known


def test_processes_wait_for_servers_and_schema() -> None:
    services = compose()["services"]
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in ("api", "jobs", "dispatcher", "jobs-gpu"):
        assert services[name]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "postgres": {"condition": "service_healthy"},
            "redis": {"condition": "service_healthy"},
        }
    assert all("healthcheck" in service for name, service in services.items() if name != "migrate")


def test_the_gpu_profile_reserves_a_gpu_and_changes_nothing_else() -> None:
    services = compose()["services"]
    for name in ("inference", "jobs"):
        cpu, gpu = services[name], services[f"{name}-gpu"]
        assert (cpu["profiles"], gpu["profiles"]) == (["cpu"], ["gpu"])
        device = gpu["deploy"]["resources"]["reservations"]["devices"]
        assert device == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]
        assert (cpu["command"], cpu["environment"]) == (gpu["command"], gpu["environment"])


def test_workers_can_be_scaled() -> None:
    for name in ("inference", "inference-gpu", "jobs", "jobs-gpu"):
        service = compose()["services"][name]
        assert "container_name" not in service
        assert "ports" not in service


def test_nothing_but_the_api_is_published_and_that_only_on_this_machine() -> None:
    published = {
        name: service["ports"] for name, service in compose()["services"].items() if "ports" in service
    }
    assert published == {"api": ["127.0.0.1:8100:8100"]}


def test_named_volumes_hold_all_state() -> None:
    document = compose()
    used = {
        volume.partition(":")[0]
        for service in document["services"].values()
        for volume in service.get("volumes", [])
    }
    assert used == set(document["volumes"]) == {"postgres", "data"}


def test_the_image_is_unprivileged_and_holds_no_development_tools() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", dockerfile, re.MULTILINE)
    assert {name: base for base, name in stages if name in {"cpu", "gpu"}} == {
        "cpu": "runtime",
        "gpu": "runtime",
    }
    runtime = dockerfile[dockerfile.index(" AS runtime") :]
    assert re.findall(r"^USER (\S+)$", runtime, re.MULTILINE) == ["remand"]
    assert "HEALTHCHECK" in runtime
    assert "optional-dependencies']['models']" in dockerfile
    assert not re.search(r"\bdev\b|pytest|--editable", dockerfile)
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for name in line.split()[:-1]
    }
    kept = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)


class Host:
    """This machine in the containers' place: their host names, ports and paths become local ones."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.servers = servers
        self.folder = folder
        self.ports = {"8100": str(free_port()), "8101": str(free_port())}

    def environment(self, service: Mapping[str, Any]) -> dict[str, str]:
        given = dict(service["environment"])
        assert urlsplit(given["REMAND_DATABASE_URL"]).hostname == "postgres"
        assert urlsplit(given["REMAND_REDIS_URL"]).hostname == "redis"
        given |= {
            "REMAND_DATABASE_URL": self.servers.database_url,
            "REMAND_REDIS_URL": self.servers.redis_url,
        }
        local = {name: self._local(value) for name, value in given.items()}
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        return {
            "PATH": path,
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.folder),
            "OMP_NUM_THREADS": "2",
            **local,
        }

    def program(self, service: Mapping[str, Any]) -> Program:
        command = tuple(self._local(word) for word in service["command"])
        return Program(command, current_account(), self.environment(service), self.folder)

    def health(self, service: Mapping[str, Any]) -> int:
        kind, *command = service["healthcheck"]["test"]
        assert kind == "CMD"
        return subprocess.run(
            command, env=self.environment(service), cwd=self.folder, check=False, capture_output=True
        ).returncode

    def _local(self, text: str) -> str:
        text = text.replace("http://inference:", "http://127.0.0.1:").replace("0.0.0.0", "127.0.0.1")
        text = re.sub(r"^/data(?=/|$)", str(self.folder), text)
        return re.sub(r"\b810[01]\b", lambda found: self.ports[found[0]], text)


@pytest.mark.slow
def test_the_same_commands_and_environment_become_healthy(servers: Servers, tmp_path: Path) -> None:
    services = compose()["services"]
    host = Host(servers, tmp_path)
    migrated = subprocess.run(
        host.program(services["migrate"]).command,
        env=host.environment(services["migrate"]),
        cwd=tmp_path,
        check=False,
        capture_output=True,
    )
    assert migrated.returncode == 0, migrated.stderr.decode()
    running: list[tuple[str, subprocess.Popen[bytes], Program]] = []
    try:
        for name in OURS:
            program = host.program(services[name])
            with (tmp_path / f"{name}.log").open("wb") as log:
                running.append((name, launch(program, log), program))
        given_up = time.monotonic() + PATIENCE_SECONDS
        for name, process, _ in running:
            while not (healthy := host.health(services[name]) == 0):
                if process.poll() is not None or time.monotonic() > given_up:
                    break
            assert healthy, (
                f"{name}: status {process.poll()}\n{(tmp_path / f'{name}.log').read_text()[-3000:]}"
            )
    finally:
        statuses = {name: stop(process, program) for name, process, program in reversed(running)}
    # uvicorn ends itself with the signal once it has shut down in order; nothing had to be killed
    assert set(statuses.values()) <= {0, -signal.SIGTERM}, statuses


def test_a_health_check_fails_when_nothing_answers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app.stack.healthy"]
    nowhere = {
        "REMAND_PORT": str(free_port()),
        "REMAND_DATABASE_URL": "postgresql://x@127.0.0.1:1/x",
        "REMAND_REDIS_URL": "redis://127.0.0.1:1/0",
    }
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **nowhere}
    for name in ("api", "dispatcher", "jobs"):
        assert (
            subprocess.run(
                [*command, name], env=environment, cwd=tmp_path, check=False, capture_output=True
            ).returncode
            == 1
        )
    assert (
        subprocess.run(
            [*command, "nonsense"], env=environment, cwd=tmp_path, check=False, capture_output=True
        ).returncode
        == 2
    )
