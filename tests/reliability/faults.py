"""The faults that the system survives, and what is expected and seen of each.

A test names its faults at the beginning of a sentence of its docstring:
``Fault 7.``, ``Faults 7 and 10: …``.
"""

from typing import NamedTuple


class Fault(NamedTuple):
    """What is done, what must come of it, and what the tests saw."""

    what: str
    expected: str
    seen: str


FAULTS: dict[int, Fault] = {
    1: Fault(
        "the server is killed in the middle of an upload",
        "no job of it; what had arrived is swept",
        "no row; the client sent it again and got one job; the temporary file went with the sweep",
    ),
    2: Fault(
        "killed when the project is stashed, before its row is committed",
        "the stash that nobody knows is swept after the grace",
        "the same for zips, trees and packs; the repeated request made one job",
    ),
    3: Fault(
        "killed when the row is committed, before the client is answered",
        "the job runs; repeating the request with its key gives its id",
        "one row, one id, one run; the client noticed a lost connection and nothing else",
    ),
    4: Fault(
        "killed when a job is claimed, before its container is created",
        "one container; the claim stays",
        "attempt 1 started again and ended, no fault charged",
    ),
    5: Fault(
        "killed when the container is there, before the project has reached it",
        "that container runs nothing and goes; the job starts again and is charged nothing",
        "also between creating and starting it, after half of the tar, and with a standby; a "
        "noted container costs an attempt number, never a fault",
    ),
    6: Fault(
        "killed when the project has reached the container, before that is noted",
        "the run that has begun goes on; no second one",
        "attempt 1, every line once; the same for a container that installs dependencies",
    ),
    7: Fault(
        "killed while a job runs",
        "it goes on; its log has no gap and nothing twice",
        "logs and streams equal to the expected bytes, also under kills at random moments",
    ),
    8: Fault(
        "killed when the job has ended, before its result is written",
        "the exit status comes from the engine",
        "exit code 7 stayed 7, a time limit stayed one; an installation that had ended was kept",
    ),
    9: Fault(
        "killed between the result and the clean-up",
        "the clean-up is made up for; the result stays",
        "no container, stash or image left after the next start; the row was not written again",
    ),
    10: Fault(
        "SIGTERM with jobs and streams open",
        "the process ends within its grace; the jobs go on and are adopted",
        "exit code 0 in time; clients went on reading where they were, every line once",
    ),
    11: Fault(
        "the machine loses power or boots anew",
        "jobs that were acknowledged are there; the database is sound",
        "each job answered with an id was there after every unsynced write was thrown away, "
        "and ran to one end; `integrity_check` said ok",
    ),
    12: Fault(
        "the engine restarts and takes the containers with it",
        "`infra_error` and a retry, never a failed test",
        "a status the engine brought about was never taken for the job's own",
    ),
    13: Fault(
        "the engine restarts and the containers outlive it",
        "the log is taken up at its offset",
        "the log went on at its offset, also in the middle of a line and with lines written "
        "while the engine was away; an end in that time was believed",
    ),
    14: Fault(
        "the engine hangs",
        "deadlines fire; HTTP answers; `/ready` says degraded",
        "`/ready` 503 through every worker, `/health` 200, submissions queued and told why; "
        "all went on when the engine did",
    ),
    15: Fault(
        "one container is wedged",
        "other jobs go on",
        "calls about it ran into their deadline; jobs beside it started and ended",
    ),
    16: Fault(
        "a container is removed by hand",
        "noticed within two ticks; the attempt is charged, the job tried again",
        "second attempt by itself, the log says what happened; `infra_error` when they are used up",
    ),
    17: Fault(
        "the disk of the uploads is full",
        "507; nothing left of the upload; running jobs unharmed",
        "507 `storage_full`, first announced by the watermark; `tmp/` empty; the running job "
        "passed; submissions were taken when there was room",
    ),
    18: Fault(
        "the disk of the database is full",
        "reads work, submissions get 503",
        "reads answered, submissions got 503 `database_full`; the verdict was written down "
        "when there was room",
    ),
    19: Fault(
        "the disk of the logs is full",
        "a marker in the log; the job goes on",
        "the log is a beginning of the output and ends with a line that says the disk was "
        "full; exit code 3 stayed 3",
    ),
    20: Fault(
        "another program holds the database locked for 10 s",
        "a bounded wait, then 503",
        "503 `storage_busy` with `Retry-After`, nothing left of the upload; reads did not wait",
    ),
    21: Fault(
        "two servers on one database",
        "one controls; the other serves, and takes over when the first is gone",
        "jobs of before and after the take-over ran once",
    ),
    22: Fault(
        "the database is damaged, or of a newer version",
        "the server does not start and says why; the file stays as it is",
        "exit code 3 with path, reason and way out, twice; no byte of the files changed",
    ),
    23: Fault(
        "the clock jumps by an hour, either way",
        "time limits and the order of jobs stay right",
        "limits follow the time since boot, the order follows the sequence of submissions",
    ),
    24: Fault(
        "the main process runs out of memory",
        "`oom_killed`, exit code 137",
        "the reason says so; it is no failed test",
    ),
    25: Fault(
        "a child process runs out of memory",
        "the command's exit code decides; a line of warning",
        "the verdict is the command's own; the log says that a process was killed",
    ),
    26: Fault(
        "a fork bomb",
        "the machine is fine; the job ends",
        "it never had more processes than its limit; a job beside it passed; its time limit "
        "ended it",
    ),
    27: Fault(
        "a job ignores SIGTERM",
        "killed after the grace",
        "asked once, killed after the grace: 137; the container went",
    ),
    28: Fault(
        "background processes are left",
        "the job ends when its main process does",
        "the job ended at once, and its children with it",
    ),
    29: Fault(
        "a job takes longer than its time limit",
        "`timed_out`",
        "stopped, with the limit named in the last line of the log",
    ),
    30: Fault(
        "a job is cancelled, in every state, and twice",
        "the same as once; one end; the container is gone",
        "queued, starting, installing, running, ending and ended; asked twice: one end each, "
        "no container left",
    ),
    31: Fault(
        "10,000 jobs are queued",
        "a tick costs what it costs with ten; first come, first served; flat memory",
        "the same statements, steps of SQLite and calls of the engine as with ten; jobs started "
        "in the order they came; the server 11 MB larger, as much as SQLite's caches took in",
    ),
    32: Fault(
        "a log of 1 GB",
        "flat memory in server and client",
        "every byte came through `ci submit`, `ci logs` and `ci wait`, also over a slow pipe; "
        "the server grew by 2 MB, clients were 1 MB larger than with a log of 1 MB",
    ),
    33: Fault(
        "one line of 100 MB",
        "flat memory",
        "server and client grew by less than 24 MB each, live and when read again after a crash",
    ),
    34: Fault(
        "invalid UTF-8, NUL, progress bars",
        "the bytes stay in the log; shown as readable text",
        "byte-equal logs; U+FFFD only in the stream",
    ),
    35: Fault(
        "a reader stops reading",
        "flat memory; the others do not notice",
        "20 readers that never read left the server within its limit; another one got all 64 "
        "MB meanwhile",
    ),
    36: Fault(
        "500 readers reconnect, each from where it was",
        "no gap, nothing twice",
        "500 readers cut, stalled and reset at random had the same text, that of the log",
    ),
    37: Fault(
        "half, garbage, empty and hostile zips",
        "4xx with the reason; no row; nothing left on disk",
        "each was refused with its own reason, and left neither row nor file",
    ),
    38: Fault(
        "the image is missing and the registry does not answer",
        "`infra_error` that names the image",
        "the image's name is in the detail and in the log; exit 3 of `ci wait`",
    ),
    39: Fault(
        "a bad entrypoint, an image without `sh` or `tar`",
        "`infra_error` with the cause",
        "the engine's words, and what an image must have",
    ),
}
