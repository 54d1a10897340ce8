"""The daemon as a later version of itself: another number, and one more step early in every story.

python newer_agent.py serve --config …
"""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path
from typing import Any

import agent.pipeline.handle as story

_version = importlib.metadata.version
importlib.metadata.version = lambda name: "99.0.0" if name == "oncall-agent" else _version(name)

_answer = story._answer


def _answer_after_one_more_step(run: Any, context: Any, incident_id: str, alert: Any) -> Any:
    def told() -> bool:
        with Path(os.environ["NEW_STEP"]).open("a") as file:
            file.write(f"{incident_id}\n")
        return True

    run.step("a-step-of-a-later-version", told, returns=bool)
    return _answer(run, context, incident_id, alert)


story._answer = _answer_after_one_more_step

if __name__ == "__main__":
    from agent.__main__ import main

    main()
