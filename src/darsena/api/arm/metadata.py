"""`GET /metadata/endpoints`: what a client asks before it knows anything else."""

from __future__ import annotations

from darsena.api.arm.context import ArmContext, Call, make_route
from darsena.api.arm.views import View
from darsena.api.http import Response
from darsena.api.router import Route


class AuthenticationView(View, frozen=True, kw_only=True):
    login_endpoint: str
    audiences: list[str]
    tenant: str
    identity_provider: str


class SuffixesView(View, frozen=True, kw_only=True):
    acr_login_server: str
    storage: str
    key_vault_dns: str
    sql_server_hostname: str


class MetadataView(View, frozen=True, kw_only=True):
    name: str
    portal: str
    authentication: AuthenticationView
    resource_manager: str
    suffixes: SuffixesView
    graph: str
    graph_audience: str
    microsoft_graph_resource_id: str
    gallery: str
    batch: str
    media: str
    sql_management: str
    vm_image_alias_doc: str


def list_routes(context: ArmContext) -> list[Route]:
    async def get(call: Call) -> Response:
        return call.answer(make_metadata(call.context))

    return [
        make_route(
            context,
            "GET",
            "/metadata/endpoints",
            get,
            summary="The addresses of this cloud",
            response=MetadataView,
            tag="Metadata",
            secured=False,
            versioned=False,
        )
    ]


def make_metadata(context: ArmContext) -> MetadataView:
    """One object, not a list. Services that are not here point at the control host, where nothing answers for them."""
    base_url = context.control_url
    audience = f"{base_url}/"
    domain = context.resources.login_servers.domain
    return MetadataView(
        name=context.display_name,
        portal=base_url,
        authentication=AuthenticationView(
            login_endpoint=f"{base_url}/adfs",  # so that clients ask no public cloud for instance discovery
            audiences=[audience],
            tenant=context.tenant_id,
            identity_provider="ADFS",
        ),
        resource_manager=base_url,
        suffixes=SuffixesView(
            acr_login_server=f".{domain}",
            storage=f"core.{domain}",
            key_vault_dns="vault.azure.net",  # secrets that tasks name live in the customer's own vaults
            sql_server_hostname=f"database.{domain}",
        ),
        graph=base_url,
        graph_audience=audience,
        microsoft_graph_resource_id=audience,
        gallery=audience,
        batch=audience,
        media=audience,
        sql_management=audience,
        vm_image_alias_doc=f"{base_url}/vm-image-aliases.json",
    )
