"""Every error code that a client can meet, and the condition behind it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from darsena.api import problems
from darsena.api.problems import ARM_STATUS, TABLE
from darsena.core import errors
from docpages.text import calls, code, constant, message, modules, own_doc, table

HEAD = """\
# Errors

The domain raises one class per condition; one table (`src/darsena/api/problems.py`) gives each its status and its code
on the wire. Every answer carries the request's id (`x-ms-correlation-request-id` on the login server, `x-ms-request-id`
elsewhere); the server's log knows it as `correlation_id`.

| Side | Shape |
| --- | --- |
| login server | `{"errors": [{"code", "message", "detail"}]}`; the OCI distribution specification's codes and ACR's |
| control host (ARM) | `{"error": {"code", "message", "target"}}` |
| directory and token endpoints | `{"error", "error_description"}` (RFC 6749) |
| blob host | `<Error><Code>…</Code><Message>…</Message></Error>` and the header `x-ms-error-code`, as Azure Storage |

A 401 of the login server comes with a `WWW-Authenticate: Bearer` challenge, also where a known caller lacks the right.
429, 503 and 507 come with `Retry-After`: nothing was changed, try again. A defect is a 500 with the request's id and
nothing of what happened inside.

## Conditions

"""

ARM = """
## Codes that ARM uses in particular cases

The condition is one of the above; the code is more precise.

"""

DIRECTORY = """
## Directory and token endpoints

"""

BLOB = """
## Blob host

"""

OAUTH_FILES = ("api/directory.py", "api/oauth2.py", "api/client_auth.py", "api/forms.py")


def render() -> str:
    conditions = table(["Condition", "Status", "Login server", "ARM status", "ARM", "Means"], list_conditions())
    precise = table(["Code", "Status", "Message"], list_precise())
    oauth = table(["Code"], [(code(word),) for word in list_oauth()])
    blob = table(["Code"], [(code(word),) for word in list_blob()])
    return "".join([HEAD, conditions, ARM, precise, DIRECTORY, oauth, BLOB, blob])


def list_conditions() -> Iterator[tuple[str, str, str, str, str, str]]:
    for cls, wire in TABLE.items():
        arm_status = ARM_STATUS.get(cls, wire.status)
        meaning = own_doc(cls) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cls.__name__).capitalize() + "."
        yield cls.__name__, str(wire.status), code(wire.oci), str(arm_status), code(wire.arm), meaning


def list_precise() -> list[tuple[str, str, str]]:
    """Every literal `code=` of the server's rooms."""
    found: set[tuple[str, str, str]] = set()
    for path, tree in modules():
        if path.startswith(("cli/", "client/", "api/blob", "api/blocklist", "core/errors")):
            continue
        for call in calls(tree):
            word = next((constant(given.value) for given in call.keywords if given.arg == "code"), None)
            if word is not None:
                words = message(call.args[0]) if call.args else ""
                found.add((code(word), status(call), words))
    return sorted(found)


def status(call: ast.Call) -> str:
    cls = getattr(errors, call.func.id, None) if isinstance(call.func, ast.Name) else None
    if cls is None and isinstance(call.func, ast.Attribute):
        cls = getattr(errors, call.func.attr, None)
    if not isinstance(cls, type) or cls not in TABLE:
        return "400" if isinstance(call.func, ast.Name) and call.func.id == "Gate" else ""
    return str(ARM_STATUS.get(cls, problems.TABLE[cls].status))


def list_oauth() -> list[str]:
    words = {
        word
        for path, tree in modules()
        if path in OAUTH_FILES
        for node in ast.walk(tree)
        if (word := constant(node))
        and re.fullmatch(r"(invalid|unsupported|unauthorized)_[a-z_]+|authorization_pending", word)
    }
    return sorted(words)


def list_blob() -> list[str]:
    words: set[str] = set()
    for path, tree in modules():
        if path.startswith(("api/blob", "api/blocklist")):
            for node in ast.walk(tree):
                if isinstance(node, ast.Tuple) and len(node.elts) == 2 and constant(node.elts[1]):
                    words.add(constant(node.elts[1]) or "")
            for call in calls(tree):
                words |= {constant(given.value) or "" for given in call.keywords if given.arg == "code"}
                words |= {constant(one) or "" for one in call.args[1:2] if isinstance(call.func, ast.Name)}
    return sorted(word for word in words if re.fullmatch(r"[A-Z][a-z0-9]+(?:[A-Z][a-z0-9]+)+", word))
