"""A Jira on loopback, Cloud (REST v3) or Data Center (REST v2), for demo, tests, users.

It refuses what Jira refuses, keeps issues with the published workflow, and sends webhooks. Beyond the faults
of every simulator it can create an issue and lose the answer, and let its search lag behind.
"""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Flask, Response, jsonify, request

from agent.simulators.jira_hooks import Hook, Hooks, updated
from agent.simulators.jira_rules import refused, text_problem
from agent.simulators.jira_state import (
    FIELDS,
    ISSUE_TYPES,
    RESOLUTIONS,
    WORKFLOW,
    JiraState,
    SimulatedIssue,
    moment,
    status_body,
)
from agent.simulators.server import Simulator

TOKEN = "simulated-jira-token"  # noqa: S105  (opens nothing but this simulator)
EMAIL = "oncall-agent@example.com"
WEBHOOK_SECRET = "simulated-jira-webhook-secret"  # noqa: S105
OWN_NAME = "On-call Agent"
RESPONDER = "Compliance Reviewer"

_SEARCHED = re.compile(r'(?:project = "(?P<project>[^"]+)" AND )?labels = "(?P<label>[^"]+)"')

Answer = Response | tuple[Response, int]


class JiraSimulator(Simulator):
    """`with JiraSimulator() as sim: sim.issues()`; `is_cloud=False` plays Data Center."""

    def __init__(
        self,
        *,
        is_cloud: bool = True,
        host: str = "127.0.0.1",
        port: int = 0,
        projects: Sequence[str] = ("AIGOV", "OPS"),
        workflow: Mapping[str, Sequence[tuple[str, str]]] = WORKFLOW,
    ) -> None:
        self.is_cloud = is_cloud
        self.token = TOKEN
        self.state = JiraState(projects, workflow)
        self.hooks = Hooks(WEBHOOK_SECRET, is_cloud)
        #: So many issues are created without anybody being told: the connection is closed.
        self.loses_answers = 0
        app = Flask("jira-simulator")
        self._install_api(app, f"/rest/api/{'3' if is_cloud else '2'}")
        super().__init__(app, host=host, port=port)

    def issues(self) -> list[SimulatedIssue]:
        """Every issue, oldest first."""
        with self.state.lock:
            return list(self.state.issues)

    def issue(self, id_or_key: str) -> SimulatedIssue:
        """One of them."""
        found = self.state.find(id_or_key)
        if found is None:
            raise KeyError(id_or_key)
        return found

    def lag(self) -> None:
        """From now on search does not find what is created."""
        self.state.lags = True

    def catch_up(self) -> None:
        """Search finds everything."""
        with self.state.lock:
            self.state.lags = False
            for each in self.state.issues:
                each.is_indexed = True

    def move_as_human(
        self, key: str, status: str, resolution: str = "", *, by: str = RESPONDER, email: str = ""
    ) -> Hook:
        """Somebody brings an issue to a status; gives the webhook that tells of it."""
        return self._move(self.issue(key), status, resolution, by=by, email=email)

    def edit_as_human(self, key: str, summary: str, *, by: str = RESPONDER) -> Hook:
        """Somebody changes something else."""
        issue = self.issue(key)
        before, issue.fields["summary"] = str(issue.fields["summary"]), summary
        changes = [("summary", before, summary)]
        return self.hooks.tell(updated(issue, changes, by=by, email="", is_cloud=self.is_cloud))

    def _move(self, issue: SimulatedIssue, status: str, resolution: str, *, by: str, email: str) -> Hook:
        with self.state.lock:
            changes = [("status", issue.status, status)]
            if resolution != issue.resolution:
                changes.append(("resolution", issue.resolution, resolution))
            issue.status, issue.resolution = status, resolution
        return self.hooks.tell(updated(issue, changes, by=by, email=email, is_cloud=self.is_cloud))

    def _install_api(self, app: Flask, base: str) -> None:
        @app.before_request
        def known_caller() -> Answer | None:
            if request.path.startswith("/_sim/") or self._is_known(request.headers.get("Authorization", "")):
                return None
            return _problem(401, "Client must be authenticated to access this resource.")

        for rule, method, view in (
            ("/issue", "POST", self._create),
            ("/issue/<key>", "GET", self._show),
            ("/issue/<key>/comment", "GET", self._comments),
            ("/issue/<key>/comment", "POST", self._comment),
            ("/issue/<key>/transitions", "GET", self._transitions),
            ("/issue/<key>/transitions", "POST", self._transit),
            ("/search/jql" if self.is_cloud else "/search", "GET", self._search),
            ("/field", "GET", self._fields),
            ("/issue/createmeta/<project>/issuetypes", "GET", self._issue_types),
            ("/myself", "GET", self._myself),
        ):
            app.add_url_rule(base + rule, f"{method} {rule}", view, methods=[method])
        if self.is_cloud:
            app.add_url_rule(f"{base}/search", "gone", _search_is_gone)
        app.add_url_rule("/_sim/issues", "list", lambda: jsonify([_body(each) for each in self.issues()]))
        app.add_url_rule("/_sim/issues/<key>/move", "move", self._steered, methods=["POST"])

    def _is_known(self, given: str) -> bool:
        basic = base64.b64encode(f"{EMAIL}:{self.token}".encode()).decode()
        return given in (f"Basic {basic}", f"Bearer {self.token}")

    def _create(self) -> Answer:
        asked = request.get_json(silent=True)
        fields = asked.get("fields") if isinstance(asked, dict) else None
        if not isinstance(fields, dict):
            return _problem(400, "fields is missing")
        problems = refused(self.state, fields, is_cloud=self.is_cloud)
        if problems:
            return jsonify({"errorMessages": [], "errors": problems}), 400
        issue = self.state.create(fields)
        if self.loses_answers > 0:
            self.loses_answers -= 1
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return jsonify({"id": issue.id, "key": issue.key, "self": f"{request.url}/{issue.id}"}), 201

    def _show(self, key: str) -> Answer:
        issue = self.state.find(key)
        return _not_there() if issue is None else jsonify(_body(issue))

    def _comments(self, key: str) -> Answer:
        issue = self.state.find(key)
        if issue is None:
            return _not_there()
        found = [{"id": str(at), "body": body} for at, body in enumerate(issue.comments, 1)][::-1]
        shown = found[: int(request.args.get("maxResults", "50"))]
        return jsonify({"comments": shown, "total": len(found), "startAt": 0, "maxResults": len(shown)})

    def _comment(self, key: str) -> Answer:
        issue = self.state.find(key)
        if issue is None:
            return _not_there()
        asked = request.get_json(silent=True)
        body = asked.get("body") if isinstance(asked, dict) else None
        words = text_problem(body, is_cloud=self.is_cloud)
        if words or not body:
            return jsonify(
                {"errorMessages": [], "errors": {"comment": words or "Comment body can not be empty!"}}
            ), 400
        issue.comments.append(body)
        return jsonify({"id": str(len(issue.comments)), "body": body}), 201

    def _transitions(self, key: str) -> Answer:
        issue = self.state.find(key)
        if issue is None:
            return _not_there()
        offered = self.state.transitions(issue)
        if "transitions.fields" not in request.args.get("expand", ""):
            offered = [{name: value for name, value in each.items() if name != "fields"} for each in offered]
        return jsonify({"expand": "transitions", "transitions": offered})

    def _transit(self, key: str) -> Answer:
        issue = self.state.find(key)
        if issue is None:
            return _not_there()
        asked = request.get_json(silent=True) or {}
        wanted = str(asked.get("transition", {}).get("id", ""))
        step = next((each for each in self.state.transitions(issue) if each["id"] == wanted), None)
        if step is None:
            return _problem(400, f"It seems that you have tried to perform an illegal transition ({wanted}).")
        fields = asked.get("fields") or {}
        foreign = {
            name: "It is not on the appropriate screen." for name in fields if name not in step["fields"]
        }
        resolution = str((fields.get("resolution") or {}).get("name", ""))
        if resolution and resolution not in RESOLUTIONS:
            foreign["resolution"] = f"Resolution '{resolution}' is not valid"
        if "resolution" in step["fields"] and not resolution:
            foreign["resolution"] = "Resolution is required."
        if foreign:
            return jsonify({"errorMessages": [], "errors": foreign}), 400
        self._move(issue, step["to"]["name"], resolution, by=OWN_NAME, email=EMAIL)
        return Response(status=204)

    def _search(self) -> Answer:
        found = _SEARCHED.match(request.args.get("jql", ""))
        if found is None:
            return _problem(400, 'only project = "..." AND labels = "..." is understood here')
        project = found["project"] or ""
        if project and project not in self.state.projects:
            return _problem(400, f"The value '{project}' does not exist for the field 'project'.")
        issues = self.state.labelled(found["label"], project)
        if self.is_cloud:  # by default nothing but the id
            return jsonify({"issues": [{"id": each.id} for each in issues], "isLast": True})
        shown = [_body(each) for each in issues]
        return jsonify({"issues": shown, "total": len(shown), "startAt": 0, "maxResults": 50})

    def _fields(self) -> Answer:
        kind = "com.atlassian.jira.plugin.system.customfieldtypes"
        custom = [
            {
                "id": each,
                "name": name,
                "custom": True,
                "schema": {"type": "string", "custom": f"{kind}:{what}"},
            }
            for each, (name, what) in FIELDS.items()
        ]
        return jsonify([{"id": "summary", "name": "Summary", "custom": False}, *custom])

    def _issue_types(self, project: str) -> Answer:
        if project not in self.state.projects:
            return _problem(404, f"No project could be found with key '{project}'.")
        found = [{"id": str(at), "name": each, "subtask": False} for at, each in enumerate(ISSUE_TYPES, 1)]
        part = "issueTypes" if self.is_cloud else "values"
        return jsonify({part: found, "maxResults": 50, "startAt": 0, "total": len(found)})

    def _myself(self) -> Answer:
        me = {"displayName": OWN_NAME, "emailAddress": EMAIL, "active": True}
        return jsonify(me | ({"accountId": f"99:{OWN_NAME}"} if self.is_cloud else {"name": "oncall-agent"}))

    def _steered(self, key: str) -> Answer:
        asked = request.get_json(silent=True, force=True) or {}
        if self.state.find(key) is None:
            return _not_there()
        status, resolution = str(asked.get("status", "Resolved")), str(asked.get("resolution", ""))
        self.move_as_human(key, status, resolution)
        return jsonify(_body(self.issue(key)))


def _body(issue: SimulatedIssue) -> dict[str, Any]:
    resolution = {"name": issue.resolution} if issue.resolution else None
    fields = {
        **issue.fields,
        "status": status_body(issue.status),
        "resolution": resolution,
        "created": moment(issue.created_at),
    }
    return {"id": issue.id, "key": issue.key, "fields": fields}


def _search_is_gone() -> Answer:
    return _problem(
        410, "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API."
    )


def _not_there() -> Answer:
    return _problem(404, "Issue does not exist or you do not have permission to see it.")


def _problem(status: int, words: str) -> Answer:
    return jsonify({"errorMessages": [words], "errors": {}}), status
