"""A submission that sends only what the server lacks, and a whole zip where that does not work."""

from __future__ import annotations

from ci_client.archive import blob_zip, project_zip
from ci_client.manifest import manifest_of
from ci_client.tree_cache import CacheFolder, TreeCache, now
from ci_client.upload import FilesChanged, Submission
from ci_common.errors import BlobsMissing, InvalidRequest, ServerRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ci_client.archive import GrowingZip
    from ci_client.files import Selection
    from ci_client.manifest import Manifest
    from ci_client.session import Session
    from ci_common.errors import CIError

    Report = Callable[[str], None]

AT_ONCE = 1024 * 1024
"""Bytes of files that may go along unasked, and whose zip is made before it is sent."""
_REFUSAL_LASTS = 24 * 60 * 60
"""Seconds until a server that took no manifest is asked again."""
_MOST_ROUNDS = 2


class TreeSource:
    """A selection, and all that is known about sending it to one server.

    ``warn`` is told what is left out, ``reading`` the name of each file that
    is read before anything is sent.
    """

    def __init__(
        self,
        selection: Selection,
        server: Session,
        environ: Mapping[str, str],
        *,
        warn: Report,
        reading: Report,
    ) -> None:
        self.selection = selection
        self.folder = CacheFolder(environ)
        self.url = server.url
        self._server = server
        self._warn = warn
        self._reading = reading

    def manifest(self) -> tuple[str, Manifest] | None:
        """Return our scope and the manifest; None if the server is to get a zip.

        Raises:
            InvalidRequest: no file can be read, or one broke off in the middle.

        """
        known = self.folder.read(self.selection.root, self.url)
        if known is None or (known.refused_at and abs(now() - known.refused_at) > _REFUSAL_LASTS):
            known = self._first_contact()
        if known is None or known.refused_at:
            return None
        manifest = manifest_of(self.selection, known, warn=self._warn, progress=self._reading)
        return known.scope, manifest

    def zip(self) -> GrowingZip:
        """Return the zip of everything."""
        return project_zip(self.selection, warn=self._warn)

    def blobs(self, manifest: Manifest, rows: Sequence[int]) -> GrowingZip:
        """Return a zip of the contents of these rows."""
        files = {manifest.sha256(row): manifest.files[row] for row in rows}
        zipped = blob_zip(self.selection.root, files.items())
        if manifest.size(rows) <= AT_ONCE:
            zipped.whole()
        return zipped

    def remember(self, cache: TreeCache) -> None:
        """Keep for the next submission what is known now."""
        self.folder.write(self.selection.root, self.url, cache)

    def _first_contact(self) -> TreeCache | None:
        scope = self.folder.scope(self.url)
        takes_manifests = self._server.takes_manifests() if scope else None
        if scope is None or takes_manifests is None:
            return None
        if takes_manifests:
            return TreeCache(scope)
        refused = TreeCache(scope, refused_at=now())
        self.remember(refused)
        return refused


class TreeSubmission(Submission):
    """A manifest with the contents that the server is not known to have.

    It learns from refusals: what is missing goes along the next time, and a
    server that does not know manifests gets a zip.
    """

    def __init__(
        self,
        source: TreeSource,
        scope: str,
        manifest: Manifest,
        *,
        project: str,
        command: tuple[str, ...],
        progress: Callable[[int, int], None],
        options: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(None, project, command, progress, options=options)
        self._source = source
        self._scope = scope
        self._manifest: Manifest | None = manifest
        self._rounds = 0
        # To ask first costs less than to send in vain what is there already.
        if manifest.unsent and manifest.size(manifest.unsent) <= AT_ONCE:
            self._bring(manifest, manifest.unsent)

    @property
    def headers(self) -> Mapping[str, str]:
        """The scope, beside what every submission has."""
        scope = {"CI-Scope": self._scope} if self._manifest else {}
        return {**super().headers, **scope}

    def fields(self) -> list[tuple[str, str | bytes]]:
        """Return the form fields that go before the file, by name."""
        manifest = [("manifest", self._manifest.gzipped)] if self._manifest else []
        return [*super().fields(), *manifest]

    def accepted(self) -> None:
        """Remember what the server has."""
        if self._manifest and self._manifest.cache:
            self._source.remember(self._manifest.cache)

    def adapts_to(self, refusal: CIError) -> bool:
        """Return whether there is another way to send it, which is the one from now on."""
        if self._manifest is None:
            return False
        if isinstance(refusal, BlobsMissing):
            self._bring_missing(self._manifest, refusal)
            return True
        # What is wrong with the project has a code of its own.
        if type(refusal) in {InvalidRequest, ServerRefused}:
            self._source.remember(TreeCache(self._scope, refused_at=now()))
            self.files_changed()
            return True
        return False

    def files_changed(self) -> None:
        """Send a zip: it takes the files as they are when it comes to them."""
        self._replace_content(self._source.zip())
        self._manifest = None

    def _bring_missing(self, manifest: Manifest, refusal: BlobsMissing) -> None:
        self._rounds += 1
        count = len(manifest.files)
        sane = all(0 <= first <= last < count for first, last in refusal.missing)
        if self._rounds > _MOST_ROUNDS or not refusal.missing or not sane:
            self.files_changed()
            return
        runs = (range(first, last + 1) for first, last in refusal.missing)
        self._bring(manifest, [row for run in runs for row in run])

    def _bring(self, manifest: Manifest, rows: Sequence[int]) -> None:
        try:
            self._replace_content(self._source.blobs(manifest, rows))
        except FilesChanged:
            self.files_changed()

    def _replace_content(self, content: GrowingZip) -> None:
        if self.content is not None:
            self.content.close()
        self.content = content
