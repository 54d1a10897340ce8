# ruff: noqa: PTH101, PTH118, PTH123, T201
"""A step's program gone bad: tries one thing that it must not be able to do, and prints how that went."""

import contextlib
import ctypes
import errno
import os
import resource
import signal
import socket
import sys
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
MSG_FASTOPEN = 0x20000000
IPPROTO_MPTCP = 262
CLONE_NEWUSER = 0x10000000


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def syscall(number, *arguments):
    checked(LIBC.syscall(number, *arguments))


def write(path):
    with open(path, "a") as file:
        file.write("changed")


def read(path):
    with open(path, "rb") as file:
        file.read()


def connect(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as it:
        it.settimeout(3)
        it.connect((host, int(port)))


def fast_open(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as it:
        it.settimeout(3)
        it.sendto(b"x", MSG_FASTOPEN, (host, int(port)))


def multipath(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP) as it:
        it.settimeout(3)
        it.connect((host, int(port)))


def listen():
    with socket.create_server(("127.0.0.1", 0)):
        pass


def unix(path):
    with socket.socket(socket.AF_UNIX) as it:
        it.connect(path.replace("@", "\0", 1))


def open_socket(family, kind):
    socket.socket(getattr(socket, family), getattr(socket, kind)).close()


def trace(pid):
    checked(LIBC.ptrace(0x4206, int(pid), None, None))


def limit(pid):
    resource.prlimit(int(pid), resource.RLIMIT_CORE, (0, 0))


def forks(most):
    """As many sleeping children as it can get; OSError at the limit."""
    for _ in range(int(most)):
        if not os.fork():
            time.sleep(97)
            os._exit(0)


def bomb():
    """Every process forks for ever, or until ten seconds are over, should nobody end it."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            os.fork()


def escape():
    """Two forks and a session away, with nothing left to find it by, deaf to every polite signal."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    print("away", flush=True)
    os.closerange(0, 64)
    time.sleep(97)


def flood(size):
    block = b"x" * 65536
    print("HEAD", flush=True)
    for _ in range(int(size) // len(block)):
        os.write(1, block)
    print("TAIL", flush=True)


def search(word, *roots):
    """Read all that opens, as an archiver of / would; where the word stands."""
    for root in roots:
        for folder, folders, names in os.walk(root):
            if folder.startswith(("/proc/sys", "/sys/kernel/debug", "/sys/kernel/tracing", "/usr")):
                folders.clear()
            for name in names:
                found_in(os.path.join(folder, name), word.encode())


def found_in(path, word):
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with contextlib.suppress(OSError):
            if word in os.read(fd, 1_000_000):
                print("FOUND", path, flush=True)
        os.close(fd)


def opens(*paths):
    """Print each one that opens for reading."""
    for path in paths:
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
            print(path)


def thread():
    started = threading.Thread(target=print, args=("a thread",))
    started.start()
    started.join()


TRIES = {
    "opens": opens,
    "thread": thread,
    "fork": lambda: os.fork() or os._exit(0),
    "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "write": write,
    "read": read,
    "list": os.listdir,
    "make": lambda path: os.close(os.open(path, os.O_CREAT | os.O_WRONLY)),
    "remove": os.unlink,
    "rename": os.rename,
    "link": os.link,
    "truncate": lambda path: os.truncate(path, 0),
    "chmod": lambda path: os.chmod(path, 0o777),
    "chown": lambda path: os.chown(path, os.getuid(), os.getgid()),
    "connect": connect,
    "fast-open": fast_open,
    "multipath": multipath,
    "listen": listen,
    "unix": unix,
    "socket": open_socket,
    "trace": trace,
    "signal": lambda pid: os.kill(int(pid), 0),
    "limit": limit,
    "renice": lambda pid: os.setpriority(os.PRIO_PROCESS, int(pid), 19),
    "forks": forks,
    "bomb": bomb,
    "escape": escape,
    "flood": flood,
    "search": search,
    "namespace": lambda: checked(LIBC.unshare(CLONE_NEWUSER)),
    "clone": lambda: syscall(56, ctypes.c_ulong(CLONE_NEWUSER | 17), None, None, None, None),
    "io_uring": lambda: syscall(425, 1, ctypes.create_string_buffer(256)),
    "bpf": lambda: syscall(321, 0, ctypes.create_string_buffer(128), 128),
    "keys": lambda: syscall(248, b"user", b"name", b"value", 5, -3),
    "mount": lambda: checked(LIBC.mount(b"none", b"/tmp", b"tmpfs", 0, None)),
    "become": lambda uid: os.setuid(int(uid)),
    "core": lambda: resource.setrlimit(resource.RLIMIT_NPROC, (9999, 9999)),
    "sleep": lambda: time.sleep(97),
    "run": lambda path: os.execv(path, [path]),
}


def main():
    # The first word is a token that a test finds its processes by.
    _, what, *arguments = sys.argv[1:]
    try:
        TRIES[what](*arguments)
    except OSError as error:
        print("refused", errno.errorcode.get(error.errno, error.errno))
    except ValueError:
        print("refused EPERM")  # how Python tells it of setrlimit
    else:
        print("worked")


if __name__ == "__main__":
    main()
