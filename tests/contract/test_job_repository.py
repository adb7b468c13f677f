"""What every job repository does, whatever it keeps its jobs in."""

import asyncio
import uuid
from datetime import timedelta

import pytest

from ci_common.clock import Moment
from ci_common.errors import AmbiguousJob, IdempotencyConflict, JobNotFound
from ci_common.jobs import GroupPolicy, Job, JobStatus, QueueCounts
from ci_common.recipe import Recipe
from tests.contract.job_states import NOW, ended, ids, queued, running
from tests.fakes.repository import new_job

# --- storing and finding -------------------------------------------------------------------


async def test_a_new_job_is_queued_with_all_it_came_with(repository):
    recipe = Recipe(
        image="python:3.12-slim",
        dependencies=("pip install -r requirements.txt",),
        dependency_files=("requirements.txt",),
        project=("pip install -e .",),
        command=("pytest", "-x", "tests with spaces"),
        env={"GREETING": "Grüß Gott", "EMPTY": ""},
        timeout=90.5,
        memory=2**31,
        cpus=1.5,
        network="none",
        artifacts=("dist/*",),
        path=("src", "."),
        root="sub/folder",
        notes=("found pyproject.toml",),
    )
    tags = {
        "submitter": "Jörg",
        "labels": {"branch": "main", "nightly": ""},
        "group": "demo/main",
        "group_policy": GroupPolicy.QUEUE,
        "queue_timeout": 90.5,
        "retry_of": str(uuid.uuid4()),
        "tree_sha256": "f" * 64,
    }
    new = new_job(
        recipe=recipe, project="demo", priority=-3, max_attempts=5, zip_path="a/b.zip", **tags
    )

    job, is_new = await repository.add(new)

    assert is_new
    assert job == Job(
        id=new.id,
        seq=job.seq,
        status=JobStatus.QUEUED,
        recipe=recipe,
        created_at=new.created.wall,
        zip_path="a/b.zip",
        zip_size=new.zip_size,
        zip_sha256=new.zip_sha256,
        project="demo",
        priority=-3,
        max_attempts=5,
        **tags,
    )
    assert await repository.get(new.id) == job


async def test_a_command_that_is_one_string_stays_one(repository):
    job = await queued(repository, recipe=Recipe(command="make test && echo ok"))
    assert (await repository.get(job.id)).recipe.command == "make test && echo ok"


async def test_moments_come_back_to_the_microsecond(repository):
    moment = Moment(NOW.wall + timedelta(microseconds=123457), 4567.000001, "boot-x")
    job = await queued(repository, created=moment)
    claimed = await repository.claim(job.id, attempt=0, now=moment)
    assert claimed is not None
    assert claimed.created_at == moment.wall
    assert claimed.started == moment


async def test_an_unknown_id_is_not_found(repository):
    await queued(repository)
    for unknown in (str(uuid.uuid4()), "", "nö", "\udc80"):
        with pytest.raises(JobNotFound):
            await repository.get(unknown)


async def test_a_job_is_found_by_its_id_by_a_prefix_and_as_the_last(repository):
    first = await queued(repository, id="aaaa1111-0000-4000-8000-000000000000")
    second = await queued(repository, id="aaaa2222-0000-4000-8000-000000000000")
    assert await repository.find(first.id) == first
    assert await repository.find("aaaa1") == first
    assert await repository.find("last") == second


async def test_a_prefix_of_several_jobs_is_ambiguous(repository):
    for start in ("aaaa1111", "aaaa2222", "bbbb3333"):
        await queued(repository, id=f"{start}-0000-4000-8000-000000000000")
    with pytest.raises(AmbiguousJob):
        await repository.find("aaaa")


async def test_a_full_id_is_never_ambiguous(repository):
    short = await queued(repository, id="abc")
    await queued(repository, id="abcd")
    assert await repository.find("abc") == short


@pytest.mark.parametrize("reference", ["", "ffff", "%", "_", "aaaa1111-0000-x", "ä", "\udc80"])
async def test_a_reference_that_fits_nothing_is_not_found(repository, reference):
    await queued(repository, id="aaaa1111-0000-4000-8000-000000000000")
    with pytest.raises(JobNotFound):
        await repository.find(reference)


async def test_an_empty_store_has_no_last_job(repository):
    with pytest.raises(JobNotFound):
        await repository.find("last")


async def test_many_are_returned_without_the_unknown_and_without_doubles(repository):
    one, two, _ = [await queued(repository) for _ in range(3)]
    found = await repository.get_many([one.id, str(uuid.uuid4()), two.id, one.id])
    assert sorted(ids(found)) == sorted([one.id, two.id])
    assert list(await repository.get_many([])) == []


async def test_the_list_is_newest_first_and_can_be_paged_through(repository):
    jobs = [await queued(repository) for _ in range(5)]
    newest = await repository.list_recent(limit=2)
    rest = await repository.list_recent(limit=10, before=newest[-1].seq)
    assert ids([*newest, *rest]) == ids(reversed(jobs))


# --- idempotency ---------------------------------------------------------------------------


async def test_the_same_submission_twice_is_one_job(repository):
    first, _ = await repository.add(new_job(idempotency_key="k", fingerprint="f"))
    again, is_new = await repository.add(new_job(idempotency_key="k", fingerprint="f"))
    assert not is_new
    assert again == first
    assert len(await repository.list_recent(limit=10)) == 1


async def test_a_repeated_submission_returns_the_job_as_it_is_now(repository):
    job = await ended(repository, idempotency_key="k", fingerprint="f")
    again, is_new = await repository.add(new_job(idempotency_key="k", fingerprint="f"))
    assert not is_new
    assert again == job


async def test_one_key_for_two_submissions_is_a_conflict(repository):
    await queued(repository, idempotency_key="k", fingerprint="f")
    with pytest.raises(IdempotencyConflict):
        await repository.add(new_job(idempotency_key="k", fingerprint="other"))
    assert len(await repository.list_recent(limit=10)) == 1


async def test_without_a_key_equal_submissions_are_different_jobs(repository):
    for _ in range(2):
        await queued(repository, fingerprint="f")
    assert len(await repository.list_recent(limit=10)) == 2


async def test_racing_submissions_of_one_key_are_one_job(repository, peer):
    adds = [
        store.add(new_job(idempotency_key="k", fingerprint="f"))
        for store in (repository, peer)
        for _ in range(10)
    ]
    results = await asyncio.gather(*adds)
    assert len({job.id for job, _ in results}) == 1
    assert sum(is_new for _, is_new in results) == 1


# --- the queue -----------------------------------------------------------------------------


async def test_jobs_start_in_the_order_of_submission(repository):
    jobs = [await queued(repository) for _ in range(4)]
    assert ids(await repository.startable(limit=10, now=NOW.wall)) == ids(jobs)
    assert ids(await repository.startable(limit=2, now=NOW.wall)) == ids(jobs[:2])


async def test_a_higher_priority_goes_first_and_keeps_the_order_within(repository):
    low, normal, high, high_too = [
        await queued(repository, priority=priority) for priority in (-1, 0, 7, 7)
    ]
    startable = await repository.startable(limit=10, now=NOW.wall)
    assert ids(startable) == ids([high, high_too, normal, low])


async def test_the_position_counts_those_ahead(repository):
    low, normal, high = [await queued(repository, priority=p) for p in (-1, 0, 7)]
    positions = [await repository.queue_position(job.id) for job in (low, normal, high)]
    assert positions == [3, 2, 1]


async def test_only_a_queued_job_has_a_position(repository):
    for job in (await running(repository), await ended(repository)):
        assert await repository.queue_position(job.id) is None
    assert await repository.queue_position(str(uuid.uuid4())) is None


async def test_a_requeued_job_gets_its_old_place_back(repository):
    first = await running(repository)
    second = await queued(repository)
    assert await repository.queue_position(second.id) == 1
    await repository.requeue(first.id, attempt=1, charged=True, detail="engine gone")
    assert await repository.queue_position(first.id) == 1
    assert ids(await repository.startable(limit=10, now=NOW.wall)) == ids([first, second])


async def test_counts_follow_the_states(repository):
    assert await repository.count() == QueueCounts(queued=0, running=0)
    await queued(repository)
    await queued(repository)
    await running(repository)
    await ended(repository)
    assert await repository.count() == QueueCounts(queued=2, running=1)


@pytest.mark.parametrize(
    ("hold", "is_left_out"),
    [
        (timedelta(seconds=-1), False),
        (timedelta(0), False),
        (timedelta(milliseconds=1), True),
        (timedelta(minutes=10), True),
        # Set when the wall clock was an hour ahead: no backoff is as long as that.
        (timedelta(hours=1), False),
    ],
)
async def test_a_job_on_hold_is_left_out(repository, hold, is_left_out):
    held = await running(repository)
    other = await queued(repository)
    await repository.requeue(
        held.id, attempt=1, charged=True, detail="engine gone", hold_until=NOW.wall + hold
    )
    expected = [other] if is_left_out else [held, other]
    assert ids(await repository.startable(limit=10, now=NOW.wall)) == ids(expected)


async def test_a_job_on_hold_does_not_use_up_the_limit(repository):
    held = await running(repository)
    other = await queued(repository)
    until = NOW.wall + timedelta(seconds=5)
    await repository.requeue(held.id, attempt=1, charged=True, detail="x", hold_until=until)
    assert ids(await repository.startable(limit=1, now=NOW.wall)) == [other.id]
    assert ids(await repository.startable(limit=1, now=until)) == [held.id]


# --- the store as a whole ------------------------------------------------------------------


async def test_others_see_a_write_as_soon_as_it_is_made(repository, peer):
    for _ in range(20):
        job = await queued(repository)
        assert await peer.get(job.id) == job
        await peer.claim(job.id, attempt=0, now=NOW)
        assert (await repository.get(job.id)).status is JobStatus.RUNNING


async def test_opening_and_closing_twice_is_as_once(repository):
    job = await queued(repository)
    await repository.initialize()
    assert await repository.get(job.id) == job
    await repository.close()
    await repository.close()


async def test_zips_and_logs_are_kept_under_the_data_directory(repository):
    job_id = str(uuid.uuid4())
    upload = repository.stash.new_upload()
    upload.write(b"zip")
    path = upload.commit(job_id)
    upload.discard()
    assert path == str(repository.data_dir / "stash" / f"{job_id}.zip")

    writer = repository.logs.open(job_id)
    writer.write(b"log")
    writer.close()
    assert (repository.data_dir / "logs" / f"{job_id}.log").read_bytes() == b"log"
