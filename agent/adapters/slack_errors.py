"""What went wrong at Slack: closed tables from its error codes and statuses to a ServiceError."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import re2

from agent.domain.errors import Reason, ServiceError

SERVICE = "Slack"

# Slack's documentation page "Common errors" and the pages of the methods we call. Asking again can help:
_RETRYABLE = {
    "ratelimited": Reason.RATE_LIMITED,
    "rate_limited": Reason.RATE_LIMITED,
    "internal_error": Reason.SERVER_ERROR,
    "fatal_error": Reason.SERVER_ERROR,
    "service_unavailable": Reason.SERVER_ERROR,
    "rollup_error": Reason.SERVER_ERROR,
    "team_added_to_org": Reason.SERVER_ERROR,  # a workspace on its way into an organization: passes by itself
    "org_login_required": Reason.SERVER_ERROR,
    "request_timeout": Reason.TIMEOUT,
}
_AUTH = frozenset(
    {
        "not_authed",
        "invalid_auth",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "access_denied",
        "accesslimited",
        "ekm_access_denied",
        "enterprise_is_restricted",
        "two_factor_setup_required",
        "team_access_not_granted",
        "restricted_action",
        "action_prohibited",
        "posting_to_general_channel_denied",
        "invalid_token",
    }
)
_NOT_FOUND = frozenset(
    {
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "channel_is_archived",
        "message_not_found",
        "thread_not_found",
        "no_service",
        "no_service_id",
        "no_team",
        "team_disabled",
        "team_not_found",
    }
)
_FIXES = {
    "not_authed": "set slack.bot_token",
    "invalid_auth": "check slack.bot_token: it is not a token of this workspace",
    "account_inactive": "the bot's user was removed: install the app again and set the new slack.bot_token",
    "token_revoked": "install the app again and set the new slack.bot_token",
    "token_expired": "install the app again and set the new slack.bot_token",
    "missing_scope": "add the scope under OAuth & Permissions and install the app again",
    "channel_not_found": "check slack.channel; invite the bot if the channel is private",
    "not_in_channel": "invite the bot to slack.channel or give the app the scope chat:write.public",
    "is_archived": "unarchive the channel or set another slack.channel",
    "channel_is_archived": "unarchive the channel or make a webhook for another one",
    "no_service": "the webhook was removed: make a new one and set slack.webhook_url",
    "no_team": "check slack.webhook_url: its workspace is gone",
}

_CODE = re2.compile(r"[a-z][a-z0-9_.]{0,79}")
_SCOPES = re2.compile(r"[a-z0-9_.:,-]{1,120}")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer over HTTP as it came; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str


def failure(reason: Reason, message: str, *, retryable: bool, after_s: float | None = None) -> ServiceError:
    """A ServiceError of Slack's."""
    return ServiceError(SERVICE, reason, message, retryable=retryable, retry_after_s=after_s)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How long Slack asks us to wait, in seconds; None when it did not say a usable number."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def code_failure(code: str, *, needed: str = "", after_s: float | None = None) -> ServiceError:
    """The failure that one of Slack's error codes stands for; a code that is not known is a refusal."""
    if not _is_code(code):
        return failure(Reason.BAD_ANSWER, "answered ok:false without an error code", retryable=True)
    scope = f" {needed}" if needed.isascii() and _SCOPES.fullmatch(needed) else ""
    fix = f": {_FIXES[code]}" if code in _FIXES else ""
    message = f"refused with {code}{scope}{fix}"
    if code in _RETRYABLE:
        return failure(_RETRYABLE[code], message, retryable=True, after_s=after_s)
    return failure(_lasting_reason(code), message, retryable=False)


def _is_code(text: str) -> bool:
    # re2 raises on half characters (lone surrogates), which JSON can bring.
    return text.isascii() and _CODE.fullmatch(text) is not None


def _lasting_reason(code: str) -> Reason:
    if code in _AUTH or code.startswith("restricted_action"):
        return Reason.AUTH
    return Reason.NOT_FOUND if code in _NOT_FOUND else Reason.REJECTED


def status_failure(answer: Answer) -> ServiceError | None:
    """The failure that an HTTP status alone stands for; None for 200."""
    status, after_s = answer.status, retry_after_s(answer.headers)
    if status == 200:
        return None
    if status == 429:
        return failure(Reason.RATE_LIMITED, "asks for fewer messages (429)", retryable=True, after_s=after_s)
    if status >= 500:
        return failure(Reason.SERVER_ERROR, f"is in trouble ({status})", retryable=True, after_s=after_s)
    if status == 408:
        return failure(Reason.TIMEOUT, "gave up waiting for the request (408)", retryable=True)
    if status < 400:
        message = f"answered {status}, which Slack itself does not; check the address in the slack section"
        return failure(Reason.BAD_ANSWER, message, retryable=False)
    reason = {401: Reason.AUTH, 403: Reason.AUTH, 404: Reason.NOT_FOUND, 410: Reason.NOT_FOUND}
    return failure(reason.get(status, Reason.REJECTED), f"refused with status {status}", retryable=False)


def webhook_failure(answer: Answer) -> ServiceError | None:
    """What an incoming webhook's answer means: `ok` is success, else the text of a 4xx is a code."""
    code = answer.body.strip()
    if answer.status == 200:
        return None if code == "ok" else not_slack()
    if 400 <= answer.status < 500 and answer.status not in {408, 429} and _is_code(code):
        return code_failure(code)
    return status_failure(answer)


def not_slack() -> ServiceError:
    """A 200 that is not what Slack answers: a proxy's page, a wrong address; whether it posted is unknown."""
    message = "answered something that is not Slack's; check the address in the slack section and any proxy"
    return failure(Reason.BAD_ANSWER, message, retryable=True)


def unusable() -> ServiceError:
    """The address or the token cannot even be put into a request; neither is shown."""
    message = "the configured address or token cannot be put into a request; copy it again, whole"
    return failure(Reason.REJECTED, message, retryable=False)
