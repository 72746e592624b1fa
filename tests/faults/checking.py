"""After a crash: everything acknowledged is there, and what was in doubt happened whole or not at all."""

from __future__ import annotations

import copy
import time

from darsena.core.digest import Digest
from darsena.core.errors import UploadUnknown
from darsena.core.names import RepositoryName
from faults.ledger import Ledger, Shelf
from faults.work import GRACE_S
from oracles import Facts, check_world
from registry_gc.world import PRINCIPAL, REGISTRY, World


async def check_history(world: World, ledger: Ledger) -> None:
    rows = await check_world(world, ledger.told)
    settled: dict[str, Shelf] = {}
    for name, shelf in ledger.shelves.items():
        settled[name] = find_truth(ledger, name, shelf, rows)
        check_blobs(ledger, settled[name], rows.links.get(name, []))
        await check_uploads(world, ledger, name, settled[name])
        await check_served(world, name, settled[name])
    ledger.settle(settled)


def find_truth(ledger: Ledger, name: str, shelf: Shelf, rows: Facts) -> Shelf:
    """The shelf as acknowledged, or with the thing in doubt done."""
    found = (rows.tags.get(name, {}), sorted(rows.manifests.get(name, [])))
    op = ledger.pending.get(name)
    is_unlinked = op is not None and op["do"] == "unlink" and op["digest"] not in rows.links.get(name, [])
    if found == (shelf.tags, sorted(shelf.manifests)) and not is_unlinked:
        if op is not None:
            ledger.counts["in doubt, not told apart or not done"] += 1
        return shelf
    assert op is not None, (name, found, shelf.tags, sorted(shelf.manifests))
    done = copy.deepcopy(shelf)
    done.apply(op)
    assert found == (done.tags, sorted(done.manifests)), (name, op, found, shelf.tags, sorted(shelf.manifests))
    ledger.counts["in doubt, done"] += 1
    return done


def check_blobs(ledger: Ledger, shelf: Shelf, links: list[str]) -> None:
    """An acknowledged blob stays for gc's time of grace. fsck has seen its bytes."""
    shelf.blobs = {digest: at for digest, at in shelf.blobs.items() if time.time() - at < 0.8 * GRACE_S}
    assert set(shelf.blobs) <= set(links), {digest: shelf.blobs[digest] for digest in shelf.blobs.keys() - set(links)}
    ledger.counts["blobs in their time of grace, held"] += len(shelf.blobs)


async def check_uploads(world: World, ledger: Ledger, name: str, shelf: Shelf) -> None:
    """Each stands where it was acknowledged, or further. One that a crash hit as it began to be stored may be gone."""
    op = ledger.pending.get(name, {})
    for uid, known in list(shelf.uploads.items()):
        is_hit = op.get("upload") == uid
        try:
            offset = await world.service.uploading.offset(REGISTRY, RepositoryName(name), uid, PRINCIPAL)
        except UploadUnknown:
            assert is_hit, (name, uid, known, op)
            assert op["do"] in ("finish", "cancel") or known["offset"] == 0, (name, uid, known, op)
            del shelf.uploads[uid]
            continue
        if is_hit and op["do"] in ("finish", "cancel") and offset == 0:
            del shelf.uploads[uid]
        else:
            assert offset >= known["offset"], (name, uid, known, offset)


async def check_served(world: World, name: str, shelf: Shelf) -> None:
    """By every tag, the exact bytes that were pushed."""
    for tag, digest in shelf.tags.items():
        served = await world.service.manifests.get(REGISTRY, RepositoryName(name), tag)  # type: ignore[arg-type]
        assert (str(served.digest), served.content.decode()) == (digest, shelf.manifests[digest]["content"])
        assert Digest.of(served.content) == served.digest
