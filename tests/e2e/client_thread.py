"""A client that submits and watches in a thread, whatever happens to the server meanwhile."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ci_client.files import select_files
from ci_client.sending import Project
from ci_client.session import Session
from ci_common.backoff import Backoff
from ci_common.errors import ServerUnreachable

_BACKOFF = Backoff(first=0.05, factor=2.0, longest=0.2)
"""Shorter than a person's, so that tests do not wait."""


@dataclass
class Seen:
    """What a client saw of a job: its id, its log in one piece, and how it ended."""

    job_id: str = ""
    text: str = ""
    complete: dict = field(default_factory=dict)

    def take(self, event: dict) -> None:
        match event["type"]:
            case "job_id":
                assert self.job_id in ("", event["job_id"])
                self.job_id = event["job_id"]
            case "log":
                self.text += event["data"]
            case "complete":
                assert not self.complete
                self.complete = event


def submit_and_watch(
    session: Session, folder: Path, cache: Path, *, again: Callable[[], bool] = lambda: False
) -> Seen:
    """Submit as ``ci submit`` does, and read the job's events to the last one.

    ``again`` is asked whether to try once more where the server was not there
    from the start, which is when the command gives up.
    """
    seen = Seen()
    environ = {"XDG_CACHE_HOME": str(cache)}
    project = Project(str(folder), select_files(folder))
    with project.submission(session, environ, print) as submission:
        while not seen.complete:
            try:
                for event in session.submit_streaming(submission):
                    seen.take(event)
            except ServerUnreachable:
                if seen.job_id or not again():
                    raise
    return seen


def session_with(url: str) -> Session:
    """Return a session that comes back soon after it was cut off, and does not give up."""
    return Session(url, reconnect_timeout=120, backoff=_BACKOFF)


class ClientThread:
    """One client at a time, each in the background; it comes again until there is a server."""

    def __init__(self, url: str, folder: Path, cache: Path, pool: ThreadPoolExecutor) -> None:
        self._url = url
        self._folder = folder
        self._cache = cache
        self._pool = pool
        self._session: Session | None = None
        self._work: Future[Seen] | None = None
        self._leaving = threading.Event()

    @property
    def begun(self) -> bool:
        """Whether a client is at work."""
        return self._work is not None

    def begin(self) -> None:
        """Have a client submit."""
        self._session = session_with(self._url)
        self._leaving.clear()
        self._work = self._pool.submit(
            submit_and_watch, self._session, self._folder, self._cache, again=self._stays
        )

    def _stays(self) -> bool:
        return not self._leaving.wait(_BACKOFF.longest)

    def end(self) -> Seen:
        """Wait for the client to come to the end; return what it saw."""
        assert self._session is not None
        assert self._work is not None
        try:
            return self._work.result(timeout=120)
        finally:
            self._session.close()
            self._session = self._work = None

    def give_up(self) -> None:
        """Have the client leave, as one does who has lost patience."""
        if self._session is None or self._work is None:
            return
        self._leaving.set()
        with self._session.interrupted():
            error = self._work.exception(timeout=60)
        assert error is None or isinstance(error, ServerUnreachable), error
        self._session.close()
        self._session = self._work = None


@contextmanager
def client_thread(url: str, folder: Path, cache: Path) -> Iterator[ClientThread]:
    """A client for the length of a block; whatever it does is over at its end."""
    with ThreadPoolExecutor(1, thread_name_prefix="client") as pool:
        client = ClientThread(url, folder, cache, pool)
        try:
            yield client
        finally:
            client.give_up()
