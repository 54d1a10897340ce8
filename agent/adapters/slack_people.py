"""Who a Slack user is to the agent: configured by user id, by e-mail, or by a user group; else nobody.

Slack being down is no answer: then nobody is guessed, and the person is told to press again.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slack_sdk.web import SlackResponse

from agent.adapters.slack import asked
from agent.adapters.slack_http import BotClient
from agent.domain.errors import Reason, ServiceError
from agent.domain.people import Person, Role
from agent.ports.stores import KnownStore

#: An answer to a press is due within 3 s (page "Handling user interaction"); a look at Slack gets this. The
#: first press of all asks who we are too: 0.8 s, then looks that begin within 1 s, the last for 0.8 s.
_LOOK_S = 0.8
_ALL_LOOKS_S = 1.0

#: So long a group's members and a user's facts are believed; what makes the agent do more asks anew.
_BELIEVED_S = 300.0

#: Beyond this somebody presses for the sake of it.
_MOST_CACHED = 2_000

_KNOWN_AS = "slack/workspace/"
_PLAIN = re.compile(r"[A-Za-z0-9._+%-]+@[A-Za-z0-9.-]+")
_ODD = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where the app is installed; with `is_org` it is a whole Enterprise Grid organization."""

    team_id: str
    enterprise_id: str = ""
    is_org: bool = False

    def has(self, team_id: str, enterprise_id: str) -> bool:
        """Whether what comes from there is this workspace's, or this organization's."""
        if self.is_org and self.enterprise_id:
            return enterprise_id == self.enterprise_id
        return bool(team_id) and team_id == self.team_id


@dataclass(frozen=True, slots=True)
class Stranger:
    """Nobody who may do anything, and why, for them to read."""

    why: str


@dataclass(frozen=True, slots=True)
class _User:
    id: str
    team_id: str
    name: str
    email: str
    refusal: str


class SlackPeople:
    """Asked for each press. Safe for several threads."""

    def __init__(
        self,
        client: BotClient | None,
        *,
        people: Sequence[Person],
        groups: Mapping[str, Role],
        known: KnownStore,
        has_other_faces: bool = False,
    ) -> None:
        self._client = client
        self._groups = groups
        self._known = known
        self._by_id = {each.slack: each for each in people if each.slack}
        self._by_email = {each.email.casefold(): each for each in people if each.email}
        self._names = {each.name.casefold() for each in people}
        self._all_have_an_address = all(each.email or each.slack for each in people)
        self._all_come_by_slack = not has_other_faces and all(each.slack for each in people)
        self._lock = threading.Lock()
        self._users: dict[str, tuple[float, _User]] = {}
        self._members: dict[str, tuple[float, frozenset[str]]] = {}
        self._workspace: Workspace | None = None

    def workspace(self) -> Workspace:
        """Where the token is installed, asked once and remembered over restarts; ServiceError if unknown."""
        if self._workspace is None:
            client = self._asked_of()
            name = _KNOWN_AS + hashlib.sha256((client.token or "").encode()).hexdigest()[:16]
            kept = self._known.known(name).get("")
            if kept is None:
                kept = json.dumps(_workspace_of(asked(client.auth_test)))
                self._known.keep_known(name, kept)
            self._workspace = Workspace(**json.loads(kept))
        return self._workspace

    def person(self, user_id: str, *, fresh: bool) -> Person | Stranger:
        """Who it is; with `fresh` nothing is taken from memory that Slack can tell anew."""
        configured = self._by_id.get(user_id)
        if configured is not None:
            return configured
        if not (self._by_email or self._groups):
            return _nobody(user_id)
        try:
            return self._looked_up(user_id, fresh=fresh, until=time.monotonic() + _ALL_LOOKS_S)
        except ServiceError as error:
            return Stranger(f"Slack did not tell who you are ({error}), so nothing was done; press again")

    def is_one(self, person: Person) -> bool:
        """Whether they are nobody else by another face: only then theirs may be one of several yeses."""
        if person.name.casefold() in self._names:
            return True
        return self._all_have_an_address if person.email else self._all_come_by_slack

    def _looked_up(self, user_id: str, *, fresh: bool, until: float) -> Person | Stranger:
        user = self._user(user_id, fresh=fresh)
        if user.refusal:
            return Stranger(user.refusal)
        if user.email and (found := self._by_email.get(user.email)) is not None:
            return found
        roles = [
            role
            for group, role in self._groups.items()
            if user_id in self._members_of(group, fresh=fresh, until=until)
        ]
        if not roles:
            return _nobody(user_id)
        # by their address they are the same one as for an identity provider: two faces give no second yes
        name = user.email if _PLAIN.fullmatch(user.email) else f"{user.name}@{user_id}"
        # never the name of somebody in `people`: who is called like them is not them
        name = f"{user_id}@slack" if name.casefold() in self._names else name
        return Person(
            name, max(roles, key=list(Role).index), user.email if name == user.email else "", user_id
        )

    def _user(self, user_id: str, *, fresh: bool) -> _User:
        with self._lock:
            at, known = self._users.get(user_id, (0.0, None))
        if known is not None and not fresh and time.monotonic() - at < _BELIEVED_S:
            return known
        client = self._asked_of()
        user = _user_of(asked(lambda: client.users_info(user=user_id)), self.workspace())
        with self._lock:
            if len(self._users) >= _MOST_CACHED:
                self._users.clear()
            self._users[user_id] = (time.monotonic(), user)
        return user

    def _members_of(self, group: str, *, fresh: bool, until: float) -> frozenset[str]:
        with self._lock:
            at, known = self._members.get(group, (0.0, None))
        if known is not None and not fresh and time.monotonic() - at < _BELIEVED_S:
            return known
        if time.monotonic() > until:
            raise ServiceError(
                "Slack", Reason.TIMEOUT, "is too slow to tell who is in a group", retryable=True
            )
        client = self._asked_of()
        listed = asked(lambda: client.usergroups_users_list(usergroup=group)).get("users")
        members = frozenset(str(each) for each in listed) if isinstance(listed, list) else frozenset()
        with self._lock:
            self._members[group] = (time.monotonic(), members)
        return members

    def _asked_of(self) -> BotClient:
        if self._client is None:
            raise ServiceError(
                "Slack", Reason.AUTH, "cannot be asked without slack.bot_token", retryable=False
            )
        return self._client


def people_client(api_url: str, bot_token: str) -> BotClient:
    """A client that has no patience: somebody waits for the answer to a press."""
    return BotClient(api_url, bot_token, timeout_s=_LOOK_S)


def _nobody(user_id: str) -> Stranger:
    return Stranger(
        f"you ({user_id}) are nobody to this agent yet: ask for an entry in `people` of config.yaml, "
        "or to be put into a user group of `slack.groups`"
    )


def _workspace_of(answer: SlackResponse) -> dict[str, object]:
    return {
        "team_id": _text(answer.get("team_id")),
        "enterprise_id": _text(answer.get("enterprise_id")),
        "is_org": answer.get("is_enterprise_install") is True,
    }


def _user_of(answer: SlackResponse, workspace: Workspace) -> _User:
    given: Any = answer.get("user")
    found = given if isinstance(given, dict) else {}
    profile = found.get("profile")
    profile = profile if isinstance(profile, dict) else {}
    email = _text(profile.get("email")).casefold()
    if found.get("is_email_confirmed") is False:
        email = ""  # anybody may type any address until they show that it is theirs
    return _User(
        id=_text(found.get("id")),
        team_id=_text(found.get("team_id")),
        name=_ODD.sub("", _text(found.get("name")))[:60] or "somebody",
        email=email,
        refusal=_refusal(found, workspace),
    )


def _refusal(user: Mapping[str, object], workspace: Workspace) -> str:
    """Whom nobody may make a responder by a group or an address; "" if nothing is against them."""
    if user.get("is_bot") is True or user.get("id") == "USLACKBOT":
        return "bots decide nothing here"
    if user.get("deleted") is True:
        return "this account is deactivated"
    team_id = _text(user.get("team_id"))
    is_foreign = bool(team_id) and not workspace.is_org and team_id != workspace.team_id
    if user.get("is_stranger") is True or is_foreign:
        return "you are of another workspace (Slack Connect): only people of this one may do that"
    if user.get("is_restricted") is True or user.get("is_ultra_restricted") is True:
        return "guests may not do that, unless config.yaml names them in `people` with their Slack id"
    return ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
