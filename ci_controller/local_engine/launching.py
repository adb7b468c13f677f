"""From a name to a process group that waits for its project in a scratch folder."""

import errno
import os
import shutil
from pathlib import Path

from ci_common.errors import ContainerFailed, EngineUnavailable
from ci_controller.local_engine.environment import job_variables
from ci_controller.local_engine.processes import spawn
from ci_controller.local_engine.scratch import (
    About,
    ScratchFolder,
    hidden_place,
    sweep_leftovers,
)

_SUPERVISOR = """
read -r go || exit
cd "$1" || exit
trap : HUP INT QUIT TERM
(cd root && exec <../input && tar xof - && exec sh job.sh)
echo $? >exit.new && ln exit.new exit
kill -KILL 0
"""
"""Waits until its folder is ready, runs the job, records how it ended (once; ``ln`` does not
overwrite), and takes what the job left running with it. It outlives signals to the group, of
which the job gets its own."""


class LocalLauncher:
    """Makes scratch folders of one namespace in ``folder`` and starts what waits in them.

    Calls block and may come from any thread.
    """

    def __init__(self, folder: Path, namespace: str) -> None:
        self._folder = folder
        self._namespace = namespace
        self._caches = folder / ".caches"

    def make_folder(self) -> None:
        """Make the folder for the folders, and sweep what crashed processes left. Idempotent.

        Raises:
            EngineUnavailable: it cannot be made.

        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EngineUnavailable(f"the scratch folder cannot be made: {error}") from error
        sweep_leftovers(self._folder)

    def launch(self, scratch: ScratchFolder, key: str) -> None:
        """Have a process group wait for its project. Does nothing for a name that is there.

        Raises:
            ContainerFailed: the folder cannot be made or the process not started.

        """
        self.make_folder()
        reader, writer = os.pipe()
        try:
            if self._place(scratch, key, reader):
                os.write(writer, b"go\n")
        except OSError as error:
            # Without its word the supervisor ends by itself when the pipe closes.
            shutil.rmtree(scratch.path, ignore_errors=True)
            raise ContainerFailed(f"{scratch.name} could not be started: {error}") from error
        finally:
            os.close(reader)
            os.close(writer)

    def _place(self, scratch: ScratchFolder, key: str, go: int) -> bool:
        """Make the folder and start what waits in it; return False if it was there already.

        It is made under a hidden name first: one that can be seen is whole.
        """
        if scratch.path.exists():
            return False
        fresh = ScratchFolder(hidden_place(self._folder))
        fresh.create()
        leader = spawn(
            ["sh", "-c", _SUPERVISOR, "standby-ci", str(scratch.path)],
            environment=job_variables(scratch, caches=self._caches, inherited=os.environ),
            stdin=go,
            output=fresh.output,
            errors=fresh.errors,
        )
        fresh.write_about(About(self._namespace, key, leader.pid, leader.began))
        return _publish(fresh, scratch)


def _publish(fresh: ScratchFolder, scratch: ScratchFolder) -> bool:
    try:
        fresh.path.rename(scratch.path)
    except OSError as error:
        fresh.delete()
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            return False  # another launch was faster
        raise
    return True
