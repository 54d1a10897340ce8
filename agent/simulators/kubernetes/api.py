"""The API server's front: who asks, may they, what for; then the answer in the form that was asked for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

from flask import Flask, Response, request

from agent.simulators.kubernetes import discovery
from agent.simulators.kubernetes.errors import ApiError, method_not_allowed, no_such_path
from agent.simulators.kubernetes.objects import REVIEWS, Json, Object
from agent.simulators.kubernetes.openapi import openapi
from agent.simulators.kubernetes.pods import PodStreams
from agent.simulators.kubernetes.rbac import Attributes, Authorizer, User
from agent.simulators.kubernetes.requests import (
    Accounts,
    Call,
    Disturbance,
    attributes_of,
    body_of,
    call_of,
    impersonated,
    is_dry,
    is_watch,
    object_of,
    place_of,
)
from agent.simulators.kubernetes.reviews import Reviews
from agent.simulators.kubernetes.state import KubernetesState
from agent.simulators.kubernetes.tables import table, wants_table
from agent.simulators.kubernetes.verbs import Place, Verbs, delete_options
from agent.simulators.kubernetes.watch import Watch, stream

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
_STREAMS = ("exec", "attach", "portforward")
_ALIVE = {"/healthz", "/livez", "/readyz"}
_WATCH_S = 1800.0


class KubernetesApi:
    """Routes every request, records it, and may be told to misbehave."""

    def __init__(
        self,
        state: KubernetesState,
        verbs: Verbs,
        *,
        accounts: Accounts,
        streams: PodStreams,
        exec_needs: tuple[str, ...],
    ) -> None:
        self._state, self._verbs, self._accounts = state, verbs, accounts
        self._streams, self._exec_needs = streams, exec_needs
        self._authorizer = Authorizer(state)
        self._reviews = Reviews(self._authorizer)
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._disturbances: list[Disturbance] = []

    def install(self, app: Flask) -> None:
        """Every path of the server is ours."""
        app.add_url_rule("/", "root", self.answer, methods=_METHODS, defaults={"_path": ""})
        app.add_url_rule("/<path:_path>", "all", self.answer, methods=_METHODS)
        app.add_url_rule("/<path:_path>", "upgrades", self.answer, websocket=True)

    def calls(self) -> list[Call]:
        """What was asked so far, oldest first."""
        with self._lock:
            return list(self._calls)

    def forget_calls(self) -> None:
        """Begin the record anew."""
        with self._lock:
            self._calls.clear()

    def disturb(self, *disturbances: Disturbance) -> None:
        """Misbehave from now on; none given: behave again."""
        with self._lock:
            self._disturbances = [*self._disturbances, *disturbances] if disturbances else []

    def answer(self, _path: str) -> Response:
        """One request."""
        place = place_of(request.path)
        asked = attributes_of(request, place)
        body: Json = None
        user = User("")
        try:
            body = body_of(request)
            user = self._accounts.authenticate(request)
            user = impersonated(request, user, self._authorizer.check)
            self._misbehave(asked)
            response = self._resource(place, asked, user, body) if place else self._other(asked, user)
        except ApiError as error:
            response = _refusal(error)
        call = call_of(request, asked=asked, user=user.name, body=body, status=response.status_code)
        with self._lock:
            self._calls.append(call)
        return response

    def _misbehave(self, asked: Attributes) -> None:
        with self._lock:
            found = next((each for each in self._disturbances if each.concerns(asked)), None)
            if found is not None:
                found.times -= 1 if found.times > 0 else 0
        if found is not None:
            found.answer()

    def _other(self, asked: Attributes, user: User) -> Response:
        self._authorizer.check(user, asked)
        if request.path in _ALIVE:
            return Response("ok", content_type="text/plain; charset=utf-8")
        if request.path.rstrip("/") == "/version":
            return _json(discovery.VERSION)
        if document := openapi(request.path.rstrip("/")):
            return _json(document)
        found = discovery.discover(request.path, request.headers.get("Accept", ""))
        if found is None or request.method != "GET":
            raise no_such_path()
        return _json(found[0], content_type=found[1])

    def _resource(self, place: Place, asked: Attributes, user: User, body: Json) -> Response:
        parts = {each.name for each in place.kind.subresources}
        if place.subresource and place.subresource not in parts:
            raise no_such_path()
        self._authorize(place, asked, user)
        if place.kind in REVIEWS:
            return self._review(place, user, body)
        if place.subresource in _STREAMS:
            return self._streams.open(place, request)
        if place.subresource == "log":
            return Response(self._streams.log(place, request.args), content_type="text/plain")
        if place.subresource == "eviction":
            if request.method != "POST":
                raise method_not_allowed()
            return _json(self._verbs.evict(place, object_of(body), dry=is_dry(request, body)), status=201)
        return self._plain(place, body)

    def _authorize(self, place: Place, asked: Attributes, user: User) -> None:
        """A WebSocket exec is a GET, and newer servers ask for `create` as well."""
        self._authorizer.check(user, asked)
        if place.subresource in _STREAMS and request.method == "GET":
            for verb in self._exec_needs:
                self._authorizer.check(
                    user,
                    Attributes(
                        verb, asked.group, asked.resource, asked.subresource, asked.namespace, asked.name
                    ),
                )

    def _review(self, place: Place, user: User, body: Json) -> Response:
        if request.method != "POST" or place.name:
            raise method_not_allowed()
        return _json(self._reviews.answer(place.kind, object_of(body), user), status=201)

    def _plain(self, place: Place, body: Json) -> Response:
        if not place.name:
            return self._collection(place, body)
        dry = is_dry(request, body)
        match request.method:
            case "GET":
                return self._shown(place, self._verbs.get(place))
            case "PUT":
                return _json(self._verbs.update(place, object_of(body), dry=dry))
            case "PATCH":
                return _json(self._verbs.patch(place, body, request.mimetype, dry=dry))
            case "DELETE" if not place.subresource:
                return _json(self._verbs.delete(place, delete_options(body), dry=dry))
        raise method_not_allowed()

    def _collection(self, place: Place, body: Json) -> Response:
        select = self._verbs.select(
            request.args.get("labelSelector", ""), request.args.get("fieldSelector", "")
        )
        match request.method:
            case "GET" if is_watch(request):
                return self._watch(place, select)
            case "GET":
                return self._listed(place, self._verbs.list(place, select))
            case "POST" if place.namespace or not place.kind.namespaced:
                return _json(
                    self._verbs.create(place, object_of(body), dry=is_dry(request, body)), status=201
                )
            case "DELETE":
                options = delete_options(body)
                return _json(self._verbs.delete_all(place, select, options, dry=is_dry(request, body)))
        raise method_not_allowed()

    def _listed(self, place: Place, found: Object) -> Response:
        if not _table_wanted():
            return _json(found)
        version = found["metadata"]["resourceVersion"]
        return _json(table(place.kind, found["items"], version=version, include=_include()))

    def _shown(self, place: Place, found: Object) -> Response:
        if not _table_wanted() or place.subresource:
            return _json(found)
        version = found["metadata"]["resourceVersion"]
        return _json(table(place.kind, [found], version=version, include=_include()))

    def _watch(self, place: Place, select: Callable[[Object], bool]) -> Response:
        if request.args.get("sendInitialEvents"):
            message = "sendInitialEvents is forbidden for watch: this server has no watch-list"
            raise ApiError(422, "Invalid", message)
        timeout_s = float(request.args.get("timeoutSeconds") or _WATCH_S)
        shown = _rows(place, _include()) if _table_wanted() else _whole
        watch = Watch(place.kind, place.namespace, select, shown, timeout_s)
        lines = stream(self._state, watch, request.args.get("resourceVersion", ""))
        return Response(lines, content_type="application/json", direct_passthrough=True)


def _whole(document: Object) -> Object:
    return document


def _rows(place: Place, include: str) -> Callable[[Object], Object]:
    def shown(document: Object) -> Object:
        version = document["metadata"]["resourceVersion"]
        return table(place.kind, [document], version=version, include=include)

    return shown


def _table_wanted() -> bool:
    return wants_table(request.headers.get("Accept", ""))


def _include() -> str:
    return request.args.get("includeObject", "Metadata")


def _json(document: Object, *, status: int = 200, content_type: str = "application/json") -> Response:
    return Response(json.dumps(document), status=status, content_type=content_type)


def _refusal(error: ApiError) -> Response:
    response = _json(error.status(), status=error.code)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response
