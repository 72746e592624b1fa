"""Azure's own Python client library, unmodified: `azure-containerregistry` with `azure-identity` (issue: Clients).

The one thing that tells it of this server is its options: the authority, the audience, the CA.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from azure.containerregistry import (
    ArtifactArchitecture,
    ArtifactManifestOrder,
    ArtifactOperatingSystem,
    ArtifactTagOrder,
    ArtifactTagProperties,
    ContainerRegistryClient,
    RepositoryProperties,
)
from azure.containerregistry.aio import ContainerRegistryClient as AsyncContainerRegistryClient
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from pushing import CONFIG, LAYER, MANIFEST, Pusher, digest_of
from stand import REGISTRY, Stand

Manifest = dict[str, Any]


def authority(stand: Stand, secret: str | None = None) -> tuple[tuple[str, str, str], dict[str, Any]]:
    """What both kinds of ClientSecretCredential are made from."""
    owner = stand.owner
    who = (owner["tenant_id"], owner["client_id"], secret or owner["client_secret"])
    return who, {
        "authority": owner["control_url"],
        "disable_instance_discovery": True,
        "connection_verify": owner["ca_file"],
    }


@pytest.fixture(scope="module")
def client(stand: Stand) -> Iterator[ContainerRegistryClient]:
    who, options = authority(stand)
    endpoint = f"https://{stand.login_server(REGISTRY)}"
    with (
        ClientSecretCredential(*who, **options) as credential,
        ContainerRegistryClient(
            endpoint, credential, audience=stand.owner["control_url"], connection_verify=stand.owner["ca_file"]
        ) as client,
    ):
        yield client


@pytest.fixture
async def async_client(stand: Stand) -> AsyncIterator[AsyncContainerRegistryClient]:
    who, options = authority(stand)
    endpoint = f"https://{stand.login_server(REGISTRY)}"
    async with (
        AsyncClientSecretCredential(*who, **options) as credential,
        AsyncContainerRegistryClient(
            endpoint, credential, audience="https://management.azure.com", connection_verify=stand.owner["ca_file"]
        ) as client,
    ):
        yield client


def manifest_of(config: bytes, layer: bytes) -> Manifest:
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": LAYER, "digest": digest_of(layer), "size": len(layer)}],
    }


def push(client: ContainerRegistryClient, repository: str, tag: str, layer: bytes | None = None) -> str:
    """Its digest."""
    config, layer = b'{"architecture": "amd64", "os": "linux"}', layer or os.urandom(1000)
    for content in (config, layer):
        assert client.upload_blob(repository, io.BytesIO(content)) == (digest_of(content), len(content))
    return client.set_manifest(repository, manifest_of(config, layer), tag=tag)


def test_blob_of_several_chunks_goes_and_comes_back_whole(client: ContainerRegistryClient) -> None:
    """4 MiB and a rest, each first sent without a token: the library waits to be asked for one."""
    content = os.urandom(4 * 1024 * 1024 + 1234)
    digest, size = client.upload_blob("sdk/blobs", io.BytesIO(content))
    assert (digest, size) == (digest_of(content), len(content))
    with client.download_blob("sdk/blobs", digest) as stream:
        assert b"".join(stream) == content
    client.delete_blob("sdk/blobs", digest)
    with pytest.raises(ResourceNotFoundError):
        client.download_blob("sdk/blobs", digest)
    client.delete_blob("sdk/blobs", digest)  # what is gone is no error to it


def test_manifest_is_set_and_got_by_tag_and_by_digest(client: ContainerRegistryClient) -> None:
    digest = push(client, "sdk/manifests", "v1")
    by_tag, by_digest = (client.get_manifest("sdk/manifests", reference) for reference in ("v1", digest))
    assert by_tag.digest == by_digest.digest == digest
    assert by_tag.media_type == MANIFEST
    assert by_tag.manifest == by_digest.manifest
    raw = json.dumps(by_tag.manifest, indent=3).encode()  # the same document in other bytes is another manifest
    assert client.set_manifest("sdk/manifests", io.BytesIO(raw)) == digest_of(raw)
    assert client.get_manifest("sdk/manifests", digest_of(raw)).manifest == by_tag.manifest
    bad = {**json.loads(raw), "layers": [{"mediaType": LAYER, "digest": digest_of(b"never pushed"), "size": 12}]}
    with pytest.raises(HttpResponseError) as refused:
        client.set_manifest("sdk/manifests", bad, tag="bad")
    assert refused.value.status_code == 400


def test_lists_page_and_are_ordered(client: ContainerRegistryClient) -> None:
    layer = os.urandom(100)
    for number in range(7):
        push(client, "sdk/lists", f"v{number}", layer + bytes([number]))
    digests = [client.get_tag_properties("sdk/lists", f"v{number}").digest for number in range(7)]
    tags = [tag.name for tag in client.list_tag_properties("sdk/lists", results_per_page=3)]
    assert tags == [f"v{number}" for number in range(7)]
    newest = client.list_tag_properties("sdk/lists", order_by=ArtifactTagOrder.LAST_UPDATED_ON_DESCENDING)
    assert [tag.name for tag in newest] == tags[::-1]
    oldest = client.list_manifest_properties(
        "sdk/lists", order_by=ArtifactManifestOrder.LAST_UPDATED_ON_ASCENDING, results_per_page=2
    )
    assert [manifest.digest for manifest in oldest] == digests
    names = list(client.list_repository_names(results_per_page=1))
    assert names == sorted(names)
    assert "sdk/lists" in names


def test_properties_are_right_and_can_be_changed(stand: Stand, client: ContainerRegistryClient) -> None:
    digest = push(client, "sdk/properties", "v1", b"z" * 5000)
    repository = client.get_repository_properties("sdk/properties")
    assert (repository.name, repository.manifest_count, repository.tag_count) == ("sdk/properties", 1, 1)
    manifest = client.get_manifest_properties("sdk/properties", "v1")
    assert (manifest.digest, manifest.tags) == (digest, ["v1"])
    platform = (manifest.architecture, manifest.operating_system)
    assert platform == (ArtifactArchitecture.AMD64, ArtifactOperatingSystem.LINUX)
    assert manifest.size_in_bytes > 5000
    assert manifest.created_on <= manifest.last_updated_on

    tag = client.update_tag_properties("sdk/properties", "v1", can_delete=False, can_write=False)
    assert (tag.can_delete, tag.can_write, tag.can_read, tag.can_list) == (False, False, True, True)
    with pytest.raises(HttpResponseError) as locked:
        client.delete_tag("sdk/properties", "v1")
    assert locked.value.status_code == 405
    opened = ArtifactTagProperties(can_delete=True, can_write=True)
    assert client.update_tag_properties("sdk/properties", "v1", opened).can_delete
    changed = client.update_manifest_properties("sdk/properties", digest, can_delete=False)
    assert not changed.can_delete
    with pytest.raises(HttpResponseError):
        client.delete_manifest("sdk/properties", digest)
    client.update_manifest_properties("sdk/properties", digest, can_delete=True)
    closed = client.update_repository_properties("sdk/properties", RepositoryProperties(can_delete=False))
    assert not closed.can_delete
    client.update_repository_properties("sdk/properties", can_delete=True)


def test_deleting_a_tag_a_manifest_and_a_repository(client: ContainerRegistryClient) -> None:
    first, second = push(client, "sdk/deleted", "v1"), push(client, "sdk/deleted", "v2")
    client.delete_tag("sdk/deleted", "v1")
    assert {found.digest for found in client.list_manifest_properties("sdk/deleted")} == {first, second}
    with pytest.raises(ResourceNotFoundError):
        client.get_tag_properties("sdk/deleted", "v1")
    client.delete_manifest("sdk/deleted", "v2")
    assert [found.digest for found in client.list_manifest_properties("sdk/deleted")] == [first]
    client.delete_repository("sdk/deleted")
    with pytest.raises(ResourceNotFoundError):
        client.get_repository_properties("sdk/deleted")
    client.delete_repository("sdk/deleted")


def test_wrong_secret_is_refused_by_the_directory(stand: Stand) -> None:
    who, options = authority(stand, "wrong")
    server, ca = f"https://{stand.login_server(REGISTRY)}", stand.owner["ca_file"]
    with (
        ClientSecretCredential(*who, **options) as credential,
        ContainerRegistryClient(
            server, credential, audience="https://management.azure.com", connection_verify=ca
        ) as refused,
        pytest.raises(ClientAuthenticationError),
    ):
        list(refused.list_repository_names())


def test_nobody_reads_where_anonymous_pull_is_enabled(stand: Stand, client: ContainerRegistryClient) -> None:
    """No credential at all: the client asks for an anonymous token. Nothing is written with it."""
    stand.ok("create", "-g", "tests", "-n", "sdkopen", "--sku", "Standard")
    content = b"open to all"
    pusher = Pusher(stand, "sdkopen", "open/image")
    digest = pusher.put_manifest("v1", pusher.make_manifest(content))
    server, ca = f"https://{stand.login_server('sdkopen')}", stand.owner["ca_file"]
    with ContainerRegistryClient(server, connection_verify=ca) as nobody:
        with pytest.raises(ClientAuthenticationError):
            nobody.get_manifest("open/image", "v1")
        stand.ok("update", "-n", "sdkopen", "--anonymous-pull-enabled", "true")
        assert nobody.get_manifest("open/image", "v1").digest == digest
        assert b"".join(nobody.download_blob("open/image", digest_of(content))) == content
        assert [found.name for found in nobody.list_tag_properties("open/image")] == ["v1"]
        with pytest.raises(ClientAuthenticationError):
            nobody.upload_blob("open/image", io.BytesIO(b"mine"))
        with pytest.raises(ClientAuthenticationError):
            nobody.delete_manifest("open/image", digest)


async def test_asynchronous_client_from_push_to_deletion(async_client: AsyncContainerRegistryClient) -> None:
    client, repository = async_client, "sdk/async"
    config, layer = b"{}", os.urandom(4 * 1024 * 1024 + 17)
    for content in (config, layer):
        assert await client.upload_blob(repository, io.BytesIO(content)) == (digest_of(content), len(content))
    digest = await client.set_manifest(repository, manifest_of(config, layer), tag="v1")
    found = await client.get_manifest(repository, "v1")
    assert (found.digest, found.manifest) == (digest, manifest_of(config, layer))
    async with await client.download_blob(repository, digest_of(layer)) as stream:
        assert b"".join([chunk async for chunk in stream]) == layer
    assert repository in [name async for name in client.list_repository_names()]
    assert [tag.name async for tag in client.list_tag_properties(repository)] == ["v1"]
    assert [row.digest async for row in client.list_manifest_properties(repository)] == [digest]
    assert (await client.get_repository_properties(repository)).manifest_count == 1
    assert not (await client.update_tag_properties(repository, "v1", can_write=False)).can_write
    await client.update_tag_properties(repository, "v1", can_write=True)
    await client.delete_tag(repository, "v1")
    await client.delete_manifest(repository, digest)
    await client.delete_blob(repository, digest_of(config))
    await client.delete_repository(repository)
    with pytest.raises(ResourceNotFoundError):
        await client.get_repository_properties(repository)
