"""`oncall-agent` and `python -m agent`."""

from __future__ import annotations

import sys

#: Typed in a hurry, on a machine that may be out of breath: these load nothing but themselves.
_IN_A_HURRY = frozenset({"stop", "resume", "stops", "stand-down"})


def main() -> None:
    """Run one command."""
    if len(sys.argv) > 1 and sys.argv[1] in _IN_A_HURRY:
        from agent.cli.kill_switch import main as run
    elif len(sys.argv) > 1 and sys.argv[1] == "watch":  # runs for ever beside the agent, in little memory
        from agent.cli.watch import main as run
    else:
        from agent.cli.app import main as run
    run()


if __name__ == "__main__":
    main()
