"""What a judged command says it may reach, as what its launcher opens."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from agent.adapters.sandbox.executables import Executable
from agent.adapters.sandbox.gateways import Opening
from agent.adapters.sandbox.hunt import MARKER_VARIABLE
from agent.adapters.sandbox.wire import CAPABILITIES, Spawn
from agent.domain.access import NO_ACCESS, Access, Capability, Network
from agent.domain.command import PricedCommand, Script, SimpleCommand
from agent.domain.effects import EffectClass

_DNS_PORT = 53
_NOT_NAMES = frozenset({"localhost"})
_CAPABILITY_NUMBERS = dict(
    zip(
        (
            *(Capability.CHOWN, Capability.DAC_OVERRIDE, Capability.DAC_READ_SEARCH),
            *(Capability.FOWNER, Capability.SETGID, Capability.SETUID),
        ),
        CAPABILITIES,
        strict=True,
    )
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one command runs: its own empty folder, home and working directory in one.

    Its own, not the attempt's: what a command leaves there cannot change what the next one does.
    """

    home: Path
    marker: str
    path: tuple[str, ...]
    passed: Mapping[str, str]


def paired(script: Script, commands: Sequence[PricedCommand]) -> tuple[PricedCommand, ...] | None:
    """Each argv with what it may reach (nothing, if nothing was judged); None if these are other argvs."""
    argvs = tuple(command.argv for command in script.commands())
    given = tuple(commands) or tuple(PricedCommand(argv, access=NO_ACCESS) for argv in argvs)
    return given if tuple(command.argv for command in given) == argvs else None


def changes_something(command: PricedCommand) -> bool:
    """Whether it does more than read."""
    return any(effect.effect_class is not EffectClass.READ for effect in command.effects)


def make_home(place: Place, uid: int | None, files: Mapping[str, bytes]) -> None:
    """An empty folder, but for what its gateway put in."""
    home = str(place.home)
    os.mkdir(home, 0o700)  # noqa: PTH102  (each attempt comes by here: pathlib takes several times as long)
    # curl looks into the home directory of /etc/passwd when HOME has no .curlrc (tool_findfile.c):
    # an empty one keeps a user's file from changing what the judged argv does.
    os.close(os.open(f"{home}/.curlrc", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    if uid is not None:
        os.chown(home, uid, uid)
        os.chown(f"{home}/.curlrc", uid, uid)
    if files:
        _put_in(place, uid, files)


def discard_home(home: str) -> None:
    """Remove one as it was made; OSError if there is more in it."""
    os.unlink(f"{home}/.curlrc")  # noqa: PTH108
    os.rmdir(home)  # noqa: PTH106


def _put_in(place: Place, uid: int | None, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        file = place.home / name
        if not file.resolve().is_relative_to(place.home.resolve()):
            raise ValueError(f"a gateway's file {name} lies outside of the command's home")
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_bytes(content)
        file.chmod(0o600)
    if uid is not None:
        for folder, _, names in os.walk(place.home):
            for name in (".", *names):
                os.chown(Path(folder, name), uid, uid)


def spawn_of(
    command: SimpleCommand, access: Access, *, executable: Executable, opening: Opening, place: Place
) -> Spawn:
    """One program with exactly what it was judged to need."""
    ports = _ports(access, opening)
    return Spawn(
        argv=command.argv,
        executable=executable.path,
        identity=executable.identity,
        environment=_environment(access, opening, place),
        directory=str(place.home),
        quiet_stdout=command.quiet_stdout,
        quiet_stderr=command.quiet_stderr,
        merge_stderr=command.merge_stderr,
        runs=(*place.path, executable.path),
        reads=access.reads,
        writes=access.writes,
        lists=access.lists,
        ports=ports,
        internet=bool(ports) or access.datagrams,
        datagrams=access.datagrams,
        local_sockets=access.local_sockets,
        keeps_user=access.keeps_user,
        capabilities=tuple(_CAPABILITY_NUMBERS[each] for each in access.capabilities),
        alone=access.alone,
    )


def _ports(access: Access, opening: Opening) -> tuple[int, ...]:
    if access.network is not Network.DIRECT:
        return (opening.port,) if opening.port is not None else ()
    found = {int(port) for host in access.hosts if (port := host.rpartition(":")[2]).isdecimal()}
    if any(_is_name(host.rpartition(":")[0]) for host in access.hosts):
        found.add(_DNS_PORT)
    return tuple(sorted(found))


def _is_name(host: str) -> bool:
    """Whether it has to be looked up."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return host not in _NOT_NAMES
    return False


def _environment(access: Access, opening: Opening, place: Place) -> dict[str, str]:
    """Nothing of ours but what is named; what is fixed cannot be replaced."""
    home = str(place.home)
    own = {name: os.environ[name] for name in access.environment if name in os.environ}
    direct = {"RES_OPTIONS": "use-vc"} if access.network is Network.DIRECT and not access.datagrams else {}
    return {
        **place.passed,
        **own,
        **direct,
        **{name: value.replace("$HOME", home) for name, value in opening.environment.items()},
        "PATH": ":".join(place.path),
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        MARKER_VARIABLE: place.marker,
    }
