"""The podman driver: daemonless builds and steps by the buildah and podman programs, each run sandboxed."""

from darsena.engine.podman.driver import PodmanEngine
from darsena.engine.podman.machine import describe

__all__ = ["PodmanEngine", "describe"]
