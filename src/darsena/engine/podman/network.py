"""A run's networks, made of namespaces, a user-mode way out and routes: no daemon, and nothing of the host's changes.

    outside ── slirp4netns ── tap0 [run's namespace] br0 ── eth0 [step a]
                                                        └── eth0 [step b]
Builds and steps without a named network run in the run's own namespace. A step on a named network has one of its own,
with a fixed address that the others know from /etc/hosts. The machine itself and link-local addresses (metadata
services) cannot be reached: routes refuse them, and slirp4netns has its way to the host's loopback closed.
"""

from __future__ import annotations

import asyncio
import ipaddress
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from darsena.engine import tools
from darsena.engine.podman.sandbox import Sandbox
from darsena.engine.port import StepFault

RESOLVER = "10.0.2.3"
"""slirp4netns answers name look-ups there with the host's resolver."""
_POOL = ipaddress.IPv4Network("10.89.0.0/16")

_MAKE_RUN = """set -e
mkdir -p "${1%/*}"; : > "$1"
unshare --net="$1" sh -c 'ip link set lo up'
"""
_CLOSE_ROUTES = 'for target in "$@"; do ip route add unreachable "$target" || exit 1; done'
_MAKE_BRIDGE = """set -e
ip link add "$1" type bridge
ip addr add "$2" dev "$1"
ip link set "$1" up
echo 1 > /proc/sys/net/ipv4/ip_forward
"""
_RULES = """table ip darsena
delete table ip darsena
table ip darsena {{
  chain out {{
    type nat hook postrouting priority 100
    oifname "tap0" masquerade
  }}
  chain between {{
    type filter hook forward priority 0
{accepted}
    iifname "br*" oifname "br*" drop
  }}
}}
"""
"""The second chain keeps the run's networks apart. Some kernels show it a bridge's own traffic: hence `accepted`."""
_ATTACH = """set -e
[ -e "$1" ] && exit 0
: > "$1"
unshare --net="$1" sh -c 'ip link set lo up'
ip link add "$2" type veth peer name eth0 netns "$1"
ip link set "$2" master "$3" up
nsenter --net="$1" sh -c 'ip addr add "$1" dev eth0; ip link set eth0 up; ip route add default via "$2"' sh "$4" "$5"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedNetwork:
    index: int
    gateway: ipaddress.IPv4Address
    addresses: dict[str, ipaddress.IPv4Address]


class Networks:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._folder = sandbox.paths.inside / "net"
        self._named: dict[str, NamedNetwork] = {}
        self._lock = asyncio.Lock()
        self._made = False
        self._attached = 0

    async def ensure_outside(self) -> Path:
        """The namespace that builds run in; it has a way out where the machine allows one."""
        async with self._lock:
            path = self._folder / "run"
            if not self._made:
                await self._script(_MAKE_RUN, str(path), within=None)
                if self._sandbox.machine.outside:
                    await self._start_slirp(path)
                    await self._script(_CLOSE_ROUTES, "169.254.0.0/16", *await _own_addresses(), within=path)
                self._made = True
            return path

    async def create(self, name: str, members: tuple[str, ...]) -> None:
        """Raises StepFault. Idempotent."""
        if name in self._named:
            return
        outside = await self.ensure_outside()
        index = len(self._named)
        subnet = list(_POOL.subnets(new_prefix=22))[index]
        gateway = subnet.network_address + 1
        addresses = {member: subnet.network_address + 2 + place for place, member in enumerate(members)}
        await self._script(_MAKE_BRIDGE, f"br{index}", f"{gateway}/22", within=outside)
        accepted = "\n".join(f'    iifname "br{i}" oifname "br{i}" accept' for i in range(index + 1))
        # Without nft the steps still reach one another.
        await self._sandbox.ask(
            ["sh", "-c", 'command -v nft && printf %s "$1" | nft -f -', "sh", _RULES.format(accepted=accepted)],
            namespace=True,
            network=outside,
        )
        self._named[name] = NamedNetwork(index=index, gateway=gateway, addresses=addresses)

    async def attach(self, name: str, member: str) -> tuple[Path, tuple[str, ...]]:
        """The step's namespace and its `name:address` pairs for /etc/hosts."""
        if name not in self._named:
            raise StepFault(f"network {name} does not exist")
        net = self._named[name]
        path = self._folder / f"{net.index}-{list(net.addresses).index(member)}"
        outside = await self.ensure_outside()
        async with self._lock:
            self._attached += 1
            bridge, address = f"br{net.index}", f"{net.addresses[member]}/22"
            interface = f"v{self._attached}"
            await self._script(_ATTACH, str(path), interface, bridge, address, str(net.gateway), within=outside)
        return path, tuple(f"{other}:{address}" for other, address in net.addresses.items())

    async def _start_slirp(self, path: Path) -> None:
        program = ["slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback", "--ready-fd=1"]
        argv = self._sandbox.argv([*program, "--netns-type=path", str(path), "tap0"], namespace=True)
        tool = await self._sandbox.launch(argv, split=True)
        assert tool.process.stdout is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                if await tool.process.stdout.read(1):
                    return
        await tool.end(0.0)
        raise StepFault("failed to create network: slirp4netns does not start")

    async def _script(self, script: str, *arguments: str, within: Path | None) -> None:
        answer = await self._sandbox.ask(["sh", "-c", script, "sh", *arguments], namespace=True, network=within)
        if answer.code:
            raise StepFault(f"failed to create network: {answer.message}")


async def _own_addresses() -> list[str]:
    """The machine's own IPv4 addresses, which a run must not reach."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    answer = await tools.ask(await tools.start(["ip", "-o", "-4", "addr"], environment, split=True), 10)
    fields = (line.split() for line in answer.out.splitlines())
    addresses = {words[3].partition("/")[0] for words in fields if len(words) > 3}
    return sorted(f"{address}/32" for address in addresses if not address.startswith("127."))
