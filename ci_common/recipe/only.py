"""From a command that runs pytest to one that runs only some of its tests. Pure."""

import shlex
from collections.abc import Collection, Iterator, Sequence

from ci_common.errors import InvalidOption
from ci_common.recipe.model import Recipe

MOST_BYTES = 64 * 1024
"""Bytes of all node ids together: a command line has limits."""

_SHELL = set(";&|<>$`(){}*?~!\n")
"""What a command may hold that is more to a shell than a word."""

_TAKE_A_VALUE = frozenset(
    {"-c", "--config-file", "--rootdir", "--confcutdir", "--basetemp", "--ignore", "--deselect",
     "--ignore-glob", "-k", "-m", "-n", "-o", "--override-ini", "-p", "-W", "--cov", "--cov-config",
     "--cov-report", "--junitxml", "--junit-xml", "--log-file", "--durations", "--maxfail",
     "--timeout", "--dist", "--splits", "--group"}
)  # fmt: skip
"""Options of pytest and its usual plugins whose value may be the next word, and name a file."""


def only_tests(
    recipe: Recipe, node_ids: Sequence[str], paths: Collection[str]
) -> str | tuple[str, ...]:
    """Return the command of ``recipe`` with these tests in place of those that it names.

    ``paths`` are the project's files and folders, from the folder that it runs in.

    Raises:
        InvalidOption: the command does not run pytest, is more than one command,
            or there are too many tests for a command line.

    """
    if not recipe.runs_pytest:
        raise _refusal(f"the job ran `{_short(recipe.command_line)}`, which is not pytest")
    if sum(len(each.encode()) for each in node_ids) > MOST_BYTES:
        raise _refusal(f"{len(node_ids)} tests failed, too many for a command line")
    if isinstance(recipe.command, str):
        if _SHELL & set(recipe.command):
            raise _refusal(f"the job ran `{_short(recipe.command)}`, which is more than a command")
        return shlex.join((*_without_tests(shlex.split(recipe.command), paths), *node_ids))
    return (*_without_tests(recipe.command, paths), *node_ids)


def _without_tests(words: Sequence[str], paths: Collection[str]) -> Iterator[str]:
    begun, before = False, ""
    for word in words:
        names_tests = begun and before not in _TAKE_A_VALUE and _path_in(word) in paths
        if not names_tests:
            yield word
        begun = begun or word == "pytest" or word.endswith("/pytest")
        before = word


def _path_in(word: str) -> str:
    path = word.partition("::")[0].removeprefix("./").rstrip("/")
    return "" if path == "." else path


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"


def _refusal(why: str) -> InvalidOption:
    return InvalidOption(
        f"its failed tests cannot be run alone: {why}",
        hint="Retry the whole job, or name the tests: ci submit -- pytest NODE_ID…",
    )
