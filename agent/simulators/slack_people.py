"""Who is in the simulated Slack: users of this workspace and others, guests, bots, and user groups."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from agent.simulators.slack_workspace import TEAM_ID, SlackRefusalError

Args = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class SlackUser:
    """One account; `is_stranger` is somebody of another workspace in a shared channel."""

    id: str
    name: str
    email: str = ""
    team_id: str = TEAM_ID
    is_bot: bool = False
    is_restricted: bool = False
    is_stranger: bool = False
    deleted: bool = False
    is_email_confirmed: bool = True


class SlackPeopleDesk:
    """`users.info` and `usergroups.users.list`."""

    def __init__(self, scopes: Collection[str]) -> None:
        self._scopes = scopes
        self._lock = threading.Lock()
        self._users: dict[str, SlackUser] = {}
        self._groups: dict[str, tuple[str, ...]] = {}

    def add(self, user: SlackUser) -> SlackUser:
        """Somebody joins, or is changed."""
        with self._lock:
            self._users[user.id] = user
        return user

    def group(self, group_id: str, members: Sequence[str]) -> None:
        """Make a user group, or say anew who is in it."""
        with self._lock:
            self._groups[group_id] = tuple(members)

    def user(self, user_id: str) -> SlackUser:
        """One user, who need not be declared to press something."""
        with self._lock:
            return self._users.get(user_id, SlackUser(user_id, user_id.lower()))

    def methods(self) -> Mapping[str, Callable[[Args], dict[str, object]]]:
        """By their names in the Web API."""
        return {"users.info": self._info, "usergroups.users.list": self._members}

    def _info(self, args: Args) -> dict[str, object]:
        self._need("users:read")
        with self._lock:
            user = self._users.get(str(args.get("user", "")))
        if user is None:
            raise SlackRefusalError("user_not_found")
        profile: dict[str, object] = {"display_name": user.name, "real_name": user.name}
        if "users:read.email" in self._scopes:
            profile["email"] = user.email
        return {
            "user": {
                "id": user.id,
                "team_id": user.team_id,
                "name": user.name,
                "deleted": user.deleted,
                "is_bot": user.is_bot,
                "is_restricted": user.is_restricted,
                "is_ultra_restricted": False,
                "is_stranger": user.is_stranger,
                "is_email_confirmed": user.is_email_confirmed,
                "profile": profile,
            }
        }

    def _members(self, args: Args) -> dict[str, object]:
        self._need("usergroups:read")
        with self._lock:
            members = self._groups.get(str(args.get("usergroup", "")))
        if members is None:
            raise SlackRefusalError("no_such_subteam")
        return {"users": list(members)}

    def _need(self, scope: str) -> None:
        if scope not in self._scopes:
            raise SlackRefusalError("missing_scope", needed=scope, provided=",".join(sorted(self._scopes)))
