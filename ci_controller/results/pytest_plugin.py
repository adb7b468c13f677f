"""A pytest plugin that runs in jobs and writes down how each test ends.

It is fed into the container with the project and never imported by us: it has
to work with any pytest on any Python, needs nothing but the standard library,
and whatever goes wrong here must not show in the job. pytest finds it by an
entry point on ``PYTHONPATH``; where that is not passed on, nothing is written
down and nothing else happens.

A journal is lines of JSON: what is on disk is true even if the process is
killed. Only the outermost pytest writes one: it takes the variable away from
the tests, and from processes that they start.
"""

import json
import os
import sys
import time

VARIABLE = "CI_TEST_JOURNAL"
MESSAGE = 2000
MOST_TESTS = 100000


def pytest_configure(config):
    try:
        hide(config)
        folder = os.environ.pop(VARIABLE, None)
        if folder and not hasattr(config, "workerinput") and not hasattr(config, "slaveinput"):
            config.pluginmanager.register(Journal(config, folder), "standby-ci-journal")
    except Exception:
        pass


def hide(config):
    """Leave no trace of how the plugin came here."""
    home = os.path.dirname(os.path.abspath(__file__))
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if home in paths:
        paths = [path for path in paths if path != home]
        if paths:
            os.environ["PYTHONPATH"] = os.pathsep.join(paths)
        else:
            del os.environ["PYTHONPATH"]
    sys.path[:] = [path for path in sys.path if path != home]
    # Else the first lines of the output would name us among the project's plugins.
    found = config.pluginmanager._plugin_distinfo
    me = sys.modules[__name__]
    found[:] = [pair for pair in found if pair[0] is not me]


def careful(hook):
    def call(self, *given):
        try:
            hook(self, *given)
        except Exception:
            self.file = None

    return call


class Journal:
    def __init__(self, config, folder):
        self.config = config
        self.pid = os.getpid()
        self.tests = 0
        self.open = {}
        name = "%d-%d.jsonl" % (time.time() * 1000, self.pid)
        self.file = open(os.path.join(folder, name), "a")
        root = str(getattr(config, "rootpath", None) or config.rootdir)
        self.prefix = os.path.relpath(root, os.getcwd()).replace(os.sep, "/")

    def say(self, **line):
        # A process that a test forked has the file too, but nothing to say.
        if self.file is not None and os.getpid() == self.pid:
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()

    def id_of(self, nodeid):
        """Return a node id as pytest takes it in the folder in which it was started."""
        if self.prefix == ".":
            return nodeid
        path, separator, rest = nodeid.partition("::")
        return os.path.normpath(os.path.join(self.prefix, path)).replace(os.sep, "/") + (
            separator + rest
        )

    def pytest_runtest_logstart(self, nodeid):
        self.started(nodeid)

    def pytest_runtest_logreport(self, report):
        self.reported(report)

    def pytest_collectreport(self, report):
        self.collected(report)

    def pytest_unconfigure(self):
        self.finished()

    @careful
    def started(self, nodeid):
        self.tests += 1
        if self.tests <= MOST_TESTS:
            self.say(start=self.id_of(nodeid))

    @careful
    def reported(self, report):
        phases = self.open.setdefault(report.nodeid, [0.0, "passed", ""])
        phases[0] += getattr(report, "duration", 0.0) or 0.0
        outcome = outcome_of(report)
        if outcome == "rerun":
            del self.open[report.nodeid]
            return
        # What went wrong first counts; a failed test stays failed if its clean-up fails too.
        if outcome != "passed" and phases[1] not in ("failed", "error"):
            phases[1], phases[2] = outcome, message_of(report)
        if report.when == "teardown":
            duration, outcome, message = self.open.pop(report.nodeid)
            if self.tests <= MOST_TESTS:
                self.say(
                    test=self.id_of(report.nodeid),
                    outcome=outcome,
                    duration=round(duration, 6),
                    message=message,
                )

    @careful
    def collected(self, report):
        if report.outcome in ("failed", "skipped") and report.nodeid:
            outcome = "error" if report.outcome == "failed" else "skipped"
            node_id = self.id_of(report.nodeid)
            self.say(test=node_id, outcome=outcome, duration=0.0, message=message_of(report))

    @careful
    def finished(self):
        covered = getattr(self.config.pluginmanager.getplugin("_cov"), "cov_total", None)
        if covered is not None:
            self.say(covered=float(covered))
        if self.file is not None:
            self.file.close()
            self.file = None


def outcome_of(report):
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.outcome == "skipped" else report.outcome
    if report.outcome == "failed":
        return "failed" if report.when == "call" else "error"
    return report.outcome


def message_of(report):
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail)[:MESSAGE]
    longrepr = report.longrepr
    if isinstance(longrepr, tuple) and len(longrepr) == 3:
        return str(longrepr[2])[:MESSAGE]
    crash = getattr(longrepr, "reprcrash", None)
    if crash is not None:
        return str(crash.message)[:MESSAGE]
    return str(longrepr or "")[-MESSAGE:]
