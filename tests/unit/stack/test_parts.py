"""Ports are checked before anything starts, and the parts get every setting that was given."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.settings import Settings
from app.stack.account import current_account
from app.stack.addresses import choose_addresses
from app.stack.credentials import Secrets
from app.stack.errors import PortTaken
from app.stack.parts import part_environment, python_parts
from app.stack.redis_server import free_port

SECRETS = Secrets("the secret key", "the token")


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def settings(**given: object) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[arg-type, call-arg]


def test_a_taken_port_is_refused_with_its_holder_and_the_setting(taken: int) -> None:
    expected = rf"Cannot listen on 127\.0\.0\.1:{taken}: taken by process {os.getpid()} .*REMAND_PORT"
    with pytest.raises(PortTaken, match=expected):
        choose_addresses(settings(port=taken), "postgresql://x", "redis://y")


def test_an_inference_port_that_was_asked_for_is_refused_when_taken(taken: int) -> None:
    with pytest.raises(PortTaken, match="REMAND_INFERENCE_PORT"):
        choose_addresses(settings(port=free_port(), inference_port=taken), "postgresql://x", "redis://y")


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(PortTaken, match=r"Cannot listen on 192\.0\.2\.1"):
        choose_addresses(settings(host="192.0.2.1", port=free_port()), "postgresql://x", "redis://y")


def test_parts_get_the_given_settings_and_the_stack_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMAND_HOST", "ignored.example")
    given = settings(
        host="127.0.0.1",
        port=free_port(),
        secret_key=SecretStr("mine"),
        model_dirs="/a,/b",
        allow_hub=True,
        lease_seconds=3,
    )
    addresses = choose_addresses(given, "postgresql://x", "redis://y")
    environment = part_environment(given, tmp_path, addresses, SECRETS, current_account())
    expected = {
        "REMAND_SECRET_KEY": "mine",
        "REMAND_INFERENCE_TOKEN": "the token",
        "REMAND_MODEL_DIRS": "/a,/b",
        "REMAND_ALLOW_HUB": "True",
        "REMAND_LEASE_SECONDS": "3.0",
        "REMAND_BLOB_ROOT": str(tmp_path / "blobs"),
        "REMAND_HOME": str(tmp_path),
        "REMAND_HOST": "127.0.0.1",
        "REMAND_DATABASE_URL": "postgresql://x",
        "REMAND_REDIS_URL": "redis://y",
    }
    assert {name: environment.get(name) for name in expected} == expected
    monkeypatch.setattr(os, "environ", environment)
    read_back = Settings(_env_file=None)  # type: ignore[call-arg]
    assert (read_back.model_dirs, read_back.allow_hub, read_back.port) == (given.model_dirs, True, given.port)


def test_an_api_open_to_all_addresses_is_probed_on_this_machine(tmp_path: Path) -> None:
    addresses = choose_addresses(settings(host="0.0.0.0", port=free_port()), "postgresql://x", "redis://y")
    assert addresses.api == f"http://127.0.0.1:{addresses.port}"
    parts = python_parts({}, tmp_path, current_account(), addresses)
    assert [part.name for part in parts] == ["inference", "jobs", "dispatcher", "api"]
    assert "0.0.0.0" in parts[-1].program.command
