"""Images that are not there yet."""

import time
from typing import Any

from docker.errors import APIError

from ci_common.errors import ImageMissing
from ci_controller.docker_engine.client import EngineClient
from ci_controller.docker_engine.faults import explanation


def pull(client: EngineClient, image: str, *, timeout: float) -> None:
    """Pull an image, in ``timeout`` seconds or not at all.

    Raises:
        ImageMissing: there is no such image, or no way to it.

    """
    deadline = time.monotonic() + timeout
    try:
        progress: Any = client.pull(image, stream=True, decode=True)
        for line in progress:
            if "error" in line:
                raise _missing(image, str(line["error"]))
            if time.monotonic() > deadline:
                raise _missing(image, f"it took more than {timeout:g} s")
    except APIError as error:
        raise _missing(image, explanation(error)) from error


def _missing(image: str, cause: str) -> ImageMissing:
    return ImageMissing(
        f"the image {image!r} is not on this machine and could not be pulled: {cause}",
        hint=f"Pull or build it where the engine runs (`docker pull {image}`), or name one "
        "that `docker images` lists: CI_DEFAULT_IMAGE on the server, `image` in ci.toml.",
    )
