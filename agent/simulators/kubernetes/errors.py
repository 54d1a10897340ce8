"""What the simulated API server answers when it says no: Status objects in the real server's words."""

from __future__ import annotations

from collections.abc import Sequence

from agent.simulators.kubernetes.objects import Kind, Object


class ApiError(Exception):
    """An answer that is a Status, with its HTTP code."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Object | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.details, self.retry_after_s = details, retry_after_s

    def status(self) -> Object:
        """The body of the answer."""
        body: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        details = dict(self.details or {})
        if self.retry_after_s is not None:
            details["retryAfterSeconds"] = self.retry_after_s
        return {**body, "details": details} if details else body


def _about(kind: Kind, name: str) -> Object:
    return {
        key: value for key, value in (("name", name), ("group", kind.group), ("kind", kind.plural)) if value
    }


def not_found(kind: Kind, name: str) -> ApiError:
    """The named object does not exist."""
    return ApiError(404, "NotFound", f'{kind.qualified} "{name}" not found', details=_about(kind, name))


def no_such_path() -> ApiError:
    """The server has no such resource or address."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", details={})


def already_exists(kind: Kind, name: str) -> ApiError:
    """An object of that name is there."""
    message = f'{kind.qualified} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, details=_about(kind, name))


def conflict(kind: Kind, name: str) -> ApiError:
    """Somebody changed it after it was read."""
    message = (
        f'Operation cannot be fulfilled on {kind.qualified} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    return ApiError(409, "Conflict", message, details=_about(kind, name))


def invalid(kind: Kind, name: str, field: str, problem: str) -> ApiError:
    """A field has a value that the server does not take."""
    causes = [{"reason": "FieldValueInvalid", "message": problem, "field": field}]
    details = {**_about(kind, name), "kind": kind.kind, "causes": causes}
    return ApiError(
        422, "Invalid", f'{kind.kind}.{kind.group} "{name}" is invalid: {field}: {problem}', details=details
    )


def bad_request(message: str) -> ApiError:
    """The request itself is wrong."""
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    """Nobody is known by this token."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def method_not_allowed() -> ApiError:
    """The address is there, but not for this verb."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, details={})


def unsupported_media_type(got: str, accepted: Sequence[str]) -> ApiError:
    """The body is in a form that the server does not read."""
    known = ", ".join(accepted)
    message = f"the body of the request was in an unknown format - accepted media types include: {known}"
    return ApiError(415, "UnsupportedMediaType", message if got else f"{message}; none was named")


def disrupts_too_much(budget: str, healthy: int, wanted: int) -> ApiError:
    """An eviction that a PodDisruptionBudget forbids for now."""
    cause = f"The disruption budget {budget} needs {wanted} healthy pods and has {healthy} currently"
    return ApiError(
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
        details={"causes": [{"reason": "DisruptionBudget", "message": cause}]},
    )
