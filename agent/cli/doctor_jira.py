"""What `doctor` says of Jira: whether it lets us in, whether each field is the one it is taken for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from agent.cli.checks import Check, Grade
from agent.config import Config
from agent.config.jira import FIELD_NAMES, Jira
from agent.domain.errors import ServiceError

if TYPE_CHECKING:
    from agent.adapters.jira_tracker import JiraTracker

_NAME = "jira"
_FIELDS = "jira fields"
_WEBHOOK = "jira webhook"

#: Kinds of custom fields that take one line of text.
_TEXT = frozenset({"textfield", "url", "readonlyfield"})


def jira_checks(config: Config) -> Iterator[Check]:
    """The user, the fields by their names, the webhook."""
    section = config.jira
    if section is None:
        return
    from agent.adapters.jira_setup import tracker_from

    tracker = tracker_from(section)
    try:
        who, kinds = tracker.who(), tracker.field_kinds()
    except ServiceError as error:
        yield Check(_NAME, Grade.BAD, str(error), "check jira.url, jira.deployment, jira.email and api_token")
        return
    yield Check(_NAME, Grade.OK, f"reached as {who}; tickets go to {section.project}")
    yield from _issue_types(section, tracker)
    yield from _fields(section, kinds)
    yield from _webhook(section)


def _issue_types(section: Jira, tracker: JiraTracker) -> Iterator[Check]:
    try:
        there = tracker.issue_types(section.project)
    except ServiceError as error:
        fix = "check jira.project, and that this user may create issues in it"
        yield Check(_NAME, Grade.BAD, str(error), fix)
        return
    for name in dict.fromkeys(section.issue_types.model_dump().values()):
        if name not in there:
            seen = f"{section.project} has no issue type {name}: its tickets are refused"
            yield Check(_NAME, Grade.BAD, seen, f"set jira.issue_types to some of {', '.join(there)}")


def _fields(section: Jira, kinds: Mapping[str, tuple[str, str]]) -> Iterator[Check]:
    for key, name in FIELD_NAMES.items():
        given: str | None = getattr(section.fields, key)
        ids = sorted(each for each, (known, _) in kinds.items() if known.casefold() == name.casefold())
        if given is None:
            yield _not_set(key, name, ids)
        elif given not in kinds:
            yield Check(_FIELDS, Grade.BAD, f"Jira has no {given} (fields.{key})", _meant(key, ids))
        else:
            yield _seen(key, given, *kinds[given], ids)


def _not_set(key: str, name: str, ids: list[str]) -> Check:
    if ids:
        return Check(
            _FIELDS, Grade.NOTE, f"{name} is {' or '.join(ids)} there, and not filled", _meant(key, ids)
        )
    fix = f"add a text field {name} in Jira, and jira.fields.{key}"
    return Check(_FIELDS, Grade.NOTE, f"there is no field {name}, and none is filled", fix)


def _seen(key: str, given: str, name: str, kind: str, ids: list[str]) -> Check:
    if kind and kind not in _TEXT:
        fix = "use a text field of one line, or a URL"
        return Check(_FIELDS, Grade.BAD, f"{given} is {name}, a {kind}: it takes no line of text", fix)
    if ids and given not in ids:
        return Check(
            _FIELDS, Grade.NOTE, f"fields.{key} is {given}, which is called {name}", _meant(key, ids)
        )
    return Check(_FIELDS, Grade.OK, f"{given} is {name}")


def _meant(key: str, ids: list[str]) -> str:
    return f"set jira.fields.{key}: {ids[0]}" if ids else f"correct jira.fields.{key}"


def _webhook(section: Jira) -> Iterator[Check]:
    if section.webhook_secrets:
        yield Check(_WEBHOOK, Grade.OK, f"{len(section.webhook_secrets)} signing secret(s)")
    elif section.allow_unsigned_webhooks:
        seen = "unsigned webhooks settle escalations: whoever reaches the address can"
        yield Check(_WEBHOOK, Grade.NOTE, seen, "set jira.webhook_secrets (Cloud, Data Center from 10)")
    else:
        seen = "every webhook is refused: what is done in Jira is not done here"
        yield Check(_WEBHOOK, Grade.NOTE, seen, "set jira.webhook_secrets (docs/jira.md)")
