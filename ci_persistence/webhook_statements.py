"""The SQL of ``webhooks.py``."""
# ruff: noqa: S608 -- statements are put together from constants; all values are bound

from ci_common.webhooks import DeliveryState
from ci_persistence.webhook_rows import CHANGE, DELIVERY, WEBHOOK

# Part of the text, not bound: only then can SQLite use the indexes that hold one state.
_PENDING = f"state = '{DeliveryState.PENDING}'"
_LATEST_EVENT = "(SELECT coalesce(max(seq), 0) FROM events)"

ADD = (
    "INSERT INTO webhooks"
    " (id, organisation, url, description, types, projects, reasons, secret, created, enabled,"
    " since) VALUES (:id, :organisation, :url, :description, :types, :projects, :reasons, :secret,"
    " :created, :enabled,"
    f" {_LATEST_EVENT})"
)
BY_ID = f"SELECT {WEBHOOK} FROM webhooks WHERE id = ?"
_AMONG = "organisation IN (SELECT value FROM json_each(:within))"
ALL = f"SELECT {WEBHOOK} FROM webhooks ORDER BY seq"
ALL_WITHIN = f"SELECT {WEBHOOK} FROM webhooks WHERE {_AMONG} ORDER BY seq"
CHANGE_WEBHOOK = (
    "UPDATE webhooks SET url = :url, description = :description, types = :types,"
    " projects = :projects, reasons = :reasons,"
    f" since = CASE WHEN :enabled AND NOT enabled THEN {_LATEST_EVENT} ELSE since END,"
    " failing_since = CASE WHEN :enabled AND NOT enabled THEN NULL ELSE failing_since END,"
    " disabled_reason = CASE WHEN :enabled OR enabled THEN NULL ELSE disabled_reason END,"
    " enabled = :enabled WHERE id = :id"
)
ROTATE = (
    "UPDATE webhooks SET old_secret = secret, old_secret_until = :until, secret = :secret"
    " WHERE id = :id"
)
REMOVE = "DELETE FROM webhooks WHERE id = ?"

# No row when no webhook is enabled.
PLACE = (
    "SELECT cursor.event AS cursor, max(cursor.event, enabled.since) AS start"
    " FROM webhook_cursor AS cursor,"
    " (SELECT min(since) AS since FROM webhooks WHERE enabled) AS enabled"
    " WHERE enabled.since IS NOT NULL"
)
CHANGES = f"SELECT {CHANGE} FROM events WHERE seq > :start ORDER BY seq LIMIT :limit"
ENABLED = f"SELECT since, {WEBHOOK} FROM webhooks WHERE enabled"
# Whoever has gone on from the same place before changes this into nothing.
ADVANCE = "UPDATE webhook_cursor SET event = :last WHERE event = :cursor"
# Of a webhook that has been disabled or deleted meanwhile nothing is made.
ADD_DELIVERY = (
    "INSERT INTO webhook_deliveries"
    " (id, webhook, event, type, job_id, body, created, next_try)"
    " SELECT :id, id, :event, :type, :job_id, :body, :now, :now FROM webhooks WHERE id = :webhook"
    " AND enabled"
)

DELIVERY_BY_ID = f"SELECT {DELIVERY} FROM webhook_deliveries WHERE id = ?"
_FIRST = (
    f"SELECT {DELIVERY} FROM webhook_deliveries WHERE webhook = :webhook AND {_PENDING}"
    " AND next_try {limits} ORDER BY next_try, seq LIMIT :limit"
)
# Two ranges of the index: with OR, SQLite would go through all that waits for later.
DUE = (
    f"SELECT * FROM ({_FIRST.format(limits='<= :now')})"
    f" UNION ALL SELECT * FROM ({_FIRST.format(limits='> :latest')}) LIMIT :limit"
)
NEXT_TRY = (
    "SELECT min(first) AS next_try FROM (SELECT (SELECT min(next_try) FROM webhook_deliveries"
    f" WHERE webhook = webhooks.id AND {_PENDING}) AS first FROM webhooks WHERE enabled)"
)
RECORD = (
    "UPDATE webhook_deliveries SET state = :state, next_try = :next_try,"
    " attempts = attempts + 1, last_try = :at, last_status = :status, last_error = :error,"
    " last_response = :response, last_seconds = :seconds"
    f" WHERE id = :id AND attempts = :attempts AND {_PENDING}"
)
ARRIVED = (
    "UPDATE webhooks SET failing_since = NULL"
    " WHERE id = (SELECT webhook FROM webhook_deliveries WHERE id = :id)"
)
FAILED = (
    "UPDATE webhooks SET failing_since = coalesce(failing_since, :at)"
    " WHERE id = (SELECT webhook FROM webhook_deliveries WHERE id = :id)"
)
DISABLE = (
    "UPDATE webhooks SET enabled = 0, disabled_reason = :why"
    " WHERE id = (SELECT webhook FROM webhook_deliveries WHERE id = :id)"
)
GIVE_UP = (
    f"UPDATE webhook_deliveries SET state = '{DeliveryState.DEAD}', next_try = NULL,"
    " last_error = coalesce(last_error, 'the webhook was disabled before it was tried')"
    " WHERE webhook = (SELECT webhook FROM webhook_deliveries WHERE id = :id)"
    f" AND {_PENDING}"
)
REDELIVER = (
    f"UPDATE webhook_deliveries SET state = '{DeliveryState.PENDING}', next_try = :now,"
    " schedule_from = attempts WHERE id = :id"
)
PRUNE = (
    f"DELETE FROM webhook_deliveries WHERE state <> '{DeliveryState.PENDING}' AND created < :before"
)


def page(*, of_webhook: bool, state: DeliveryState | None, limited: bool) -> str:
    """Return the query for a page of deliveries, ``limited`` to those of some organisations."""
    conditions = ["seq < :before"]
    if of_webhook:
        conditions.append("webhook = :webhook")
    elif limited:
        conditions.append(f"webhook IN (SELECT id FROM webhooks WHERE {_AMONG})")
    if state is not None:
        conditions.append(f"state = '{state}'")
    where = " AND ".join(conditions)
    return f"SELECT {DELIVERY} FROM webhook_deliveries WHERE {where} ORDER BY seq DESC LIMIT :limit"
