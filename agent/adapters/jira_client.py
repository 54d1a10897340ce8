"""One try of one call to Jira, by its usual Python client with its habits taken off; what a failure means.

The client would repeat a POST three times after 429, 503 or a broken connection, sleep up to a minute each
time, wait for an answer for ever, and ask the server who it is as soon as it is built; none of it here. What
it says about an error holds the request's headers, and with them the token: its words are never shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from requests.exceptions import ConnectionError as BrokenConnection
from requests.exceptions import ConnectTimeout, ReadTimeout, RequestException, SSLError
from urllib3.exceptions import NewConnectionError

from agent.adapters.http import classify, retry_after_s
from agent.adapters.jira_text import one_line
from agent.adapters.json_view import child, items_at
from agent.domain.errors import Reason, ServiceError

if TYPE_CHECKING:
    from jira import JIRA, JIRAError

T = TypeVar("T")

_SERVICE = "jira"
_WORDS_MAX = 300


class JiraRefusedError(ServiceError):
    """Jira did not take what was sent; `fields` says of which field, and why."""

    def __init__(self, message: str, fields: Mapping[str, str]) -> None:
        self.fields = fields
        super().__init__(_SERVICE, Reason.REJECTED, message, retryable=False)


class JiraClient:
    """Calls through `asked`; connects when it is first used, and anew after its token was refused."""

    def __init__(
        self, url: str, *, email: str, token: Callable[[], str], is_cloud: bool, timeout_s: float
    ) -> None:
        self.url = url.rstrip("/")
        self.is_cloud = is_cloud
        self._email = email
        self._token = token
        self._timeout_s = timeout_s
        self._client: JIRA | None = None
        self._secret = ""

    def __repr__(self) -> str:
        return f"JiraClient({self.url!r}, '***')"

    def asked(self, what: str, call: Callable[[JIRA], T]) -> T:
        """What the call gives; ServiceError, and of REJECTED a JiraRefusedError, if it gives nothing."""
        from jira import JIRAError

        try:
            return call(self._connected())
        except JIRAError as error:
            raise self._failure(error, what) from None
        except ConnectTimeout as error:
            raise self._problem(Reason.UNREACHABLE, f"{what}: {self.url} {_kind(error)}") from None
        except ReadTimeout:
            words = f"{what}: no answer within {self._timeout_s:g} s"
            raise self._problem(Reason.TIMEOUT, words) from None
        except BrokenConnection as error:
            reason = Reason.UNREACHABLE if _was_never_there(error) else Reason.TIMEOUT
            raise self._problem(reason, f"{what}: {self.url} {_kind(error)}") from None
        except (RequestException, ValueError, KeyError, TypeError) as error:
            words = f"{what} was answered in no words of Jira's ({type(error).__name__}); check jira.url"
            raise self._problem(Reason.BAD_ANSWER, words) from None

    def _connected(self) -> JIRA:
        if self._client is None:
            from jira import JIRA

            self._secret = self._token().strip()
            options: dict[str, Any] = {"rest_api_version": "3" if self.is_cloud else "2"}
            with_email = {"basic_auth": (self._email, self._secret)}
            client = JIRA(
                self.url,
                options=options,
                get_server_info=False,
                max_retries=0,
                timeout=self._timeout_s,
                logging=False,
                **(with_email if self._email else {"token_auth": self._secret}),
            )
            # told rather than asked: else it takes the server for Data Center, and searches nothing
            client.deploymentType = "Cloud" if self.is_cloud else "Server"
            client._session.max_redirects = 0
            self._client = client
        return self._client

    def _failure(self, error: JIRAError, what: str) -> ServiceError:
        status = error.status_code or 0
        headers: Mapping[str, str] = getattr(error.response, "headers", None) or {}
        reason, retryable = classify(status) if status >= 400 else (Reason.BAD_ANSWER, True)
        fields = _fields_in(error.response)
        by_field = (f"{name}: {words}" for name, words in fields.items())
        words = self._told(", ".join([*_messages_in(error.response), *by_field]))
        message = f"{what} was answered {status}" + (f" ({words})" if words else "")
        if reason is Reason.REJECTED and not retryable:
            return JiraRefusedError(message, fields)
        if reason is Reason.AUTH:
            self._client = None  # a token that was renewed where it is kept is read with the next try
            message += "; check jira.api_token, jira.email and what this user may do in the project"
        wait_s = retry_after_s(headers) if retryable else None
        return ServiceError(_SERVICE, reason, message, retryable=retryable, retry_after_s=wait_s)

    def _problem(self, reason: Reason, message: str) -> ServiceError:
        return ServiceError(_SERVICE, reason, message, retryable=True)

    def _told(self, words: str) -> str:
        return one_line(words.replace(self._secret, "***") if self._secret else words, _WORDS_MAX)


def _was_never_there(error: BaseException) -> bool:
    """Whether nothing was sent: no connection was made, or no certificate taken."""
    if isinstance(error, ConnectTimeout) or _is_untrusted(error):
        return True
    causes: list[object] = [error, *error.args]
    reasons = [getattr(each, "reason", None) for each in causes]
    return any(isinstance(each, NewConnectionError) for each in (*causes, *reasons))


def _is_untrusted(error: BaseException) -> bool:
    return isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)


def _kind(error: BaseException) -> str:
    if _is_untrusted(error):
        return "has a certificate that is not trusted"
    return "cannot be reached" if _was_never_there(error) else "hung up without an answer"


def _json(response: object) -> object:
    try:
        return response.json()  # type: ignore[attr-defined]
    except (AttributeError, ValueError):
        return None


def _messages_in(response: object) -> list[str]:
    return [each for each in items_at(_json(response), "errorMessages") if isinstance(each, str)]


def _fields_in(response: object) -> dict[str, str]:
    found = child(_json(response), "errors")
    return {str(name): str(words) for name, words in found.items()} if isinstance(found, dict) else {}
