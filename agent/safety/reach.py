"""What one command may reach: what its table row says, and the files and hosts that its words name."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from itertools import product

import re2

from agent.domain.access import Access, Capability, CloudRight, Network
from agent.domain.command import Refusal
from agent.safety.addresses import address
from agent.safety.grammar import Invocation, Needs
from agent.safety.kinds import Findings

_PLACE = re2.compile(r"\{([^{}|]+)(?:\|([^{}]*))?\}")


def hosts_of(invocation: Invocation, found: Findings) -> tuple[str, ...]:
    """Every host that the words name, else the tool's own one, with the port that the tool would take."""
    tool = invocation.tool
    port = invocation.value(tool.port_option) or str(tool.default_port or "")
    hosts = found.hosts or ((tool.default_host,) if tool.default_host else ())
    return tuple(dict.fromkeys(with_port(host, port) for host in hosts))


def with_port(host: str, port: str) -> str:
    """The host with this port, unless it names one."""
    read = address(host)
    if isinstance(read, Refusal) or read.port or not port:
        return host
    return str(replace(read, port=port))


def access_of(invocation: Invocation, found: Findings) -> Access:
    """What this command needs, and nothing beside it.

    One that names files may read them whoever owns them: the walls around it leave it those files alone.
    """
    needs = _needs_of(invocation)
    network = needs.network or Network.NONE
    reaches = network in (Network.EGRESS, Network.DIRECT)
    named = tuple(host for template in needs.hosts for host in filled(template, invocation))
    hosts = (*hosts_of(invocation, found), *named) if reaches else ()
    any_owner = (Capability.DAC_READ_SEARCH,) if found.files or found.folders else ()
    return Access(
        network=network,
        hosts=tuple(dict.fromkeys(hosts)),
        reads=tuple(dict.fromkeys((*needs.reads, *found.files))),
        writes=tuple(dict.fromkeys(needs.writes)),
        lists=tuple(dict.fromkeys(found.folders)),
        environment=tuple(dict.fromkeys(needs.environment)),
        local_sockets=needs.local_sockets,
        datagrams=needs.datagrams,
        keeps_user=needs.keeps_user,
        capabilities=tuple(dict.fromkeys((*needs.capabilities, *any_owner))),
        alone=needs.alone,
        cloud=_rights(needs, invocation),
        executable_sha256=invocation.tool.sha256,
    )


def _needs_of(invocation: Invocation) -> Needs:
    uses = (use.option.needs for use in invocation.options)
    return reduce(Needs.__add__, uses, invocation.command.needs)


def _rights(needs: Needs, invocation: Invocation) -> tuple[CloudRight, ...]:
    rights = (
        CloudRight(rule.action, resource)
        for rule in needs.cloud
        for resource in filled(rule.resource, invocation)
    )
    return tuple(dict.fromkeys(rights))


def filled(template: str, invocation: Invocation) -> tuple[str, ...]:
    """A template with `{--option|default}` filled in, once for each value that the option has."""
    places = tuple(dict.fromkeys(found.group(0) for found in _PLACE.finditer(template)))
    choices = [_values(place, invocation) for place in places]
    return tuple(_with(template, places, values) for values in product(*choices))


def _values(place: str, invocation: Invocation) -> tuple[str, ...]:
    found = _PLACE.fullmatch(place)
    assert found is not None
    name, default = found.group(1), found.group(2) or "*"
    if name.isdigit():
        return invocation.arguments[int(name) - 1 : int(name)] or (default,)
    return invocation.values(name) or (default,)


def _with(template: str, places: tuple[str, ...], values: tuple[str, ...]) -> str:
    for place, value in zip(places, values, strict=True):
        template = template.replace(place, value)
    return template
