"""Every error this system raises on purpose, and the stable code of each.

::

    CIError
    ├── InvalidRequest            the caller's input is wrong; nothing was kept
    │   ├── InvalidArchive        the zip is refused; the text says which rule
    │   ├── InvalidRecipe         [tool.ci], ci.toml or a submitted command is wrong
    │   ├── InvalidOption         an option of a submission is wrong, or over the server's cap
    │   └── RangeNotSatisfiable   a Range header past the end of a log
    ├── UploadTooLarge            more bytes than the server takes
    ├── UploadAborted             the client went away in mid-upload
    ├── RateLimited               more requests than a client may send
    ├── RequestTimedOut           the answer did not begin in time
    ├── JobNotFound
    ├── ResultNotFound            the job left no such file
    ├── ProjectGone               the project of a job that is to be retried is not kept any more
    ├── AmbiguousJob              a prefix that fits more than one job
    ├── WebhookNotFound           no webhook with that id
    ├── DeliveryNotFound          no delivery with that id, or not any more
    ├── NotSignedIn               no credential, or one that is not good (any more)
    │   └── SignInRefused         whoever it is may not sign in here
    ├── ProviderUnavailable       the identity provider does not answer, or not as it should
    ├── SessionNotFound           no session with that id, or the request is of none
    ├── LinkNotGood               a one-time link that is unknown, used or over
    ├── PermissionDenied          the actor may see it, but not do this to it
    ├── UserNotFound
    ├── OrganisationNotFound
    ├── KeyNotFound               no API key with that id
    ├── SecretNotFound            no secret of that name there
    ├── SecretsUnreadable         the key to them is missing, or is another one
    ├── NameTaken                 a user or an organisation has that name
    ├── LastAdmin                 nobody would be left to look after the server
    ├── OrganisationInUse         it has jobs
    ├── QuotaExceeded             the organisation has as much as it may have
    ├── IdempotencyConflict       one key, two different submissions
    ├── BlobsMissing              a manifest names files that the server does not have
    ├── StorageFull               the disk, or what we may use of it, is full
    │   └── DatabaseFull          nothing at all can be written down, of any size
    ├── StorageBusy               the database stayed locked past its deadline
    ├── ServerStopping            it is on its way out; another, or the next, takes it
    ├── DatabaseUnusable          corrupt, or written by a newer version
    ├── BackupUnusable            a backup that is not whole, or newer than we are
    ├── InvalidTransition         a write the state machine does not know
    ├── ConfigurationError        a setting is wrong; the text names it and the fix
    ├── EngineError               the machinery that runs containers
    │   ├── EngineUnavailable     it does not answer (now)
    │   ├── ImageMissing          the image is neither here nor to be had
    │   ├── ContainerGone         no container of that name
    │   └── ContainerFailed       it could not be started or fed, and why
    └── ClientError               the client's view of the world
        ├── ServerUnreachable     no connection, or it stayed lost
        ├── AuthenticationFailed  the server asks for a key, or refuses ours
        └── ServerRefused         a problem document that has no class of its own

``code`` never changes once released: tables (HTTP status, CLI exit) and
users' scripts hang on it. ``hint`` is the way out, as one sentence.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import ClassVar


class CIError(Exception):
    """Something went wrong inside Standby CI."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str | None = None, *, hint: str | None = None) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip()
        self.hint = hint
        super().__init__(self.detail)


class InvalidRequest(CIError):
    """The request is not valid."""

    code = "invalid_request"


class InvalidArchive(InvalidRequest):
    """The upload is not a project zip that can be run."""

    code = "invalid_archive"


class InvalidRecipe(InvalidRequest):
    """The project's CI configuration is not valid."""

    code = "invalid_recipe"


class InvalidOption(InvalidRequest):
    """An option of the job is not valid."""

    code = "invalid_option"


class RangeNotSatisfiable(InvalidRequest):
    """The requested range lies outside the log."""

    code = "range_not_satisfiable"


class UploadTooLarge(CIError):
    """The upload is larger than this server accepts."""

    code = "upload_too_large"


class UploadAborted(CIError):
    """The upload ended before it was complete."""

    code = "upload_aborted"


class RateLimited(CIError):
    """You sent more requests than this server takes from one client.

    ``retry_after``: seconds until the next one is taken.
    """

    code = "rate_limited"

    def __init__(
        self, detail: str | None = None, *, hint: str | None = None, retry_after: float = 0
    ) -> None:
        super().__init__(detail, hint=hint)
        self.retry_after = retry_after


class RequestTimedOut(CIError):
    """The server could not answer in time."""

    code = "request_timed_out"


class JobNotFound(CIError):
    """There is no such job."""

    code = "job_not_found"


class ResultNotFound(CIError):
    """The job left nothing like that."""

    code = "result_not_found"


class ProjectGone(CIError):
    """The job's project is not kept any more."""

    code = "project_gone"


class AmbiguousJob(CIError):
    """More than one job id begins like that."""

    code = "ambiguous_job"


class WebhookNotFound(CIError):
    """There is no such webhook."""

    code = "webhook_not_found"


class DeliveryNotFound(CIError):
    """There is no such delivery."""

    code = "delivery_not_found"


class NotSignedIn(CIError):
    """This server wants to know who you are."""

    code = "not_signed_in"


class SignInRefused(NotSignedIn):
    """You cannot sign in here."""

    code = "sign_in_refused"


class ProviderUnavailable(CIError):
    """The identity provider does not answer."""

    code = "provider_unavailable"


class SessionNotFound(CIError):
    """There is no such session."""

    code = "session_not_found"


class LinkNotGood(CIError):
    """This link was used already, or is over. Ask an administrator for a new one."""

    code = "link_not_good"


class PermissionDenied(CIError):
    """You may not do this."""

    code = "permission_denied"


class UserNotFound(CIError):
    """There is no such user."""

    code = "user_not_found"


class OrganisationNotFound(CIError):
    """There is no such organisation."""

    code = "organisation_not_found"


class KeyNotFound(CIError):
    """There is no such API key."""

    code = "key_not_found"


class SecretNotFound(CIError):
    """There is no such secret."""

    code = "secret_not_found"


class SecretsUnreadable(CIError):
    """The secrets cannot be read."""

    code = "secrets_unreadable"


class NameTaken(CIError):
    """Another one has this name."""

    code = "name_taken"


class LastAdmin(CIError):
    """Nobody would be left who is a server admin."""

    code = "last_admin"


class OrganisationInUse(CIError):
    """The organisation has jobs."""

    code = "organisation_in_use"


class QuotaExceeded(CIError):
    """The organisation has as much as it may have."""

    code = "quota_exceeded"


class IdempotencyConflict(CIError):
    """This idempotency key was used for a different submission."""

    code = "idempotency_conflict"


class BlobsMissing(CIError):
    """The server does not have all files of the manifest.

    ``missing``: first and last number of each run of rows that it lacks.
    """

    code = "blobs_missing"

    def __init__(
        self,
        detail: str | None = None,
        *,
        hint: str | None = None,
        missing: Sequence[tuple[int, int]] = (),
    ) -> None:
        super().__init__(detail, hint=hint)
        self.missing = missing


class StorageFull(CIError):
    """There is no space left to store this."""

    code = "storage_full"


class DatabaseFull(StorageFull):
    """There is no space left to write anything down."""

    code = "database_full"


class StorageBusy(CIError):
    """The database is locked by another process."""

    code = "storage_busy"


class ServerStopping(CIError):
    """The server is shutting down."""

    code = "server_stopping"


class DatabaseUnusable(CIError):
    """The database cannot be used."""

    code = "database_unusable"


class BackupUnusable(CIError):
    """The backup cannot be restored."""

    code = "backup_unusable"


class InvalidTransition(CIError):
    """A job cannot go from its state to that one."""

    code = "invalid_transition"


class ConfigurationError(CIError):
    """A setting is not valid."""

    code = "configuration_error"


class EngineError(CIError):
    """The container engine reported an error."""

    code = "engine_error"


class EngineUnavailable(EngineError):
    """The container engine does not answer."""

    code = "engine_unavailable"


class ImageMissing(EngineError):
    """The image is not on this machine and could not be pulled."""

    code = "image_missing"


class ContainerGone(EngineError):
    """The container is no longer there."""

    code = "container_gone"


class ContainerFailed(EngineError):
    """The container could not be started."""

    code = "container_failed"


class ClientError(CIError):
    """The client could not do what was asked."""

    code = "client_error"


class ServerUnreachable(ClientError):
    """The server cannot be reached."""

    code = "server_unreachable"


class AuthenticationFailed(ClientError):
    """The server did not accept the API key."""

    code = "authentication_failed"


class ServerRefused(ClientError):
    """The server refused the request."""

    code = "server_refused"
