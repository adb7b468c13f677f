"""How a job's pytest comes to write down its results: what is fed along, and what the script says.

The files make a distribution with an entry point, in a folder that goes to the
front of ``PYTHONPATH``. An option (``-p``, ``--junitxml``) would do where nobody
else says anything; but an option that is passed on to a pytest which cannot
find the plugin, or which has no such option, fails that run.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from ci_common.recipe import Recipe

PLUGIN_FOLDER = ".plugin"
JOURNAL_FOLDER = ".journal"
"""Beside the workspace, where the project's own files are not."""

VARIABLE = "CI_TEST_JOURNAL"
"""Names the folder; the plugin takes it away from the tests."""

_MODULE = "standby_ci_journal"
_DISTRIBUTION = f"{PLUGIN_FOLDER}/{_MODULE}-1.dist-info"


@cache
def plugin_files() -> Mapping[str, bytes]:
    """Return the files that are fed with a project that runs pytest, by path."""
    plugin = Path(__file__).with_name("pytest_plugin.py").read_bytes()
    about = f"Metadata-Version: 2.1\nName: {_MODULE.replace('_', '-')}\nVersion: 1\n"
    entry = f"[pytest11]\n{_MODULE} = {_MODULE}\n"
    return {
        f"{PLUGIN_FOLDER}/{_MODULE}.py": plugin,
        f"{_DISTRIBUTION}/METADATA": about.encode(),
        f"{_DISTRIBUTION}/entry_points.txt": entry.encode(),
        f"{JOURNAL_FOLDER}/README": b"Lines of JSON, one for each test; read by Standby CI.\n",
    }


def files_for(recipe: Recipe) -> Mapping[str, bytes]:
    """Return what is fed along with a project."""
    return plugin_files() if recipe.runs_pytest else {}


def script_lines(recipe: Recipe) -> Iterator[str]:
    """Yield the lines of the job script that go before the command. They start no process."""
    if recipe.runs_pytest:
        yield f'if [ -d "$ci_home/{JOURNAL_FOLDER}" ]; then'
        yield f'  export {VARIABLE}="$ci_home/{JOURNAL_FOLDER}"'
        yield f'  export PYTHONPATH="$ci_home/{PLUGIN_FOLDER}${{PYTHONPATH:+:$PYTHONPATH}}"'
        yield "fi"
