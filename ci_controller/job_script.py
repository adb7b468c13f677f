"""The scripts that containers run for a job, and the environment they run in.

All are POSIX sh, for dash, busybox and bash alike. A script is unpacked as
``job.sh`` beside ``env``, ``workspace/…`` and, last, ``FED_MARKER``, and
started by ``sh job.sh`` in their folder, wherever that is. One installs the
dependencies and runs the job; where they are kept, another one has installed
them before, in a container that is kept as it leaves it.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ci_common.errors import ConfigurationError
from ci_common.executor import FED_MARKER
from ci_common.recipe import Recipe, check_env_name
from ci_controller.results import reporting

PREPARED = ".prepared"
"""What an installation leaves beside the environment it made, so that nobody repeats it."""

NOT_FED = 125
"""Exit status of a script whose project did not arrive whole; it prints nothing then."""

DEFAULT_ENVIRONMENT: Mapping[str, str] = {
    "CI": "true",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_PROGRESS_BAR": "off",
    "PIP_ROOT_USER_ACTION": "ignore",
    "PYTHONUNBUFFERED": "1",
    "UV_NO_PROGRESS": "1",
    "UV_PYTHON_DOWNLOADS": "never",
}
"""What every job has in its environment unless the server or its recipe says otherwise."""

_PRELUDE = r"""
ci_home=$PWD
ci_python=$(command -v python3 || command -v python || :)

# uv cannot work without a place for its cache, and a user without a home has / for one.
if [ "${HOME:-/}" = / ] || [ ! -w "$HOME" ]; then
  HOME=$ci_home/home
  mkdir -p "$HOME"
  export HOME
fi

# uv has its own names for what pip is told.
ci_for_uv() {
  eval "[ -n \"\${$1:-}\" ] && [ -z \"\${$2+set}\" ]" || return 0
  eval "$2=\$$1"
  export "${2?}"
}
if [ -n "${PIP_EXTRA_INDEX_URL:-}" ] && [ -z "${UV_INDEX+set}" ]; then
  # pip takes the best of all indexes, uv by default the first that has the name.
  export UV_INDEX="$PIP_EXTRA_INDEX_URL" UV_INDEX_STRATEGY="${UV_INDEX_STRATEGY:-unsafe-best-match}"
fi
if [ -n "${PIP_FIND_LINKS:-}" ] && [ -z "${UV_FIND_LINKS+set}" ]; then
  UV_FIND_LINKS=$(printf '%s' "$PIP_FIND_LINKS" | tr -s ' ' ,)
  export UV_FIND_LINKS
fi
ci_for_uv PIP_INDEX_URL UV_DEFAULT_INDEX
ci_for_uv PIP_NO_INDEX UV_NO_INDEX
ci_for_uv PIP_CONSTRAINT UV_CONSTRAINT
ci_for_uv PIP_TRUSTED_HOST UV_INSECURE_HOST
ci_for_uv PIP_CERT SSL_CERT_FILE

# The venv comes first as soon as there is one.
PATH=$ci_home/venv/bin:$PATH
if [ -n "$ci_python" ] && ! command -v python >/dev/null; then
  mkdir -p "$ci_home/bin"
  ln -sf "$ci_python" "$ci_home/bin/python"
  PATH=$PATH:$ci_home/bin
fi
export PATH

# Have a virtual environment: `ci_venv bare`, or `ci_venv with-pip` to call pip in it by name.
ci_venv() {
  [ ! -d "$ci_home/venv" ] || return 0
  if [ -z "$ci_python" ]; then
    printf '%s\n' 'This image has no python3, which installing needs.' \
      'Name another image in [tool.ci], or set install = [] and a command that needs no Python.'
    return 127
  fi
  ci_make_venv "$1" || {
    printf '%s\n' 'No virtual environment could be made: see above.' \
      'The image needs uv, or Python with its venv module and pip (on Debian: python3-venv).'
    rm -rf "$ci_home/venv"
    return 1
  }
  ci_use_venv
}

ci_use_venv() {
  [ ! -d "$ci_home/venv" ] || export VIRTUAL_ENV="$ci_home/venv"
}

# What can be done without waiting for ensurepip comes first: it alone takes seconds.
ci_make_venv() {
  if command -v uv >/dev/null; then
    ci_seed=
    [ "$1" = bare ] || ci_seed=--seed
    uv venv --quiet --no-project --no-config --python "$ci_python" \
      ${ci_site:+"$ci_site"} ${ci_seed:+"$ci_seed"} "$ci_home/venv" && return
    rm -rf "$ci_home/venv"
  fi
  if [ "$1" = bare ] && ci_new_pip; then
    "$ci_python" -m venv --without-pip ${ci_site:+"$ci_site"} "$ci_home/venv"
  elif "$ci_python" -I -c 'import ensurepip' 2>/dev/null; then
    "$ci_python" -m venv ${ci_site:+"$ci_site"} "$ci_home/venv"
  else
    # The image's own pip can serve the venv, if the venv may see it.
    "$ci_python" -m pip --version >/dev/null &&
      "$ci_python" -m venv --without-pip --system-site-packages "$ci_home/venv"
  fi
}

# Whether the image's pip can install into another environment.
ci_new_pip() {
  "$ci_python" -I -c 'import sys, pip
sys.exit(tuple(map(int, pip.__version__.split(".")[:2])) < (22, 3))' 2>/dev/null
}

# pip, or uv in its place where the image has it, in the job's virtual environment.
ci_pip() {
  ci_venv bare || return
  unset UV_SYSTEM_PYTHON # some images have uv write past virtual environments
  if command -v uv >/dev/null; then
    uv pip "$@"
  elif "$ci_home/venv/bin/python" -c 'import pip' 2>/dev/null; then
    "$ci_home/venv/bin/python" -m pip "$@"
  else
    "$ci_python" -m pip --python "$ci_home/venv/bin/python" "$@"
  fi
}

# Have one module, whose distribution is called the same: the image's own will do.
ci_need() {
  if [ ! -d "$ci_home/venv" ] && [ -n "$ci_python" ] &&
    "$ci_python" -I -c 'import sys, importlib.util
sys.exit(importlib.util.find_spec(sys.argv[1]) is None)' "$1"; then
    printf '%s\n' "The image has $1: nothing to install."
  else
    ci_pip install "$1"
  fi
}

# ci_run STEP COMMAND: in a shell of its own, so that a cd or an export is over with it.
ci_run() {
  printf '$ %s\n' "$2"
  ci_use_venv
  (
    ci_command=$2
    set --
    set -e
    eval "$ci_command"
  )
  ci_status=$?
  [ "$ci_status" -ne 0 ] || return 0
  printf '%s\n' "$1 failed with exit status $ci_status; the tests did not run."
  exit "$ci_status"
}
"""


_NOTHING_TO_SPARE = """\
# What only makes the next installation faster is not kept; what makes imports faster is.
export PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 UV_COMPILE_BYTECODE="${UV_COMPILE_BYTECODE:-1}"
"""

_LEAVE_ONLY_WHAT_WAS_INSTALLED = f"""\
# Other projects begin with what is here, and the environment may hold secrets.
cd "$ci_home" && rm -rf workspace env job.sh home/.cache {FED_MARKER} || exit
[ ! -d venv ] || : >{PREPARED}
"""


def render_job_script(
    recipe: Recipe, *, opening: Sequence[str] = (), kept: str | None = None
) -> bytes:
    """Return the script of a job: first output, environment, installation, command.

    Its first lines are ``opening``, by default the recipe's notes. With
    ``kept``, dependencies that ``PREPARED`` says are there are not installed;
    that is said instead, if it is not empty.

    It exits with the command's status, with that of the first installation
    command that failed, or with ``NOT_FED``.
    """
    return _encoded("\n".join((*_beginning(recipe, opening), *_steps(recipe, kept), "")))


def render_prepare_script(recipe: Recipe, *, opening: Sequence[str] = ()) -> bytes:
    """Return the script that only installs the dependencies, and leaves nothing else behind.

    It says and exits with the same as a job's script that comes as far, else with 0.
    """
    steps = (
        _NOTHING_TO_SPARE,
        _enter(recipe),
        *_step("Installing dependencies", recipe.dependencies),
        _LEAVE_ONLY_WHAT_WAS_INSTALLED,
    )
    return _encoded("\n".join((*_beginning(recipe, opening), *steps)))


def render_environment(
    recipe: Recipe, env: Mapping[str, str], secrets: Mapping[str, str] | None = None
) -> bytes:
    """Return the assignments that ``job.sh`` reads: the defaults, ``env``, the recipe's, secrets.

    Later ones win.

    Raises:
        ConfigurationError: a name is not one a shell can set, or a value holds a NUL.

    """
    merged = {**DEFAULT_ENVIRONMENT, **env, **recipe.env, **(secrets or {})}
    return _encoded("".join(f"export {_assignment(*item)}\n" for item in merged.items()))


def _assignment(name: str, value: str) -> str:
    try:
        check_env_name(name)
    except ValueError as error:
        raise ConfigurationError(
            f"the jobs' environment cannot be set: {error}", hint="Mend or remove that variable."
        ) from error
    if "\0" in value:
        raise ConfigurationError(f"the value of {name} holds a NUL, which no variable can")
    return f"{name}={shlex.quote(value)}"


def _beginning(recipe: Recipe, opening: Sequence[str]) -> Iterator[str]:
    yield "#!/bin/sh"
    yield "# Written by Standby CI for one job."
    yield "# shellcheck disable=SC2016 # text of the project's own is kept as it is"
    yield "exec 2>&1 </dev/null"
    yield f"[ -e {FED_MARKER} ] || exit {NOT_FED}"
    # These lines come before anything else: output is the sign that the job runs.
    lines = opening or recipe.notes or (f"Runs {recipe.command_line}.",)
    yield f"printf '%s\\n' {shlex.join(lines)}"
    yield "# shellcheck source=/dev/null"
    # A file is read more easily by mistake than a variable: an artifact, an image, a traversal.
    gone = " && rm -f ./env" if recipe.secrets else ""
    yield f"if [ -e env ]; then . ./env{gone}; fi"
    # A project that names its image wants what is in there; any other gets a clean environment.
    yield f"ci_site={'--system-site-packages' if recipe.image else ''}"
    yield _PRELUDE.strip()
    yield ""


def _enter(recipe: Recipe) -> str:
    project = f"./workspace/{recipe.root}" if recipe.root else "./workspace"
    # Begins with ./ lest a CDPATH or a dash at the front change its meaning.
    return f"mkdir -p {shlex.quote(project)} && cd {shlex.quote(project)} || exit"


def _steps(recipe: Recipe, kept: str | None) -> Iterator[str]:
    yield _enter(recipe)
    if kept is None:
        yield from _step("Installing dependencies", recipe.dependencies)
    else:
        yield from _kept_dependencies(recipe, kept)
    yield from _step("Installing the project", recipe.project)
    yield from _import_path(recipe.path)
    yield "echo 'Running tests...'"
    yield f"printf '$ %s\\n' {shlex.quote(recipe.command_line)}"
    yield "ci_use_venv"
    yield from reporting.script_lines(recipe)
    yield f"exec {_command(recipe.command)}"


def _kept_dependencies(recipe: Recipe, kept: str) -> Iterator[str]:
    name = "Installing dependencies"
    said = shlex.join((f"{name}...", kept))
    yield f'if [ -e "$ci_home/{PREPARED}" ]; then'
    yield f"printf '%s\\n' {said}" if kept else ":"
    yield "else"
    yield from _step(name, recipe.dependencies)
    yield "fi"


def _step(name: str, commands: Iterable[str]) -> Iterator[str]:
    for number, command in enumerate(commands):
        if number == 0:
            yield f"echo {shlex.quote(f'{name}...')}"
        yield f"ci_run {shlex.quote(name)} {shlex.quote(command)}"


def _import_path(folders: tuple[str, ...]) -> Iterator[str]:
    if folders:
        places = ":".join(
            "$PWD" if folder == "." else f"$PWD/{_inside(folder)}" for folder in folders
        )
        yield f'export PYTHONPATH="{places}${{PYTHONPATH:+:$PYTHONPATH}}"'


def _inside(folder: str) -> str:
    """Return a folder's name as it is written between double quotes."""
    return "".join(f"\\{c}" if c in '\\"$`' else c for c in folder)


def _command(command: str | tuple[str, ...]) -> str:
    if isinstance(command, str):
        # As in other CI systems, the first of several commands that fails is the verdict.
        return f"sh -ec {shlex.quote(command)}"
    return shlex.join(command)


def _encoded(text: str) -> bytes:
    try:
        # What came in as undecodable bytes (surrogates U+DC80 to U+DCFF) goes out as those bytes.
        return text.encode("utf-8", errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", errors="replace")
