"""The pages where people sign in: plain HTML, without scripts, with nothing from elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from urllib.parse import quote

from ci_common.sign_in import Session
from ci_server.sign_in.csrf import FIELD
from ci_server.sign_in.passwords import LONGEST, SHORTEST

STYLE_PATH = "/sign-in.css"

STYLE = """\
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --line: #6e7781;
  --deed: #0b57a4; --on-deed: #ffffff; --wrong: #a40e26; --right: #0f5323; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #12161c; --line: #8b949e;
  --deed: #79b8ff; --on-deed: #0b1117; --wrong: #ff9492; --right: #7ee2a8; } }
* { box-sizing: border-box; }
body { margin: 0; font: 1rem/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); }
main { max-width: 34rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
label { display: block; margin-top: 1rem; font-weight: 600; }
input { width: 100%; padding: .6rem; font: inherit; color: inherit; background: transparent;
  border: 1px solid var(--line); border-radius: .3rem; }
button, .button { display: inline-block; margin-top: 1.25rem; padding: .6rem 1.1rem; font: inherit;
  font-weight: 600; color: var(--on-deed); background: var(--deed); border: 0;
  border-radius: .3rem; cursor: pointer; text-decoration: none; }
a { color: var(--deed); } .button { color: var(--on-deed); }
:focus-visible { outline: 3px solid var(--deed); outline-offset: 2px; }
.wrong, .right { padding: .6rem .8rem; border-left: .3rem solid; }
.wrong { color: var(--wrong); } .right { color: var(--right); } .hint { font-size: .9rem; }
ul { padding: 0; list-style: none; }
li { padding: .8rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
li form button { margin-top: .5rem; padding: .3rem .8rem; }
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What a page says about what was done before. ``hint`` is the way out."""

    text: str
    hint: str = ""
    is_wrong: bool = True


def sign_in_page(
    token: str, back_to: str, provider: str | None, said: Said | None = None, *, name: str = ""
) -> str:
    """Return the page with the form; ``provider`` is what people call it, None for none.

    ``name`` is what was typed before: who mistypes a password does not type the name again.
    """
    fields = _hidden(token, next=back_to)
    other = ""
    if provider is not None:
        address = escape(f"/sign-in/oidc?next={_query(back_to)}")
        other = f'<h2>Or</h2><a class="button" href="{address}">Sign in with {escape(provider)}</a>'
    return _page(
        "Sign in",
        f"""{_told(said)}
<form method="post" action="/sign-in">{fields}
{_field("name", "Name", "text", "username", value=name, focus=not name)}
{_field("password", "Password", "password", "current-password", focus=bool(name))}
<button>Sign in</button></form>{other}""",
    )


def set_password_page(token: str, link: str, user: str | None, said: Said | None = None) -> str:
    """Return the page of a link; ``user`` None: it makes the first admin."""
    name = (
        _field("name", "Your name here", "text", "username", focus=True)
        if user is None
        else (f"<p>For the user <strong>{escape(user)}</strong>.</p>{_whose(user)}")
    )
    title = "Make the first admin" if user is None else "Choose a password"
    return _page(
        title,
        f"""{_told(said)}
<form method="post" action="/set-password">{_hidden(token, link=link)}{name}
{_new_password()}<button>{title}</button></form>""",
    )


def account_page(
    token: str,
    user: str,
    sessions: Sequence[Session],
    current: str,
    *,
    provider: str | None,
    connected: bool,
    said: Said | None = None,
) -> str:
    """Return the page of a user; ``connected``: the provider knows it."""
    listed = "".join(_session(token, each, current) for each in sessions)
    connect = ""
    if provider is not None:
        label = escape(provider)
        state = f"Connected with {label}." if connected else f"Not connected with {label} yet."
        connect = f"""<h2>{label}</h2><p>{state}</p>
<form method="post" action="/account/connect">{_hidden(token)}
<button>Connect an account</button></form>"""
    return _page(
        "Your account",
        f"""{_told(said)}<p>You are signed in as <strong>{escape(user)}</strong>.</p>
<form method="post" action="/account/sign-out">{_hidden(token)}<button>Sign out</button></form>
<h2>Where you are signed in</h2><ul>{listed}</ul>
<form method="post" action="/account/sessions">{_hidden(token, session="others")}
<button>Sign out everywhere else</button></form>{connect}
<h2>Another password</h2>
<form method="post" action="/account/password">{_hidden(token)}{_whose(user)}
{_field("password", "Present password", "password", "current-password")}
{_new_password()}<button>Change it</button></form>""",
    )


def leave_page(address: str, provider: str) -> str:
    """Return the page from which one goes on to a provider at ``address``."""
    return _page(
        f"Connect with {provider}",
        f'<p>Sign in there with the account that is yours.</p><a class="button" '
        f'href="{escape(address)}">Go on to {escape(provider)}</a>',
    )


def message_page(title: str, said: Said, *, link: tuple[str, str] | None = None) -> str:
    """Return a page that says one thing; ``link`` is an address and what it is called."""
    onward = f'<p><a href="{escape(link[0])}">{escape(link[1])}</a></p>' if link else ""
    return _page(title, _told(said) + onward)


def _page(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)} · Standby CI</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="{STYLE_PATH}"></head>
<body><main><h1>{escape(title)}</h1>
{body}
</main></body></html>
"""


def _told(said: Said | None) -> str:
    if said is None:
        return ""
    hint = f'<br><span class="hint">{escape(said.hint)}</span>' if said.hint else ""
    kind, role = ("wrong", "alert") if said.is_wrong else ("right", "status")
    return f'<p class="{kind}" role="{role}">{escape(said.text)}{hint}</p>'


def _field(
    name: str, label: str, kind: str, fills: str, *, value: str = "", focus: bool = False
) -> str:
    filled = f' value="{escape(value)}"' if value else ""
    return (
        f'<label for="{name}">{label}</label><input id="{name}" name="{name}" type="{kind}" '
        f'autocomplete="{fills}"{filled} required{" autofocus" if focus else ""}>'
    )


def _whose(user: str) -> str:
    # Not of type hidden: by this, password managers know whose password it is that they keep.
    return (
        f'<input type="text" name="name" value="{escape(user)}" autocomplete="username" '
        f'aria-label="Name" readonly hidden>'
    )


def _new_password() -> str:
    first = _field("new_password", "New password", "password", "new-password")
    again = _field("again", "The same again", "password", "new-password")
    return f'{first}<p class="hint">{SHORTEST} to {LONGEST} characters, any.</p>{again}'


def _session(token: str, session: Session, current: str) -> str:
    here = session.id == current
    what = escape(session.agent or "unknown program")
    button = (
        ""
        if here
        else (
            f'<form method="post" action="/account/sessions">{_hidden(token, session=session.id)}'
            f'<button aria-label="Sign out there: {what}">Sign out there</button></form>'
        )
    )
    return (
        f"<li><strong>{escape(session.address)}</strong>{' (here)' if here else ''}<br>{what}<br>"
        f"since {_time(session.created_at)}, last used {_time(session.last_seen_at)}"
        f"{button}</li>"
    )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _hidden(token: str, **values: str) -> str:
    return "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">'
        for name, value in {FIELD: token, **values}.items()
    )


def _query(text: str) -> str:
    return quote(text, safe="")
