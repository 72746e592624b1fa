"""The one place where a command opens its session: who we are is found here, and said when it was not chosen."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from darsena.cli.terminal import say_aside
from darsena.client.profile import Profile, find_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from darsena.client.session import Session


@contextmanager
def open_session(
    profile: Profile | None = None, talk: Callable[[str], None] = say_aside
) -> Generator[Session, None, None]:
    """`talk` is told who we are when it was not chosen, and of every further attempt. Raise SignInFailed if there is
    nobody to be.
    """
    # The HTTP library takes longer to import than all the rest together; help, completion and local commands need none.
    from darsena.client.session import Session

    if profile is None:
        found = find_profile()
        profile = found.profile
        if found.notice:
            talk(found.notice)

    def retrying(attempt: int, why: str) -> None:
        talk(f"retry {attempt}: {why}")

    with Session(profile, retrying) as session:
        yield session
