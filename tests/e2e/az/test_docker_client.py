"""`az acr login` with Debian's docker behind it: what az hands over is a sign-in to docker."""

from __future__ import annotations

from daemons import DOCKER, own_docker
from stand import Stand
from stock import Az


def test_az_acr_login_signs_docker_in(az: Az, stand: Stand, base: str) -> None:
    server, _, _ = base.partition("/")
    registry, _, _ = server.partition(".")
    with own_docker(stand) as docker:
        assert docker("pull", base, check=False).code != 0
        done = az.ok("acr", "login", "-n", registry, environment={**docker.environment, "DOCKER_COMMAND": DOCKER})
        assert "Login Succeeded" in done.out
        docker("pull", base)
