"""What an event is. Each room declares its own in its `events.py` as frozen EventBody structs.

Kinds are `noun.past_tense`. Bodies are additive; a new meaning is a new kind.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from darsena.core.names import plain


class EventBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fact. Subclasses set `kind` and carry both sides of a change where there are two."""

    kind: ClassVar[str]


def registry_stream(uid: str, region: str) -> str:
    return f"registry:{uid}@{region}"


def subscription_stream(subscription_id: str) -> str:
    return f"subscription:{subscription_id}"


def encode(body: Any) -> bytes:
    return msgspec.json.encode(body, enc_hook=plain)


def known_kinds() -> dict[str, type[EventBody]]:
    """Every declared event by kind. Rooms not yet imported are not in it."""
    kinds: dict[str, type[EventBody]] = {}
    pending = list(EventBody.__subclasses__())
    while pending:
        cls = pending.pop()
        pending.extend(cls.__subclasses__())
        kinds[cls.kind] = cls
    return kinds
