"""Submissions that are manifests: what is missing is asked for, the rest is here already."""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from litestar import Request

from ci_common.blobs import PacksGone, Place
from ci_common.clock import Clock
from ci_common.errors import BlobsMissing, InvalidArchive, InvalidRequest
from ci_common.job_repository import JobRepository
from ci_common.project_tree import (
    Manifest,
    TreeArchive,
    check_pack,
    encode_tree,
    too_large,
    unpacked,
)
from ci_common.project_zip import ZipLimits, collect_files
from ci_common.project_zip.names import quoted
from ci_common.recipe import Recipe, detect, wanted_files
from ci_common.stash import Upload

SCOPE_HEADER = "CI-Scope"

_SCOPE = re.compile(r"[0-9a-f]{64}")

_PACKS_FROM_STASH = "../packs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stashed:
    """A project that is safe on disk, as a zip or as a tree that reads from ``packs``.

    ``upload`` keeps it from being swept, until it is let go of.
    """

    upload: Upload
    size: int
    sha256: str
    recipe: Recipe
    tree_sha256: str
    packs: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Trees:
    """Turns manifests into trees."""

    repository: JobRepository
    clock: Clock
    limits: ZipLimits

    @property
    def max_manifest_bytes(self) -> int:
        """Bytes of the longest manifest that is read."""
        # It is to a manifest what the table of contents is to a zip.
        return self.limits.max_directory_bytes

    def read(self, content: bytes) -> Manifest:
        """Return a checked manifest. Raises ``InvalidRequest``, ``InvalidArchive``."""
        return Manifest(unpacked(content, self.limits), self.limits)

    async def take_pack(self, scope: bytes, manifest: Manifest, upload: Upload) -> None:
        """Keep the contents that came along.

        They stay even if the job is not accepted in the end: what is sent
        again need not bring them again.

        Raises:
            InvalidArchive: it is no zip of what the manifest names.

        """
        pack = secrets.randbits(62)
        blobs = await asyncio.to_thread(self._check_pack, manifest, upload, pack)
        await asyncio.to_thread(upload.commit_pack, pack)
        now = self.clock.now().wall
        await self.repository.blobs.add_pack(scope, pack, upload.size, blobs, now)

    async def build(
        self,
        scope: bytes,
        manifest: Manifest,
        job_id: str,
        command: tuple[str, ...] | None,
        settle: Callable[[Recipe], Recipe],
    ) -> Stashed:
        """Return the tree of a manifest, durably on disk and to be let go of.

        ``settle`` makes the recipe what it is to be, or refuses it.

        Raises:
            BlobsMissing: not all contents are here.
            PacksGone: one was lost just now; try again to see what is missing.
            InvalidArchive: a size is not what the manifest says, or all are too large.
            InvalidRecipe: the project's configuration is wrong.
            StorageFull: the disk is full.

        """
        places = await self._locate(scope, manifest)
        return await asyncio.to_thread(self._write, manifest, places, job_id, command, settle)

    def _check_pack(self, manifest: Manifest, upload: Upload, pack: int) -> dict[bytes, Place]:
        with Path(upload.path).open("rb") as file:
            return check_pack(file, pack, frozenset(manifest.hashes), self.limits)

    async def _locate(self, scope: bytes, manifest: Manifest) -> Sequence[Place]:
        known = await self.repository.blobs.locate(scope, manifest.hashes)
        packs = {place.pack for place in known.values()}
        lost = await asyncio.to_thread(self.repository.stash.lost_packs, packs)
        if lost:
            await self.repository.blobs.forget(lost)
            known = {blob: place for blob, place in known.items() if place.pack not in lost}
        return _places(manifest, known)

    def _write(
        self,
        manifest: Manifest,
        places: Sequence[Place],
        job_id: str,
        command: tuple[str, ...] | None,
        settle: Callable[[Recipe], Recipe],
    ) -> Stashed:
        _check_sizes(manifest, places, self.limits)
        archive = TreeArchive(manifest, places, self.repository.stash.packs_folder)
        recipe = settle(detect(archive.paths, self._collect(archive), command))
        content = encode_tree(manifest, places, _PACKS_FROM_STASH)
        return Stashed(
            upload=self.repository.stash.keep_tree(job_id, content),
            size=len(content),
            sha256=manifest.sha256,
            recipe=recipe,
            tree_sha256=manifest.tree_sha256,
            packs=frozenset(place.pack for place in places),
        )

    def _collect(self, archive: TreeArchive) -> dict[str, bytes]:
        try:
            return collect_files(archive, wanted_files(archive.paths), self.limits)
        except (InvalidArchive, FileNotFoundError) as error:
            raise PacksGone from error
        finally:
            archive.close()


def scope_of(request: Request[Any, Any, Any], owner: Sequence[str] = ()) -> bytes:
    """Return whose blobs the request may refer to: only who knows that secret.

    ``owner`` are the ids of organisation and user on a server with accounts: whoever
    else comes by the secret gets at nothing with it.

    Raises:
        InvalidRequest: the header is missing, or not a hash.

    """
    value = request.headers.get(SCOPE_HEADER, "")
    if not _SCOPE.fullmatch(value):
        raise InvalidRequest(
            f"a manifest needs the header {SCOPE_HEADER} with 64 hexadecimal digits",
            hint="Make up 32 random bytes once, keep them to yourself, and send them every time.",
        )
    return hashlib.sha256(bytes.fromhex(value) + "\0".join(owner).encode()).digest()


def _places(manifest: Manifest, known: Mapping[bytes, Place]) -> Sequence[Place]:
    places = [known.get(blob) for blob in manifest.hashes]
    found = [place for place in places if place is not None]
    if len(found) == len(places):
        return found
    missing = [number for number, place in enumerate(places) if place is None]
    raise BlobsMissing(
        f"the server does not have {len(missing)} of the manifest's {len(places)} files",
        hint="Send the manifest again, with a zip of what is missing.",
        missing=runs(missing),
    )


def runs(numbers: Iterable[int]) -> Sequence[tuple[int, int]]:
    """Return first and last of each run of successive numbers; ``numbers`` are ascending."""
    ordered = list(numbers)
    if not ordered:
        return ()
    breaks = [pair for pair in pairwise(ordered) if pair[1] != pair[0] + 1]
    firsts = [ordered[0], *(after for _, after in breaks)]
    lasts = [*(before for before, _ in breaks), ordered[-1]]
    return tuple(zip(firsts, lasts, strict=True))


def _check_sizes(manifest: Manifest, places: Sequence[Place], limits: ZipLimits) -> None:
    for row, place in zip(manifest.files, places, strict=True):
        if row.size != place.size:
            raise InvalidArchive(
                f"{quoted(row.path)} is {place.size} bytes long, not {row.size}"
                " as the manifest says"
            )
    allowance = limits.allowance(sum(place.packed for place in places))
    if sum(place.size for place in places) > allowance:
        why = (
            f"more than {limits.max_ratio} times their packed size"
            if allowance < limits.max_unpacked_bytes
            else "the most this server takes"
        )
        raise too_large(allowance, why)
