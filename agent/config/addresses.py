"""What an address in `config.yaml` must be: https beyond this machine."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator


def is_loopback(host: str) -> bool:
    """Whether a host name or address never leaves this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def vendor_url(value: str) -> str:
    """The address, if it is https beyond this machine; ValueError in words."""
    parts = urlsplit(value)
    if parts.scheme == "https" and parts.hostname:
        return value
    if parts.scheme == "http" and parts.hostname and is_loopback(parts.hostname):
        return value
    raise ValueError("must be an https:// URL (plain http:// only for a loopback host)")


VendorUrl = Annotated[str, AfterValidator(vendor_url)]


def _probe_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc:
        return value
    raise ValueError("must be an http:// or https:// URL without a user")


#: Where only health is asked for, inside the own network, with no key that could be read on the way.
ProbeUrl = Annotated[str, AfterValidator(_probe_url)]
