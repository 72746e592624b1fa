"""A registry's network rules, asked before anything else; and the runs of its tasks, which may be let past them.

A run's calls come from wherever its agent is. With `networkRuleBypassAllowedForTasks` its credential opens the door
that the address does not. Its client asks first without one, to be told where to sign in: that much is answered on
this machine, where agents are.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from darsena.api.http import Request
from darsena.core.errors import NetworkDenied, Unauthenticated
from darsena.identity.basic import BearerToken, parse_authorization
from darsena.identity.model import RegistryFacts
from darsena.identity.runs import USER_PREFIX


class Network:
    """`check` raises NetworkDenied when the rules keep the (host, address) out."""

    def __init__(self, check: Callable[[str, str], None]) -> None:
        self._check = check

    def admit(self, request: Request, facts: RegistryFacts) -> NetworkDenied | None:
        """None: the address is let in. Otherwise what to raise unless a run's credential turns out to be good.

        Raises NetworkDenied at once where that cannot be.
        """
        try:
            self._check(facts.login_server, address_of(request))
        except NetworkDenied as refusal:
            if facts.tasks_bypass and _may_be_run(request):
                return refusal
            raise
        return None


def address_of(request: Request) -> str:
    client = request.scope.get("client")
    return str(client[0]) if client else ""


def names_run(request: Request) -> bool:
    """Whether it signs in with a run's user name."""
    authorization = request.headers.get(b"authorization")
    if authorization is None:
        return False
    try:
        parsed = parse_authorization(authorization)
    except Unauthenticated:
        return False
    return not isinstance(parsed, BearerToken) and parsed.username.startswith(USER_PREFIX)


def _may_be_run(request: Request) -> bool:
    authorization = request.headers.get(b"authorization")
    if authorization is None:
        return not request.raw_path.startswith("/oauth2/") and _is_loopback(address_of(request))
    is_bearer = authorization[:7].lower() == b"bearer " and not request.raw_path.startswith("/oauth2/")
    return is_bearer or names_run(request)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
