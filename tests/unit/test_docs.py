"""What the docs show is what the agent does."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from agent.domain.effects import NEVER_BY_LIMIT_ALONE, EffectClass
from agent.domain.runbook import Runbook
from agent.library import Parsed, parse
from agent.library.examples import check_examples
from agent.safety import language
from agent.safety.effects import EffectTables
from agent.safety.language import ParsedTemplate

ROOT = Path(__file__).parent.parent.parent


def examples(name: str) -> list[str]:
    tokens = MarkdownIt().parse((ROOT / name).read_text())
    return [token.content for token in tokens if token.type == "fence" and token.info == "markdown"]


def runbook_of(text: str) -> Runbook:
    parsed = parse(text, path="example.md")
    assert isinstance(parsed, Parsed), parsed
    return parsed.runbook


@pytest.mark.parametrize("name", ["README.md", "docs/runbooks.md"])
def test_every_runbook_in_the_docs_is_one(name: str) -> None:
    shown = [runbook_of(text) for text in examples(name)]
    assert shown
    for runbook in shown:
        assert check_examples(runbook) == ()
        for step in runbook.steps:
            assert isinstance(language.parse(step.command), ParsedTemplate)


def test_the_docs_name_every_effect_class_that_a_limit_can_grant() -> None:
    text = (ROOT / "docs/runbooks.md").read_text()
    grantable = set(EffectClass) - NEVER_BY_LIMIT_ALONE - {EffectClass.READ}
    assert [effect.value for effect in grantable if f"`{effect.value}`" not in text] == []


def test_every_file_that_the_docs_link_to_is_there() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    missing = []
    for page in pages:
        for token in MarkdownIt().parse(page.read_text()):
            for child in token.children or ():
                target = str(child.attrs.get("href", "")).split("#")[0]
                if child.type == "link_open" and target and "://" not in target:
                    missing += [] if (page.parent / target).exists() else [f"{page.name}: {target}"]
    assert missing == []


def test_the_docs_name_every_program_that_a_step_may_run() -> None:
    text = (ROOT / "docs/commands.md").read_text()
    tables = (ROOT / "agent/safety/tables").glob("*.yaml")
    programs = {name for path in tables for name in yaml.safe_load(path.read_text()).get("tools", {})}
    assert len(programs) > 30
    assert sorted(name for name in programs if f"`{name}`" not in text) == []


def test_the_example_table_is_a_table(tmp_path: Path) -> None:
    tokens = MarkdownIt().parse((ROOT / "docs/commands.md").read_text())
    (example,) = [token.content for token in tokens if token.type == "fence" and token.info == "yaml"]
    path = tmp_path / "tables.yaml"
    path.write_text(example)
    tables = EffectTables.load([path])
    priced = tables.price(["curl", "-X", "POST", "http://flags.internal/api/flags/cart/off"])
    assert [effect.effect_class for effect in priced] == [EffectClass.FEATURE_FLAG_CHANGE]  # type: ignore[union-attr]
