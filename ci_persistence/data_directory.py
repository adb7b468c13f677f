"""Where everything is that a server remembers."""

from dataclasses import dataclass
from pathlib import Path

from ci_common.project_tree import TREE_SUFFIX, pack_name

STASH, PACKS, LOGS, ARTIFACTS, UPLOADS = "stash", "packs", "logs", "artifacts", "tmp"
"""The folders of projects, packs, logs, artifacts and unfinished uploads, in data and backup."""

ZIP_SUFFIX, LOG_SUFFIX, ARTIFACTS_SUFFIX = ".zip", ".log", ".tar"
STASH_SUFFIXES = (ZIP_SUFFIX, TREE_SUFFIX)
"""A project is stashed as a zip, or as a tree with its contents in packs."""

KEYS, SECRETS_KEY = "keys", "secrets.key"
"""The folder of keys, and the file of the one that secrets are sealed with."""

PACK_NAME = r"[0-9a-f]{16}\.zip"
"""What the files of packs are called, as a regular expression."""


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The paths of one server's data. The database may stand elsewhere."""

    database: Path
    folder: Path

    @property
    def stash(self) -> Path:
        """The zips and trees of jobs that have not ended."""
        return self.folder / STASH

    @property
    def packs(self) -> Path:
        """The contents that trees name."""
        return self.folder / PACKS

    @property
    def logs(self) -> Path:
        """The logs of all jobs."""
        return self.folder / LOGS

    @property
    def artifacts(self) -> Path:
        """The artifacts of all jobs, one tar for each that has some."""
        return self.folder / ARTIFACTS

    @property
    def uploads(self) -> Path:
        """Uploads under way."""
        return self.folder / UPLOADS

    @property
    def secrets_key(self) -> Path:
        """The key that secrets are sealed with, unless a setting names another place."""
        return self.folder / KEYS / SECRETS_KEY

    @property
    def signing_keys(self) -> Path:
        """What tokens are signed with. Not part of a backup: a restored server makes its own."""
        return self.folder / "signing-keys"

    @property
    def reserve(self) -> Path:
        """The file that is given up when the disk is full. It is the database that needs it."""
        return self.database.with_name(f"{self.database.name}.reserve")

    def zip_at(self, path: str) -> Path:
        """Return where the zip is that a row names ``path``, wherever the data was then."""
        return self.stash / Path(path).name

    def pack_file(self, pack: int) -> Path:
        """Return the file of a pack."""
        return self.packs / pack_name(pack)

    def artifacts_of(self, job_id: str) -> Path:
        """Return the tar of a job's artifacts. For ids that are in the database."""
        return self.artifacts / f"{job_id}{ARTIFACTS_SUFFIX}"

    def log_of(self, job_id: str) -> Path:
        """Return the log of a job. For ids that are in the database."""
        return self.logs / f"{job_id}{LOG_SUFFIX}"
