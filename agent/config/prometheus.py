"""`prometheus:` in `config.yaml`: whom the PromQL of `## Watch` sections is asked.

{url: https://prometheus.example.com, token: {env: PROMETHEUS_TOKEN}, timeout_s: 10}
"""

from __future__ import annotations

from pydantic import model_validator

from agent.config.addresses import VendorUrl
from agent.config.base import Seconds, Section
from agent.config.secrets import SecretReference


class Prometheus(Section):
    """A Prometheus, or what answers its API: Thanos, Mimir, VictoriaMetrics."""

    url: VendorUrl
    token: SecretReference | None = None
    username: str = ""
    password: SecretReference | None = None
    timeout_s: Seconds = 10.0

    @model_validator(mode="after")
    def _one_proof(self) -> Prometheus:
        if bool(self.username) != (self.password is not None):
            raise ValueError("give both username and password, or neither")
        if self.token is not None and self.username:
            raise ValueError("token and username contradict; keep one of them")
        return self
