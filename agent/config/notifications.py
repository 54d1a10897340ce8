"""`notifications:` in `config.yaml`: a team's own templates in the place of those that are shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from jinja2 import TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import AfterValidator

from agent.config.base import Section

#: The templates there are; each of them may be overridden.
TEMPLATES = ("mail.html", "mail.txt")


def _folder(path: str) -> str:
    """The folder, if what is in it can be read as templates at all; `doctor` tries each of them as well."""
    folder = Path(path)
    if not folder.is_dir():
        raise ValueError(f"{path} is not a folder; make it, with {' or '.join(TEMPLATES)} in it")
    there = sorted(
        each.name for each in folder.iterdir() if each.is_file() and each.suffix in (".html", ".txt")
    )
    unknown = [each for each in there if each not in TEMPLATES]
    if unknown:
        raise ValueError(
            f"{folder / unknown[0]} is the template of nothing; there are {', '.join(TEMPLATES)}"
        )
    environment = ImmutableSandboxedEnvironment()
    for name in there:
        try:
            environment.parse((folder / name).read_text(encoding="utf-8"))
        except TemplateSyntaxError as error:
            raise ValueError(f"{folder / name}:{error.lineno}: {error.message}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{folder / name} cannot be read: {error}") from error
    return path


class Notifications(Section):
    """How messages look."""

    templates: Annotated[str, AfterValidator(_folder)] | None = None
