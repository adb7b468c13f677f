"""Files for pip's ``-r`` and ``-c``: what they hold, and which files they read in turn."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from ci_common.recipe.listing import ProjectFiles
from ci_common.recipe.requirement import is_local, parse_requirement, plain_path

MAX_FILES = 32
"""Files one file may include, directly or not; beyond that it is not followed."""

_INCLUDE = re.compile(r"(?:-r|-c|--requirement|--constraint)[\s=]*(?P<path>\S+)")
_EDITABLE = re.compile(r"(?:-e|--editable)[\s=]*(?P<target>.*)")
_PLACE = re.compile(r"(?:-f|--find-links|-i|--index-url|--extra-index-url)[\s=]*(?P<place>\S+)")
_ARCHIVE = re.compile(r"\S+\.(?:whl|zip|tar\.\w+|tgz|tbz|txz)(?:\s.*)?", re.IGNORECASE)
_COMMENT = re.compile(r"(?:^|\s)#.*")


@dataclass(frozen=True, slots=True)
class RequirementsFile:
    """A file of requirements with all that it includes.

    ``reads`` are the files pip will read for it, itself first; ``missing``
    those of them that are not in the project. ``self_contained`` is False when
    it installs from the project's own folders, or when that cannot be told.
    """

    name: str
    requirements: tuple[str, ...]
    reads: tuple[str, ...]
    missing: tuple[str, ...]
    self_contained: bool
    hashed: bool


def read_requirements_file(files: ProjectFiles, name: str) -> RequirementsFile:
    """Return what a file and its includes hold; files that are not there are named, not raised."""
    reading = _Reading(files)
    reading.read(name)
    return RequirementsFile(
        name,
        tuple(reading.requirements),
        tuple(reading.reads),
        tuple(reading.missing),
        reading.self_contained,
        reading.hashed,
    )


class _Reading:
    def __init__(self, files: ProjectFiles) -> None:
        self.files = files
        self.requirements: list[str] = []
        self.reads: dict[str, None] = {}
        self.missing: dict[str, None] = {}
        self.self_contained = True
        self.hashed = False

    def read(self, name: str) -> None:
        waiting = [name]
        while waiting and len(self.reads) < MAX_FILES:
            name = waiting.pop(0)
            if name in self.reads or name in self.missing:
                continue
            if name not in self.files.names:
                self.missing[name] = None
                continue
            self.reads[name] = None
            waiting += self._read_one(name)
        self.self_contained &= not waiting

    def _read_one(self, name: str) -> list[str]:
        # It is there, and may be too deep, too long or too odd for us to have read it.
        self.self_contained &= self.files.is_whole(name)
        text = self.files.text(name) or ""
        folder = PurePosixPath(name).parent
        included = []
        for line in _logical_lines(text):
            if include := _INCLUDE.match(line):
                if "://" not in include["path"]:
                    included.append(plain_path(str(folder / include["path"])))
            else:
                self._take(line)
        return included

    def _take(self, line: str) -> None:
        self.hashed |= "--hash" in line or line.startswith("--require-hashes")
        if found := _EDITABLE.match(line) or _PLACE.match(line):
            self.self_contained &= _is_elsewhere(found[1])
        elif is_local(line):
            self.self_contained = False
        elif not line.startswith("-"):
            requirement = line.partition(" --")[0].strip()
            self.requirements.append(requirement)
            # What is neither a name nor an address is a path, as far as pip is concerned.
            named = parse_requirement(requirement) and not _ARCHIVE.fullmatch(requirement)
            self.self_contained &= bool(named) or _is_elsewhere(requirement)


def _is_elsewhere(address: str) -> bool:
    return "://" in address and not address.lower().startswith("file:")


def _logical_lines(text: str) -> list[str]:
    joined = re.sub(r"\\\r?\n", " ", text)
    lines = (_COMMENT.sub("", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]
