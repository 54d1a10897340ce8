"""Where the cluster is and who we are there: from a kubeconfig, or from the ServiceAccount of our pod.

Only what needs no program is taken: a token or a client certificate. A kubeconfig that would run a plugin,
or that skips the check of the server's certificate, is an error that says what to give instead.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import yaml

from agent.config.addresses import is_loopback
from agent.config.sections import Kubernetes
from agent.domain.errors import ConfigError, ConfigProblem

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_REFUSED_USER = {
    "exec": "runs a program to log in; give a token, a tokenFile or a client certificate",
    "auth-provider": "needs a plugin to log in; give a token, a tokenFile or a client certificate",
    "username": "logs in with a password, which no supported Kubernetes takes; give a token",
    "as": "acts as somebody else; give that one's own credentials",
}
_REFUSED_CLUSTER = {
    "insecure-skip-tls-verify": "would talk to anybody; give certificate-authority-data",
    "proxy-url": "is not supported; make the server reachable",
}


@dataclass(frozen=True, slots=True)
class ClusterCredentials:
    """A cluster's address and our proof of who we are; a token's file is read anew at each use.

    Certificates and key are PEM text; `server` has no final slash.
    """

    server: str
    ca: str = ""
    client_certificate: str = ""
    client_key: str = field(default="", repr=False)
    static_token: str = field(default="", repr=False)
    token_file: Path | None = None
    namespace: str = "default"
    server_name: str = ""

    def token(self) -> str:
        """The bearer token as it is now, or ""; OSError if its file is gone."""
        if self.token_file is not None:
            return self.token_file.read_text(encoding="utf-8").strip()
        return self.static_token

    def tls(self) -> ssl.SSLContext | None:
        """How to talk to the server; None for plain HTTP, which only a loopback server may have."""
        if not self.server.startswith("https://"):
            return None
        context = ssl.create_default_context(cadata=self.ca or None)
        if self.client_certificate:
            with tempfile.TemporaryDirectory(prefix="oncall-agent-") as folder:
                pair = Path(folder, "pair.pem")
                pair.touch(mode=0o600)
                pair.write_text(f"{self.client_certificate}\n{self.client_key}\n", encoding="utf-8")
                context.load_cert_chain(pair)
        return context


def credentials(
    section: Kubernetes,
    *,
    environment: Mapping[str, str] = os.environ,
    service_account: Path = SERVICE_ACCOUNT,
) -> ClusterCredentials | None:
    """Our cluster: the configured kubeconfig, else KUBECONFIG's, else our pod's; None if there is none.

    ConfigError if one is named and cannot be used.
    """
    named = section.kubeconfig or environment.get("KUBECONFIG", "")
    if named:
        parts = [section.kubeconfig] if section.kubeconfig else named.split(os.pathsep)
        paths = [Path(part).expanduser() for part in parts if part]
        return _from_files(paths, section.context)
    return _of_our_pod(environment, service_account)


def _of_our_pod(environment: Mapping[str, str], folder: Path) -> ClusterCredentials | None:
    host, port = (
        environment.get("KUBERNETES_SERVICE_HOST", ""),
        environment.get("KUBERNETES_SERVICE_PORT", ""),
    )
    token, ca, namespace = folder / "token", folder / "ca.crt", folder / "namespace"
    if not host or not port or not token.is_file() or not ca.is_file():
        return None
    return ClusterCredentials(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        ca=ca.read_text(encoding="utf-8"),
        token_file=token,
        namespace=namespace.read_text(encoding="utf-8").strip() if namespace.is_file() else "default",
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """One mapping of a kubeconfig, and the file that it stands in (its paths are relative to it)."""

    path: Path
    key: str
    values: Mapping[str, object]

    def word(self, name: str) -> str:
        value = self.values.get(name)
        if value is not None and not isinstance(value, str):
            _stop(self.path, f"{self.key}.{name}", "must be a text")
        return value or ""

    def pem(self, name: str) -> str:
        """Either `NAME-data` in base64 or the file that `NAME` names."""
        if data := self.word(f"{name}-data"):
            try:
                return base64.b64decode(data, validate=True).decode("ascii")
            except (binascii.Error, UnicodeDecodeError):
                _stop(self.path, f"{self.key}.{name}-data", "is not base64 of PEM text")
        where = self.file(name)
        return where.read_text(encoding="ascii") if where else ""

    def file(self, name: str) -> Path | None:
        if not (word := self.word(name)):
            return None
        where = self.path.parent / word
        if not where.is_file():
            _stop(self.path, f"{self.key}.{name}", f"names {where}, which does not exist")
        return where

    def refuse(self, keys: Mapping[str, str]) -> None:
        for key, why in keys.items():
            if self.values.get(key):
                _stop(self.path, f"{self.key}.{key}", why)


def _stop(path: Path, key: str, message: str, fix: str = "") -> NoReturn:
    raise ConfigError(str(path), [ConfigProblem(key, message, fix)])


def _from_files(paths: Sequence[Path], wanted: str | None) -> ClusterCredentials:
    """kubectl's own merge: of entries with one name the first file's counts."""
    files = [(path, _load(path)) for path in paths]
    currents = [str(data["current-context"]) for _, data in files if data.get("current-context")]
    name = wanted or (currents[0] if currents else "")
    if not name:
        _stop(paths[0], "current-context", "is not set", "set it, or kubernetes.context in the configuration")
    context = _find(files, "context", name)
    cluster = _find(files, "cluster", context.word("cluster"))
    user = _find(files, "user", context.word("user"))
    cluster.refuse(_REFUSED_CLUSTER)
    user.refuse(_REFUSED_USER)
    found = ClusterCredentials(
        server=_server(cluster),
        ca=cluster.pem("certificate-authority"),
        client_certificate=user.pem("client-certificate"),
        client_key=user.pem("client-key"),
        static_token=user.word("token"),
        token_file=user.file("tokenFile"),
        namespace=context.word("namespace") or "default",
        server_name=cluster.word("tls-server-name"),
    )
    if bool(found.client_certificate) != bool(found.client_key):
        _stop(user.path, user.key, "has a client certificate or its key, and not both")
    return found


def _load(path: Path) -> Mapping[str, object]:
    if not path.is_file():
        _stop(path, "(file)", "does not exist", "mend kubernetes.kubeconfig or KUBECONFIG")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        _stop(path, "(file)", f"is not YAML: {type(error).__name__}")
    if not isinstance(data, dict):
        _stop(path, "(top)", "must be a kubeconfig")
    return data


def _find(files: Sequence[tuple[Path, Mapping[str, object]]], kind: str, name: str) -> _Entry:
    for path, data in files:
        entries = data.get(f"{kind}s")
        for entry in entries if isinstance(entries, list) else ():
            values = entry.get(kind) if isinstance(entry, dict) and entry.get("name") == name else None
            if isinstance(values, dict):
                return _Entry(path, f"{kind}s[{name}].{kind}", values)
    _stop(files[0][0], f"{kind}s", f"has no {kind} named {name!r}")


def _server(cluster: _Entry) -> str:
    server = cluster.word("server").rstrip("/")
    parts = urlsplit(server)
    local = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.hostname or not (parts.scheme == "https" or local) or parts.username:
        why = "must be an https:// URL (plain http:// only for a loopback host)"
        _stop(cluster.path, f"{cluster.key}.server", why)
    return server
