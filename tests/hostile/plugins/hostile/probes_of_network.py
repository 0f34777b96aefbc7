"""Attempts to reach anything at all."""

import socket
from pathlib import Path

from probe import HOST_PORT, HOST_SOCKET, Breach, probe, refused


def connect(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as sock:
        sock.settimeout(1)
        sock.connect(address)
        sock.send(b"x")
    return address


@probe
def network_name_lookup():
    return refused(socket.getaddrinfo, "example.com", 443)


@probe
def network_address():
    return "; ".join(
        [
            refused(connect, socket.AF_INET, ("1.1.1.1", 53)),
            refused(connect, socket.AF_INET, ("1.1.1.1", 53), socket.SOCK_DGRAM),
            refused(connect, socket.AF_INET6, ("2606:4700:4700::1111", 53)),
        ]
    )


@probe
def network_cloud_metadata():
    return refused(connect, socket.AF_INET, ("169.254.169.254", 80))


@probe
def network_host_gateway():
    routes = Path("/proc/net/route").read_text().splitlines()[1:]
    if routes:
        raise Breach(f"routes: {routes}")
    return refused(connect, socket.AF_INET, ("172.17.0.1", HOST_PORT))


@probe
def network_host_loopback():
    return "; ".join(
        [
            refused(connect, socket.AF_INET, ("127.0.0.1", HOST_PORT)),
            refused(connect, socket.AF_UNIX, HOST_SOCKET),
        ]
    )


@probe
def network_engine_socket():
    for path in (
        "/var/run/docker.sock",
        "/run/docker.sock",
        "/run/containerd/containerd.sock",
        "/run/podman/podman.sock",
    ):
        refused(connect, socket.AF_UNIX, path)
    return refused(connect, socket.AF_INET, ("127.0.0.1", 2375))


@probe
def network_hypervisor_socket():
    if not hasattr(socket, "AF_VSOCK"):
        return "no AF_VSOCK"
    # Not even to be had: somebody may listen on the hypervisor's side.
    return "; ".join(
        [
            refused(socket.socket, socket.AF_VSOCK, socket.SOCK_STREAM),
            refused(connect, socket.AF_VSOCK, (1, HOST_PORT)),
            refused(connect, socket.AF_VSOCK, (2, HOST_PORT)),
        ]
    )


@probe
def network_raw_packets():
    return "; ".join(
        [
            refused(socket.socket, socket.AF_PACKET, socket.SOCK_RAW),
            refused(socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        ]
    )


@probe
def network_interfaces():
    # "sit0", "tunl0" and their like are the kernel's own fallbacks: they lead nowhere and cannot be set up.
    up = [name for _, name in socket.if_nameindex() if int(Path(f"/sys/class/net/{name}/flags").read_text(), 16) & 1]
    if up != ["lo"]:
        raise Breach(f"interfaces that are up: {up}")
    return "only lo is up"
