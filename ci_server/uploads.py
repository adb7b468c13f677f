"""A submission on its way in: a multipart body, taken apart while it arrives.

Memory does not depend on the size of the upload: bytes of the file go to the
disk in batches, and the other fields have limits.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Request
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from ci_common.errors import InvalidOption, InvalidRequest, UploadAborted, UploadTooLarge
from ci_common.job_options import MAX_LABELS, OPTIONS, JobOptions, read_options
from ci_common.job_secrets import read_secret_names
from ci_common.recipe import check_pattern
from ci_common.stash import Upload

if TYPE_CHECKING:
    from litestar.types.asgi_types import ReceiveMessage
    from python_multipart.multipart import MultipartCallbacks

BATCH = 256 * 1024
"""Bytes that are collected before they are written: a smaller upload never waits for a thread."""

PAUSE = 1.0
"""Seconds after which what has been collected goes to the disk: many may stand still at once."""

FORM_OVERHEAD = 128 * 1024
"""Bytes a body may have beyond its file: boundaries, part headers, the other fields."""

FIELD_LIMITS: Mapping[str, int] = {
    "command": 64 * 1024,
    "project": 1024,
    "artifact": 16 * 1024,
    "secret": 16 * 1024,
}
"""Bytes of the fields beside ``file``."""

LONGEST_OPTION = 4 * 1024
"""Bytes of a field that is an option of the job."""

LONGEST_PROJECT = 200
"""Characters of a project's name."""


class UploadForm:
    """The fields of a submission: ``file`` goes to an upload, the others are kept as text."""

    def __init__(
        self, upload: Upload, boundary: bytes, *, max_bytes: int, max_manifest: int = 0
    ) -> None:
        self._upload = upload
        self._max_bytes = max_bytes
        options = dict.fromkeys(OPTIONS, LONGEST_OPTION)
        self._limits = {**FIELD_LIMITS, **options, "manifest": max_manifest}
        self._received = 0
        self._file_size = 0
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._headers: dict[bytes, bytes] = {}
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._fields: dict[str, bytearray] = {}
        self._labels: list[bytearray] = []
        self._part = ""
        self._has_file = False
        self._ended = False
        self._parser = MultipartParser(boundary, self._callbacks())

    @property
    def batch_is_full(self) -> bool:
        """Whether :meth:`flush` is due."""
        return self._pending_size >= BATCH

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body.

        Raises:
            UploadTooLarge: the file, or the body, is over the limit.
            InvalidRequest: not a form, or not one of a submission.

        """
        self._received += len(data)
        if self._received > self._max_bytes + FORM_OVERHEAD + self._limits["manifest"]:
            raise too_large(self._max_bytes)
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise InvalidRequest(f"the multipart body is malformed: {error}") from None

    def flush(self) -> None:
        """Write what has been collected of the file. Blocks for the disk."""
        if self._pending:
            self._upload.write(b"".join(self._pending))
            self._pending.clear()
            self._pending_size = 0

    def end(self) -> None:
        """Say that the body is over.

        Raises:
            InvalidRequest: it lacks its end, or the file.

        """
        if not self._ended:
            raise InvalidRequest(
                "the multipart body stops before its last boundary",
                hint="Send the whole form, for example: curl -F file=@project.zip URL",
            )
        if not self._has_file and "manifest" not in self._fields:
            raise InvalidRequest(
                "the form has no field named file",
                hint="Send the project's zip as the field file: curl -F file=@project.zip URL",
            )
        if self._has_file and self._file_size == 0:
            raise InvalidRequest("the uploaded file is empty", hint="Send a zip of the project.")

    @property
    def has_file(self) -> bool:
        """Whether there is a zip, be it of the project or of what a manifest names."""
        return self._has_file

    @property
    def manifest(self) -> bytes | None:
        """The manifest as it was sent, None if there is none."""
        content = self._fields.get("manifest")
        return None if content is None else bytes(content)

    @property
    def command(self) -> tuple[str, ...] | None:
        """The command to run instead of the detected one, as arguments.

        Raises:
            InvalidRequest: not a JSON array of strings.

        """
        if "command" not in self._fields:
            return None
        try:
            command = msgspec.json.decode(self._fields["command"], type=tuple[str, ...])
        except (msgspec.DecodeError, UnicodeDecodeError):
            command = ()
        if not command or not command[0] or any("\0" in argument for argument in command):
            raise InvalidRequest(
                "the field command is not a JSON array of strings",
                hint='Write it like ["pytest", "-x", "tests/unit"].',
            )
        return command

    @property
    def project(self) -> str:
        """The project's name for lists.

        Raises:
            InvalidRequest: too long, or not printable text.

        """
        try:
            name = self._fields.get("project", b"").decode().strip()
        except UnicodeDecodeError:
            name = "\0"
        if len(name) > LONGEST_PROJECT or not name.isprintable():
            raise InvalidRequest(
                f"the field project is not printable text of at most {LONGEST_PROJECT} characters"
            )
        return name

    @property
    def artifacts(self) -> tuple[str, ...]:
        """Patterns of files to keep, beside those that the project names.

        Raises:
            InvalidRequest: one leaves the project, or is not text.

        """
        try:
            text = self._fields.get("artifact", b"").decode()
            return tuple(check_pattern(line) for line in text.split("\n") if line.strip())
        except ValueError as error:
            why = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error
            raise InvalidRequest(
                f"the field artifact: {why}", hint="Write it like htmlcov/** or report.xml."
            ) from error

    @property
    def secrets(self) -> tuple[str, ...]:
        """Names of secrets to give to the job, beside those that the project names.

        Raises:
            InvalidRequest: one is no name of a secret, or there are too many.

        """
        try:
            text = self._fields.get("secret", b"").decode()
            return read_secret_names(line for line in text.split("\n") if line.strip())
        except ValueError as error:
            why = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error
            raise InvalidRequest(
                f"the field secret: {why}", hint="Name it as ci secret ls does: PYPI_TOKEN."
            ) from error

    def check(self) -> None:
        """Return if every field can be used. Raises ``InvalidRequest``."""
        _ = self.command, self.project, self.artifacts, self.secrets

    @property
    def options(self) -> JobOptions:
        """What is said about the job beside its project.

        Raises:
            InvalidOption: one of them cannot be used.

        """
        given = {name: [self._fields[name]] for name in OPTIONS if name in self._fields}
        if self._labels:
            given["label"] = self._labels
        try:
            texts = {name: [each.decode() for each in raw] for name, raw in given.items()}
        except UnicodeDecodeError:
            raise InvalidOption(
                "an option of the job is not UTF-8 text", hint="Encode the form as UTF-8."
            ) from None
        return read_options(texts)

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._collect(self._header_name),
            "on_header_value": self._collect(self._header_value),
            "on_header_end": self._end_header,
            "on_headers_finished": self._name_part,
            "on_part_data": self._part_data,
            "on_end": self._end,
        }

    @staticmethod
    def _collect(into: bytearray) -> Callable[[bytes, int, int], None]:
        def collect(data: bytes, start: int, end: int) -> None:
            into.extend(data[start:end])

        return collect

    def _begin_part(self) -> None:
        self._headers.clear()

    def _end_header(self) -> None:
        self._headers[bytes(self._header_name).lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _name_part(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        name = options.get(b"name", b"").decode(errors="replace")
        if name != "file" and name not in self._limits:
            raise InvalidRequest(
                f"the form has a field {name[:50]!r} that means nothing here",
                hint="The fields are file, manifest, command, project, artifact, secret,"
                f" {', '.join(OPTIONS)}.",
            )
        if name == "manifest" and not self._limits[name]:
            raise InvalidRequest(
                "this server takes no manifests (CI_BLOB_BYTES=0)",
                hint="Send the project's zip as the field file.",
            )
        if name in ("artifact", "secret") and name in self._fields:
            # It may come more than once; a line is a pattern, or a name.
            self._part = name
            self._fields[name] += b"\n"
            return
        if name in self._fields or (name == "file" and self._has_file):
            raise InvalidRequest(f"the form has the field {name} more than once")
        self._part = name
        if name == "file":
            self._has_file = True
        elif name == "label":
            self._labels.append(bytearray())
            if len(self._labels) > MAX_LABELS:
                raise InvalidOption(
                    f"the option label: more than {MAX_LABELS} of them", hint="Send fewer."
                )
        else:
            self._fields[name] = bytearray()

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part != "file":
            field = self._labels[-1] if self._part == "label" else self._fields[self._part]
            field.extend(data[start:end])
            if len(field) > self._limits[self._part]:
                raise InvalidRequest(f"the field {self._part} is too long")
            return
        self._file_size += end - start
        if self._file_size > self._max_bytes:
            raise too_large(self._max_bytes)
        self._pending.append(data[start:end])
        self._pending_size += end - start

    def _end(self) -> None:
        self._ended = True


async def receive_form(
    request: Request[Any, Any, Any], form: UploadForm, *, idle_timeout: float
) -> None:
    """Read the whole body into ``form``, except for its last batch, which is left to flush.

    Raises:
        UploadAborted: the client went away, or sent nothing for ``idle_timeout`` seconds.
        UploadTooLarge, InvalidRequest: as :meth:`UploadForm.feed`.
        StorageFull: the disk is full.

    """
    more = True
    while more:
        message = await _next_message(request, form, idle_timeout)
        if message["type"] != "http.request":
            raise UploadAborted
        if body := message["body"]:
            form.feed(body)
        if form.batch_is_full:
            await asyncio.to_thread(form.flush)
        more = message.get("more_body", False)
    form.end()


async def _next_message(
    request: Request[Any, Any, Any], form: UploadForm, idle_timeout: float
) -> "ReceiveMessage":
    with suppress(TimeoutError):
        async with asyncio.timeout(min(PAUSE, idle_timeout)):
            return await request.receive()
    await asyncio.to_thread(form.flush)
    try:
        async with asyncio.timeout(max(0.0, idle_timeout - PAUSE)):
            return await request.receive()
    except TimeoutError:
        raise UploadAborted(f"the upload stood still for {idle_timeout:g} s") from None


def boundary_of(request: Request[Any, Any, Any]) -> bytes:
    """Return the boundary of the request's form.

    Raises:
        InvalidRequest: the request is not a multipart form.

    """
    media_type, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if media_type != b"multipart/form-data" or not 0 < len(boundary) <= 70:
        raise InvalidRequest(
            "a submission is a multipart/form-data request with a boundary",
            hint="Send the project's zip as a form: curl -F file=@project.zip URL",
        )
    return boundary


def refuse_too_large(
    request: Request[Any, Any, Any], max_bytes: int, max_manifest: int = 0
) -> None:
    """Refuse by the announced length, before anything is read. Raises ``UploadTooLarge``."""
    if announced_size(request) > max_bytes + FORM_OVERHEAD + max_manifest:
        raise too_large(max_bytes)


def announced_size(request: Request[Any, Any, Any]) -> int:
    """Return how many bytes the body is said to have; 0 if that is not said."""
    announced = request.headers.get("content-length", "")
    return int(announced) if announced.isdecimal() else 0


def too_large(max_bytes: int) -> UploadTooLarge:
    """Return the refusal of an upload over ``max_bytes``."""
    return UploadTooLarge(
        f"the upload is larger than the {max_bytes} bytes this server accepts",
        hint="Leave out what the tests do not need (.ciignore), or raise CI_MAX_UPLOAD_BYTES.",
    )
