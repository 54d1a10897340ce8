"""What is looked at all at once is judged as if each text were looked at by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.alert import Alert
from agent.domain.incident import Status
from agent.safety.redaction import MASK, Redactor
from agent.safety.redaction_alert import redacted_alert, redacted_webhook

KNOWN = "canary-secret-0001"
REDACTOR = Redactor([KNOWN])
#: What stands behind it is looked through for one form after the other.
LONG = "plain words.\n" * 1_500

#: Beginnings, middles and ends of secrets, and what may stand around them; put together by chance.
PIECES = [
    KNOWN, "password: ", "password:", "hunter22", "token=", "\n", "\r\n", "  ", "- ", "Environment:",
    "  KEY:  value", "-----BEGIN PRIVATE KEY-----", "MIIEvQIBADANBg", "-----END PRIVATE KEY-----", "bearer ",
    "abcdef123456", "basic ", "https://u:", "p4ssw0rd", "@host/", "redis-cli -a ", "curl -u a:", "mysql -p",
    "name: api_key", "value: ", '"', "'", '{"password": "', '"}', "AKIAIOSFODNN7EXAMPLE", "xoxb-123456789",
    "--token", "Cookie: ", "a=b", "requirepass ", "secret: |", "    deep", "|", ";", "\\", "plain words",
    "<password>", "</password>", " bytes left out …", "… 12",
]  # fmt: skip

texts = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)


@given(st.lists(texts, max_size=5))
def test_what_is_clean_together_is_clean_by_itself(several: list[str]) -> None:
    if REDACTOR.is_clean(several):
        assert [REDACTOR.text(each) for each in several] == several


@given(texts)
def test_a_text_that_is_left_as_it_is_is_clean(text: str) -> None:
    assert REDACTOR.is_clean([text]) == (REDACTOR.text(text) == text)


@given(
    st.dictionaries(st.sampled_from(["title", "name", "key", "value", "password", "api_token", KNOWN]), texts)
)
def test_a_flat_value_is_redacted_as_a_deep_one_is(data: dict[str, str]) -> None:
    assert REDACTOR.value(data) == one_by_one(data)


words = st.sampled_from(["-a", "--token", "-h", "redis-cli", "hunter22", "--api-key", "plain", KNOWN])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | texts | words,
        lambda inner: (
            st.lists(inner | words, max_size=4)
            | st.dictionaries(
                st.sampled_from(["title", "name", "Key", "value", "token", KNOWN]) | texts, inner
            )
        ),
        max_leaves=12,
    )
)
def test_a_value_is_redacted_as_its_pieces_are(data: object) -> None:
    assert REDACTOR.value(data) == one_by_one(data)


@given(texts | st.text(max_size=200))
def test_a_short_text_is_redacted_as_it_is_in_a_long_one(text: str) -> None:
    assert REDACTOR.text(LONG + text) == LONG + REDACTOR.text(text)


@pytest.mark.parametrize("text", ["Environment:\n  KEY:  v", "x\n… 7 bytes left out …\nx", f"x{KNOWN}y"])
def test_what_no_form_names_is_seen_at_the_first_look_too(text: str) -> None:
    assert REDACTOR.text(LONG + text) == LONG + REDACTOR.text(text)


def test_a_copy_without_secrets_is_of_plain_texts_and_nobody_elses() -> None:
    data = {Status.RUNNING: [Status.RUNNING, {"at": 1}]}
    copy = REDACTOR.value(data)
    assert copy == {"running": ["running", {"at": 1}]}
    assert isinstance(copy, dict)
    assert [type(key) for key in copy] == [str]
    copy["running"][1]["at"] = 2
    assert data == {Status.RUNNING: [Status.RUNNING, {"at": 1}]}


def one_by_one(data: object) -> object:
    """Beside something that is no JSON every piece is looked at by itself."""
    redacted = REDACTOR.value([data, object()])
    assert isinstance(redacted, list)
    return redacted[0]


@given(title=texts, body=texts, service=texts, raw=texts)
def test_a_webhook_is_redacted_as_its_parts_are(title: str, body: str, service: str, raw: str) -> None:
    alert = Alert("pagerduty", "P1", title, body=body, service=service)
    expected = (redacted_alert(REDACTOR, alert), REDACTOR.text(raw))
    assert redacted_webhook(REDACTOR, alert, raw) == expected


def test_a_label_that_is_named_like_a_secret_is_masked_although_its_text_is_not_one() -> None:
    alert = replace(Alert("pagerduty", "P1", "Redis"), labels={"api_token": "plain words"})
    redacted, _ = redacted_webhook(REDACTOR, alert, "{}")
    assert redacted is not None
    assert redacted.labels == {"api_token": MASK}
