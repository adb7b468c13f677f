"""Blobs and packs in SQLite (see ``BlobStore`` for the contract)."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec

from ci_common.blobs import Pack, PacksGone, Place
from ci_persistence.database import Database, Transaction
from ci_persistence.job_rows import from_microseconds, to_microseconds

# The hashes come as one value, cut here: binding ten thousand is slower than finding them.
_LOCATE = """
    WITH RECURSIVE cut (start) AS (
        SELECT 1 WHERE length(:hashes) UNION ALL
        SELECT start + 32 FROM cut WHERE start + 32 <= length(:hashes)
    )
    SELECT blobs.sha256, pack, offset, packed, size, method, crc
    FROM scopes, cut JOIN blobs
      ON blobs.scope = scopes.id AND blobs.sha256 = substr(:hashes, start, 32)
    WHERE scopes.sha256 = :scope
"""
_ADD_SCOPE = "INSERT INTO scopes (sha256) VALUES (?) ON CONFLICT DO NOTHING"
_ADD_PACK = """
    INSERT INTO packs (id, scope, size, used_wall)
    SELECT :pack, id, :size, :now FROM scopes WHERE sha256 = :scope
    RETURNING scope
"""
_ADD_BLOB = """
    INSERT INTO blobs (scope, sha256, pack, offset, packed, size, method, crc)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET pack = excluded.pack, offset = excluded.offset,
        packed = excluded.packed, size = excluded.size, method = excluded.method,
        crc = excluded.crc
"""
_PACKS = """
    SELECT id, size, used_wall,
        EXISTS (
            SELECT 1 FROM job_packs JOIN jobs ON jobs.seq = job
            WHERE pack = packs.id AND jobs.reason IS NULL
        ) AS held,
        NOT EXISTS (SELECT 1 FROM blobs WHERE pack = packs.id)
            AND NOT EXISTS (SELECT 1 FROM job_packs WHERE pack = packs.id) AS superseded
    FROM packs ORDER BY used_wall, id
"""
# Jobs that have ended lose their projects with a pack of theirs, by which they let go of it.
_RELEASE = """
    UPDATE jobs SET stashed = 0
    WHERE reason IS NOT NULL AND seq IN (SELECT job FROM job_packs WHERE pack = :pack)
    AND EXISTS (SELECT 1 FROM packs WHERE id = :pack AND used_wall = :used)
    AND NOT EXISTS (
        SELECT 1 FROM job_packs JOIN jobs AS holder ON holder.seq = job
        WHERE pack = :pack AND holder.reason IS NULL
    )
"""
_DROP = """
    DELETE FROM packs WHERE id = :pack AND used_wall = :used
    AND NOT EXISTS (SELECT 1 FROM job_packs WHERE pack = :pack)
"""
_DROP_SCOPES = """
    DELETE FROM scopes WHERE NOT EXISTS (SELECT 1 FROM packs WHERE packs.scope = scopes.id)
"""
_FORGET = "DELETE FROM blobs WHERE pack IN (SELECT value FROM json_each(?))"
_TOUCH = """
    UPDATE packs SET used_wall = max(used_wall, :now)
    WHERE id IN (SELECT value FROM json_each(:packs))
"""
_HOLD = """
    INSERT INTO job_packs (job, pack)
    SELECT seq, value FROM jobs, json_each(:packs) WHERE jobs.id = :job
"""


class SQLiteBlobStore:
    """The tables of blobs in the jobs' database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def locate(self, scope: bytes, hashes: Collection[bytes]) -> Mapping[bytes, Place]:
        """Return where those of the blobs lie that ``scope`` has, by hash (32 bytes)."""
        # In the order of the index: each lookup is near the one before.
        wanted = b"".join(sorted(set(hashes)))
        rows = await self._database.fetch_all(_LOCATE, {"scope": scope, "hashes": wanted})
        return {row[0]: Place(*tuple(row)[1:]) for row in rows}

    async def add_pack(
        self, scope: bytes, pack: int, size: int, blobs: Mapping[bytes, Place], now: datetime
    ) -> None:
        """Take in a pack whose file is durable. Blobs that were known move to it."""
        values = {"scope": scope, "pack": pack, "size": size, "now": to_microseconds(now)}
        async with self._database.transaction() as transaction:
            await transaction.execute(_ADD_SCOPE, (scope,))
            row = await transaction.fetch_one(_ADD_PACK, values)
            number = row["scope"] if row else None
            rows = [(number, blob, *place) for blob, place in sorted(blobs.items())]
            await transaction.execute_many(_ADD_BLOB, rows)

    async def packs(self) -> Sequence[Pack]:
        """Return all packs, the one that was used longest ago first."""
        rows = await self._database.fetch_all(_PACKS)
        return [
            Pack(
                row["id"],
                row["size"],
                from_microseconds(row["used_wall"]),
                bool(row["held"]),
                bool(row["superseded"]),
            )
            for row in rows
        ]

    async def drop(self, pack: Pack) -> bool:
        """Forget a pack and its blobs, unless it was used since or an unfinished job needs it."""
        values = {"pack": pack.id, "used": to_microseconds(pack.used)}
        async with self._database.transaction() as transaction:
            await transaction.execute(_RELEASE, values)
            dropped = await transaction.execute(_DROP, values)
            await transaction.execute(_DROP_SCOPES)
            return bool(dropped)

    async def forget(self, packs: Collection[int]) -> None:
        """Forget the blobs of packs whose files are lost."""
        async with self._database.transaction() as transaction:
            await transaction.execute(_FORGET, (_json(packs),))


async def hold_packs(
    transaction: Transaction, job_id: str, packs: Collection[int], now: datetime
) -> None:
    """Note that a job needs these packs, in the transaction that stores it.

    Raises:
        PacksGone: one of them was dropped.

    """
    found = await transaction.execute(_TOUCH, {"packs": _json(packs), "now": to_microseconds(now)})
    if found != len(packs):
        raise PacksGone
    await transaction.execute(_HOLD, {"packs": _json(packs), "job": job_id})


def _json(packs: Collection[int]) -> str:
    return msgspec.json.encode(list(packs)).decode()
