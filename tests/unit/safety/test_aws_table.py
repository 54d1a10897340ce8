"""The AWS table against the models that AWS ships: every command, option and right is one that exists."""

from collections.abc import Iterator

import botocore.session
import pytest
from botocore import xform_name

from agent.safety.effects import EffectTables
from agent.safety.grammar import Command

TOOL = EffectTables.load().tables.tools["aws"]
EVERYWHERE = frozenset(TOOL.command.options)
#: Commands of the command line's own, which no model knows.
CUSTOM = {("logs", "tail"), ("s3", "ls")}


def leaves(command: Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Command]]:
    for name, sub in command.commands.items():
        if sub.commands:
            yield from leaves(sub, (*path, name))
        elif sub.refusal is None and (*path, name) not in CUSTOM:
            yield (*path, name), sub


COMMANDS = dict(leaves(TOOL.command))


@pytest.fixture(scope="module")
def session():
    return botocore.session.Session()


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_command_has_the_options_and_the_right_of_its_operation(session, path):
    service, name = path
    model = session.get_service_model(service)
    operations = {xform_name(each, "-"): each for each in model.operation_names}
    assert name in operations
    shape = model.operation_model(operations[name]).input_shape
    members = {xform_name(each, "-"): member for each, member in shape.members.items()} if shape else {}
    command = COMMANDS[path]
    for option_name, option in command.options.items():
        if option_name in EVERYWHERE:
            continue
        word = option_name.removeprefix("--")
        member = members.get(word) or members[word.removeprefix("no-")]
        assert option.refusal or option.many is (member.type_name == "list")
        assert not option.values or member.type_name != "boolean"
    required = {f"--{xform_name(each, '-')}" for each in (shape.required_members if shape else [])}
    assert required <= set(command.requires)
    assert operations[name].lower() in {
        right.action.partition(":")[2].lower() for right in command.needs.cloud
    }


def test_no_option_is_the_beginning_of_one_that_every_command_has():
    """The command line would take it for an abbreviation, before the operation sees it."""
    own = {name for command in COMMANDS.values() for name in command.options if name not in EVERYWHERE}
    others = {"--debug", "--endpoint-url", "--profile", "--version", "--cli-binary-format", "--v2-debug"}
    assert [name for name in own for each in EVERYWHERE | others if each.startswith(name)] == []
