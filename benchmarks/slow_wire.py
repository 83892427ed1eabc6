"""A network cable that loses and delays packets, for benchmarks/cluster.sh. Linux, root.

    python -m benchmarks.slow_wire NAMESPACE ADDRESS BRIDGE --delay 0.02 --loss 0.01

Makes a TAP device on BRIDGE and another one, `eth0` with ADDRESS, in the network namespace NAMESPACE. Each packet
between them is lost with probability `--loss`, or arrives after half of `--delay`. Runs until it is killed. (The
kernel's own `tc netem` does the same, where it is built in.)
"""

import ctypes
import fcntl
import heapq
import os
import random
import selectors
import struct
import subprocess
import time

from benchmarks.report import command

TUNSETIFF, TAP_WITHOUT_HEADER = 0x400454CA, 0x0002 | 0x1000
CLONE_NEWNET = 0x40000000
LARGEST = 65536


def tap(name: str) -> int:
    """The file descriptor of a new TAP device in the current namespace."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH", name.encode(), TAP_WITHOUT_HEADER))
    return descriptor


def enter(namespace: str) -> None:
    with open(f"/run/netns/{namespace}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")


def carry(ends: tuple[int, int], delay: float, loss: float) -> None:
    other = dict(zip(ends, ends[::-1]))
    under_way: list[tuple[float, int, int, bytes]] = []  # when a packet arrives, its number, where, what
    number = 0
    with selectors.DefaultSelector() as selector:
        for end in ends:
            selector.register(end, selectors.EVENT_READ)
        while True:
            wait = max(under_way[0][0] - time.monotonic(), 0) if under_way else None
            for key, _ in selector.select(wait):
                packet = os.read(key.fd, LARGEST)
                if random.random() >= loss:
                    number += 1
                    heapq.heappush(under_way, (time.monotonic() + delay / 2, number, other[key.fd], packet))
            while under_way and under_way[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(under_way)
                os.write(end, packet)


def main() -> None:
    parser = command("slow_wire", __doc__)
    parser.add_argument("namespace")
    parser.add_argument("address", help="with the length of the network's prefix: 10.0.0.1/24")
    parser.add_argument("bridge")
    parser.add_argument("--delay", type=float, default=0.02, help="there and back, in seconds (%(default)s)")
    parser.add_argument("--loss", type=float, default=0.01, help="share of packets, each way (%(default)s)")
    arguments = parser.parse_args()
    outer = f"wm_wire_{arguments.namespace[-1]}"
    ends = [tap(outer)]
    subprocess.run(["ip", "link", "set", outer, "master", arguments.bridge, "up"], check=True)
    enter(arguments.namespace)
    ends.append(tap("eth0"))
    subprocess.run(["ip", "address", "add", arguments.address, "dev", "eth0"], check=True)
    subprocess.run(["ip", "link", "set", "eth0", "up"], check=True)
    carry((ends[0], ends[1]), arguments.delay, arguments.loss)


if __name__ == "__main__":
    main()
