import base64
import json
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.safety.redaction import MASK, Redactor

CANARY = "canary-7f3a9b2c+d/e=f"
REDACTOR = Redactor([CANARY, 'with "quotes" \\ and spaces'])
NOTHING_KNOWN = Redactor([])


@pytest.mark.parametrize(
    "written",
    [
        CANARY,
        quote(CANARY, safe=""),
        quote_plus(CANARY),
        base64.b64encode(CANARY.encode()).decode(),
        base64.urlsafe_b64encode(CANARY.encode()).decode(),
        json.dumps({"x": CANARY}),
        'with "quotes" \\ and spaces',
        json.dumps('with "quotes" \\ and spaces'),
    ],
)
def test_a_known_secret_is_taken_out_however_it_is_written(written):
    redacted = REDACTOR.text(f"before {written} after")
    assert MASK in redacted
    assert "canary" not in redacted
    assert "quotes" not in redacted
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")


@pytest.mark.parametrize("before", ["", "a", "ab", "user:"])
def test_a_secret_inside_a_longer_base64_text_is_taken_out(before):
    text = base64.b64encode(f"{before}{CANARY} and more".encode()).decode()
    redacted = REDACTOR.text(text)
    assert MASK in redacted
    assert CANARY.encode() not in base64.b64decode(redacted.replace(MASK, "") + "==", validate=False)


FORMS = [
    ("Authorization: Bearer abcdef123456", "abcdef123456"),
    ("authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    ("'Authorization': 'Token token=y_NbAkKc66ryYTWUXYEu'", "y_NbAkKc66ryYTWUXYEu"),
    ("Token token=y_NbAkKc66ryYTWUXYEu", "y_NbAkKc66ryYTWUXYEu"),
    ("got bearer abcdefghijkl.mnop", "abcdefghijkl"),
    ("X-Api-Key: abc123abc", "abc123abc"),
    ("Set-Cookie: session=abc123; Path=/", "abc123"),
    ("id AKIAIOSFODNN7EXAMPLE here", "AKIAIOSFODNN7EXAMPLE"),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI"),
    ("xoxb-123456789012-abcdefghijkl", "123456789012"),
    ("xapp-1-A012345-abcdefgh", "A012345"),
    ("https://hooks.slack.com/services/T000/B000/XXXX", "B000"),
    ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N", "dozjgNryP4J3"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghij"),
    ("glpat-abcdefghijklmnopqrst", "abcdefghij"),
    ("sk-" + "ant-api03-abcdefghijklmnop", "abcdefghij"),
    ("sk_live_abcdefghijklmnop", "abcdefghij"),
    ("hvs.abcdefghijklmnopqrstuvwx", "abcdefghij"),
    ("postgres://app:hunter2@db/app", "hunter2"),
    ("redis://:hunter2@cache:6379/0", "hunter2"),
    ("password=hunter2", "hunter2"),
    ("PGPASSWORD=hunter2", "hunter2"),
    ("DB_PASS=hunter2", "hunter2"),
    ("REDIS_PASSWORD: hunter2", "hunter2"),
    ("REDISCLI_AUTH=hunter2", "hunter2"),
    ('{"password": "hun\\"ter2", "user": "x"}', "ter2"),
    ("{'api_key': 'hunter2'}", "hunter2"),
    ("?token=hunter2&x=1", "hunter2"),
    ("client_secret => hunter2", "hunter2"),
    ("secret: Bearer hunter2", "hunter2"),
    ("requirepass: hunter2", "hunter2"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "MIIE"),
    ("-----BEGIN PRIVATE KEY-----\nMIIE cut off", "MIIE"),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\n-----END OPENSSH PRIVATE KEY-----", "b3Blbn"),
]


@pytest.mark.parametrize(("text", "secret"), FORMS)
def test_a_secret_is_known_by_its_form(text, secret):
    redacted = NOTHING_KNOWN.text(text)
    assert secret not in redacted
    assert MASK in redacted


@pytest.mark.parametrize(
    "text",
    [
        "OK",
        "connected",
        "max_tokens=5 passed=10",
        "the token bucket is empty",
        "2026-01-31 12:00:00 INFO GET /api/v1/users 200 12ms",
        "PASS: 12 tests",
        "https://example.com:8080/path?x=1",
        "deploy/api-gateway successfully rolled out",
        "sk-short eyJ gh AKIA",
    ],
)
def test_ordinary_output_stays_as_it_is(text):
    assert NOTHING_KNOWN.text(text) == text


def test_what_stands_around_a_secret_stays():
    assert NOTHING_KNOWN.text('{"password": "x1", "user": "bob"}') == '{"password": "***", "user": "bob"}'
    assert NOTHING_KNOWN.text("postgres://app:hunter2@db/app") == "postgres://app:***@db/app"


def test_json_values_are_redacted_at_any_depth():
    value = {"a": [CANARY, {"b": f"x {CANARY}", "password": "short", "n": 5, "none": None}], CANARY: True}
    redacted = REDACTOR.value(value)
    assert "canary" not in json.dumps(redacted)
    assert redacted["a"][1]["password"] == MASK
    assert redacted["a"][1]["n"] == 5


def test_short_secrets_would_be_found_by_chance_and_are_not_looked_for():
    assert Redactor(["abc"]).text("abc abcdef") == "abc abcdef"


no_mask = st.text(alphabet=st.characters(blacklist_characters="*", blacklist_categories=["Cs"]), min_size=6)


@given(secrets=st.lists(no_mask, min_size=1, max_size=4), around=st.lists(st.text(max_size=8), max_size=5))
def test_no_known_secret_survives(secrets, around):
    redactor = Redactor(secrets)
    text = "".join(piece + secret for piece in [*around, ""] for secret in secrets)
    redacted = redactor.text(text)
    assert not any(secret in redacted for secret in secrets)


@given(text=st.text())
def test_redacting_twice_takes_out_no_more_known_secrets(text):
    assume("*" not in text)
    assert Redactor([CANARY]).text(text).count(CANARY) == 0


@pytest.mark.parametrize(
    "piece",
    ["A", "password=", "-----BEGIN ", "eyJ", "deadbeef", "Authorization: ", "://:@", '"', "token ", "a=b;"],
)
def test_hostile_output_costs_no_more_than_its_length(piece):
    text = piece * (1_000_000 // len(piece))
    before = time.process_time()
    REDACTOR.text(text)
    assert time.process_time() - before < 1.0
