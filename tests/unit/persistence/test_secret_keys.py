"""Secrets at rest: what is in the database says nothing, and opens only where it belongs."""

import sqlite3
from contextlib import closing

import pytest

from ci_common.clock import SystemClock
from ci_common.errors import SecretsUnreadable
from ci_common.job_secrets import SecretPlace
from ci_persistence import secret_rotation
from ci_persistence.backup import back_up
from ci_persistence.data_directory import DataDirectory
from ci_persistence.jobs import SQLiteJobRepository
from ci_persistence.restore import restore
from ci_persistence.secret_keys import SecretKey, SecretKeys
from ci_persistence.secret_rotation import rotate, unreadable
from tests.contract.job_states import NOW, running

VALUE = "correct horse battery staple"
PLACE = SecretPlace(organisation="", project="", name="TOKEN")


@pytest.fixture
def data(tmp_path):
    return DataDirectory(tmp_path / "data" / "ci_jobs.db", tmp_path / "data")


@pytest.fixture
def keys(data):
    return SecretKeys(data.secrets_key)


@pytest.fixture
async def repository(data):
    made = SQLiteJobRepository(data.database, data_dir=data.folder)
    await made.initialize()
    yield made
    await made.close()


@pytest.fixture
async def job(repository):
    """A job that has the secret."""
    await repository.secrets.set(PLACE, VALUE, now=NOW.wall)
    job = await running(repository)
    await repository.secrets.give(job.id, 1, ["TOKEN"])
    return job


def execute(data, statement, *values):
    with closing(sqlite3.connect(data.database)) as connection, connection:
        return connection.execute(statement, values).fetchall()


def shut(data, keys):
    with closing(sqlite3.connect(data.database)) as connection:
        return [about for about, _ in unreadable(connection, keys)]


async def test_nothing_of_a_value_is_in_the_database_and_the_key_is_its_owners(
    repository, job, data, keys
):
    await repository.close()
    for path in data.folder.iterdir():
        if path.is_file():
            content = path.read_bytes()
            assert VALUE.encode() not in content
            assert all(key.key not in content for key in keys.read())
    assert keys.path.stat().st_mode & 0o777 == 0o600
    assert keys.path.parent.stat().st_mode & 0o777 == 0o700


async def test_a_row_that_is_moved_to_another_place_does_not_open(repository, job, data, keys):
    execute(data, "UPDATE secrets SET project = 'mine'")
    mine = await running(repository, project="mine")
    with pytest.raises(SecretsUnreadable):
        await repository.secrets.give(mine.id, 1, ["TOKEN"])
    assert shut(data, keys) == ["mine/TOKEN"]
    execute(data, "UPDATE given_secrets SET job = ?", mine.seq)
    with pytest.raises(SecretsUnreadable):
        await repository.secrets.given(mine.id)


async def test_a_value_that_was_changed_does_not_open(repository, job, data):
    execute(data, "UPDATE given_secrets SET sealed = CAST(sealed || x'00' AS BLOB)")
    with pytest.raises(SecretsUnreadable) as caught:
        await repository.secrets.given(job.id)
    assert VALUE not in str(caught.value)


async def test_without_the_key_nothing_opens_and_no_other_takes_its_place(repository, job, keys):
    text = keys.path.read_text()
    keys.path.unlink()
    with pytest.raises(SecretsUnreadable, match="is not there"):
        await repository.secrets.given(job.id)
    with pytest.raises(SecretsUnreadable):
        await repository.secrets.set(PLACE, VALUE, now=NOW.wall)
    assert not keys.path.exists()
    keys.path.write_text("nonsense")
    with pytest.raises(SecretsUnreadable, match="no file of keys"):
        await repository.secrets.given(job.id)
    keys.path.write_text(text)
    assert await repository.secrets.given(job.id) == {"TOKEN": VALUE}


async def test_a_rotation_beside_a_server_leaves_no_word_of_the_old_key(
    repository, job, data, keys
):
    (old,) = keys.read()
    assert rotate(data.database, keys) == 2
    (new,) = keys.read()
    assert new.id != old.id
    used = execute(data, "SELECT key_id FROM secrets UNION SELECT key_id FROM given_secrets")
    assert used == [(new.id,)]
    assert await repository.secrets.given(job.id) == {"TOKEN": VALUE}
    assert await repository.secrets.give(job.id, 2, ["TOKEN"]) == {"TOKEN": VALUE}


@pytest.mark.parametrize("moment", ["write the key", "seal", "commit", "drop the old key"])
async def test_a_rotation_that_is_cut_off_loses_nothing_and_can_be_done_again(
    repository, job, data, keys, monkeypatch, moment
):
    class Cut(BaseException):
        pass

    writes = []

    def write(self, fresh):
        writes.append(fresh)
        if moment == "drop the old key" and len(writes) == 2:
            raise Cut
        written(self, fresh)
        if moment == "write the key":
            raise Cut

    def seal(*arguments):
        if moment == "seal":
            raise Cut
        result = sealed(*arguments)
        if moment == "commit":
            raise Cut
        return result

    written, sealed = SecretKeys.write, secret_rotation._reseal
    with monkeypatch.context() as patch:
        patch.setattr(SecretKeys, "write", write)
        patch.setattr(secret_rotation, "_reseal", seal)
        with pytest.raises(Cut):
            rotate(data.database, keys)
    assert len(keys.read()) == 2
    assert await repository.secrets.given(job.id) == {"TOKEN": VALUE}
    # What is sealed in between is sealed with the new one.
    await repository.secrets.set(PLACE, "another value", now=NOW.wall)
    assert rotate(data.database, keys) == 2
    assert len(keys.read()) == 1
    assert shut(data, keys) == []


@pytest.mark.parametrize("with_key", [True, False])
async def test_a_backup_has_the_key_only_if_that_is_asked_for(
    repository, job, data, keys, tmp_path, with_key
):
    backup, other = tmp_path / "backup", tmp_path / "other"
    back_up(data, backup, SystemClock(), keys if with_key else None)
    assert (backup / "keys" / "secrets.key").exists() == with_key
    restored = restore(backup, DataDirectory(other / "ci_jobs.db", other), SystemClock())
    assert restored.unreadable == (0 if with_key else 1)
    assert restored.secrets_key == other / "keys" / "secrets.key"
    again = SQLiteJobRepository(other / "ci_jobs.db", data_dir=other)
    await again.initialize()
    try:
        assert await again.secrets.given(job.id) == {}
        if with_key:
            assert await again.secrets.give(job.id, 2, ["TOKEN"]) == {"TOKEN": VALUE}
    finally:
        await again.close()


def test_a_key_does_not_show_itself():
    key = SecretKey.new()
    assert key.key.hex() not in repr(key)
    assert repr(key.key) not in repr(key)
