"""The application: its commands, and how every one of them ends."""

from __future__ import annotations

import errno
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ter._version import __version__
from ter.cli import demo, fit, profile, report, score, simulate, study, validate
from ter.errors import TerError

#: What shells use for a program that was interrupted: 128 + SIGINT.
INTERRUPTED = 130
USAGE = 2


class _Commands(TyperGroup):
    """A group whose commands end with one message and an exit code, never with a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except TerError as error:
            typer.echo(f"ter: {error}", err=True)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            typer.echo("ter: stopped. Nothing half done was left in its place.", err=True)
            raise typer.Exit(INTERRUPTED) from error
        except BrokenPipeError:
            raise  # who read our output has left, as `head` does: Typer ends quietly
        except OSError as error:
            # A place that cannot be written, or a full disk: no fault of the program.
            if error.errno is None:
                raise
            place = f"{error.filename}: " if error.filename else ""
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            mend = "Make room there, or name another place." if full else "Name another place."
            typer.echo(f"ter: {place}{error.strerror}. {mend}", err=True)
            raise typer.Exit(USAGE) from error
        return result


app = typer.Typer(
    cls=_Commands,
    name="ter",
    help="Fair ratings for therapists, adjusted for their patients, with honest uncertainty.",
    epilog="Exit codes: 0 done, 2 usage, 3 bad data, 4 the model must not be published, 5 already published.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _module in (demo, simulate, validate, fit, report, profile, score, study):
    # The backspace keeps the lines of a paragraph as they are.
    app.command(_module.NAME, epilog="\n  ".join(["\b\nExamples:", *_module.EXAMPLES]))(_module.run)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold the options that come before a command."""


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        # An id may be of any script, and a terminal of any encoding.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    app()
