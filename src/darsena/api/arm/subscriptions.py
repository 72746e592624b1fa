"""Tenants, subscriptions and their locations. There is one tenant and one subscription; whoever signed in sees them."""

from __future__ import annotations

from urllib.parse import urlsplit

from darsena.api.arm import views
from darsena.api.arm.context import ArmContext, Call, make_route
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.resources.ids import subscription_path
from darsena.resources.locations import REGIONS, Region

TAG = "Subscriptions"


def list_routes(context: ArmContext) -> list[Route]:
    one = views.SubscriptionView
    return [
        make_route(context, "GET", "/tenants", _tenants, summary="Tenants of the caller",
                   response=views.ListView[views.TenantView], tag=TAG),
        make_route(context, "GET", "/subscriptions", _subscriptions, summary="Subscriptions of the caller",
                   response=views.SubscriptionListView, tag=TAG),
        make_route(context, "GET", "/subscriptions/{subscription}", _subscription, summary="A subscription",
                   response=one, tag=TAG),
        make_route(context, "GET", "/subscriptions/{subscription}/locations", _locations,
                   summary="Locations a resource may be given", response=views.ListView[views.LocationView], tag=TAG),
    ]  # fmt: skip


async def _tenants(call: Call) -> Response:
    domain = urlsplit(call.context.control_url).hostname or "localhost"
    tenant = views.TenantView(
        id=f"/tenants/{call.context.tenant_id}",
        tenant_id=call.context.tenant_id,
        display_name=call.context.display_name,
        default_domain=domain,
        tenant_category="Home",
        domains=[domain],
    )
    return call.answer(views.ListView(value=[tenant]))


async def _subscriptions(call: Call) -> Response:
    count = views.CountView(type="Total", value=1)
    return call.answer(views.SubscriptionListView(value=[subscription_view(call.context)], count=count))


async def _subscription(call: Call) -> Response:
    return call.answer(subscription_view(call.context))


async def _locations(call: Call) -> Response:
    return call.answer(views.ListView(value=[_location_view(region, call.subscription_id) for region in REGIONS]))


def subscription_view(context: ArmContext) -> views.SubscriptionView:
    return views.SubscriptionView(
        id=subscription_path(context.subscription_id),
        authorization_source="RoleBased",
        managed_by_tenants=[],
        subscription_id=context.subscription_id,
        tenant_id=context.tenant_id,
        display_name=context.display_name,
        state="Enabled",
        subscription_policies=views.SubscriptionPoliciesView(
            location_placement_id="Public_2014-09-01", quota_id="PayAsYouGo_2014-09-01", spending_limit="Off"
        ),
    )


def _location_view(region: Region, subscription_id: str) -> views.LocationView:
    prefix = f"{subscription_path(subscription_id)}/locations"
    pair = [views.PairedRegionView(name=region.paired, id=f"{prefix}/{region.paired}")] if region.paired else []
    return views.LocationView(
        id=f"{prefix}/{region.name}",
        name=region.name,
        type="Region",
        display_name=region.display_name,
        regional_display_name=f"({region.geography}) {region.display_name}",
        metadata=views.LocationMetadataView(
            region_type="Physical",
            region_category="Recommended",
            geography_group=region.geography,
            paired_region=pair,
        ),
    )
