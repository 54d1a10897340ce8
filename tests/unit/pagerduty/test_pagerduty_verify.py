import hashlib
import hmac
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.adapters.pagerduty_webhook import verify

VECTOR = Path(__file__).resolve().parents[4] / "shared/contracts/pagerduty/webhook-v3/signature-vector.json"
BODY = b'{"event":{"id":"01ABC","event_type":"pagey.ping","data":{"type":"ping"}}}'


def signed(body: bytes, secret: str) -> str:
    return "v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def test_a_body_signed_with_the_secret_is_from_pagerduty():
    assert verify(BODY, signed(BODY, "first-secret"), ["first-secret"])


def test_a_known_signature_is_accepted():
    """RFC 4231, test case 2: HMAC-SHA-256 with the key "Jefe"."""
    header = "v1=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert verify(b"what do ya want for nothing?", header, ["Jefe"])


def test_one_changed_byte_is_refused():
    assert not verify(BODY + b" ", signed(BODY, "first-secret"), ["first-secret"])


def test_another_secret_is_refused():
    assert not verify(BODY, signed(BODY, "other"), ["first-secret"])


def test_any_of_several_signatures_and_secrets_is_enough_during_a_rotation():
    header = f"{signed(BODY, 'old')}, {signed(BODY, 'new')}"
    assert verify(BODY, header, ["new"])
    assert verify(BODY, header, ["unrelated", "old"])
    assert verify(BODY, f"  {signed(BODY, 'old')}  ,,", ["old"])


def test_a_secret_read_from_a_file_with_a_line_break_still_verifies():
    assert verify(BODY, signed(BODY, "first-secret"), ["first-secret\n"])


@pytest.mark.parametrize("secrets", [[], [""], ["  "]])
def test_without_a_secret_nothing_is_accepted_not_even_a_signature_made_with_none(secrets):
    assert not verify(BODY, signed(BODY, ""), secrets)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        ",",
        "v1=",
        "v1",
        "=",
        "v1=é",
        "v1=\ud800",
        "v2=" + "0" * 64,
        "v1=" + "0" * 63,
        "v1=" * 100_000,
        "\x00",
        signed(BODY, "first-secret").removeprefix("v1="),
        signed(BODY, "first-secret").replace("v1=", "v0="),
        signed(BODY, "first-secret") + "0",
        signed(BODY, "first-secret")[:-1],
    ],
)
def test_a_junk_signature_is_refused_and_never_raises(header):
    assert not verify(BODY, header, ["first-secret"])


@given(st.binary(), st.one_of(st.none(), st.text()), st.lists(st.text()))
def test_no_header_or_secret_makes_verify_raise(raw, header, secrets):
    assert verify(raw, header, secrets) in {True, False}


@given(st.binary(), st.text(min_size=1).filter(str.strip), st.lists(st.text(), max_size=3))
def test_what_is_signed_with_a_known_secret_verifies_whatever_stands_beside_it(raw, secret, others):
    key = secret.strip().encode("utf-8", "surrogatepass")
    signature = "v1=" + hmac.new(key, raw, hashlib.sha256).hexdigest()
    assert verify(raw, signature, [*others, secret])


@pytest.mark.skipif(not VECTOR.exists(), reason="the shared contracts are not at hand")
def test_the_published_vector_of_the_vendors_client_verifies():
    vector = json.loads(VECTOR.read_text())
    raw, secrets = vector["raw_body"].encode(), [vector["secret"]]
    assert verify(raw, vector["header_value_valid"], secrets)
    assert verify(raw, vector["header_value_valid_rotated"], secrets)
    assert not verify(raw, vector["header_value_invalid"], secrets)
