"""Resource groups and registries of one subscription, found as az finds them."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote, urlencode

from darsena.client.arm import Arm
from darsena.client.errors import Ambiguous, NameUnknown, NotFound
from darsena.client.shapes import Object, group_of, properties

PROVIDER = "Microsoft.ContainerRegistry"
REGISTRIES_VERSION = "2025-11-01"
RESOURCES_VERSION = "2024-11-01"
SUBSCRIPTIONS_VERSION = "2022-12-01"
ACTIVITY_VERSION = "2015-04-01"


class Resources:
    """`subscription` is asked for when the profile names none."""

    def __init__(self, arm: Arm, subscription: str = "") -> None:
        self._arm = arm
        self._subscription = subscription

    def list_subscriptions(self) -> list[Object]:
        return list(self._arm.list_all("/subscriptions", SUBSCRIPTIONS_VERSION))

    @property
    def subscription(self) -> str:
        if not self._subscription:
            found = self.list_subscriptions()
            if not found:
                raise NameUnknown(
                    "no subscription is visible to this sign-in",
                    hint="ask the owner for a role, or sign in as someone else with `darsena login`",
                )
            self._subscription = str(found[0]["subscriptionId"])
        return self._subscription

    def list_activity(self, filter_: str, page_size: int) -> Iterator[Object]:
        """What was changed, the newest first, page after page."""
        query = urlencode({"$top": min(page_size, 1000)} | ({"$filter": filter_} if filter_ else {}), safe="$")
        path = f"/subscriptions/{self.subscription}/providers/Microsoft.Insights/eventtypes/management/values?{query}"
        return self._arm.list_all(path, ACTIVITY_VERSION)

    # --- groups -------------------------------------------------------------------------------------------------------

    def _group_path(self, group: str) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{quote(group, safe='()')}"

    def get_group(self, group: str) -> Object:
        return self._arm.get(self._group_path(group), RESOURCES_VERSION)

    def has_group(self, group: str) -> bool:
        try:
            self.get_group(group)
        except NotFound:
            return False
        return True

    def list_groups(self) -> list[Object]:
        return list(self._arm.list_all(f"/subscriptions/{self.subscription}/resourceGroups", RESOURCES_VERSION))

    def put_group(self, group: str, location: str, tags: dict[str, str] | None) -> Object:
        body: Object = {"location": location}
        if tags is not None:
            body["tags"] = tags
        return self._arm.change("PUT", self._group_path(group), RESOURCES_VERSION, body) or {}

    def delete_group(self, group: str, *, wait: bool) -> None:
        """The group and all that is in it. Without `wait`, return once the server has taken it on."""
        if wait:
            self._arm.change("DELETE", self._group_path(group), RESOURCES_VERSION)
        else:
            self._arm.call("DELETE", self._group_path(group), RESOURCES_VERSION)

    # --- registries ---------------------------------------------------------------------------------------------------

    def _registry_path(self, group: str, name: str) -> str:
        return f"{self._group_path(group)}/providers/{PROVIDER}/registries/{quote(name, safe='')}"

    def list_registries(self, group: str | None = None) -> list[Object]:
        scope = self._group_path(group) if group else f"/subscriptions/{self.subscription}"
        return list(self._arm.list_all(f"{scope}/providers/{PROVIDER}/registries", REGISTRIES_VERSION))

    def find_registry(self, name: str, group: str | None = None) -> Registry:
        """By name or login server, whatever the case. Raise NameUnknown, naming those there are."""
        wanted = name.partition(".")[0]
        if group:
            return Registry(self._arm, self._arm.get(self._registry_path(group, wanted), REGISTRIES_VERSION))
        query = "$filter=" + quote(f"resourceType eq '{PROVIDER}/registries'")
        listed = list(self._arm.list_all(f"/subscriptions/{self.subscription}/resources?{query}", RESOURCES_VERSION))
        matching = [item for item in listed if str(item.get("name", "")).lower() == wanted.lower()]
        if not matching:
            raise NameUnknown(f"there is no registry named {wanted!r}", hint=_those(listed))
        if len(matching) > 1:
            groups = ", ".join(group_of(str(item["id"])) for item in matching)
            raise Ambiguous(f"several registries are named {wanted!r}", hint=f"say which with -g: {groups}")
        return Registry(self._arm, self._arm.get(str(matching[0]["id"]), REGISTRIES_VERSION))

    def put_registry(self, group: str, name: str, body: Object) -> Object:
        return self._arm.change("PUT", self._registry_path(group, name), REGISTRIES_VERSION, body) or {}


class Registry:
    """One registry: its ARM resource as it was read, and the calls on it."""

    def __init__(self, arm: Arm, resource: Object) -> None:
        self._arm = arm
        self.resource = resource

    @property
    def path(self) -> str:
        return str(self.resource["id"])

    @property
    def name(self) -> str:
        return str(self.resource["name"])

    @property
    def group(self) -> str:
        return group_of(self.path)

    @property
    def login_server(self) -> str:
        return str(properties(self.resource)["loginServer"])

    @property
    def is_admin_enabled(self) -> bool:
        return bool(properties(self.resource).get("adminUserEnabled"))

    def patch(self, body: Object) -> Object:
        return self._arm.change("PATCH", self.path, REGISTRIES_VERSION, body) or {}

    def delete(self) -> None:
        self._arm.change("DELETE", self.path, REGISTRIES_VERSION)

    def list_credentials(self) -> Object:
        return self._arm.post(f"{self.path}/listCredentials", REGISTRIES_VERSION)

    def regenerate_credential(self, password_name: str) -> Object:
        return self._arm.post(f"{self.path}/regenerateCredential", REGISTRIES_VERSION, {"name": password_name})

    def get_usage(self) -> Object:
        return self._arm.get(f"{self.path}/listUsages", REGISTRIES_VERSION)

    @property
    def scope_maps(self) -> Children:
        return Children(self._arm, f"{self.path}/scopeMaps")

    @property
    def tokens(self) -> Children:
        return Children(self._arm, f"{self.path}/tokens")

    def generate_credentials(self, body: Object) -> Object:
        return self._arm.post(f"{self.path}/generateCredentials", REGISTRIES_VERSION, body)


class Children:
    """Resources of one kind below a registry."""

    def __init__(self, arm: Arm, path: str) -> None:
        self._arm = arm
        self._path = path

    def path_of(self, name: str) -> str:
        return f"{self._path}/{quote(name, safe='')}"

    def list(self) -> list[Object]:
        return [*self._arm.list_all(self._path, REGISTRIES_VERSION)]

    def get(self, name: str) -> Object:
        return self._arm.get(self.path_of(name), REGISTRIES_VERSION)

    def put(self, name: str, properties: Object) -> Object:
        return self._arm.change("PUT", self.path_of(name), REGISTRIES_VERSION, {"properties": properties}) or {}

    def patch(self, name: str, properties: Object) -> Object:
        return self._arm.change("PATCH", self.path_of(name), REGISTRIES_VERSION, {"properties": properties}) or {}

    def delete(self, name: str) -> None:
        """Absent: nothing happens."""
        self._arm.change("DELETE", self.path_of(name), REGISTRIES_VERSION)


def _those(listed: list[Object]) -> str:
    names = sorted((str(item.get("name", "")) for item in listed), key=str.lower)
    if not names:
        return "there are none yet: make one with `darsena create -g GROUP -n NAME --sku Basic`"
    return f"there are: {', '.join(names[:10])}" + (" …" if len(names) > 10 else "")
