"""What a mail looks like: rendered in Jinja2's sandbox from the shipped templates, or a team's own.

No message is lost because of a template: one that is broken, or makes far too much, is told in the log, and
the shipped one is sent. Texts are escaped where they are HTML; only https and http become links.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import structlog
from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound
from jinja2.sandbox import ImmutableSandboxedEnvironment

from agent.config.notifications import TEMPLATES
from agent.ports import Notification

log = structlog.get_logger()

_SHIPPED = Path(__file__).parent / "templates"

#: A mail that is longer is none that anybody reads.
_MAX_CHARACTERS = 500_000

#: What a template can do wrong, in its own words or in Python's: it is an operator's program.
_BROKEN = (
    TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    OSError,
    RecursionError,
)


class MailTemplates:
    """The text and the HTML of a mail."""

    def __init__(self, folder: str | None = None) -> None:
        self._own = None if folder is None else _environment(Path(folder))
        self._shipped = _environment(_SHIPPED)

    def render(self, name: str, notification: Notification) -> str:
        """From the team's own template, if it has one that works."""
        if self._own is not None:
            try:
                return _rendered(self._own, name, notification)
            except TemplateNotFound as error:
                if error.name != name:
                    self._tell_broken(name, f"it includes {error.name}, which is not there")
            except _BROKEN as error:
                self._tell_broken(name, _words(error))
        return _rendered(self._shipped, name, notification)

    def _tell_broken(self, name: str, words: str) -> None:
        log.error("template_broken", template=name, error=words, sent="the shipped one")

    def problems(self) -> Iterator[tuple[str, str]]:
        """(template, what is wrong) of the team's own, each tried with an example; for `doctor`."""
        if self._own is None:
            return
        for name in TEMPLATES:
            try:
                _rendered(self._own, name, EXAMPLE)
            except TemplateNotFound as error:
                if error.name != name:
                    yield name, f"it includes {error.name}, which is not there"
            except _BROKEN as error:
                yield name, _words(error)


EXAMPLE = Notification(
    ("ops@example.com",),
    "[HIGH] Escalation: Redis connection timeout",
    "Escalation (high): Redis connection timeout\nWhy: No matching runbook found",
    "esc-example-created-0",
    {"escalation": "esc-example", "severity": "high", "service": "api-gateway"},
    (("https://oncall.example.com/console/escalations/esc-example", "The escalation"),),
)


def _environment(folder: Path) -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(folder),
        autoescape=lambda name: name is None or not name.endswith(".txt"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )


def _rendered(environment: ImmutableSandboxedEnvironment, name: str, notification: Notification) -> str:
    made, length = [], 0
    links = [{"url": url, "text": words} for url, words in notification.links if _is_link(url)]
    template = environment.get_template(name)
    for part in template.generate(
        subject=notification.subject,
        text=notification.text,
        lines=notification.text.splitlines(),
        facts=dict(notification.facts),
        links=links,
    ):
        length += len(part)
        if length > _MAX_CHARACTERS:
            raise ValueError(f"it makes more than {_MAX_CHARACTERS:,} characters")
        made.append(part)
    return "".join(made).replace("\x00", "\ufffd")


def _is_link(url: str) -> bool:
    return url.startswith(("https://", "http://"))


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]
