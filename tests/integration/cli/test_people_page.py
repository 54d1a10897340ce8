"""docs/people.md: its commands print what stands there, its configurations load, its tests are there."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from agent.config import parse
from agent.domain.people import Deed, Person, Role, refusal
from tests.integration.cli.conftest import Shell

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "people.md").read_text(encoding="utf-8")
FENCES = [(token.info, token.content) for token in MarkdownIt().parse(PAGE) if token.type == "fence"]
CONFIGS = [yaml.safe_load(content) for info, content in FENCES if info == "yaml"]
SESSIONS = [content for info, content in FENCES if info == "console"]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


def run(shell: Shell, typed: str, ids: list[str]) -> str:
    """What a line of the page prints; "…" in it stands for the last id that was shown."""
    piped = re.fullmatch(r"printf '(.*)\\n' \| (oncall-agent .*)", typed)
    given, command = (piped[1] + "\n", piped[2]) if piped else ("", typed)
    arguments = shlex.split(command.replace("token-…", ids[-1] if ids else ""))
    result = shell(*arguments[1:], typed=given)
    assert result.code == 0, result.err
    ids.extend(re.findall(r"token-\d+-[0-9a-f]+", result.out))
    return result.out


@pytest.mark.parametrize("session", SESSIONS)
def test_what_stands_on_the_page_is_what_is_printed(shell: Shell, session: str) -> None:
    shell.configure(**CONFIGS[0])
    ids: list[str] = []
    for block in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        typed, _, shown = block.partition("\n")
        pattern = re.escape(shown.strip()).replace("…", r"\S+(?: \S+)?")
        printed = run(shell, typed, ids).strip()
        assert re.fullmatch(pattern, printed), f"{typed}\n{printed}\n{shown}"


@pytest.mark.parametrize("config", CONFIGS)
def test_every_configuration_of_the_page_loads(config: dict[str, object]) -> None:
    assert parse(config, path="docs") is not None


def test_the_roles_of_the_page_are_those_of_the_agent() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, flags=re.MULTILINE))
    assert list(rows) == [role.value for role in Role]
    may = {role: {deed for deed in Deed if not refusal(Person("x", role), deed)} for role in Role}
    assert may[Role.RESPONDER] >= {Deed.CLAIM, Deed.SETTLE, Deed.CHOOSE, Deed.STAND_DOWN, Deed.STOP}
    more = {Deed.APPROVE, Deed.RUN, Deed.RESUME, Deed.PROMOTE, Deed.REASSIGN}
    assert may[Role.APPROVER] - may[Role.RESPONDER] == more


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_named_test_is_there(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)].count(name) == 1
