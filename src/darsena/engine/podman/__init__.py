"""The podman driver: daemonless builds and steps by the buildah and podman programs, each run sandboxed."""

from darsena.engine.podman.driver import PodmanEngine

__all__ = ["PodmanEngine"]
