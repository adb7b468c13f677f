"""What went wrong, told in plain words, and the exit code that goes with it."""

from __future__ import annotations

import os

from ci_client.exits import Exit, exit_of_error
from ci_client.interrupts import LetGo
from ci_client.terminal import OutputClosed, Terminal, discard_output, printable
from ci_common.errors import CIError


def explain(error: BaseException) -> int:
    """Tell a person what went wrong; return the exit code.

    Raises:
        BaseException: ``error`` itself, if it is a request to end (``SystemExit``).

    """
    if isinstance(error, LetGo | KeyboardInterrupt):
        return Exit.INTERRUPTED
    if isinstance(error, OutputClosed | BrokenPipeError):
        discard_output()
        return Exit.BROKEN_PIPE
    if isinstance(error, CIError):
        return _explain(error)
    if isinstance(error, Exception):
        return _apologize(error)
    raise error


def _explain(error: CIError) -> int:
    terminal = Terminal()
    _show_traceback(error)
    lines = [f"{terminal.paint('error:', 'red')} {printable(error.detail)}"]
    lines += [f"  {printable(note)}" for note in getattr(error, "__notes__", ())]
    lines += [f"  {printable(error.hint)}"] if error.hint else []
    terminal.note("\n".join(lines))
    return exit_of_error(error)


def _apologize(error: Exception) -> int:
    terminal = Terminal()
    _show_traceback(error)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    terminal.note(
        f"{terminal.paint('internal error:', 'red')} {printable(what)}\n"
        "  This is a fault of ci itself. CI_DEBUG=1 shows where, for a report."
    )
    return Exit.INFRASTRUCTURE


def _show_traceback(error: Exception) -> None:
    if os.environ.get("CI_DEBUG"):
        import traceback

        traceback.print_exception(error)
