"""What waits for a project in a container, and what goes into its standard input.

The input is never ended: were the container told to close it with its feeder
(``StdinOnce``), the engine would hold back the end of the *output* until the
container's network is gone, 50 ms after its process (measured). So the tar's
length goes first, and a feed that is cut leaves a container that waits.
"""

from collections.abc import Iterator

from ci_common.errors import ContainerFailed
from ci_common.executor import SizedTar

HOMES = ("/ci", "/tmp/ci")  # noqa: S108 -- in the container
"""Where a project goes: the first, unless the user may not make it."""

FEED_COMMAND = (
    f"{{ mkdir -p {HOMES[0]} && cd {HOMES[0]}; }} 2>/dev/null"
    f" || {{ mkdir -p {HOMES[1]} && cd {HOMES[1]}; }} && "
    'read -r size && head -c "$size" | tar xof - && exec sh job.sh'
)
"""Reads the length, unpacks as many bytes, runs the job. A user other than root may not make
``/ci``; ``o`` keeps the files its own, as there is no capability to give them away. GNU tar reads a
pipe to its end, whatever the archive says: ``head`` is what makes that end."""


def with_length(tar: SizedTar) -> Iterator[bytes]:
    """Yield what ``FEED_COMMAND`` reads. For a worker thread.

    Raises:
        ContainerFailed: the tar was not as long as it said; the container waits for the rest.

    """
    left = tar.size
    yield b"%d\n" % left
    for chunk in tar:
        left -= len(chunk)
        yield chunk
    if left:
        raise ContainerFailed(
            f"the project's tar is not as long as it said: {left} bytes are left to send"
        )
