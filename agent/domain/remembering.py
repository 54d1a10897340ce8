"""What was worked out of a value that never changes is remembered with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

Of = TypeVar("Of")
Result = TypeVar("Result")


def once_each(*, most: int) -> Callable[[Callable[[Of], Result]], Callable[[Of], Result]]:
    """Work it out once for each of the last values, by who they are: comparing big ones takes as long.

    Only for what a frozen value says by itself. Each value is held for as long as its result is, so that no
    other one can be taken for it.
    """

    def remembering(work: Callable[[Of], Result]) -> Callable[[Of], Result]:
        known: dict[int, tuple[Of, Result]] = {}

        @wraps(work)
        def remembered(of: Of) -> Result:
            found = known.get(id(of))
            if found is not None and found[0] is of:
                return found[1]
            result = work(of)
            if len(known) >= most:
                known.clear()
            known[id(of)] = (of, result)
            return result

        return remembered

    return remembering
