"""Tags of a group, registry or identity as a resource of their own, and the names of all tags in use. The subscription
has none, and a name of a tag is there while something has the tag."""

from __future__ import annotations

from collections.abc import Callable

from darsena.api.arm import bodies, views
from darsena.api.arm.changes import choose
from darsena.api.arm.context import ArmContext, Call, Handler, make_route
from darsena.api.arm.groups import ONE as GROUP
from darsena.api.arm.identities import ONE as IDENTITY
from darsena.api.arm.registries import ONE as REGISTRY
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.core.errors import NotImplementedHere, RequestInvalid
from darsena.resources.ids import subscription_path
from darsena.resources.model import Tags
from darsena.resources.tagging import Tagged

TYPE = "Microsoft.Resources/tags"
DEFAULT = f"providers/{TYPE}/default"
NAMES = "/subscriptions/{subscription}/tagNames"
OF_SUBSCRIPTION = f"/subscriptions/{{subscription}}/{DEFAULT}"
_TAG = "Tags"

Change = Callable[[Tags], Tags]


def list_routes(context: ArmContext) -> list[Route]:
    return [
        *(route for owner in (GROUP, REGISTRY, IDENTITY) for route in _routes(context, f"{owner}/{DEFAULT}")),
        *_list_subscription(context),
        *_list_names(context),
    ]


def _list_subscription(context: ArmContext) -> list[Route]:
    refused = "Tags of the subscription: not in this version"
    return [
        make_route(context, "GET", OF_SUBSCRIPTION, _none, summary="The tags of the subscription, which has none",
                   action=f"{TYPE}/read", response=views.TagsView, tag=_TAG),
        make_route(context, "PUT", OF_SUBSCRIPTION, _refuse, summary=refused, action=f"{TYPE}/write",
                   request=bodies.TagsBody, tag=_TAG),
        make_route(context, "PATCH", OF_SUBSCRIPTION, _refuse, summary=refused, action=f"{TYPE}/write",
                   request=bodies.TagsPatchBody, tag=_TAG),
        make_route(context, "DELETE", OF_SUBSCRIPTION, _gone, summary="Remove all tags of the subscription",
                   action=f"{TYPE}/delete", tag=_TAG),
    ]  # fmt: skip


def _list_names(context: ArmContext) -> list[Route]:
    action = "Microsoft.Resources/subscriptions/tagNames"
    refused = "A name or value of tags by itself: not in this version"
    return [
        make_route(context, "GET", NAMES, _names, summary="The names and values of tags in use",
                   action=f"{action}/read", response=views.ListView[views.TagNameView], tag=_TAG),
        *(
            make_route(context, method, path, _refuse_name, summary=refused, action=f"{action}/{verb}", tag=_TAG)
            for path in (f"{NAMES}/{{name}}", f"{NAMES}/{{name}}/tagValues/{{value}}")
            for method, verb in (("PUT", "write"), ("DELETE", "delete"))
        ),
    ]  # fmt: skip


def _routes(context: ArmContext, path: str) -> list[Route]:
    def route(method: str, handler: Handler, summary: str, verb: str) -> Route:
        body = {"PUT": bodies.TagsBody, "PATCH": bodies.TagsPatchBody}.get(method)
        view = None if method == "DELETE" else views.TagsView
        return make_route(context, method, path, handler, summary=summary, action=f"{TYPE}/{verb}", request=body,
                          response=view, tag=_TAG)  # fmt: skip

    return [
        route("GET", _get, "The tags of something", "read"),
        route("PUT", _put, "Replace the tags of something", "write"),
        route("PATCH", _patch, "Merge, replace or remove tags", "write"),
        route("DELETE", _delete, "Remove all tags of something", "delete"),
    ]


async def _get(call: Call) -> Response:
    return _answer(call, *await call.context.resources.read_tags(_what(call)))


async def _put(call: Call) -> Response:
    given = _given((await call.request.json(bodies.TagsBody)).properties)
    return await _change(call, lambda _tags: given)


async def _patch(call: Call) -> Response:
    body = await call.request.json(bodies.TagsPatchBody)
    given = _given(body.properties)
    changes: dict[str, Change] = {
        "Merge": lambda tags: _merge(tags, given),
        "Replace": lambda _tags: given,
        "Delete": lambda tags: _remove(tags, given),
    }
    if body.operation is None:
        raise RequestInvalid("The property 'operation' is required: Merge, Replace or Delete.", "operation")
    return await _change(call, choose(body.operation, changes, "operation"))


async def _delete(call: Call) -> Response:
    await _change(call, lambda _tags: {})
    return Response(200)


async def _change(call: Call, change: Change) -> Response:
    return _answer(call, *await call.context.resources.change_tags(_what(call), change, author=call.author))


def _what(call: Call) -> Tagged:
    params = call.request.params
    return Tagged(
        subscription_id=call.subscription_id,
        group=call.group,
        registry=params.get("registry"),
        identity=params.get("identity"),
    )


def _merge(tags: Tags, given: Tags) -> Tags:
    """Names compare without case; the newer spelling stays."""
    new = {name.lower() for name in given}
    return {**{name: value for name, value in tags.items() if name.lower() not in new}, **given}


def _remove(tags: Tags, given: Tags) -> Tags:
    """Those whose name and value are given."""
    gone = {(name.lower(), value) for name, value in given.items()}
    return {name: value for name, value in tags.items() if (name.lower(), value) not in gone}


def _given(properties: bodies.TagsPropertiesBody | None) -> Tags:
    if properties is None or properties.tags is None:
        raise RequestInvalid("The property 'properties.tags' is required.", "properties.tags")
    return properties.tags


def _answer(call: Call, resource_id: str, tags: Tags) -> Response:
    view = views.TagsView(
        id=f"{resource_id}/{DEFAULT}", name="default", type=TYPE, properties=views.TagsPropertiesView(tags=tags)
    )
    return call.answer(view)


async def _none(call: Call) -> Response:
    return _answer(call, subscription_path(call.subscription_id), {})


async def _refuse(_call: Call) -> Response:
    raise NotImplementedHere("Tags of the subscription are not in this version: tag its groups.")


async def _gone(_call: Call) -> Response:
    return Response(200)


async def _refuse_name(_call: Call) -> Response:
    raise NotImplementedHere(
        "Names and values of tags by themselves are not in this version: they come with the first resource that is "
        "tagged so, and go with the last."
    )


async def _names(call: Call) -> Response:
    base = f"{subscription_path(call.subscription_id)}/tagNames"
    counts = await call.context.resources.count_tags(call.subscription_id)
    value = [
        views.TagNameView(
            id=f"{base}/{name}",
            tag_name=name,
            count=_count(sum(values.values())),
            values=[
                views.TagValueView(id=f"{base}/{name}/tagValues/{value}", tag_value=value, count=_count(count))
                for value, count in sorted(values.items())
            ],
        )
        for name, values in sorted(counts.items())
    ]
    return call.answer(views.ListView(value=value))


def _count(value: int) -> views.TagCountView:
    return views.TagCountView(type="Total", value=value)
