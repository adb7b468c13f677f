"""What an installation depends on: the files it reads, and the key over all of it."""

from dataclasses import replace

import pytest

from ci_common.executor import ContainerSpec
from ci_common.recipe import Recipe
from ci_common.snapshots import is_visible
from ci_controller.dependencies import DependencyFile, dependency_files, snapshot_key
from tests.fakes.zips import build, file, honest_zip, link

READS = Recipe(dependencies=("ci_pip install -r a.txt",), dependency_files=("a.txt",))
SPEC = ContainerSpec(
    image="image", memory=1, cpus=1.0, pids=1, network="bridge", log_limit=1, user="1:1"
)
FILE = DependencyFile("a.txt", 0o644, b"one\n")


@pytest.fixture
def stash(tmp_path):
    def put(content: bytes) -> str:
        path = tmp_path / "project.zip"
        path.write_bytes(content)
        return str(path)

    return put


def test_the_files_come_with_path_mode_and_content(stash):
    path = stash(build(file("top/b.py"), file("top/a.txt", b"one\n", mode=0o755)))
    found = dependency_files(path, replace(READS, root="top"), {})
    assert found == [DependencyFile("top/a.txt", 0o755, b"one\n")]


def test_nothing_is_read_where_nothing_is_needed():
    recipe = Recipe(dependencies=("ci_pip install one",))
    assert dependency_files("no such file", recipe, {"PIP_INDEX_URL": "https://a/b"}) == ()


@pytest.mark.parametrize("content", [b"no zip", honest_zip({"other": b""})])
def test_what_cannot_be_read_cannot_be_said(stash, content):
    assert dependency_files(stash(content), READS, {}) is None


def test_a_link_may_lead_anywhere(stash):
    assert dependency_files(stash(build(file("b"), link("a.txt", "b"))), READS, {}) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PIP_CONSTRAINT", "c/c.txt"),
        ("PIP_CONSTRAINT", "./c/../c/c.txt"),
        ("PIP_CONSTRAINT", "/ci/workspace/c/c.txt"),
        ("PIP_CONSTRAINT", "https://elsewhere/ c/c.txt"),
        ("UV_FIND_LINKS", "/tmp/ci/workspace/c"),
        ("PIP_FIND_LINKS", "c"),
        ("PIP_FIND_LINKS", "."),
        ("UV_INDEX", "mine=file:///ci/workspace/c"),
        ("SSL_CERT_FILE", "c/c.txt"),
    ],
)
def test_a_variable_that_leads_into_the_project(stash, name, value):
    path = stash(honest_zip({"a.txt": b"", "c/c.txt": b""}))
    assert dependency_files(path, READS, {name: value}) is None
    assert dependency_files(path, replace(READS, env={name: value}), {}) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PIP_CONSTRAINT", "/etc/c.txt"),
        ("PIP_INDEX_URL", "https://a.txt/c"),
        ("PIP_NO_INPUT", "1"),
        ("PYTHONPATH", "c"),
        ("PIP_CONSTRAINT", "gone.txt"),
        ("EMPTY", ""),
    ],
)
def test_a_variable_that_does_not(stash, name, value):
    path = stash(honest_zip({"a.txt": b"", "c/c.txt": b""}))
    assert dependency_files(path, READS, {name: value}) is not None


def key(**changes) -> str:
    values = {
        "image_id": "sha256:1",
        "script": b"script",
        "environment": b"env",
        "spec": SPEC,
        "files": (FILE,),
    } | changes
    return snapshot_key(**values)


@pytest.mark.parametrize(
    "change",
    [
        {"image_id": "sha256:2"},
        {"script": b"another"},
        {"environment": b"another"},
        {"spec": replace(SPEC, user="2")},
        {"spec": replace(SPEC, user=None)},
        {"spec": replace(SPEC, network="none")},
        {"files": ()},
        {"files": (replace(FILE, path="b.txt"),)},
        {"files": (replace(FILE, mode=0o755),)},
        {"files": (replace(FILE, content=b"two\n"),)},
        {"files": (FILE, FILE)},
        {"script": b"script3:env", "environment": b""},
    ],
)
def test_the_key_tells_installations_apart(change):
    assert key(**change) != key()


@pytest.mark.parametrize("change", [{"memory": 2}, {"cpus": 2.0}, {"log_limit": 2}])
def test_limits_are_no_part_of_the_key(change):
    assert key(spec=replace(SPEC, **change)) == key()


def test_the_key_is_the_same_in_every_process():
    assert key() == "41d527b063a5f3a3af28aacfdc3ec1b085acaffeaadc9accabe5b60c82b4912b"


def test_what_one_organisation_installs_is_for_no_other():
    keys = {key(organisation=name) for name in ("", "org_a", "org_b")}
    assert len({each.partition(".")[0] for each in keys}) == 3
    for name in ("org_a", "org_b"):
        own = key(organisation=name)
        visible = {each for each in keys if is_visible(each, frozenset({name}))}
        assert visible == {own}
    assert not is_visible(key(), frozenset({""}))
    assert all(is_visible(each, None) for each in keys)
    # The image's tag: the longest prefix that the settings take, and the key.
    assert len("p" * 41 + key(organisation="org_a")) <= 128
