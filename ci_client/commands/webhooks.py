"""`ci webhooks`: who is told of jobs, and what became of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from ci_client.exits import Exit
from ci_client.invocation import Invocation
from ci_client.options import json_option, organisation_option, pass_invocation

_Rows = Sequence[Mapping[str, Any]]

webhook_argument = click.argument("webhook_id", metavar="WEBHOOK")
limit_option = click.option(
    "-n",
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="At most so many.",
)
no_wait_option = click.option("--no-wait", is_flag=True, help="Do not wait for the first try.")


@click.group
def command() -> None:
    """Have other systems told of jobs by HTTP, and see what became of it.

    Messages are signed as Standard Webhooks has it, and repeated until the
    receiver has taken them.
    """


@command.command
@organisation_option
@json_option
@pass_invocation
def ls(invocation: Invocation, *, as_json: bool) -> int:
    """Show the webhooks, the oldest first."""
    from ci_client.webhook_tables import webhooks_table
    from ci_client.webhooks import WebhookCalls

    with invocation.connect() as server:
        webhooks = WebhookCalls(server).all()
    _show(invocation, webhooks, webhooks_table, as_json=as_json)
    for each in webhooks:
        if each.get("disabled_reason"):
            again = invocation.again("webhooks", "enable", each["id"])
            invocation.terminal.note(
                f"{each['id']} is disabled: {each['disabled_reason']}; once that is mended: {again}"
            )
    if not webhooks:
        again = invocation.again("webhooks", "add", "https://…")
        invocation.terminal.note(f"there are none; add one with: {again}")
    return Exit.PASSED


@command.command
@click.argument("url")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="What to tell: job.ended …")
@click.option("--project", "projects", multiple=True, metavar="NAME", help="Only this project.")
@click.option(
    "--reason", "reasons", multiple=True, metavar="REASON", help="Of job.ended only this reason."
)
@click.option("--description", default="", help="What it is for.")
@organisation_option
@json_option
@pass_invocation
def add(invocation: Invocation, /, *, url: str, as_json: bool, **chosen: Any) -> int:  # noqa: ANN401 -- options
    """Have URL told of jobs from now on; print the secret that messages are signed with.

    The secret is shown this once. Without --type it is told of `job.ended`.
    --type, --project and --reason can be given more than once.
    """
    from ci_client.webhooks import WebhookCalls

    asked = {name: list(v) if isinstance(v, tuple) else v for name, v in chosen.items() if v}
    with invocation.connect() as server:
        webhook = WebhookCalls(server).add({"url": url, **asked})
    _show_secret(invocation, webhook, as_json=as_json)
    test = invocation.again("webhooks", "test", webhook["id"])
    invocation.terminal.note(f"webhook {webhook['id']} is added; try it with: {test}")
    return Exit.PASSED


@command.command
@webhook_argument
@pass_invocation
def rm(invocation: Invocation, *, webhook_id: str) -> int:
    """Remove WEBHOOK with its deliveries, also those that are pending."""
    from ci_client.webhooks import WebhookCalls

    with invocation.connect() as server:
        WebhookCalls(server).remove(webhook_id)
    invocation.terminal.note(f"webhook {webhook_id} is removed")
    return Exit.PASSED


@command.command
@webhook_argument
@pass_invocation
def enable(invocation: Invocation, *, webhook_id: str) -> int:
    """Have WEBHOOK told of jobs again, of what happens from now on."""
    return _switch(invocation, webhook_id, enabled=True)


@command.command
@webhook_argument
@pass_invocation
def disable(invocation: Invocation, *, webhook_id: str) -> int:
    """Have nothing sent to WEBHOOK until it is enabled again."""
    return _switch(invocation, webhook_id, enabled=False)


@command.command
@webhook_argument
@no_wait_option
@json_option
@pass_invocation
def test(invocation: Invocation, *, webhook_id: str, no_wait: bool, as_json: bool) -> int:
    """Send WEBHOOK a ping, and tell whether it has arrived: exit code 0, or 3."""
    from ci_client.webhooks import WebhookCalls

    with invocation.connect() as server:
        calls = WebhookCalls(server)
        delivery = calls.test(webhook_id)
        if not no_wait:
            delivery = calls.tried(delivery)
    return _tell(invocation, delivery, no_wait=no_wait, as_json=as_json)


@command.command
@webhook_argument
@click.option("--overlap", default="24h", metavar="TIME", help="So long the old one signs too: 1h.")
@json_option
@pass_invocation
def rotate(invocation: Invocation, *, webhook_id: str, overlap: str, as_json: bool) -> int:
    """Replace the secret of WEBHOOK; print the new one.

    For the time of --overlap, a day if not given, messages carry two
    signatures, so that none is refused while the receiver goes over.
    """
    from ci_client.webhooks import WebhookCalls
    from ci_common.quantities import parse_seconds

    try:
        seconds = parse_seconds(overlap)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--overlap") from error
    with invocation.connect() as server:
        webhook = WebhookCalls(server).rotate(webhook_id, overlap=seconds)
    _show_secret(invocation, webhook, as_json=as_json)
    until = webhook.get("old_secret_until")
    invocation.terminal.note(f"webhook {webhook_id} has a new secret; the old one signs to {until}")
    return Exit.PASSED


@command.command
@webhook_argument
@click.option(
    "--state",
    type=click.Choice(["pending", "delivered", "dead"]),
    help="Only those in this state.",
)
@limit_option
@json_option
@pass_invocation
def deliveries(
    invocation: Invocation, *, webhook_id: str, state: str | None, limit: int, as_json: bool
) -> int:
    """Show the messages to WEBHOOK, the newest first."""
    from ci_client.webhook_tables import deliveries_table
    from ci_client.webhooks import WebhookCalls

    with invocation.connect() as server:
        found = WebhookCalls(server).deliveries(webhook_id, state, limit)
    _show(invocation, found, deliveries_table, as_json=as_json)
    if not found:
        invocation.terminal.note("there are none")
    return Exit.PASSED


@command.command
@limit_option
@organisation_option
@json_option
@pass_invocation
def dead(invocation: Invocation, *, limit: int, as_json: bool) -> int:
    """Show the messages that are not tried any more, of all webhooks."""
    from ci_client.webhook_tables import deliveries_table
    from ci_client.webhooks import WebhookCalls

    with invocation.connect() as server:
        found = WebhookCalls(server).dead(limit)
    _show(invocation, found, deliveries_table, as_json=as_json)
    again = invocation.again("webhooks", "redeliver", found[0]["id"]) if found else ""
    invocation.terminal.note(f"try one again with: {again}" if found else "there are none")
    return Exit.PASSED


@command.command
@click.argument("delivery_id", metavar="DELIVERY")
@no_wait_option
@json_option
@pass_invocation
def redeliver(invocation: Invocation, *, delivery_id: str, no_wait: bool, as_json: bool) -> int:
    """Try DELIVERY again, and tell whether it has arrived: exit code 0, or 3.

    It is the same message with the same id, whatever became of it before.
    """
    from ci_client.webhooks import WebhookCalls

    with invocation.connect() as server:
        calls = WebhookCalls(server)
        delivery = calls.redeliver(delivery_id)
        if not no_wait:
            delivery = calls.tried(delivery)
    return _tell(invocation, delivery, no_wait=no_wait, as_json=as_json)


def _switch(invocation: Invocation, webhook_id: str, *, enabled: bool) -> int:
    from ci_client.webhooks import WebhookCalls

    with invocation.connect() as server:
        WebhookCalls(server).change(webhook_id, {"enabled": enabled})
    invocation.terminal.note(f"webhook {webhook_id} is {'enabled' if enabled else 'disabled'}")
    return Exit.PASSED


def _show(
    invocation: Invocation, rows: _Rows, table: Callable[[_Rows], list[str]], *, as_json: bool
) -> None:
    lines = map(json.dumps, rows) if as_json else table(rows)
    invocation.terminal.data("".join(f"{line}\n" for line in lines))


def _show_secret(invocation: Invocation, webhook: Mapping[str, Any], *, as_json: bool) -> None:
    shown = json.dumps(webhook) if as_json else str(webhook["secret"])
    invocation.terminal.data(f"{shown}\n")


def _tell(
    invocation: Invocation, delivery: Mapping[str, Any], *, no_wait: bool, as_json: bool
) -> int:
    """Say what became of a delivery; return the exit code."""
    from ci_client.webhook_tables import outcome_of

    if as_json:
        invocation.terminal.data(json.dumps(delivery) + "\n")
    name = f"{delivery['type']} {delivery['id']}"
    if no_wait:
        invocation.terminal.note(f"{name} is on its way")
        return Exit.PASSED
    if delivery["state"] == "delivered":
        invocation.terminal.note(f"{name} has arrived: {outcome_of(delivery)}")
        return Exit.PASSED
    why = outcome_of(delivery) or "it has not been tried yet; is the controller running?"
    invocation.terminal.note(f"{name} has not arrived: {why}")
    return Exit.INFRASTRUCTURE
