"""What real jobs leave, through real servers and engines, by HTTP and by the command line."""

import json

import pytest

from tests.waiting import eventually

pytestmark = pytest.mark.docker

TESTS = """
import os, subprocess, sys, pathlib

def test_passes():
    pathlib.Path("htmlcov/sub").mkdir(parents=True)
    pathlib.Path("htmlcov/sub/index.html").write_text("<html>")
    os.symlink("/etc/passwd", "htmlcov/passwd")
    pathlib.Path("coverage.xml").write_text('<coverage line-rate="0.75"/>')

def test_nested(tmp_path):
    (tmp_path / "test_inner.py").write_text("def test_inner(): assert 0")
    done = subprocess.run([sys.executable, "-m", "pytest", str(tmp_path)])
    assert done.returncode == 1

def test_fails():
    assert 1 == 2
"""


def test_everything_a_job_of_pytest_leaves(server, engine, tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "test_it.py").write_text(TESTS)
    done = server.ci("submit", "-o", "htmlcov/**", str(folder))
    assert done.returncode == 1, done.stderr.decode()
    told = done.stderr.decode()
    assert "1 artifact, " in told
    assert "left out: htmlcov/passwd: a symbolic link" in told
    assert "get: ci " in told
    assert b"plugins:" not in done.stdout
    failed = server.ci("tests", "--failed", "--json")
    assert [json.loads(line)["node_id"] for line in failed.stdout.splitlines()] == [
        "test_it.py::test_fails"
    ]
    assert b"2 passed, 1 failed" in failed.stderr
    assert b"75.0% of lines (coverage.xml)" in failed.stderr
    got = server.ci("artifacts", "get", "last", "-d", str(tmp_path / "got"))
    assert got.returncode == 0, got.stderr.decode()
    files = [path for path in (tmp_path / "got").rglob("*") if not path.is_dir()]
    assert [path.read_text() for path in files] == ["<html>"]
    job = server.job("last")
    assert (job["results"], job["tests"]["failed"]) == ("collected", 1)
    eventually(lambda: not engine.containers(), what="the container is gone")
    ((tree, image),) = server.rows("SELECT tree_sha256, image_id FROM jobs")
    assert len(tree) == 64
    assert image.startswith("sha256:")


def test_a_job_that_runs_out_of_time_leaves_what_it_came_to(server, tmp_path):
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "ci.toml").write_text("timeout = 12\nartifacts = ['*.txt']\n")
    (folder / "test_it.py").write_text(
        "import time\n"
        "def test_quick(): open('out.txt', 'w').write('so far')\n"
        "def test_slow(): time.sleep(600)\n"
    )
    assert server.ci("submit", str(folder)).returncode == 6
    told = server.ci("tests", "--json")
    outcomes = {test["name"]: test["outcome"] for test in map(json.loads, told.stdout.splitlines())}
    assert outcomes == {"test_quick": "passed", "test_slow": "error"}
    listed = server.ci("artifacts", "ls", "last", "--json")
    assert [json.loads(line)["path"] for line in listed.stdout.splitlines()] == ["out.txt"]


def test_a_flaky_test_is_found_on_the_same_files_in_the_same_image(server, tmp_path):
    folder = tmp_path / "flaky"
    folder.mkdir()
    (folder / "test_it.py").write_text(
        "import os\ndef test_moody(): assert 'LUCK' in os.environ\ndef test_steady(): pass\n"
    )
    assert server.ci("submit", str(folder)).returncode == 1
    lucky = ("--", "env", "LUCK=1", "python", "-m", "pytest")
    assert server.ci("submit", str(folder), *lucky).returncode == 0
    eventually(
        lambda: server.rows("SELECT count(*) FROM results WHERE state = 'collected'") == [(2,)],
        what="both are collected",
    )
    found = server.ci("tests", "--flaky", "--json")
    tests = [json.loads(line) for line in found.stdout.splitlines()]
    assert [(test["node_id"], test["passed"], test["failed"]) for test in tests] == [
        ("test_it.py::test_moody", 1, 1)
    ]
    past = server.ci("tests", "--history", "test_it.py::test_moody", "--json")
    outcomes = [json.loads(line)["outcome"] for line in past.stdout.splitlines()]
    assert outcomes == ["passed", "failed"]
