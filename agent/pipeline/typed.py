"""A planned step as a person would type it."""

from __future__ import annotations

import shlex

from agent.domain.command import Connector
from agent.domain.decisions import PlannedStep


def as_typed(planned: PlannedStep) -> str:
    """A pipeline a line, with what joins it to the one before; an action in its own words."""
    if planned.script is None:
        return "".join(f"\n    {' '.join(command.argv)}" for command in planned.commands)
    lines = []
    for link in planned.script.links:
        joint = "" if link.connector is Connector.ALWAYS else f"{link.connector} "
        lines.append(joint + " | ".join(shlex.join(each.argv) for each in link.pipeline.commands))
    return "".join(f"\n    $ {line}" for line in lines)
