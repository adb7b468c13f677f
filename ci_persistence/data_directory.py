"""Where everything is that a server remembers."""

from dataclasses import dataclass
from pathlib import Path

STASH, LOGS, UPLOADS = "stash", "logs", "tmp"
"""The folders of zips, logs and unfinished uploads, in a data directory and in a backup alike."""

ZIP_SUFFIX, LOG_SUFFIX = ".zip", ".log"


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The paths of one server's data. The database may stand elsewhere."""

    database: Path
    folder: Path

    @property
    def stash(self) -> Path:
        """The zips of jobs that have not ended."""
        return self.folder / STASH

    @property
    def logs(self) -> Path:
        """The logs of all jobs."""
        return self.folder / LOGS

    @property
    def uploads(self) -> Path:
        """Uploads under way."""
        return self.folder / UPLOADS

    @property
    def reserve(self) -> Path:
        """The file that is given up when the disk is full. It is the database that needs it."""
        return self.database.with_name(f"{self.database.name}.reserve")

    def zip_at(self, path: str) -> Path:
        """Return where the zip is that a row names ``path``, wherever the data was then."""
        return self.stash / Path(path).name

    def log_of(self, job_id: str) -> Path:
        """Return the log of a job. For ids that are in the database."""
        return self.logs / f"{job_id}{LOG_SUFFIX}"
