"""Examples of secrets."""

from ci_common.api.job_secrets import SecretRequest, SecretView

SECRET_NAME = "PYPI_TOKEN"  # noqa: S105 -- a name

SECRETS = (
    SecretRequest(value="correct-horse-battery-staple"),
    SecretView(
        name=SECRET_NAME,
        project="demo",
        organisation="",
        created_at="2026-11-20T16:02:11.004Z",
        updated_at="2026-11-21T09:30:00.125Z",
    ),
)
