"""Jira as the tracker: opens, comments and closes tickets in Cloud (REST v3) and Data Center (REST v2).

A ticket carries a label that is made of its key. Search is by an index that lags behind what was created
("Search and reconcile"), and `reconcileIssues` mends that only for ids that are known: that a search finds
nothing proves nothing, and whoever asks waits first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.adapters import jira_text
from agent.adapters.jira_client import JiraClient, JiraRefusedError
from agent.adapters.json_view import child, items_at, text_at
from agent.domain.errors import Reason, ServiceError
from agent.domain.outbox import OpenTicket
from agent.domain.tickets import TicketRef
from agent.ports.tracker import Opened

#: A ticket is useful without these: a screen may lack them, a project's scheme may not have the priority.
_OPTIONAL = ("priority", "customfield_")

#: From the first status to the last; the published workflow needs three.
_HOPS_MAX = 6

#: Comments that are looked through for one that may have been made.
_LOOK_BACK = 50

_FOUND_MAX = 20


@dataclass(frozen=True, slots=True)
class Closing:
    """How tickets end: transitions or statuses by name, and Jira's word for each resolution of ours."""

    finish: tuple[str, ...]
    on_the_way: tuple[str, ...] = ()
    false_positive: tuple[str, ...] = ()
    resolutions: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = ""
    harmless: frozenset[str] = frozenset({"allow", "false_alarm"})

    def wanted(self, resolution: str) -> tuple[str, ...]:
        """Where to, best first."""
        return (*self.false_positive, *self.finish) if resolution in self.harmless else self.finish

    def word(self, resolution: str) -> str:
        """What Jira calls it."""
        return self.resolutions.get(resolution, self.otherwise)


class JiraTracker:
    """Implements ports.Tracker; `field_ids` are the ids of custom fields under their names."""

    def __init__(
        self,
        client: JiraClient,
        *,
        closing: Closing,
        field_ids: Mapping[str, str] | None = None,
        site_url: str = "",
    ) -> None:
        self._client = client
        self._site_url = (site_url or client.url).rstrip("/")
        self._closing = closing
        self._field_ids = dict(field_ids or {})

    def __repr__(self) -> str:
        return f"JiraTracker({self._client!r})"

    def open(self, ticket: OpenTicket, *, mark: str) -> Opened:
        """Make a ticket that carries the mark; what Jira does not take of the optional fields is left out."""
        fields = self._fields(ticket, mark)
        try:
            return Opened(self._create(fields, ticket.project))
        except JiraRefusedError as error:
            refused = [name for name in error.fields if name in fields and name.startswith(_OPTIONAL)]
            if not refused or set(error.fields) - set(refused):
                raise
            left_out = tuple(f"{self._name_of(name)} ({error.fields[name]})" for name in refused)
        kept = {name: value for name, value in fields.items() if name not in refused}
        return Opened(self._create(kept, ticket.project), left_out)

    def find(self, mark: str, *, project: str) -> Sequence[TicketRef]:
        """Those that carry it, oldest first; each is read anew, past the index.

        Another agent, with a project of its own on the same site, marks a ticket of the same key alike.
        """
        jql = f'project = "{project}" AND labels = "{jira_text.label(mark)}" ORDER BY created ASC'
        found = self._client.asked("search", lambda jira: _search(jira, jql, is_cloud=self._client.is_cloud))
        refs: list[TicketRef] = []
        for issue_id in (text_at(each, "id") for each in items_at(found, "issues")):
            issue = self._issue(issue_id, "labels")
            if mark in items_at(issue, "fields", "labels"):
                refs.append(TicketRef(text_at(issue, "id"), text_at(issue, "key")))
        return refs

    def comment(self, ref: TicketRef, text: str, *, again: bool = False) -> None:
        """Say more, in a comment."""
        if not text.strip() or (again and self._has_comment(ref, text)):
            return
        body: Any = jira_text.comment_document(text) if self._client.is_cloud else jira_text.wiki_text(text)
        self._client.asked(f"a comment on {ref.name}", lambda jira: jira.add_comment(ref.id, body))

    def close(self, ref: TicketRef, resolution: str, text: str, *, again: bool = False) -> bool:
        """By as many transitions as its workflow needs; what has ended is left as it is."""
        if self._is_done(ref):
            return False
        self.comment(ref, text, again=again)
        taken: set[str] = set()
        for _ in range(_HOPS_MAX):
            step = self._next_step(ref, resolution, taken)
            taken.add(text_at(step, "id"))
            self._take(ref, step, resolution)
            if self._leads_to_end(step, resolution) or self._is_done(ref):
                return True
        raise _no_way(ref, "it did not end", ())

    def link(self, ref: TicketRef) -> str:
        """Jira's page of it."""
        return f"{self._site_url}/browse/{ref.name}"

    def field_kinds(self) -> dict[str, tuple[str, str]]:
        """(name, kind) of every custom field under its id, for `doctor`."""
        found = self._client.asked("GET field", lambda jira: jira.fields())
        custom = [each for each in found if each.get("custom")]
        return {
            text_at(each, "id"): (text_at(each, "name"), text_at(each, "schema", "custom").rpartition(":")[2])
            for each in custom
        }

    def issue_types(self, project: str) -> tuple[str, ...]:
        """What may be created in a project, for `doctor`; the client's own way reads Cloud's answer wrong."""
        path = f"issue/createmeta/{project}/issuetypes"
        found = self._client.asked(f"the project {project}", lambda jira: jira._get_json(path))
        listed = items_at(found, "issueTypes") or items_at(found, "values")
        return tuple(text_at(each, "name") for each in listed)

    def who(self) -> str:
        """The name of the user that our writes are counted for, for `doctor`."""
        me = self._client.asked("GET myself", lambda jira: jira.myself())
        return text_at(me, "displayName") or text_at(me, "name")

    def _fields(self, ticket: OpenTicket, mark: str) -> dict[str, Any]:
        is_cloud = self._client.is_cloud
        fields: dict[str, Any] = {
            "project": {"key": ticket.project},
            "summary": jira_text.one_line(ticket.summary) or ticket.key,
            "description": jira_text.document(ticket) if is_cloud else jira_text.wiki(ticket),
            "issuetype": {"name": ticket.issue_type},
            "labels": jira_text.labels([*ticket.labels, mark]),
        }
        if ticket.priority:
            fields["priority"] = {"name": ticket.priority}
        for name, value in ticket.fields.items():
            if value.strip() and name in self._field_ids:
                fields[self._field_ids[name]] = jira_text.one_line(value)
        return fields

    def _create(self, fields: Mapping[str, Any], project: str) -> TicketRef:
        made = self._client.asked(
            f"a ticket in {project}", lambda jira: jira.create_issue(fields=dict(fields), prefetch=False).raw
        )
        ref = TicketRef(text_at(made, "id"), text_at(made, "key"))
        if not ref.id:
            raise ServiceError("jira", Reason.BAD_ANSWER, "a ticket was made without an id", retryable=True)
        return ref

    def _issue(self, issue_id: str, fields: str) -> object:
        return self._client.asked(f"ticket {issue_id}", lambda jira: jira.issue(issue_id, fields=fields).raw)

    def _is_done(self, ref: TicketRef) -> bool:
        status = child(self._issue(ref.id, "status"), "fields", "status")
        return _ends(status, (*self._closing.finish, *self._closing.false_positive))

    def _has_comment(self, ref: TicketRef, text: str) -> bool:
        found = self._client.asked(
            f"comments on {ref.name}",
            lambda jira: jira.comments(ref.id, max_results=_LOOK_BACK, order_by="-created"),
        )
        wanted = jira_text.plain(jira_text.comment_document(text))
        return any(jira_text.plain(child(each.raw, "body")) == wanted for each in found)

    def _next_step(self, ref: TicketRef, resolution: str, taken: set[str]) -> object:
        """The transition that brings it nearer to its end."""
        expand = "transitions.fields"
        offered = self._client.asked(
            f"transitions of {ref.name}", lambda jira: jira.transitions(ref.id, expand=expand)
        )
        free = [each for each in offered if text_at(each, "id") not in taken]
        for name in (*self._closing.wanted(resolution), *self._closing.on_the_way):
            for each in free:
                if name.casefold() in _names(each):
                    return each
        raise _no_way(ref, "no configured transition is open", [text_at(each, "name") for each in offered])

    def _leads_to_end(self, step: object, resolution: str) -> bool:
        wanted = {each.casefold() for each in self._closing.wanted(resolution)}
        return bool(wanted & _names(step)) or text_at(step, "to", "statusCategory", "key") == "done"

    def _take(self, ref: TicketRef, step: object, resolution: str) -> None:
        """With a resolution only where the transition's screen has it: elsewhere Jira answers 400."""
        fields: dict[str, Any] = {}
        word = self._closing.word(resolution)
        allowed = items_at(step, "fields", "resolution", "allowedValues")
        names = {text_at(each, "name").casefold(): text_at(each, "name") for each in allowed}
        if word.casefold() in names:
            fields["resolution"] = {"name": names[word.casefold()]}
        elif child(step, "fields", "resolution", "required") is True and names:
            raise _no_way(ref, f"its resolution must be one of {', '.join(names.values())}, not {word}", ())
        self._client.asked(
            f"closing {ref.name}",
            lambda jira: jira.transition_issue(ref.id, text_at(step, "id"), fields=fields),
        )

    def _name_of(self, field_id: str) -> str:
        return next((name for name, each in self._field_ids.items() if each == field_id), field_id)


def _search(jira: Any, jql: str, *, is_cloud: bool) -> object:
    """Cloud's own search; GET /rest/api/3/search is gone there (410)."""
    if is_cloud:
        return jira.enhanced_search_issues(jql, maxResults=_FOUND_MAX, fields=[], json_result=True)
    return jira.search_issues(jql, maxResults=_FOUND_MAX, fields=["labels"], json_result=True)


def _names(step: object) -> set[str]:
    return {text_at(step, "name").casefold(), text_at(step, "to", "name").casefold()}


def _ends(status: object, names: Sequence[str]) -> bool:
    category = text_at(status, "statusCategory", "key")
    return category == "done" or text_at(status, "name").casefold() in {each.casefold() for each in names}


def _no_way(ref: TicketRef, why: str, offered: Sequence[str]) -> ServiceError:
    words = f"{ref.name} cannot be closed: {why}"
    known = f"; Jira offers {', '.join(offered)}" if offered else ""
    fix = "; set jira.closing.finish and jira.closing.on_the_way"
    return ServiceError("jira", Reason.REJECTED, words + known + fix, retryable=False)
