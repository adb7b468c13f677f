"""One module for each command. Its ``command`` is a ``Line``, or click's own kind."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMANDS = {
    "submit": "Send a project and watch its tests run.",
    "wait": "Follow a job to its end; exit with its verdict.",
    "logs": "Print a job's output.",
    "status": "Show one job.",
    "tests": "Show the tests of a job, or of many.",
    "artifacts": "List or fetch the files that a job left.",
    "list": "Show jobs: the latest, or those you ask for.",
    "queue": "Show which jobs run, and who is next.",
    "cancel": "Stop a job.",
    "events": "Show what happens to jobs, as it happens.",
    "retry": "Run a job again, or only its tests that failed.",
    "run": "Run a project without a server: one job, and all is gone.",
    "serve": "Start a server.",
    "cache": "Show what the server keeps between jobs, or have it give that up.",
    "webhooks": "Have other systems told of jobs, and see what became of it.",
    "login": "Keep an API key for a server.",
    "logout": "Forget the API key of a server.",
    "whoami": "Show who you are for the server.",
    "key": "Make, list, replace and end API keys.",
    "usage": "Show what your organisations use of what they may.",
    "doctor": "Check what is needed, and say how to mend what is not right.",
    "admin": "Look after a server: backups, checks, users and organisations.",
    "config": "Show the settings in force.",
}
"""Each command and its help in one line, which stands here so that ``--help`` imports none."""


def load(name: str) -> Any:  # noqa: ANN401 -- a Line or a click.Command
    """Return the command of this name, one of ``COMMANDS``; only now is it imported."""
    return __import__(f"ci_client.commands.{name}", fromlist=["command"]).command
