"""Logs that are read while they are deleted, and logs all together."""

import os
import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ci_common.errors import JobNotFound
from ci_persistence.logs import FileLogStore

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    return FileLogStore(tmp_path / "logs")


def written(store, content=b"0123456789"):
    job_id = str(uuid.uuid4())
    writer = store.open(job_id)
    writer.write(content)
    writer.close()
    return job_id


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_log_held_open_is_read_to_its_end_though_it_is_deleted(store):
    job_id = written(store)
    with closing(store.open_reader(job_id)) as log:
        assert log.read(0, 4) == b"0123"
        store.remove(job_id)
        assert store.read(job_id, 4, 100) == b""
        assert log.read(4, 100) == b"456789"
        assert log.size == 10


def test_a_log_held_open_grows(store):
    job_id = written(store)
    with closing(store.open_reader(job_id)) as log:
        writer = store.open(job_id)
        writer.write(b"more")
        writer.close()
        assert (log.size, log.read(10, 100)) == (14, b"more")


def test_there_is_nothing_to_hold(store):
    assert store.open_reader(str(uuid.uuid4())) is None
    with pytest.raises(JobNotFound):
        store.open_reader("../evil")


def test_one_that_is_forgotten_is_closed(store):
    job_id = written(store)
    before = descriptors()
    log = store.open_reader(job_id)
    assert descriptors() == before + 1
    del log
    assert descriptors() == before


def test_closing_twice_closes_nothing_else(store):
    log = store.open_reader(written(store))
    log.close()
    with closing(store.open_reader(written(store))) as other:
        log.close()
        assert other.read(0, 1) == b"0"


def test_what_all_logs_take(store, tmp_path):
    assert store.usage() == 0
    for size in (1, 20, 300):
        written(store, b"x" * size)
    assert store.usage() == 321


def test_logs_are_listed_by_age(store, tmp_path):
    assert list(store.stored(older_than=NOON)) == []
    old, young = written(store), written(store)
    for job_id, when in ((old, NOON - timedelta(seconds=1)), (young, NOON)):
        os.utime(tmp_path / "logs" / f"{job_id}.log", (when.timestamp(), when.timestamp()))
    (tmp_path / "logs" / "README").touch()
    assert list(store.stored(older_than=NOON)) == [old]
    assert set(store.stored(older_than=datetime.max.replace(tzinfo=UTC))) == {old, young}
