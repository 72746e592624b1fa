"""Public fakes and fixtures for tests of Dársena and of what is built on it."""

from darsena.testing.clock import FakeClock

__all__ = ["FakeClock"]
