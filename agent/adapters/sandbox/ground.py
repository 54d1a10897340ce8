"""Which files of the host every command may open, beside those that it was judged to need."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

from agent.adapters.sandbox import landlock
from agent.adapters.sandbox.wire import Spawn

#: Programs, libraries and their data.
_PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
#: The same without what a machine's owner may have put beside them (/usr/local/etc, /usr/src, …).
_ONLY_PROGRAMS = (
    *(f"/{name}" for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32")),
    *(f"/usr/{name}" for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libexec", "share")),
    *(f"/usr/local/{name}" for name in ("bin", "sbin", "lib", "lib64", "libexec", "share")),
)
#: What the C library, resolvers, TLS and language runtimes read at their start; nothing secret stands here.
_ETC_FILES = (
    *("ld.so.cache", "ld.so.preload", "ld.so.conf", "passwd", "group", "nsswitch.conf", "host.conf", "hosts"),
    *("resolv.conf", "gai.conf", "services", "protocols", "localtime", "timezone", "os-release"),
    *("locale.alias", "mime.types", "ssl/openssl.cnf", "ssl/cert.pem", "pki/tls/openssl.cnf"),
    "pki/tls/cert.pem",
)
#: Folders that are meant for everybody: whoever is stopped by file modes finds nothing secret there.
_ETC_FOLDERS = (
    *("ld.so.conf.d", "alternatives", "terminfo", "ca-certificates", "ssl/certs", "pki/tls/certs"),
    *("crypto-policies", "pki/ca-trust/extracted"),
)
_KERNEL_FILES = (
    *(
        f"/proc/{name}"
        for name in ("cpuinfo", "meminfo", "stat", "loadavg", "uptime", "version", "filesystems")
    ),
    *(
        f"/proc/sys/kernel/{name}"
        for name in ("osrelease", "ostype", "ngroups_max", "cap_last_cap", "pid_max")
    ),
    *("/proc/sys/vm/overcommit_memory", "/proc/sys/net/core/somaxconn"),
    *("/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"),
)
_KERNEL_FOLDERS = (
    *("/proc/sys/kernel/random", "/sys/kernel/mm/transparent_hugepage", "/sys/devices/system/cpu"),
    "/sys/fs/cgroup",
)

#: A name of another folder in each process, so it is opened in the command's own.
OWN_PROCESS = "/proc/self"


def ground(spawn: Spawn) -> landlock.Ground:
    """All that it may open or connect to, beside `OWN_PROCESS`."""
    return landlock.Ground(tuple(_paths(spawn)), spawn.ports, tuple(_named(spawn)))


def _named(spawn: Spawn) -> Iterator[tuple[str, int]]:
    yield from ((path, landlock.READ) for path in spawn.reads)
    yield from ((path, landlock.LIST) for path in spawn.lists)
    yield from ((path, landlock.WRITE) for path in spawn.writes)


def _paths(spawn: Spawn) -> Iterator[tuple[str, int]]:
    yield from _system(is_stopped_by_modes=not spawn.keeps_user and not spawn.capabilities)
    yield from ((path, landlock.RUN) for path in spawn.runs)
    yield spawn.directory, landlock.WRITE
    yield "/dev/null", landlock.DEVICE


@functools.cache
def _system(*, is_stopped_by_modes: bool) -> Sequence[tuple[str, int]]:
    """Whom file modes do not stop (root, or one with a capability) gets a closed list instead of folders."""
    programs, folders = (_PROGRAMS, _ETC_FOLDERS) if is_stopped_by_modes else (_ONLY_PROGRAMS, ())
    read = (*(f"/etc/{name}" for name in folders), *_KERNEL_FOLDERS)
    files = (*(f"/etc/{name}" for name in _ETC_FILES), *_KERNEL_FILES)
    return (
        *((path, landlock.RUN) for path in programs),
        *((path, landlock.READ) for path in read),
        *((path, landlock.READ_ONE) for path in files),
    )
