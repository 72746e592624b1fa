"""How the HTTP server's memory is kept, said before it is loaded."""

from __future__ import annotations

VARIABLE, VALUE = ("_RJEM_MALLOC_CONF", "narenas:1,dirty_decay_ms:1000,muzzy_decay_ms:0")
"""The HTTP server's own allocator, told before it starts: what many slow readers took is given back with the requests
that follow, not kept (of 470 MB after 300 readers, 70 stay; else 300). One arena costs no rate that can be measured."""
