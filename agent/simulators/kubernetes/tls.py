"""A certificate of the simulator's own, and kubeconfig files that trust it."""

from __future__ import annotations

import base64
import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-signed certificate for loopback, with its key, both PEM files."""

    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """What a server needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def make_certificate() -> Certificate:
    """A new one, by the `openssl` program."""
    directory = Path(tempfile.mkdtemp(prefix="kubernetes-simulator-"))
    made = Certificate(directory / "ca.pem", directory / "key.pem")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    subject = ["-days", "30", "-subj", "/CN=kubernetes-simulator"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(made.key), "-out", str(made.certificate)]
    subprocess.run([*command, *subject, *names, *files], check=True, capture_output=True)
    return made


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """What kubectl needs to reach a server as somebody."""

    server: str
    token: str = ""
    namespace: str = "default"
    ca: Path | None = None

    def write(self, path: Path) -> Path:
        """Write it as a file that only its owner reads."""
        cluster: dict[str, str] = {"server": self.server}
        if self.ca is not None:
            cluster["certificate-authority-data"] = base64.b64encode(self.ca.read_bytes()).decode()
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "simulated", "cluster": cluster}],
            "users": [{"name": "simulated", "user": {"token": self.token} if self.token else {}}],
            "contexts": [
                {
                    "name": "simulated",
                    "context": {"cluster": "simulated", "user": "simulated", "namespace": self.namespace},
                }
            ],
            "current-context": "simulated",
        }
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(document))
        return path
