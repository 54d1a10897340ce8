"""Which address a step's connection goes to: looked up once, judged, and never looked up again."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.domain.command import Refusal
from agent.safety import addresses
from agent.safety.addresses import Address

#: (host, port) to socket addresses, as socket.getaddrinfo gives them for TCP.
Resolve = Callable[[str, int], Sequence[tuple[str, int]]]

_DEFAULT_PORTS = ("80", "443")


@dataclass(frozen=True, slots=True)
class Destination:
    """A host that may be reached, and the numeric addresses that were judged."""

    host: Address
    ips: tuple[str, ...]
    port: int


def resolve(host: str, port: int) -> Sequence[tuple[str, int]]:
    """Ask the system's resolver; OSError if it knows no such name."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label over 63 characters, which no name server knows
        raise OSError(f"{host[:80]} is no name") from error
    return [(str(sockaddr[0]), int(sockaddr[1])) for _, _, _, _, sockaddr in found]


def destination(word: str, allowed: Sequence[str], *, look_up: Resolve = resolve) -> Destination | Refusal:
    """Where `host:port` leads, if the command may go there; OSError if the name is not known."""
    host = addresses.address(word)
    if isinstance(host, Refusal):
        return host
    if not host.port:
        return Refusal(f"{word!r} names no port", "a proxy is asked for host:port")
    if host.gives_credentials:
        hint = "a step has no business there"
        return Refusal(f"{host} is a metadata or link-local address, where machines find credentials", hint)
    if not _is_allowed(host, allowed):
        hint = f"it may reach {', '.join(allowed)}" if allowed else "it may reach no host"
        return Refusal(f"this command was not priced for {host}", hint)
    ips: list[str] = []
    for ip, _ in look_up(host.host, int(host.port)):
        if refusal := _ip_refusal(host, ip):
            return refusal
        ips.append(ip)
    return Destination(host, tuple(dict.fromkeys(ips)), int(host.port))


def _is_allowed(host: Address, allowed: Sequence[str]) -> bool:
    """An entry without a port means those of http and https."""
    if host.port in _DEFAULT_PORTS:
        return addresses.allows(allowed, str(host))
    return addresses.allows([entry for entry in allowed if _names_port(entry)], str(host))


def _names_port(entry: str) -> bool:
    host, _, port = entry.rpartition(":")
    return port.isdigit() and (":" not in host or host.endswith("]"))


def _ip_refusal(host: Address, word: str) -> Refusal | None:
    """Why a name's address is not connected to: what a name server says is not to be believed."""
    try:
        ip = ipaddress.ip_address(word.partition("%")[0])
    except ValueError:
        return Refusal(f"{host} leads to {word[:60]!r}, which is no address")
    reserved = ip.is_unspecified or ip.is_multicast or ip.is_link_local or _embeds(ip)
    if reserved or Address(str(ip)).gives_credentials:
        reason = f"{host} leads to {ip}, which is link-local, metadata, multicast, mapped or no address"
        return Refusal(reason, "mend the name")
    if ip.is_loopback != host.is_loopback:
        reason = f"{host} leads to {ip}, which is {'this' if ip.is_loopback else 'not this'} machine"
        return Refusal(reason, "a step that means this machine names localhost or 127.0.0.1")
    if isinstance(ip, ipaddress.IPv4Address) and int(ip) >> 24 in (0, 255):
        return Refusal(f"{host} leads to {ip}, which is no host's address", "mend the name")
    return None


def _embeds(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an IPv6 address is one of IPv4 in disguise: mapped, compatible (::/96), 6to4, Teredo."""
    if isinstance(ip, ipaddress.IPv4Address):
        return False
    compatible = int(ip) >> 32 == 0 and not ip.is_loopback
    return compatible or any((ip.ipv4_mapped, ip.sixtofour, ip.teredo))
