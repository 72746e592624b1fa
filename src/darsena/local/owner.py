"""The owner's file: how a person who has the data folder gets to be the owner of everything in it."""

from __future__ import annotations

import json

from darsena.core.errors import StartFailure
from darsena.db.stamp import Stamp
from darsena.identity.owner import NewServicePrincipal, Owner
from darsena.local.folder import Folder, Marker, write_private


async def ensure_owner_file(owner: Owner, folder: Folder, marker: Marker, stamp: Stamp) -> bool:
    """Write `owner.json` where it is missing; returns whether it was written.

    On first start with the owner itself. Later with a new secret: a crash may have come between the owner and its
    file, and whoever can write into the data folder is its owner anyway.
    """
    if folder.owner.exists():
        return False
    made = await owner.ensure() or await _reset(owner)
    write_owner_file(folder, marker, stamp, made)
    return True


async def _reset(owner: Owner) -> NewServicePrincipal:
    made = await owner.reset_secret()
    if made is None:
        raise StartFailure("no service principal is the owner of this folder any more: assign the role to one again")
    return made


def write_owner_file(folder: Folder, marker: Marker, stamp: Stamp, made: NewServicePrincipal) -> None:
    """Mode 0600; what the command line and `az login --service-principal` need."""
    text = json.dumps(
        {
            "tenant_id": stamp.tenant_id,
            "subscription_id": stamp.subscription_id,
            "client_id": made.client_id,
            "client_secret": made.client_secret,
            "control_url": marker.addresses.control_url,
            "registry_domain": marker.registry_domain,
            "ca_file": str(folder.ca_file.absolute()),
        },
        indent=2,
    )
    write_private(folder.owner, text + "\n")


async def rewrite_owner_file(owner: Owner, folder: Folder, marker: Marker, stamp: Stamp) -> None:
    """A new secret for the owner, and its file."""
    made = await owner.ensure() or await _reset(owner)
    write_owner_file(folder, marker, stamp, made)
