"""What tests of check and repair have in common."""

import os
import sqlite3
from contextlib import closing

from ci_persistence.check import Premises, check
from ci_persistence.findings import Finding
from ci_persistence.space import DiskSpace, Reserve
from tests.unit.persistence.data import Data

GRACE = 60.0
RESERVE = 4096


def premises_of(data: Data) -> Premises:
    reserve = Reserve(data.paths.reserve, RESERVE)
    space = DiskSpace((data.folder,), min_free=1, reserve=reserve)
    return Premises(data=data.paths, clock=data.clock, grace=GRACE, space=space, reserve=reserve)


def looked(premises, meanwhile=lambda: None) -> list[Finding]:
    return check(premises, lambda _: meanwhile())


def change(data, statement, *values):
    with closing(sqlite3.connect(data.paths.database)) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1


def age(data, path, seconds=2 * GRACE):
    when = data.clock.now().wall.timestamp() - seconds
    os.utime(path, (when, when))
    return path


def placed(data, name, content=b"x"):
    path = data.folder / name
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o600)
    return age(data, path)
