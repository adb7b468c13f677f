from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_common.errors import InvalidRequest, UploadTooLarge
from ci_server.uploads import FORM_OVERHEAD, UploadForm


class MemoryUpload:
    """An upload that keeps what is written."""

    def __init__(self) -> None:
        self.content = b""
        self.path = ""

    @property
    def size(self) -> int:
        return len(self.content)

    def write(self, data: bytes) -> None:
        self.content += data


def part(name: str, content: bytes, *, filename: str | None = None) -> bytes:
    extra = f'; filename="{filename}"' if filename else ""
    head = f'--xyz\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'
    return head.encode() + content + b"\r\n"


END = b"--xyz--\r\n"


def parse(body: bytes, cuts: tuple[int, ...] = (), *, max_bytes: int = 1000) -> UploadForm:
    upload = MemoryUpload()
    form = UploadForm(upload, b"xyz", max_bytes=max_bytes)
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    for start, stop in pairwise(edges):
        form.feed(body[start:stop])
    form.end()
    form.flush()
    form.upload = upload
    return form


@settings(deadline=None)
@given(
    content=st.binary(min_size=1, max_size=80)
    | st.lists(st.sampled_from([b"\r\n--xy", b"\r\n", b"--xyz", b"z"]), min_size=1).map(b"".join),
    cuts=st.lists(st.integers(min_value=0, max_value=300), max_size=8).map(tuple),
)
def test_the_file_arrives_whole_however_the_body_is_cut(content, cuts):
    body = part("project", b"demo") + part("file", content, filename="p.zip") + END
    if b"\r\n--xyz" in b"\r\n" + content:
        return
    form = parse(body, cuts)
    assert form.upload.content == content
    assert form.project == "demo"


def test_the_command_is_a_list_of_arguments():
    form = parse(part("command", b'["pytest", "-k", "a b"]') + part("file", b"zip") + END)
    assert form.command == ("pytest", "-k", "a b")
    assert parse(part("file", b"zip") + END).command is None


@pytest.mark.parametrize(
    "command", [b"pytest", b"[]", b'[""]', b"[1]", b'"x"', b'["a\\u0000b"]', b"\xff", b"", b"null"]
)
def test_a_command_that_is_no_list_of_texts_is_refused(command):
    form = parse(part("command", command) + part("file", b"zip") + END)
    with pytest.raises(InvalidRequest, match="JSON array of strings"):
        _ = form.command


@pytest.mark.parametrize("project", [b"x" * 201, b"a\nb", b"\x1b[31m", b"\xff", "é".encode() * 201])
def test_a_project_name_is_short_printable_text(project):
    form = parse(part("project", project) + part("file", b"zip") + END)
    with pytest.raises(InvalidRequest, match="printable"):
        _ = form.project


def test_a_name_may_be_any_language():
    form = parse(part("project", "Prüfung 測試".encode()) + part("file", b"zip") + END)
    assert form.project == "Prüfung 測試"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "stops before its last boundary"),
        (END, "no field named file"),
        (part("project", b"x") + END, "no field named file"),
        (part("file", b"") + END, "empty"),
        (part("file", b"zip"), "stops before its last boundary"),
        (part("file", b"a") + part("file", b"b") + END, "more than once"),
        (part("project", b"a") + part("project", b"b") + END, "more than once"),
        (part("elif", b"a") + END, "'elif' that means nothing"),
        (part("", b"a") + END, "means nothing"),
        (b"--xyz\r\n\r\nno headers\r\n" + END, "means nothing"),
        (part("project", b"x" * 2000) + END, "project is too long"),
        (part("command", b"x" * 70_000) + END, "command is too long"),
        (b"--other\r\n\r\n" + END, "malformed"),
        (b"--xyz\r\n" + b"A: b\r\n" * 500 + b"\r\n\r\n" + END, "malformed"),
        (b"--xyz\r\nContent-Disposition: " + b"a" * 50_000, "malformed"),
        (b"\0" * 500, "malformed"),
    ],
)
def test_a_form_that_is_no_submission_is_refused(body, reason):
    with pytest.raises(InvalidRequest, match=reason):
        parse(body)


def test_a_file_of_exactly_the_limit_passes_and_one_more_byte_does_not():
    assert len(parse(part("file", b"x" * 1000) + END).upload.content) == 1000
    with pytest.raises(UploadTooLarge, match="1000 bytes"):
        parse(part("file", b"x" * 1001) + END)


def test_what_comes_after_the_form_counts_too():
    with pytest.raises(UploadTooLarge):
        parse(part("file", b"x") + END + b"y" * (FORM_OVERHEAD + 1000))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_body_does_more_harm_than_a_refusal(body):
    with suppress(InvalidRequest, UploadTooLarge):
        parse(part("file", b"x")[:60] + body)
