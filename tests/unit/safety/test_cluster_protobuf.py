"""Protobuf bodies of changes: one reading, or a refusal; and whether a change is only tried."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.access import Access, ChangeForm, ClusterChange, ClusterRight, Network
from agent.domain.command import Refusal
from agent.safety.cluster_protobuf import PROTOBUF, decoded_protobuf
from agent.safety.cluster_requests import read
from agent.safety.cluster_verdicts import Allowed, Ledger, judge

POD = "/api/v1/namespaces/production/pods/api-1"
JSON = "application/json"


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def message(*fields):
    return b"".join(field(number, value) for number, value in fields)


def enveloped(kind, raw, *, version="policy/v1", more=((3, ""), (4, ""))):
    return b"k8s\0" + message((1, message((1, version), (2, kind))), (2, raw), *more)


def metadata(name="api-1", namespace="production"):
    """As gogo/protobuf writes it: what is not a pointer is always there."""
    return message(
        (1, name), (2, ""), (3, namespace), (4, ""), (5, ""), (6, ""), (7, 0), (8, b"")
    )  # fmt: skip


def eviction(*options, name="api-1", namespace="production"):
    return enveloped("Eviction", message((1, metadata(name, namespace)), (2, message(*options))))


def deletion(*options):
    return enveloped("DeleteOptions", message(*options), version="v1")


EVICTS = ClusterChange(
    ClusterRight("create", "pods", subresource="eviction", namespace="production"),
    ChangeForm.EVICT,
    names=("api-1",),
)
DELETES = ClusterChange(
    ClusterRight("delete", "pods", namespace="production", name="api-1"), ChangeForm.DELETE
)


def verdict(form, body=b"", *, query="", used=0, content_type=PROTOBUF):
    change = EVICTS if form == "evict" else DELETES
    method, target = ("POST", f"{POD}/eviction") if form == "evict" else ("DELETE", POD)
    headers = (("content-type", content_type),) if body else ()
    asked = read(method, f"{target}{query}", headers)
    assert not isinstance(asked, Refusal)
    return judge(asked, body, Access(Network.CLUSTER, changes=(change,)), used={0: used})


def test_an_eviction_reads_as_its_json_form():
    options = ((1, 30), (2, message((1, "uid-1"))), (4, "Background"), (5, "All"))
    assert decoded_protobuf(eviction(*options)) == {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": "api-1", "namespace": "production"},
        "deleteOptions": {
            "gracePeriodSeconds": 30,
            "preconditions": {"uid": "uid-1"},
            "propagationPolicy": "Background",
            "dryRun": ["All"],
        },
    }


@pytest.mark.parametrize("form", ["evict", "delete"])
def test_the_change_that_was_charged_is_allowed_once(form):
    body = eviction((1, 30)) if form == "evict" else deletion((1, 30), (4, "Background"))
    assert isinstance(verdict(form, body), Allowed)
    assert "has used it" in str(verdict(form, body, used=1))


@pytest.mark.parametrize(
    "body",
    [
        eviction(name="api-2"),
        eviction(namespace="other"),
        eviction((1, 0)),
        eviction((4, "Orphan")),
        eviction((5, "None")),
        eviction((5, "All"), (5, "All")),
        eviction((3, 1)),
        eviction((6, 1)),
        eviction((99, "x")),
        eviction((1, "30")),
        eviction((4, 1)),
        eviction((1, 30), (1, 0)),
        eviction()[:-1],
        eviction() + b"\x00",
        eviction() + message((5, "")),
        deletion(),
        b"k8s\0",
        b"",
        b"k8s\1" + eviction()[4:],
        eviction()[4:],
        json.dumps({"kind": "Eviction"}).encode(),
        enveloped("Eviction", message((1, metadata())), more=((3, "gzip"), (4, ""))),
        enveloped("Eviction", message((1, metadata())), more=((4, "application/json"),)),
        enveloped("Eviction", message((1, metadata()), (1, metadata("api-2")))),
        enveloped("Eviction", message((1, metadata() + message((12, message((1, "a"), (2, "b"))))))),
        enveloped("Pod", message((1, metadata()))),
        enveloped("Eviction", message((1, metadata())) + b"\x0b"),
    ],
)
def test_an_eviction_that_says_anything_else_is_refused(body):
    assert isinstance(verdict("evict", body), Refusal)


def test_a_number_in_more_bytes_than_it_needs_is_refused():
    said = decoded_protobuf(enveloped("DeleteOptions", b"\x08\x9e\x00"))
    assert isinstance(said, Refusal)
    assert "longer than it has to be" in said.reason
    assert isinstance(decoded_protobuf(enveloped("DeleteOptions", b"\x08" + b"\xff" * 9 + b"\x01")), Refusal)


def test_protobuf_is_for_deletions_and_evictions_alone():
    right = ClusterRight("patch", "nodes", name="node-a")
    access = Access(Network.CLUSTER, changes=(ClusterChange(right, ChangeForm.CORDON),))
    asked = read("PATCH", "/api/v1/nodes/node-a", (("content-type", PROTOBUF),))
    assert "a body of type 'application/vnd.kubernetes.protobuf'" in str(
        judge(asked, b"k8s\0", access, used={})
    )


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    for body in (data, b"k8s\0" + data, enveloped("Eviction", data), enveloped("DeleteOptions", data)):
        decoded_protobuf(body)


@given(st.integers(0, 400), st.integers(0, 255))
def test_an_eviction_with_another_byte_never_reaches_another_pod(place, byte):
    body = bytearray(eviction((1, 30)))
    body[place % len(body)] = byte
    said = decoded_protobuf(bytes(body))
    if isinstance(verdict("evict", bytes(body)), Allowed) and not isinstance(said, Refusal):
        named = said.get("metadata", {})
        assert named.get("name", "api-1") == "api-1"
        assert named.get("namespace", "production") == "production"


def said(dry):
    return json.dumps({"propagationPolicy": "Background", "dryRun": dry}).encode()


def evicted(dry):
    return json.dumps(
        {"kind": "Eviction", "apiVersion": "policy/v1", "deleteOptions": {"dryRun": dry}}
    ).encode()


@pytest.mark.parametrize(
    ("form", "body", "query", "content_type"),
    [
        ("delete", b"", "?dryRun=All", ""),
        ("delete", said(["All"]), "", JSON),
        ("delete", said(["All"]), "?dryRun=All", JSON),
        ("delete", deletion((5, "All")), "", PROTOBUF),
        ("evict", evicted(["All"]), "", JSON),
        ("evict", evicted([]), "?dryRun=All", JSON),
        ("evict", eviction((5, "All")), "", PROTOBUF),
        ("evict", eviction(), "?dryRun=All", PROTOBUF),
    ],
)
def test_a_dry_run_takes_nothing_and_is_there_when_all_is_used(form, body, query, content_type):
    allowed = verdict(form, body, query=query, used=1, content_type=content_type)
    assert isinstance(allowed, Allowed)
    assert allowed.rehearsal
    ledger, asked = Ledger(), read("DELETE", POD, ())
    assert ledger.take(allowed, asked) is None
    ledger.answered(allowed, asked, status=404)
    assert not ledger.used(asked)


@pytest.mark.parametrize(
    ("form", "body", "query"),
    [
        ("delete", said([]), ""),
        ("delete", said(None), ""),
        ("delete", b"{}", ""),
        ("delete", b"", ""),
        ("evict", evicted([]), ""),
        ("evict", evicted(None), ""),
    ],
)
def test_what_is_no_dry_run_is_charged(form, body, query):
    assert verdict(form, body, query=query, content_type=JSON) == Allowed(
        EVICTS if form == "evict" else DELETES, 0
    )
    assert isinstance(verdict(form, body, query=query, used=1, content_type=JSON), Refusal)


@pytest.mark.parametrize(
    ("form", "body", "query"),
    [
        # The server reads the body of a deletion and leaves the query: this one would delete.
        ("delete", b"{}", "?dryRun=All"),
        ("delete", said(["None"]), ""),
        ("delete", said("All"), ""),
        ("delete", said({"All": 1}), ""),
        ("delete", said(["All", "All"]), ""),
        ("delete", b"", "?dryRun="),
        ("delete", b"", "?dryRun=true"),
        ("delete", b"", "?dryRun=all"),
        ("evict", evicted(["None"]), "?dryRun=All"),
    ],
)
def test_a_dry_run_that_may_be_none_is_refused(form, body, query):
    assert isinstance(verdict(form, body, query=query, content_type=JSON), Refusal)
