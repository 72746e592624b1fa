"""The directory's few pages: plain HTML that needs no script, no image and no other host.

Every text is escaped. A page may be shown in no frame, and its forms go where the policy says and nowhere else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from typing import Final

from darsena.api.http import Response

STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{font:1rem/1.5 system-ui,sans-serif;margin:0;display:grid;place-items:center;min-height:100vh;"
    "background:#f3f5f7;color:#14202b}"
    "main{box-sizing:border-box;width:min(26rem,100%);padding:2rem;background:#fff;border-radius:.5rem}"
    "h1{font-size:1.5rem;margin:0 0 1rem}"
    "label{display:block;margin:1rem 0 .25rem;font-weight:600}"
    "input{box-sizing:border-box;width:100%;padding:.6rem;font:inherit;color:inherit;background:#fff;"
    "border:1px solid #5b6b7a;border-radius:.25rem}"
    "button{margin:1.5rem .75rem 0 0;padding:.6rem 1.2rem;font:inherit;font-weight:600;border:1px solid #0b5a8a;"
    "border-radius:.25rem;background:#0b5a8a;color:#fff}"
    "button.second{background:transparent;color:#0b5a8a}"
    ":focus-visible{outline:3px solid #c05a00;outline-offset:2px}"
    ".error{margin:0 0 1rem;padding:.75rem;border-left:.3rem solid #b3261e;background:#fdecea;color:#5f1410}"
    ".hint{color:#46535f;font-size:.9rem;margin:.25rem 0 0}"
    "footer{margin-top:2rem;font-size:.85rem;color:#46535f;overflow-wrap:anywhere}"
    "@media(prefers-color-scheme:dark){body{background:#10171d;color:#e8edf1}main{background:#1a232b}"
    "input{background:#10171d;border-color:#8fa1b0}button{background:#7cc4f0;border-color:#7cc4f0;color:#06202f}"
    "button.second{color:#7cc4f0}.error{background:#3a1512;color:#ffdad6}.hint,footer{color:#b3c0ca}}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

Hidden = Sequence[tuple[str, str]]


def make_page(title: str, body: str, host: str, *, status: int = 200, form_targets: Sequence[str] = ()) -> Response:
    """`title` and `host` are text, `body` is HTML. `form_targets` are origins that a form may lead to."""
    text = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{body}\n<footer>This is Dársena at {escape(host)}.</footer>\n</main>\n</body>\n</html>\n"
    )
    actions = " ".join(("'self'", *form_targets))
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action {actions}; frame-ancestors 'none'; "
        "base-uri 'none'"
    )
    response = Response(status, text.encode(), content_type="text/html; charset=utf-8")
    for name, value in (
        ("content-security-policy", policy),
        ("cache-control", "no-store"),
        ("referrer-policy", "same-origin"),  # no-referrer would make the forms' own Origin header say null
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
    ):
        response.header(name, value)
    return response


def sign_in_page(
    host: str,
    *,
    action: str,
    client: str,
    hidden: Hidden,
    user_name: str = "",
    error: str = "",
    may_decline: bool = False,
    form_targets: Sequence[str] = (),
    status: int = 200,
) -> Response:
    """User name and password, for a program that has a name."""
    intro = f"<p>Sign in to go on to <strong>{escape(client)}</strong>.</p>"
    if may_decline:
        intro = (
            f"<p><strong>{escape(client)}</strong> on another device asks to act as you. Go on only if you started it "
            "there yourself, a moment ago.</p>"
        )
    marks = ' aria-invalid="true" aria-describedby="error"' if error else ""
    focus_name, focus_password = ("", " autofocus") if user_name else (" autofocus", "")
    # The first button is the one that Enter presses.
    decline = (
        '<button class="second" name="decision" value="decline" formnovalidate>Decline</button>' if may_decline else ""
    )
    body = (
        f"<h1>Sign in</h1>\n{_error(error)}{intro}\n"
        f'<form method="post" action="{escape(action)}">\n{_hidden(hidden)}'
        '<label for="username">User name</label>\n'
        f'<input id="username" name="username" value="{escape(user_name)}" autocomplete="username" '
        f'autocapitalize="none" spellcheck="false" maxlength="320" required{marks}{focus_name}>\n'
        '<label for="password">Password</label>\n'
        '<input id="password" name="password" type="password" autocomplete="current-password" maxlength="1024" '
        f"required{marks}{focus_password}>\n"
        f'<button name="decision" value="accept">Sign in</button>{decline}\n</form>'
    )
    return make_page(_title("Sign in", error), body, host, status=status, form_targets=form_targets)


def user_code_page(host: str, *, action: str, hidden: Hidden, error: str = "", status: int = 200) -> Response:
    marks = ' aria-invalid="true" aria-describedby="error hint"' if error else ' aria-describedby="hint"'
    body = (
        f"<h1>Sign in on another device</h1>\n{_error(error)}"
        f'<form method="post" action="{escape(action)}">\n{_hidden(hidden)}'
        '<label for="user_code">Code</label>\n'
        '<input id="user_code" name="user_code" autocomplete="one-time-code" autocapitalize="characters" '
        f'spellcheck="false" maxlength="20" required autofocus{marks}>\n'
        '<p class="hint" id="hint">Eight letters, as the other device shows them.</p>\n'
        "<button>Next</button>\n</form>"
    )
    return make_page(_title("Sign in on another device", error), body, host, status=status)


def continue_page(host: str, *, action: str, client: str, hidden: Hidden, origin: str) -> Response:
    """After a sign-in whose answer goes as a form: one press of a button, since no script presses it."""
    body = (
        "<h1>You are signed in</h1>\n"
        f'<form method="post" action="{escape(action)}">\n{_hidden(hidden)}'
        f"<button autofocus>Continue to {escape(client)}</button>\n</form>"
    )
    return make_page("You are signed in", body, host, form_targets=(origin,))


def message_page(host: str, title: str, message: str, *, status: int = 200) -> Response:
    role = ' role="alert"' if status >= 400 else ' role="status"'
    return make_page(title, f"<h1>{escape(title)}</h1>\n<p{role}>{escape(message)}</p>", host, status=status)


def _title(title: str, error: str) -> str:
    """A screen reader says the title first: it must say that something went wrong."""
    return f"Error: {title}" if error else title


def _error(text: str) -> str:
    return f'<p class="error" id="error" role="alert">{escape(text)}</p>\n' if text else ""


def _hidden(fields: Hidden) -> str:
    return "".join(f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">\n' for name, value in fields)
