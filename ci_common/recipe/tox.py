"""What tox would install to run the tests, from ``tox.ini`` and where else it looks."""

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import islice, product

from ci_common.recipe.listing import ProjectFiles
from ci_common.recipe.requirement import Needs, normalize, sort_out
from ci_common.recipe.setuptools import Section, read_ini
from ci_common.recipe.toml import Table, lenient_toml, string, strings, table

INSTALLERS = ("tox", "nox", "poetry", "pdm", "hatch", "uv", "pip", "setuptools", "wheel", "tox-uv")
"""What an environment holds to install the rest by itself; that rest is not ours to see."""

MAX_ENVIRONMENTS = 500

LONGEST_VALUE = 20_000
"""Characters of a value with all it refers to."""

_PYTHON_FACTOR = re.compile(r"(?:py|pypy|cpython)\d?\.?\d*t?|\d\.\d+t?")
_RANGE = re.compile(r"(\d{1,4})-(\d{1,4})(\D*)")
_TEST_FACTOR = re.compile(r"tests?|testing|unit|unittests?|pytest|full|all|dev")
_SUBSTITUTION = re.compile(r"\{\[(?P<section>[^\]{}]+)\](?P<key>[^{}]+)\}")
_CONDITION = re.compile(r"(?P<factors>[\w.!,{}-]+?)\s*:\s+(?P<value>.*)|(?P<bare>[\w.!,{}-]+):$")


def tox_needs(files: ProjectFiles, pyproject: Table) -> tuple[str, Needs]:
    """Return where tox is told what its tests need, and that; nothing if nowhere."""
    for source, found in _sources(files, pyproject):
        if needs := found.without(*INSTALLERS):
            return source, needs
    return "", Needs()


def _sources(files: ProjectFiles, pyproject: Table) -> Iterator[tuple[str, Needs]]:
    tox = table(pyproject, "tool", "tox")
    yield "tox.ini", _from_ini(read_ini(files.text("tox.ini")))
    yield "tox.toml", _from_toml(lenient_toml(files.text("tox.toml")))
    yield "[tool.tox]", _from_toml(tox)
    yield "[tool.tox]", _from_ini(read_ini(string(tox.get("legacy_tox_ini"))))
    yield "setup.cfg", _from_ini(_prefixed(read_ini(files.text("setup.cfg"))))


def _prefixed(sections: Mapping[str, Section]) -> Mapping[str, Section]:
    # In setup.cfg tox's own section has a prefix, and without it the rest is not tox's.
    if "tox:tox" not in sections:
        return {}
    return {name.removeprefix("tox:"): values for name, values in sections.items()}


def _from_ini(sections: Mapping[str, Section]) -> Needs:
    tox = sections.get("tox", {})
    patterns = _patterns(tox.get("envlist") or tox.get("env_list") or "")
    listed = [env for pattern in patterns for env in expand(pattern)]
    named = [env for name in sections for env in expand(_env_of(name))]
    name = best_environment([*listed[:MAX_ENVIRONMENTS], *named[:MAX_ENVIRONMENTS]], set(named))
    if "testenv" not in sections and not name:
        return Needs()
    values = _overlaid(sections, name)
    factors = frozenset(name.split("-"))

    def lines(key: str) -> tuple[str, ...]:
        text = _substituted(sections, values.get(key, ""))
        return tuple(_applying(text, factors))

    extras = tuple(normalize(x) for line in lines("extras") for x in line.split(",") if x.strip())
    groups = tuple(
        normalize(x) for line in lines("dependency_groups") for x in line.split(",") if x.strip()
    )
    return sort_out(map(_located, lines("deps"))) + Needs(extras=extras, groups=groups)


def _patterns(text: str) -> list[str]:
    """Return the parts of a list; a comma inside braces belongs to the braces."""
    return re.findall(r"(?:[^\s,{}]|\{[^{}]*\})+", text[:LONGEST_VALUE])[:MAX_ENVIRONMENTS]


def _env_of(section: str) -> str:
    return section.removeprefix("testenv:") if section.startswith("testenv:") else ""


def expand(pattern: str) -> list[str]:
    """Return the names a generative name stands for: ``py{39,310-311}-{a,b}`` for six."""
    pieces = re.split(r"\{([^{}]*)\}", pattern[:MAX_ENVIRONMENTS])
    choices = [
        [name for choice in piece.split(",") for name in _span(choice.strip())]
        if place % 2
        else [piece]
        for place, piece in enumerate(pieces)
    ]
    names = ("".join(parts).strip("-") for parts in islice(product(*choices), MAX_ENVIRONMENTS))
    return [name for name in names if name]


def _span(choice: str) -> list[str]:
    """Return the numbers of a range such as ``10-14``, with what follows them."""
    match = _RANGE.fullmatch(choice)
    if match is None:
        return [choice]
    first, last = int(match[1]), int(match[2])
    return [f"{number}{match[3]}" for number in range(first, min(last, first + 100) + 1)]


def best_environment(names: list[str], special: Collection[str]) -> str:
    """Return which environment runs the tests: one for Python versions, else one named so.

    ``special`` are those with a section of their own: what they add is for
    them alone. Among the rest the newest Python's has the fewest workarounds.
    """
    ranked = [(_rank(name, special), -place, name) for place, name in enumerate(names)]
    best = max(ranked, default=((0, False, 0, 0), 0, ""))
    return best[2] if best[0][0] else ""


def _rank(name: str, special: Collection[str]) -> tuple[int, bool, int, int]:
    """Return how well a name fits: kind, plainness, Python's major version, its minor version."""
    factors = name.split("-")
    pythons = [found for f in factors if (found := _PYTHON_FACTOR.fullmatch(f))]
    plain = all(_PYTHON_FACTOR.fullmatch(f) or _TEST_FACTOR.fullmatch(f) for f in factors)
    if not pythons:
        return (1 if plain else 0, False, 0, 0)
    if "pypy" in name or pythons[0][0].endswith("t"):  # other implementations, or no global lock
        return (2, False, 0, 0)
    numbers = re.sub(r"\D", "", pythons[0][0])[:4]
    general = name not in special
    return (4 if plain else 3, general, int(numbers[:1] or 0), int(numbers[1:] or 0))


def _overlaid(sections: Mapping[str, Section], name: str) -> Section:
    base = sections.get("testenv", {})
    own = [sections[s] for s in sections if name and name in expand(_env_of(s))]
    return {**base, **(own[0] if own else {})}


def _substituted(sections: Mapping[str, Section], text: str) -> str:
    def value_of(match: re.Match[str]) -> str:
        return sections.get(match["section"], {}).get(match["key"], "")[:LONGEST_VALUE]

    for _ in range(4):  # references may lead to references; a circle ends here
        text = _SUBSTITUTION.sub(value_of, text[:LONGEST_VALUE], count=50)
    return text[:LONGEST_VALUE]


def _applying(text: str, factors: frozenset[str]) -> Iterator[str]:
    """Yield the lines that apply to an environment of these factors, without their conditions."""
    for raw in text.splitlines():
        line = re.sub(r"(?:^|\s)#.*", "", raw).strip()
        condition = _CONDITION.fullmatch(line)
        if condition is None:
            if line:
                yield line
        elif _holds(condition["factors"] or condition["bare"], factors) and condition["value"]:
            yield condition["value"].strip()


def _holds(condition: str, factors: frozenset[str]) -> bool:
    return any(
        all(_has(factor, factors) for factor in alternative.split("-"))
        for part in _patterns(condition)
        for alternative in expand(part) or [part]
    )


def _has(factor: str, factors: frozenset[str]) -> bool:
    return factor.removeprefix("!") not in factors if factor.startswith("!") else factor in factors


def _located(line: str) -> str:
    line = re.sub(r"\{(?:toxinidir|tox_root|package_root)\}[/\\]?", "./", line)
    return re.sub(r"\{env:[^{}:]+:([^{}]*)\}", r"\1", line)


def _from_toml(tox: Table) -> Needs:
    base, envs = table(tox, "env_run_base"), table(tox, "env")
    listed = strings(tox.get("env_list")) + tuple(envs)
    names = [env for item in listed[:MAX_ENVIRONMENTS] for env in expand(item)]
    name = best_environment(names[:MAX_ENVIRONMENTS], set(envs))
    if not base and not name:
        return Needs()
    env = {**base, **table(envs, name)}
    # Where tox also takes tables ({ replace = ... }), only tox can tell what they come to.
    return sort_out(map(_located, strings(env.get("deps")))) + Needs(
        extras=tuple(map(normalize, strings(env.get("extras")))),
        groups=tuple(map(normalize, strings(env.get("dependency_groups")))),
    )
