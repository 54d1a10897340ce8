"""What docs/sources.md shows to be pasted is what the agent and Alertmanager take."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from agent.config import parse
from agent.web.sources import sources_of

PAGE = Path(__file__).parent.parent.parent / "docs" / "sources.md"


def snippets() -> list[str]:
    tokens = MarkdownIt().parse(PAGE.read_text())
    return [token.content for token in tokens if token.type == "fence" and token.info == "yaml"]


def test_the_section_that_is_shown_is_one_and_is_listened_to() -> None:
    config = parse(yaml.safe_load(snippets()[0]), path="config.yaml")
    assert list(sources_of(config)) == ["alertmanager"]
    assert config.sources.clear_within_s("alertmanager") == 600


def test_the_receiver_that_is_shown_posts_to_a_source_and_tells_what_is_over() -> None:
    shown = yaml.safe_load(snippets()[1])
    hook = shown["receivers"][0]["webhook_configs"][0]
    assert hook["url"].endswith("/webhook/alertmanager")
    assert hook["send_resolved"]


def test_alertmanager_takes_the_receiver_that_is_shown(tmp_path: Path) -> None:
    amtool = shutil.which("amtool")
    if amtool is None:
        pytest.skip("amtool is not installed; `make packages` installs it")
    token = tmp_path / "token"
    token.write_text("x")
    path = tmp_path / "alertmanager.yml"
    path.write_text(snippets()[1].replace("/etc/alertmanager/oncall-agent-token", str(token)))
    checked = subprocess.run([amtool, "check-config", str(path)], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr
