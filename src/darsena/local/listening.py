"""The socket that the server listens on, and how many connections it may have: stalled ones shut nobody out."""

from __future__ import annotations

import resource
import socket

BACKLOG = 2048
SEND_TIMEOUT_S = 60
"""A client that takes no byte of its answer for so long is cut off, as one that sends none of its body is."""
MOST_CONNECTIONS = 16_384
_WANTED_DESCRIPTORS = 65_536
_OWN_DESCRIPTORS = 256
"""For the database, the listener, libraries; and a file beside each connection, of those that transfer one."""


def open_listener(host: str, port: int) -> socket.socket:
    """Bound and listening. Raises OSError when the port is taken.

    Accepted connections inherit its options. Linux applies TCP_USER_TIMEOUT also to a reader whose window stays shut,
    which no layer above can see.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SEND_TIMEOUT_S * 1000)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def raise_descriptor_limit() -> int:
    """Let this process and its children have many descriptors; returns how many connections fit into them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _WANTED_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(64, min(MOST_CONNECTIONS, (soft - _OWN_DESCRIPTORS) // 2))
