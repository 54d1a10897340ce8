"""A step's code block → the command that will run, character for character what the text says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from agent.domain.runbook import Action
from agent.library.blocks import Block
from agent.library.mend import SHELLS, runaway_line
from agent.library.problems import NotUnderstoodError, Problems
from agent.library.values import shown
from agent.library.yaml_blocks import YamlError, load_mapping

ACTION = "action"
CONSOLE = "console"
LANGUAGES = (*sorted(SHELLS), CONSOLE, ACTION)
MAX_COMMAND_CHARS = 8_000
MAX_COMMAND_LINES = 100
_PROMPT = "$ "
_ACTION_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}(\.[a-z][a-z0-9_]{0,63})?")
_ARGUMENT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
#: The one argument that is a mapping: what an SSM document is given.
PARAMETERS = "parameters"
_PLAIN = (str, int, float, bool)


def check_block(block: Block, problems: Problems) -> bool:
    """Whether a code block in a step can be the step's command at all; says why not."""
    if block.nested:
        problems.add(
            block.line,
            "the code block stands inside a list or a quote",
            fix="write each step as `### Step 1: …` and put its code block at the left margin",
        )
    elif block.language not in LANGUAGES:
        label = f"has the label {shown(block.info)}" if block.language else "has no label"
        problems.add(
            block.line,
            f"the code block {label}, so it is not clear whether it should run",
            fix=f"label it {', '.join(LANGUAGES)}; put sample output into a `>` quote",
        )
    elif not block.closed:
        problems.add(block.line, "the code block is never closed", fix="close it with ```")
    elif (line := runaway_line(block)) is not None:
        problems.add(
            line, "a step's key, heading or fence inside a code block", fix="close the code block above it"
        )
    else:
        return True
    return False


def command_of(block: Block) -> tuple[str, int]:
    """The command of a shell or console block, and its first line's number."""
    lines = _console_lines(block) if block.language == CONSOLE else _shell_lines(block)
    while lines and not lines[0][1].strip():
        del lines[0]
    while lines and not lines[-1][1].strip():
        del lines[-1]
    if all(not text.strip() or text.lstrip().startswith("#") for _, text in lines):
        raise NotUnderstoodError(
            "the code block holds no command", _NO_COMMAND_FIX[block.language == CONSOLE]
        )
    command = "\n".join(text for _, text in lines)
    if len(command) > MAX_COMMAND_CHARS or len(lines) > MAX_COMMAND_LINES:
        raise NotUnderstoodError(
            "the command is too long", "split the step, or call a script that is on the host"
        )
    return command, lines[0][0]


_NO_COMMAND_FIX = {
    True: "in a console block, begin each command with `$ `",
    False: "write the command, or remove the step",
}


def _shell_lines(block: Block) -> list[tuple[int, str]]:
    """All lines; with `$ ` prompts only if every line has one, since the others may be output."""
    lines = list(zip(block.numbers, block.lines, strict=True))
    written = [text for _, text in lines if text.strip()]
    prompted = [text for text in written if text.startswith(_PROMPT)]
    if not prompted:
        return lines
    if len(prompted) != len(written):
        raise NotUnderstoodError(
            "some lines begin with `$ ` and some do not, so output cannot be told from commands",
            "label the block console, or remove every `$ `",
        )
    return [(number, text.removeprefix(_PROMPT)) for number, text in lines]


def _console_lines(block: Block) -> list[tuple[int, str]]:
    return list(_prompted_lines(block))


def _prompted_lines(block: Block) -> Iterator[tuple[int, str]]:
    """Lines with `$ `, and those that a trailing backslash joins to them; the rest is sample output."""
    goes_on = False
    for number, text in zip(block.numbers, block.lines, strict=True):
        if goes_on and text.startswith(("> ", _PROMPT)):
            raise NotUnderstoodError(
                f"after a backslash, {shown(text)} begins with a prompt",
                "write the continued line without it",
            )
        if goes_on or text.startswith(_PROMPT):
            goes_on = text.endswith("\\")
            yield number, text.removeprefix(_PROMPT)
    if goes_on:
        raise NotUnderstoodError(
            "the last command ends in a backslash", "write the rest of the command below it"
        )


def action_of(block: Block) -> Action:
    """The typed action of an ```action block: a mapping whose one key names it, or whose key `action` does.

    `kubernetes.cordon: {node: worker-1}` is the same as `action: kubernetes.cordon` with `node: worker-1`
    below it. Values are plain or lists of plain ones; `parameters` alone is a mapping of these.
    """
    name, arguments = _named(load_mapping(block.text))
    if _ACTION_NAME.fullmatch(name) is None:
        raise YamlError(f"{shown(name)} is not the name of an action", "use a-z, 0-9, _ and one dot")
    return Action(name, {_key(key): _argument(_key(key), value) for key, value in arguments.items()})


def _named(values: Mapping[str, object]) -> tuple[str, Mapping[object, object]]:
    name = values.get("action")
    if isinstance(name, str):
        return name, {key: value for key, value in values.items() if key != "action"}
    if len(values) != 1:
        raise YamlError(
            f"an action block names exactly one action, this one has {len(values)}",
            "write `action: NAME` with its arguments below it, or `NAME: {argument: value}`",
        )
    name, arguments = next(iter(values.items()))
    if arguments is not None and not isinstance(arguments, dict):
        raise YamlError(
            f"the action {name} needs its arguments as a mapping", f"write `{name}: {{argument: value}}`"
        )
    return name, arguments or {}


def _key(key: object) -> str:
    if not isinstance(key, str) or _ARGUMENT_NAME.fullmatch(key) is None:
        raise YamlError(f"{shown(str(key))} is not the name of an argument", "use letters, digits and _")
    return key


def _argument(key: str, value: object) -> object:
    if key == PARAMETERS and isinstance(value, dict):
        return {_key(name): _plain(f"{key}.{name}", each) for name, each in value.items()}
    return _plain(key, value)


def _plain(key: str, value: object) -> object:
    if isinstance(value, list) and all(isinstance(item, _PLAIN) for item in value):
        return tuple(value)
    if not isinstance(value, _PLAIN):
        raise YamlError(
            f"the argument {key} is neither a text, a number, yes or no, nor a list of them",
            'write a plain value; put {{ name }} and dates in quotes: "{{ name }}"',
        )
    return value


def texts_of(action: Action) -> Iterator[str]:
    """Every text in an action's arguments, for the parameters used there."""
    for value in action.arguments.values():
        for each in value.values() if isinstance(value, Mapping) else (value,):
            for item in each if isinstance(each, tuple) else (each,):
                if isinstance(item, str):
                    yield item
