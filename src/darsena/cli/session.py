"""The one place where a command opens its session: who we are is found here, and said when it was not chosen."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from darsena.cli.terminal import say, styled
from darsena.client.profile import Profile, find_profile

if TYPE_CHECKING:
    from collections.abc import Generator

    from darsena.client.session import Session


@contextmanager
def open_session(profile: Profile | None = None) -> Generator[Session, None, None]:
    """Raise SignInFailed when there is nobody to be."""
    # The HTTP library takes longer to import than all the rest together; help, completion and local commands need none.
    from darsena.client.session import Session

    if profile is None:
        found = find_profile()
        profile = found.profile
        if found.notice:
            say(styled(found.notice, "dim"))

    def retrying(attempt: int, why: str) -> None:
        say(styled(f"retry {attempt}: {why}", "yellow"))

    with Session(profile, retrying) as session:
        yield session
