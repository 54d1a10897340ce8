"""Hosts and URLs in one reading only: what two programs could read differently is refused."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import re2

from agent.domain.command import Refusal

_NAME = re2.compile(
    r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?"
)
_LOOKS_NUMERIC = re2.compile(r"([^.]*\.)*(0[xX][0-9A-Fa-f]*|[0-9]+)\.?")
_WITH_PORT = re2.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:([0-9]{1,5}))?")
_URL = re2.compile(r"(https?://)?([^/?#@\\]+)([/?][A-Za-z0-9._~:/?&=%,;@+!$'()|*-]*)?")
#: curl guesses another protocol from such a name when the URL has no scheme (its manual, section URL).
_OTHER_PROTOCOL = re2.compile(r"(?i)(ftp|dict|ldap|imap|smtp|pop3)\..*")
#: The instance metadata services of AWS, GCP, Azure, Oracle, Alibaba and Tencent; they hand out credentials.
#: The last ones are public name servers whose every name is an address that stands in it.
_METADATA_NAMES = re2.compile(
    r"metadata|instance-data|(.*\.)?(instance-data\.ec2\.internal|metadata\.google\.internal|metadata\.goog"
    r"|metadata\.tencentyun\.com|nip\.io|sslip\.io|xip\.io)"
)
_METADATA_NETWORKS = tuple(
    map(
        ipaddress.ip_network,
        (
            *("169.254.0.0/16", "192.0.0.192/32", "168.63.129.16/32", "100.100.100.200/32"),
            *("fd00:ec2::/32", "fd20:ce::/32", "fe80::/10"),
        ),
    )
)
_METADATA_INSIDE_A_NAME = re2.compile(
    r".*(169[.-]254[.-]169[.-]254|192[.-]0[.-]0[.-]192|168[.-]63[.-]129[.-]16|100[.-]100[.-]100[.-]200"
    r"|a9fea9fe|c00000c0|a83f8110|646464c8).*"
)
#: In a path: what a server may take for another path than the one that was compared.
_TWO_READINGS = re2.compile(r"//|;|/\.\.?(?:/|$)")
_PERCENT = re2.compile(r"%([0-9A-Fa-f]{2})?")
#: Characters whose encoding a server may undo before it looks for the path's end, parts or name.
_NEVER_ENCODED = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/\\%;?#\x7f"
) | frozenset(map(chr, range(32)))
_LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost", "localhost.localdomain"})


_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Address:
    """A host in lower case without a final dot, and its port as written."""

    host: str
    port: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host

    @property
    def gives_credentials(self) -> bool:
        """Whether it is a metadata service or link-local, where machines find their credentials."""
        ip = _ip(self.host)
        if ip is None:
            return any(names.fullmatch(self.host) for names in (_METADATA_NAMES, _METADATA_INSIDE_A_NAME))
        return any(each in network for each in _with_embedded(ip) for network in _METADATA_NETWORKS)

    @property
    def is_loopback(self) -> bool:
        """Whether it is the machine, or the pod, itself."""
        ip = _ip(self.host)
        return self.host in _LOOPBACK_NAMES if ip is None else ip.is_loopback


@dataclass(frozen=True, slots=True)
class Url:
    """An http or https URL to one host; `path` keeps the query."""

    scheme: str
    address: Address
    path: str

    @property
    def port(self) -> str:
        """The port as written, else the scheme's own."""
        return self.address.port or ("443" if self.scheme.lower() == "https://" else "80")

    def __str__(self) -> str:
        return f"{self.scheme}{self.address}{self.path}"


def _with_embedded(ip: _Ip) -> tuple[_Ip, ...]:
    """An IPv6 address is also the IPv4 address in it: mapped, NAT64 (RFC 6052), 6to4."""
    if isinstance(ip, ipaddress.IPv4Address):
        return (ip,)
    last = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return (ip, last, ip.sixtofour) if ip.sixtofour else (ip, last)


def _ip(host: str) -> _Ip | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


@lru_cache(maxsize=1024)  # each command asks several times about the same few hosts
def address(word: str) -> Address | Refusal:
    """Read host or host:port; an address in a spelling that programs read differently is refused."""
    found = _WITH_PORT.fullmatch(word)
    if not found:
        return Refusal(f"{word!r} is not a host", "write a name or an address, with :port if needed")
    host, port = found.group(1).strip("[]").lower(), found.group(3) or ""
    if port and not 0 < int(port) < 65536:
        return Refusal(f"{word!r} has no usable port", "a port is between 1 and 65535")
    if _ip(host) is not None:
        return Address(str(_ip(host)), port)
    if ":" in host or not _NAME.fullmatch(host) or _LOOKS_NUMERIC.fullmatch(host):
        return Refusal(f"{word!r} is not a host", "write a name, or an address as four decimal numbers")
    return Address(host.rstrip("."), port)


def url(word: str) -> Url | Refusal:
    """Read a URL of http or https; the scheme may be left out, as curl allows."""
    if "://" in word and not word.lower().startswith(("http://", "https://")):
        return Refusal(f"{word!r} is neither http nor https", "use an http:// or https:// URL")
    found = _URL.fullmatch(word)
    if not found:
        hint = "write http://host/path without user, braces, brackets and fragment"
        return Refusal(f"{word!r} is not a plain URL", hint)
    scheme = found.group(1) or ""
    if not scheme and _OTHER_PROTOCOL.fullmatch(found.group(2)):
        return Refusal(f"curl would guess another protocol for {word!r}", "begin with http:// or https://")
    where = address(found.group(2))
    if isinstance(where, Refusal):
        return where
    path = found.group(3) or "/"
    if not _has_one_reading(path.partition("?")[0]):
        hint = "write it without `.` and `..` parts, `//`, `;`, and %-codes of plain characters"
        return Refusal(f"the path of {word!r} could be read differently by the server", hint)
    return Url(scheme or "http://", where, path)


def _has_one_reading(path: str) -> bool:
    if _TWO_READINGS.search(path):
        return False
    codes = [found.group(1) for found in _PERCENT.finditer(path)]
    return all(code and chr(int(code, 16)) not in _NEVER_ENCODED for code in codes)


def allows(patterns: Sequence[str], host: str) -> bool:
    """Whether a host (with or without :port) is in a list of names, `*.domain` patterns and host:ports."""
    found = address(host)
    if isinstance(found, Refusal):
        return False
    return any(_covers(pattern.strip().lower(), found) for pattern in patterns)


def _covers(pattern: str, found: Address) -> bool:
    name = pattern
    if pattern.rpartition(":")[2].isdigit() and (pattern.count(":") == 1 or "]:" in pattern):
        name, _, port = pattern.rpartition(":")
        if port != found.port:
            return False
    name = name.strip("[]")
    return found.host.endswith(name[1:]) if name.startswith("*.") else found.host == name
