"""A long line between two network namespaces where the kernel has no netem: real TCP, every packet held half an RTT.

`python -m bench.tunnel NEAR_NAMESPACE FAR_NAMESPACE RTT_MS`, as root, puts a TUN device into each of two namespaces,
prints `ready`, and carries the packets between the two devices until SIGTERM. No rate is limited, nothing is lost.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections import deque

NEAR_ADDRESS = "10.77.0.1"
FAR_ADDRESS = "10.77.0.2"

# linux/if_tun.h. The header of virtio lets the kernel hand over packets of up to 64 KiB, not yet cut to the MTU.
_TUNSETIFF = 0x400454CA
_TUNSETOFFLOAD = 0x400454D0
_IFF_TUN, _IFF_NO_PI, _IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
_TUN_F_CSUM, _TUN_F_TSO4, _TUN_F_TSO6 = 0x01, 0x02, 0x04
_LARGEST_PACKET = 70_000


def open_device(name: str, namespace: str, address: str) -> int:
    """Return the descriptor of a new TUN device that lives in `namespace`; its packets are read and written here."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    flags = _IFF_TUN | _IFF_NO_PI | _IFF_VNET_HDR
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    fcntl.ioctl(device, _TUNSETOFFLOAD, _TUN_F_CSUM | _TUN_F_TSO4 | _TUN_F_TSO6)
    for words in (
        ("link", "set", name, "netns", namespace),
        ("-n", namespace, "addr", "add", f"{address}/24", "dev", name),
        ("-n", namespace, "link", "set", name, "up", "txqueuelen", "10000"),
    ):
        subprocess.run(("ip", *words), check=True)
    return device


def carry(near: int, far: int, one_way_s: float) -> None:
    """Carry packets both ways, for ever; each leaves `one_way_s` after it came."""
    under_way: dict[int, deque[tuple[float, bytes]]] = {near: deque(), far: deque()}  # by where they go
    while True:
        due = [packets[0][0] for packets in under_way.values() if packets]
        wait_s = max(0.0, min(due) - time.monotonic()) if due else None
        for source in select.select((near, far), (), (), wait_s)[0]:
            _collect(source, under_way[far if source == near else near], one_way_s)
        for target, packets in under_way.items():
            while packets and packets[0][0] <= time.monotonic():
                _deliver(target, packets.popleft()[1])


def _collect(source: int, packets: deque[tuple[float, bytes]], one_way_s: float) -> None:
    for _ in range(64):
        try:
            packet = os.read(source, _LARGEST_PACKET)
        except BlockingIOError:
            return
        packets.append((time.monotonic() + one_way_s, packet))


def _deliver(target: int, packet: bytes) -> None:
    try:
        os.write(target, packet)
    except OSError:
        return  # a full queue or a device that is being taken down: as a lost packet, TCP sends it again


def main() -> None:
    """Set up, say so, and carry until the signal."""
    near_namespace, far_namespace, rtt_ms = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    near = open_device("bench0", near_namespace, NEAR_ADDRESS)
    far = open_device("bench1", far_namespace, FAR_ADDRESS)
    print("ready", flush=True)
    carry(near, far, float(rtt_ms) / 2000)


if __name__ == "__main__":
    main()
