"""The results of one job while they are gathered, file by file."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ci_common.artifacts import Artifact, ArtifactWriter
from ci_common.errors import StorageFull
from ci_common.executor import ProducedFile, ProducedKind
from ci_common.job_repository import JobRepository
from ci_common.jobs import Job
from ci_common.results import Case, Coverage, LeftOut, Results
from ci_controller.results.journal import read_journal
from ci_controller.results.patterns import Patterns, outermost
from ci_controller.results.reporting import JOURNAL_FOLDER
from ci_controller.results.xml_reports import UnreadableReport, read_cobertura, read_junit
from ci_controller.settings import ResultLimits
from ci_controller.workspace import WORKSPACE

DEFAULT_COVERAGE = ("coverage.xml",)
"""Looked for in the project's folder when it runs pytest and says nothing else."""

_MOST_NAMED = 100
"""Files that are named as left out; of more there is only the number."""
_LONGEST_PATH = 1000


@dataclass
class Gathering:
    """What is wanted of a job, and what there is of it so far. For one thread at a time.

    ``artifact_room``: bytes that its organisation's artifacts may have more, None for any.
    """

    repository: JobRepository
    job: Job
    limits: ResultLimits
    artifact_room: int | None = None
    artifacts: list[Artifact] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    left_out_count: int = 0
    _writer: ArtifactWriter | None = None
    _full: str = ""
    _artifact_bytes: int = 0
    _report_bytes: int = 0
    _journals: dict[str, bytes] = field(default_factory=dict)
    _reports: dict[str, bytes] = field(default_factory=dict)
    _coverage: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read the recipe."""
        recipe = self.job.recipe
        self._folder = f"{WORKSPACE}/{recipe.root}".rstrip("/")
        self._kept = Patterns(recipe.artifacts if self.limits.artifact_bytes else ())
        self._junit = Patterns(recipe.reports)
        usual = DEFAULT_COVERAGE if recipe.runs_pytest else ()
        self._cobertura = Patterns(recipe.coverage or usual)

    @property
    def roots(self) -> list[str]:
        """Where to look, relative to the folder that the container was fed into."""
        wanted = (self._kept, self._junit, self._cobertura)
        below = outermost(root for patterns in wanted for root in patterns.roots())
        journals = [JOURNAL_FOLDER] if self.job.recipe.runs_pytest else []
        return journals + [f"{self._folder}/{root}".rstrip("/") for root in below]

    @property
    def most_bytes(self) -> int:
        """Bytes that may be wanted at the most."""
        return self.limits.artifact_bytes + self.limits.report_bytes

    def take(self, file: ProducedFile) -> None:
        """Take what is wanted of a file. A ``FileVisitor``."""
        if file.path.startswith(f"{JOURNAL_FOLDER}/"):
            if file.path.endswith(".jsonl") and self._may_read(file):
                self._journals[file.path] = b"".join(file.content)
            return
        path = file.path.removeprefix(f"{self._folder}/")
        kept, readers = self._kept.fit(path), self._readers_of(path)
        if not (kept or readers):
            return
        if refusal := _refusal(file, path):
            self.leave_out(path, refusal)
            return
        content = file.content
        if readers and self._may_read(file):
            # Once only: what passes by cannot be read again.
            whole = b"".join(content)
            content = iter((whole,))
            for reader in readers:
                reader[path] = whole
        if kept:
            self._keep(file, path, content)

    def leave_out(self, path: str, reason: str) -> None:
        """Note that a file is not kept or not read, and why."""
        self.left_out_count += 1
        if len(self.left_out) < _MOST_NAMED:
            text = path.removeprefix(f"{self._folder}/").encode("utf-8", "replace").decode()
            self.left_out.append(LeftOut(text[:_LONGEST_PATH], reason))

    def finish(self) -> Results:
        """Make the artifacts durable, read the reports; return all of it."""
        cases, coverage = self._read_all()
        if self._writer is not None and self.artifacts:
            try:
                self._writer.commit()
            except StorageFull as error:
                self._give_up_artifacts(error.detail)
        if len(cases) > self.limits.tests:
            self.leave_out("", f"{len(cases) - self.limits.tests} tests: too many")
        return Results(
            artifacts=tuple(sorted(self.artifacts, key=lambda artifact: artifact.path)),
            cases=tuple(cases[: self.limits.tests]),
            coverage=coverage,
            left_out=tuple(self.left_out),
            left_out_count=self.left_out_count,
        )

    def close(self) -> None:
        """Let go of the artifacts' file. Idempotent."""
        if self._writer is not None:
            self._writer.discard()

    def _readers_of(self, path: str) -> list[dict[str, bytes]]:
        found = []
        if self._junit.fit(path):
            found.append(self._reports)
        if self._cobertura.fit(path):
            found.append(self._coverage)
        return found

    def _may_read(self, file: ProducedFile) -> bool:
        if file.kind is not ProducedKind.FILE:
            return False
        if self._report_bytes + file.size > self.limits.report_bytes:
            most = self.limits.report_bytes
            self.leave_out(file.path, f"reports may have {most} bytes together; it is not read")
            return False
        self._report_bytes += file.size
        return True

    def _keep(self, file: ProducedFile, path: str, content: Iterator[bytes]) -> None:
        reason = self._full or self._too_much(file.size)
        if reason:
            self.leave_out(path, reason)
            return
        try:
            if self._writer is None:
                self._writer = self.repository.artifacts.new(self.job.id)
            artifact = self._writer.add(
                path, file.size, content, modified=file.modified, executable=file.executable
            )
        except StorageFull as error:
            self._give_up_artifacts(error.detail)
            self.leave_out(path, error.detail)
            return
        self.artifacts.append(artifact)
        self._artifact_bytes += file.size

    def _too_much(self, size: int) -> str:
        limits = self.limits
        if len(self.artifacts) >= limits.artifacts:
            return f"a job may leave {limits.artifacts} files"
        if self._artifact_bytes + size > limits.artifact_bytes:
            return f"a job's artifacts may have {limits.artifact_bytes} bytes together"
        if self.artifact_room is not None and self._artifact_bytes + size > self.artifact_room:
            return (
                "the organisation's artifacts have as many bytes as they may have: there was room"
                f" for {self.artifact_room} more"
            )
        return self.repository.space.shortage(size) or ""

    def _give_up_artifacts(self, reason: str) -> None:
        self._full = reason
        for artifact in self.artifacts:
            self.leave_out(artifact.path, reason)
        self.artifacts.clear()

    def _read_all(self) -> tuple[list[Case], Coverage | None]:
        cases: list[Case] = []
        coverage: Coverage | None = None
        for _, content in sorted(self._journals.items()):
            told, covered = read_journal(content)
            cases += told
            coverage = covered or coverage
        for path, content in sorted(self._reports.items()):
            try:
                cases += read_junit((content,), most=self.limits.tests)
            except UnreadableReport as error:
                self.leave_out(path, str(error))
        # A report says more than a total: rates of lines and of branches.
        return cases, self._reported_coverage() or coverage

    def _reported_coverage(self) -> Coverage | None:
        for path, content in sorted(self._coverage.items()):
            try:
                return read_cobertura((content,), source=path)
            except UnreadableReport as error:
                self.leave_out(path, str(error))
        return None


def _refusal(file: ProducedFile, path: str) -> str:
    """Return why a wanted file cannot be taken, ``""`` if it can."""
    if file.kind is ProducedKind.LINK:
        return "a symbolic link; name the file itself"
    if file.kind is not ProducedKind.FILE:
        return "no plain file, or a second name of one"
    if not path.isprintable() or len(path) > _LONGEST_PATH:
        return "its name is too long, or cannot be shown"
    return ""
