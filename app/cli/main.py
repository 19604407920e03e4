"""The command line: finds every module in app/cli that has `register(app)` and lets it add its verbs."""

import importlib
import pkgutil
import signal
import sys
from typing import NoReturn

import typer

import app.cli
from app.stack.errors import StackError

INTERRUPTED = 128 + signal.SIGINT


def build() -> typer.Typer:
    """The whole command line.

    A verb's module is imported at every start, so it imports what is heavy (SQLAlchemy, httpx, polars …) inside its functions.
    """
    cli = typer.Typer(
        name="remand",
        help="A second reader for hand-labelled legal text. `remand up` starts everything on this machine.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,  # frames would show texts
        # --data_path and --data-path are the same option.
        context_settings={
            "token_normalize_func": lambda word: word.replace("_", "-"),
            "help_option_names": ["-h", "--help"],
        },
    )
    for found in sorted(pkgutil.iter_modules(app.cli.__path__), key=lambda module: module.name):
        module = importlib.import_module(f"app.cli.{found.name}")
        if hasattr(module, "register"):
            module.register(cli)
    return cli


def main() -> NoReturn:
    """Run the command line; expected errors are one message on stderr and an exit code, Ctrl-C is 130."""
    try:
        build()(prog_name="remand", standalone_mode=True)
    except StackError as error:
        sys.stderr.write(f"remand: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(0)


if __name__ == "__main__":
    main()
