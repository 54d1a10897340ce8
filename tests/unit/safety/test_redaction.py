import base64
import json
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
    ("oat_abcdefghijklmnopqrstuvwxyz-0123456789_ABCDEF", "abcdefghij"),
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


#: Each with a canary where the secret stands.
WRITTEN = [
    "- name: DB_PASSWORD\n  value: {}",
    "- name: DB_PASSWORD\n  value: '{} with, words'",
    "- name: SENTRY_DSN\n  value: {}",
    "- name: API_TOKEN_OLD\n  value: |\n    {}\n    {}\n- name: B",
    '{{"name":"DB_PASSWORD","value":"{}"}}',
    '{{\n  "name": "ENCRYPTION_KEY",\n  "value": "{}"\n}}',
    '{{"value":"{}","name":"REDIS_AUTH"}}',
    '{{\\"name\\":\\"DB_PASSWORD\\",\\"value\\":\\"{}\\"}}',
    "redis-server --requirepass {}",
    "requirepass {}",
    '1) "requirepass"\n2) "{}"',
    "app --password {} --verbose",
    "app --password={}",
    "app --db-password '{}'",
    "app --token {}",
    '["redis-server","--requirepass","{}"]',
    "args:\n- --requirepass\n- {}\n",
    "redis-cli -h cache -a {} PING",
    '["redis-cli","-a","{}"]',
    "mysql -u root -p{} app",
    "mysqldump -p'{}' app",
    "curl -s -u admin:{} http://x/",
    "curl --user 'admin:{}' http://x/",
    "sshpass -p {} ssh x",
    "password:\n  {}",
    "password:\n  - {}\n  - {}",
    "password: |\n  {}\n\n  {}\n",
    "  db.password: >-\n    {}\n    {}",
    '{{"password":["{}"]}}',
    '{{"password": ["a", "{}"]}}',
    '{{\\"password\\":\\"{}\\"}}',
    '{{\\\\\\"password\\\\\\":\\\\\\"{}\\\\\\"}}',
    '{{\\"password\\":[\\"{}\\"]}}',
    "<password>{}</password>",
    '<db.password type="x">{}</db.password>',
    "AccountName=a;AccountKey={};EndpointSuffix=b",
    "https://x/y?sv=1&sig={}&se=2",
    "https://x/y?X-Amz-Signature={}",
    "PASS={}",
    "pass={}",
    "ENCRYPTION_KEY={}",
    "encryption_key: {}",
    "REDIS_AUTH={}",
    "dsn={}",
    "password := {}",
    "redis://:{}/b@h",
    "redis://:a/{}@h",
    "postgres://app:p/{}@db/app",
    "postgres://u:{}@p@h/x",
    "postgres://u:p@{}@h/x",
    "u:{}@p@h",
    "user:{}@tcp(db:3306)/app",
]


@pytest.mark.parametrize("written", WRITTEN)
def test_a_secret_is_taken_out_wherever_its_place_tells_it(written):
    text = f"before it\n{written.format(*['cAn4ry7f3a'] * 2)}\nafter it\n"
    redacted = NOTHING_KNOWN.text(text)
    assert "cAn4ry" not in redacted
    assert redacted.startswith("before it\n")
    assert redacted.endswith("\nafter it\n")
    assert NOTHING_KNOWN.text(redacted) == redacted


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("- name: DB_PASSWORD\n  value: x1\n- name: B", "- name: DB_PASSWORD\n  value: ***\n- name: B"),
        ("a:\n  password: |\n    x\n    y\n  user: bob\n", "a:\n  password: |\n    ***\n  user: bob\n"),
        ("password:\n  x1\nuser: bob", "password:\n  ***\nuser: bob"),
        ("x --password y1 --host z", "x --password *** --host z"),
        ("curl -u a:y1 http://x | jq .a", "curl -u a:*** http://x | jq .a"),
        ("amqp://a:b1@h1,amqp://c:d1@h2", "amqp://a:***@h1,amqp://c:***@h2"),
        ('{\\"password\\":\\"x\\",\\"user\\":\\"bob\\"}', '{\\"password\\":\\"***\\",\\"user\\":\\"bob\\"}'),
        ('{"password":["x1"],"user":"bob"}', '{"password":[***],"user":"bob"}'),
        ("<password>x1</password><user>bob</user>", "<password>***</password><user>bob</user>"),
    ],
)
def test_what_stands_around_a_masked_place_stays(text, redacted):
    assert NOTHING_KNOWN.text(text) == redacted


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
        "key: title",
        "token count 5",
        "author: x",
        "tests: pass=10 fail=2",
        "- name: LOG_LEVEL\n  value: info",
        '{"name":"key","value":"title"}',
        "- name: AUTHOR\n  value: bob",
        "- name: DB_PASSWORD\n  valueFrom:\n    secretKeyRef:\n      key: db",
        "password:\n  secretKeyRef:\n    key: db",
        "http://host:8080/path?mail=a@b.c",
        "image app:1.2@sha256:abc",
        "docker run -p 8080:80 app",
        "redis-cli -h cache PING",
        "cache_key: users:1",
        "<author>bob</author>",
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


def test_a_json_objects_names_and_lists_tell_its_secrets():
    value = {
        "env": [{"name": "DB_PASSWORD", "value": "x1"}, {"name": "LOG_LEVEL", "value": "info"}],
        "password": ["x1"],
        "argv": ["redis-cli", "-a", "x1", "PING"],
        "args": ["--requirepass", "x1"],
    }
    assert NOTHING_KNOWN.value(value) == {
        "env": [{"name": "DB_PASSWORD", "value": MASK}, {"name": "LOG_LEVEL", "value": "info"}],
        "password": [MASK],
        "argv": ["redis-cli", "-a", MASK, "PING"],
        "args": ["--requirepass", MASK],
    }


PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvAIBADANBg\nkqhkiG9w0BAQEF\n-----END PRIVATE KEY-----\n"


def test_a_secret_of_several_lines_is_taken_out_line_by_line():
    redactor = Redactor([PEM, "first line\nä second\nno"])
    assert redactor.text("x\n    kqhkiG9w0BAQEF\ny") == "x\n    ***\ny"
    assert redactor.text("  first line\n  \\u00e4 second\n  no") == "  ***\n  ***\n  no"
    other = "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"
    assert redactor.text(f"a {other} b") == "a *** b"


def forms_of(secret: str) -> list[str]:
    escaped = "".join(f"\\u{ord(character):04x}" for character in secret if ord(character) < 0x10000)
    in_json = json.dumps(secret)[1:-1]
    return [
        secret,
        in_json,
        json.dumps(secret, ensure_ascii=False)[1:-1],
        json.dumps(in_json)[1:-1],
        in_json.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"),
        escaped,
        escaped.upper().replace("\\U", "\\u"),
        secret.encode().hex(),
        secret.encode().hex().upper(),
        quote(secret, safe=""),
        quote_plus(secret),
        base64.b64encode(secret.encode()).decode(),
        base64.urlsafe_b64encode(secret.encode()).decode(),
    ]


@given(
    st.text(
        alphabet=st.characters(blacklist_characters="*", blacklist_categories=["Cs"], max_codepoint=0xFFFF),
        min_size=6,
        max_size=40,
    )
)
def test_no_form_of_a_known_secret_survives(secret):
    redactor = Redactor([secret])
    for form in forms_of(secret):
        assert redactor._known is not None
        assert redactor._known.sub("***", f"~{form}~") == "~***~"
        assert form not in redactor.text(f"~{form}~")


FRAGMENTS = [written.format("x1y2", "x1y2") for written in WRITTEN] + [text for text, _ in FORMS]
SMALL = [
    "password",
    "=",
    ":",
    '"',
    "'",
    "\\",
    "\n",
    " ",
    "  ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "|",
    "-",
    "@",
    "/",
    "a",
    "***",
]
SMALL += [
    "token",
    "value",
    "name",
    "<",
    ">",
    "redis-cli",
    "-a",
    "://",
    "--password",
    "Authorization",
    "Bearer ",
]


@given(st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.sampled_from(SMALL)), max_size=12))
def test_redacting_again_changes_nothing(pieces):
    redacted = NOTHING_KNOWN.text("".join(pieces))
    assert NOTHING_KNOWN.text(redacted) == redacted


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


HOSTILE = [
    *["A", "password=", "-----BEGIN ", "eyJ", "deadbeef", "Authorization: ", "://:@", '"', "token ", "a=b;"],
    *["x-AKIAIOSFODNN7EXAMPLE-", "eyJAAAAAAAA-AKIAIOSFODNN7EXAMPLE-", "a://:token=x;", "u:p@", "://u:p/"],
    *["redis-cli token=x ", "redis-cli curl -u a:b ", "mysql -", "<password token=x ", "password: [", "\\"],
    *[
        "password: |\n",
        "password:\n  x\n",
        "name: PASSWORD\nvalue: ",
        '"value":"token=x',
        "name: a_",
        "--token\n",
    ],
    *["password:" + " " * 50, "\n\n\n", "password: ['", 'password: ["'],
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_output_is_masked_to_its_end(piece):
    text = piece * (20_000 // len(piece)) + f"\n{CANARY}\n"
    assert CANARY not in REDACTOR.text(text)
