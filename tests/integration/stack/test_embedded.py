"""The embedded servers are real, private, and survive being killed."""

import os
import signal
import subprocess
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from app.stack.account import service_account
from app.stack.binaries import runnable_binaries
from app.stack.embedded import embedded_postgres, embedded_redis, wait_until_ready
from app.stack.folders import private_folder, socket_folder
from app.stack.postgres import postgres_answers, prepare_postgres
from app.stack.program import launch, stop
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
        binaries = runnable_binaries(account, folder / "bin").postgres
        log = folder / "server.log"
        for expected in (0, 1):
            server = prepare_postgres(folder, binaries, account)
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
