"""The login server: `/v2/` (OCI distribution-spec 1.1, Docker Registry 2.0), with `/acr/v1/` and `/oauth2/`."""

from darsena.api.v2.login_server import LoginServerEdge

__all__ = ["LoginServerEdge"]
