"""Azure's management libraries for Python, unmodified, sync and async: registries, runs, tasks and resource groups."""

# The libraries' models say of everything that it may be None, and their overloads take no words by name.
# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false, reportOptionalIterable=false
# pyright: reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

import gzip
import io
import ssl
import tarfile
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from azure.mgmt.containerregistry import ContainerRegistryManagementClient
from azure.mgmt.containerregistry import models as registry_models
from azure.mgmt.containerregistry.aio import ContainerRegistryManagementClient as AsyncRegistryClient
from azure.mgmt.containerregistrytasks import ContainerRegistryTasksMgmtClient
from azure.mgmt.containerregistrytasks import models as task_models
from azure.mgmt.containerregistrytasks.aio import ContainerRegistryTasksMgmtClient as AsyncTasksClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient as AsyncResourceClient
from stand import Stand, wait_until

GROUP = "mgmt-sdk"
ENDED = {"Succeeded", "Failed", "Canceled", "Error", "Timeout"}


def settings(stand: Stand) -> tuple[tuple[str, str, str], dict[str, Any], dict[str, Any]]:
    """Who signs in, what the credential is told, what a client is told."""
    owner = stand.owner
    verify = {"connection_verify": owner["ca_file"]}
    who = (owner["tenant_id"], owner["client_id"], owner["client_secret"])
    credential = {"authority": owner["control_url"], "disable_instance_discovery": True, **verify}
    client = {"base_url": owner["control_url"], "credential_scopes": [f"{owner['control_url']}/.default"], **verify}
    return who, credential, client


@pytest.fixture(scope="module")
def credential(stand: Stand) -> Iterator[ClientSecretCredential]:
    who, options, _ = settings(stand)
    with ClientSecretCredential(*who, **options) as credential:
        yield credential


@pytest.fixture(scope="module")
def group(stand: Stand, credential: ClientSecretCredential) -> Iterator[str]:
    _, _, options = settings(stand)
    with ResourceManagementClient(credential, stand.owner["subscription_id"], **options) as client:
        made = client.resource_groups.create_or_update(GROUP, {"location": "westeurope", "tags": {"by": "sdk"}})
        assert made.properties.provisioning_state == "Succeeded"
        assert client.resource_groups.check_existence(GROUP)
        yield GROUP
        client.resource_groups.begin_delete(GROUP).result()
        assert not client.resource_groups.check_existence(GROUP)


@pytest.fixture(scope="module")
def registries(stand: Stand, credential: ClientSecretCredential) -> Iterator[ContainerRegistryManagementClient]:
    _, _, options = settings(stand)
    with ContainerRegistryManagementClient(credential, stand.owner["subscription_id"], **options) as client:
        yield client


@pytest.fixture(scope="module")
def tasks(stand: Stand, credential: ClientSecretCredential) -> Iterator[ContainerRegistryTasksMgmtClient]:
    _, _, options = settings(stand)
    with ContainerRegistryTasksMgmtClient(credential, stand.owner["subscription_id"], **options) as client:
        yield client


@pytest.fixture(scope="module")
def registry(registries: ContainerRegistryManagementClient, group: str) -> str:
    name = f"sdk{uuid.uuid4().hex[:8]}"
    wanted = registry_models.Registry(location="westeurope", sku=registry_models.Sku(name="Premium"))
    made = registries.registries.begin_create(group, name, wanted).result()
    assert made.provisioning_state == "Succeeded"
    return name


def test_a_registry_from_creation_to_deletion(
    registries: ContainerRegistryManagementClient, group: str, stand: Stand
) -> None:
    name = f"sdklife{uuid.uuid4().hex[:8]}"
    request = registry_models.RegistryNameCheckRequest(name=name, type="Microsoft.ContainerRegistry/registries")
    assert registries.registries.check_name_availability(request).name_available
    wanted = registry_models.Registry(location="westeurope", sku=registry_models.Sku(name="Basic"), tags={"a": "b"})
    made = registries.registries.begin_create(group, name, wanted).result()
    assert (made.login_server, made.sku.tier, made.tags) == (stand.login_server(name), "Basic", {"a": "b"})
    assert not registries.registries.check_name_availability(request).name_available
    update = registry_models.RegistryUpdateParameters(admin_user_enabled=True, tags={"c": "d"})
    changed = registries.registries.begin_update(group, name, update).result()
    assert (changed.admin_user_enabled, changed.tags) == (True, {"c": "d"})
    credentials = registries.registries.list_credentials(group, name)
    assert credentials.username == name
    again = registry_models.RegenerateCredentialParameters(name="password")
    renewed = registries.registries.regenerate_credential(group, name, again)
    assert renewed.passwords[0].value != credentials.passwords[0].value
    assert {"Size"} <= {usage.name for usage in registries.registries.list_usages(group, name).value}
    assert name in {row.name for row in registries.registries.list_by_resource_group(group)}
    assert name in {row.name for row in registries.registries.list()}
    registries.registries.begin_delete(group, name).result()
    with pytest.raises(ResourceNotFoundError):
        registries.registries.get(group, name)


def test_resources_and_their_tags(stand: Stand, credential: ClientSecretCredential, group: str, registry: str) -> None:
    _, _, options = settings(stand)
    with ResourceManagementClient(credential, stand.owner["subscription_id"], **options) as client:
        assert registry in {row.name for row in client.resources.list_by_resource_group(group)}
        kind = "resourceType eq 'Microsoft.ContainerRegistry/registries'"
        found = next(row for row in client.resources.list(filter=kind) if row.name == registry)
        assert client.resources.check_existence_by_id(found.id, api_version="2023-07-01")
        assert client.resources.get_by_id(found.id, api_version="2023-07-01").sku.name == "Premium"
        assert client.providers.get("Microsoft.ContainerRegistry").registration_state == "Registered"
        patch: Any = {"operation": "Merge", "properties": {"tags": {"by": "tags"}}}
        assert client.tags.begin_update_at_scope(found.id, patch).result().properties.tags == {"by": "tags"}
        assert client.tags.get_at_scope(found.id).properties.tags == {"by": "tags"}
        assert "by" in {row.tag_name for row in client.tags.list()}
        tagged = client.resources.list(filter="tagName eq 'by' and tagValue eq 'tags'")
        assert [row.id for row in tagged] == [found.id]
        client.tags.begin_delete_at_scope(found.id).result()
        assert client.resources.get_by_id(found.id, api_version="2023-07-01").tags == {}


def test_scope_maps_and_tokens(registries: ContainerRegistryManagementClient, group: str, registry: str) -> None:
    actions = ["repositories/hello/content/read"]
    scope_map = registries.scope_maps.begin_create(
        group, registry, "sdkmap", registry_models.ScopeMap(actions=actions, description="from the library")
    ).result()
    assert (scope_map.properties.type, scope_map.properties.actions) == ("UserDefined", actions)
    token = registries.tokens.begin_create(
        group, registry, "sdktoken", registry_models.Token(scope_map_id=scope_map.id, status="enabled")
    ).result()
    assert token.credentials is not None
    generated = registries.registries.begin_generate_credentials(
        group, registry, registry_models.GenerateCredentialsParameters(token_id=token.id)
    ).result()
    assert generated.username == "sdktoken"
    assert len({row.value for row in generated.passwords}) == 2
    assert "sdktoken" in {row.name for row in registries.tokens.list(group, registry)}
    registries.tokens.begin_delete(group, registry, "sdktoken").result()
    registries.scope_maps.begin_delete(group, registry, "sdkmap").result()


def test_what_is_not_there_is_empty_and_refused(
    registries: ContainerRegistryManagementClient, group: str, registry: str
) -> None:
    assert list(registries.replications.list(group, registry)) == []
    assert list(registries.webhooks.list(group, registry)) == []
    assert list(registries.cache_rules.list(group, registry)) == []
    hook = registry_models.WebhookCreateParameters(
        location="westeurope", service_uri="https://example.com", actions=["push"]
    )
    with pytest.raises(HttpResponseError) as refused:
        registries.webhooks.begin_create(group, registry, "hook01", hook).result()
    assert refused.value.status_code == 400
    assert list(registries.webhooks.list(group, registry)) == []


def test_a_build_from_upload_to_log(
    tasks: ContainerRegistryTasksMgmtClient, group: str, registry: str, stand: Stand
) -> None:
    place = tasks.registries.get_build_source_upload_url(group, registry)
    with httpx.Client(verify=ssl.create_default_context(cafile=stand.owner["ca_file"])) as client:
        sent = client.put(place.upload_url, content=archive(), headers={"x-ms-blob-type": "BlockBlob"})
        assert sent.status_code == 201
    request = task_models.DockerBuildRequest(
        docker_file_path="Dockerfile",
        image_names=["sdk/built:v1"],
        is_push_enabled=True,
        source_location=place.relative_path,
        platform=task_models.PlatformProperties(os="Linux", architecture="amd64"),
    )
    queued = tasks.registries.schedule_run(group, registry, request)
    run_id = queued.run_id or queued.name
    ended = wait_until(lambda: run_if_ended(tasks, group, registry, run_id), f"run {run_id} ends", within_s=120)
    assert ended.status == "Succeeded", stand.read_log(registry, run_id)
    assert [image.tag for image in ended.output_images] == ["v1"]
    assert tasks.runs.get_log_sas_url(group, registry, run_id).log_link
    assert run_id in {run.run_id for run in tasks.runs.list(group, registry)}
    assert list(tasks.tasks.list(group, registry)) == []


def run_if_ended(tasks: ContainerRegistryTasksMgmtClient, group: str, registry: str, run_id: str) -> Any:
    run = tasks.runs.get(group, registry, run_id)
    return run if run.status in ENDED else None


def archive() -> bytes:
    """A build context of two small files, as a tar.gz."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in {"Dockerfile": b"FROM scratch\nCOPY hello /hello\n", "hello": b"hello\n"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(packed.getvalue())


@pytest.fixture
async def async_credential(stand: Stand) -> AsyncIterator[AsyncClientSecretCredential]:
    who, options, _ = settings(stand)
    async with AsyncClientSecretCredential(*who, **options) as credential:
        yield credential


async def test_the_same_without_blocking(
    async_credential: AsyncClientSecretCredential, group: str, stand: Stand
) -> None:
    _, _, options = settings(stand)
    subscription = stand.owner["subscription_id"]
    name = f"sdkasync{uuid.uuid4().hex[:8]}"
    async with (
        AsyncRegistryClient(async_credential, subscription, **options) as registries,
        AsyncTasksClient(async_credential, subscription, **options) as tasks,
        AsyncResourceClient(async_credential, subscription, **options) as resources,
    ):
        wanted = registry_models.Registry(location="westeurope", sku=registry_models.Sku(name="Standard"))
        made = await (await registries.registries.begin_create(group, name, wanted)).result()
        assert made.login_server == stand.login_server(name)
        kind = "resourceType eq 'Microsoft.ContainerRegistry/registries'"
        assert name in [row.name async for row in resources.resources.list(filter=kind)]
        assert [run async for run in tasks.runs.list(group, name)] == []
        await (await registries.registries.begin_delete(group, name)).result()
        with pytest.raises(ResourceNotFoundError):
            await registries.registries.get(group, name)
