"""Ids of uploads that prove themselves, so that an upload to which no byte has come needs no row and no file.

An id is 16 bytes as 32 hexadecimal digits: the second in which it was made, 6 random bytes, and 6 bytes of a MAC under
the registry's key over both, the registry, the repository and the principal. Forging one gains nothing: whoever may
push may have an empty upload for the asking. That an upload has ended is remembered in memory and, once it had a row,
by the row's absence; an id whose end was forgotten stands for an empty upload again, until its time is over.
"""

from __future__ import annotations

import hmac
import os
import re
from collections import OrderedDict
from typing import Final

from darsena.core.clock import Clock
from darsena.storage.cipher import associated
from darsena.storage.keyring import Keyring

_PURPOSE: Final = b"darsena upload id 1"
_BODY_BYTES: Final = 10
_MAC_BYTES: Final = 6
_FORM: Final = re.compile(r"[0-9a-f]{32}\Z")
"""One spelling only: the id is a key in memory and a file's name."""
_REMEMBERED: Final = 20_000


class UploadIds:
    """`lifetime_us` is how long an upload may be continued."""

    def __init__(self, keyring: Keyring, clock: Clock, lifetime_us: int) -> None:
        self._keyring = keyring
        self._clock = clock
        self._lifetime_us = lifetime_us
        self._empty: OrderedDict[str, None] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()

    async def make(self, registry_uid: str, repository: str, principal: str) -> str:
        await self._keyring.load(registry_uid)
        body = (self._clock.now_us() // 1_000_000).to_bytes(4, "big") + os.urandom(_BODY_BYTES - 4)
        uid = (body + self._mac(body, registry_uid, repository, principal)).hex()
        _remember(self._empty, uid)
        return uid

    def is_new(self, uid: str) -> bool:
        """Made by this process and empty since: there is no row to look for."""
        return uid in self._empty

    async def admits(self, uid: str, registry_uid: str, repository: str, principal: str) -> bool:
        """Whether it was made for exactly these, is young enough, and is not known to have ended."""
        if uid in self._ended or not _FORM.match(uid):
            return False
        await self._keyring.load(registry_uid)
        whole = bytes.fromhex(uid)
        body, mac = whole[:_BODY_BYTES], whole[_BODY_BYTES:]
        age_us = self._clock.now_us() - int.from_bytes(body[:4], "big") * 1_000_000
        is_own = hmac.compare_digest(mac, self._mac(body, registry_uid, repository, principal))
        return age_us < self._lifetime_us and is_own

    def fill(self, uid: str) -> None:
        """It is to have a row from now on."""
        self._empty.pop(uid, None)

    def end(self, uid: str) -> None:
        """It was finished or cancelled."""
        self._empty.pop(uid, None)
        _remember(self._ended, uid)

    def _mac(self, body: bytes, registry_uid: str, repository: str, principal: str) -> bytes:
        message = body + associated(registry_uid, repository, principal)
        return self._keyring.sign(registry_uid, _PURPOSE, message)[:_MAC_BYTES]


def _remember(uids: OrderedDict[str, None], uid: str) -> None:
    uids[uid] = None
    if len(uids) > _REMEMBERED:
        uids.popitem(last=False)
