"""Snapshots of dependencies as images of a Docker engine."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import requests
from docker.errors import APIError, NotFound, create_api_error_from_http_exception

from ci_common.errors import ContainerGone, ImageMissing
from ci_common.snapshots import Snapshot
from ci_controller.container_names import ContainerNames
from ci_controller.docker_engine.calls import EngineCalls
from ci_controller.docker_engine.client import EngineClient
from ci_controller.docker_engine.configuration import KEY, NAMESPACE, ROLE, is_ours, labels
from ci_controller.docker_engine.feed_command import HOMES

_ROLE = "snapshot"
_BASE = "ci.base"
_ABOUT = "ci.about"

_REPOSITORY = "localhost/standby-ci-snapshot"
"""With ``localhost`` no registry elsewhere is ever asked for one that is gone."""

_KEEP_TIMEOUT = 600.0
"""Seconds: the engine copies and hashes all that was installed, which may be gigabytes."""


class DockerSnapshots:
    """A ``SnapshotEngine``. ``pull`` makes an image present."""

    def __init__(
        self, calls: EngineCalls, names: ContainerNames, pull: Callable[[str], Awaitable[None]]
    ) -> None:
        self._calls = calls
        self._names = names
        self._pull = pull

    def image_of(self, key: str) -> str:
        """Return the name that the image of a snapshot has."""
        return f"{_REPOSITORY}:{self._names.prefix}{key}"

    async def image_id(self, image: str) -> str:
        """Return which image a name means now, pulling it if it is not there."""
        found = await self._image(image)
        if found is None:
            await self._pull(image)
            found = await self._image(image)
        if found is None:
            raise ImageMissing(f"the image {image!r} was pulled, and is gone again")
        return str(found["Id"])

    async def made_at(self, key: str) -> datetime | None:
        """Return when the present snapshot of a key was made, None if there is none."""
        found = await self._image(self.image_of(key))
        if found is None or not self._is_snapshot((found.get("Config") or {}).get("Labels")):
            return None
        return datetime.fromisoformat(found["Created"]).astimezone(UTC)

    async def run(self, container: str, command: Sequence[str]) -> int:
        """Run a short program in a running container; return its exit status."""

        def run(client: EngineClient) -> int:
            created = client.exec_create(container, list(command), stdin=False)
            url = _url(client, "exec", created["Id"], "start")
            with _sent(client.post(url, json={"Detach": False, "Tty": False}, stream=True)) as end:
                end.raw.read()
            return int(client.exec_inspect(created["Id"])["ExitCode"])

        return await self._calls.call(run, f"run a program in {container}")

    async def has_file(self, container: str, path: str) -> bool:
        """Return whether a container has ``path`` in the folder that it was fed into."""

        def look(client: EngineClient) -> bool:
            url = _url(client, "containers", container, "archive")
            return any(_is_there(client, url, f"{home}/{path}") for home in HOMES)

        return await self._calls.call(look, f"look into {container}")

    async def keep(self, container: str, key: str, *, base: str, about: str) -> None:
        """Make a container that has ended the snapshot of ``key``."""
        name, _, tag = self.image_of(key).rpartition(":")
        marks = labels(self._names.prefix, _ROLE, key) | {_BASE: base, _ABOUT: about}
        query = {"container": container, "repo": name, "tag": tag, "pause": "false"}

        def commit(client: EngineClient) -> None:
            url = _url(client, "commit")
            # The labels in the same step: what is cut off in the middle is known by them.
            body = {"Labels": marks}
            _sent(client.post(url, params=query, json=body, timeout=_KEEP_TIMEOUT)).close()

        await self._calls.call_long(commit, f"keep {container}", timeout=_KEEP_TIMEOUT)

    async def all(self) -> Sequence[Snapshot]:
        """Return every snapshot of our namespace."""

        def look(client: EngineClient) -> list[Snapshot]:
            images = client.images(all=True)
            filters = {"label": f"{NAMESPACE}={self._names.prefix}"}
            in_use = self._images_in_use(client.containers(all=True, filters=filters))
            sizes = {image["Id"]: image["Size"] for image in images}
            return [self._snapshot(image, sizes, in_use) for image in images if self._is_one(image)]

        return await self._calls.call(look, "list the snapshots")

    async def remove(self, snapshot: Snapshot) -> bool:
        """Remove it; False when a container needs it."""

        def remove(client: EngineClient) -> bool:
            try:
                # By its id: its name may mean a later one by now.
                client.remove_image(snapshot.id, noprune=True)
            except NotFound:
                return True
            except APIError as error:
                if error.status_code == HTTPStatus.CONFLICT:
                    return False
                raise
            return True

        return await self._calls.call(remove, "remove a snapshot")

    async def _image(self, name: str) -> Mapping[str, Any] | None:
        def look(client: EngineClient) -> Mapping[str, Any] | None:
            try:
                found: Mapping[str, Any] = client.inspect_image(name)  # type: ignore[no-untyped-call]
            except NotFound:
                return None
            return found

        return await self._calls.call(look, f"look at the image {name}")

    def _is_snapshot(self, found: Mapping[str, str] | None) -> bool:
        return is_ours(found, self._names.prefix) and (found or {}).get(ROLE) == _ROLE

    def _is_one(self, image: Mapping[str, Any]) -> bool:
        # What somebody built on one of ours has our labels, but a name of its own.
        names = _names_of(image)
        ours = not names or any(name.startswith(f"{_REPOSITORY}:") for name in names)
        return ours and self._is_snapshot(image.get("Labels"))

    def _snapshot(
        self, image: Mapping[str, Any], sizes: Mapping[str, int], in_use: set[str]
    ) -> Snapshot:
        marks = image["Labels"]
        key = marks.get(KEY, "")
        return Snapshot(
            key=key,
            id=image["Id"],
            size=max(0, image["Size"] - sizes.get(image.get("ParentId", ""), 0)),
            made_at=datetime.fromtimestamp(image["Created"], UTC),
            base=marks.get(_BASE, ""),
            about=marks.get(_ABOUT, ""),
            current=self.image_of(key) in _names_of(image),
            in_use=image["Id"] in in_use,
        )

    def _images_in_use(self, containers: Sequence[Mapping[str, Any]]) -> set[str]:
        return {
            container["ImageID"]
            for container in containers
            if not any(self._names.is_standby(name[1:]) for name in container.get("Names") or ())
        }


def _names_of(image: Mapping[str, Any]) -> list[str]:
    return [name for name in image.get("RepoTags") or () if name != "<none>:<none>"]


def _url(client: EngineClient, *parts: str) -> str:
    return "/".join((client.base_url, f"v{client.api_version}", *map(quote, parts)))


def _is_there(client: EngineClient, url: str, path: str) -> bool:
    with client.get(url, params={"path": path}, stream=True) as response:
        if response.status_code == HTTPStatus.NOT_FOUND:
            if "No such container" in response.text:
                raise ContainerGone(response.text)
            return False
        _sent(response)
        return True


def _sent(response: requests.Response) -> requests.Response:
    """Return the answer to a request that was taken. Raises what the SDK raises."""
    try:
        response.raise_for_status()
    except requests.HTTPError as error:
        with response:
            raise create_api_error_from_http_exception(error) from error
    return response
