"""The manifests as kustomize builds them."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[3] / "deploy"
K8S = DEPLOY / "k8s"
VARIANTS = ("sqlite", "postgres", "sqlite with git-sync")

Manifest = dict[str, Any]


@functools.cache
def build(variant: str, scratch: Path) -> tuple[Manifest, ...]:
    """The manifests of an overlay; kubectl brings kustomize along."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed; `make packages` installs it")
    overlay, _, component = variant.partition(" with ")
    root = K8S / "overlays" / overlay
    if component:
        root = _with_component(root, component, scratch)
    ran = subprocess.run(["kubectl", "kustomize", str(root)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return tuple(yaml.safe_load_all(ran.stdout))


def _with_component(overlay: Path, component: str, scratch: Path) -> Path:
    """An overlay of a team's own, as the comment in the shipped one tells to write it."""
    copy = scratch / "k8s"
    shutil.copytree(K8S.parent.parent / "runbooks", scratch.parent / "runbooks", dirs_exist_ok=True)
    shutil.copytree(K8S, copy, dirs_exist_ok=True)
    target = copy / "overlays" / overlay.name / "kustomization.yaml"
    target.write_text(f"{target.read_text()}components: [../../components/{component}]\n")
    return target.parent


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("repository") / "deploy"


@pytest.fixture(params=VARIANTS)
def manifests(request: pytest.FixtureRequest, scratch: Path) -> tuple[Manifest, ...]:
    return build(request.param, scratch)


@pytest.fixture
def sqlite(scratch: Path) -> tuple[Manifest, ...]:
    return build("sqlite", scratch)
