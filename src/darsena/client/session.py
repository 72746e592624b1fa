"""Everything a command needs of a server, made from one profile and closed with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO

from darsena.client.arm import Arm
from darsena.client.blobs import upload
from darsena.client.directory import Directory
from darsena.client.directory_admin import Principals
from darsena.client.follow import LogFollower
from darsena.client.http import Http
from darsena.client.login_server import LoginServer
from darsena.client.maintenance import MaintenanceClient
from darsena.client.profile import Profile
from darsena.client.resources import Registry, Resources
from darsena.client.runs import Runs


class Session:
    def __init__(self, profile: Profile, retrying: Callable[[int, str], None] = lambda attempt, why: None) -> None:
        self.profile = profile
        self.http = Http(profile, retrying=retrying)
        self.directory = Directory(self.http, profile)
        self.arm = Arm(self.http, self.directory)
        self.resources = Resources(self.arm, profile.subscription_id)

    @property
    def maintenance(self) -> MaintenanceClient:
        return MaintenanceClient(self.http, self.directory)

    @property
    def users(self) -> Principals:
        return Principals(self.http, self.directory, "users")

    @property
    def service_principals(self) -> Principals:
        return Principals(self.http, self.directory, "service-principals")

    def login_server(self, host: str) -> LoginServer:
        return LoginServer(self.http, self.directory, host, self.profile.tenant_id, self.profile.scheme)

    def runs(self, registry: Registry) -> Runs:
        return Runs(self.arm, self.http, registry)

    def upload(self, url: str, file: IO[bytes], size: int, sent: Callable[[int], None]) -> None:
        upload(self.http, url, file, size, sent)

    def follow(
        self, runs: Runs, run_id: str, *, idle: Callable[[int], None], lost: Callable[[str], None]
    ) -> LogFollower:
        return LogFollower(runs, run_id, idle=idle, lost=lost)

    def close(self) -> None:
        self.http.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
