"""The parts of the simulated API server that have laws of their own: patches, selectors, protobuf."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.simulators.kubernetes.errors import ApiError
from agent.simulators.kubernetes.patches import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, patched
from agent.simulators.kubernetes.protobuf import decode
from agent.simulators.kubernetes.selectors import field_selector, label_selector

VALUES = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.text(max_size=3), VALUES, max_size=4)


@given(DOCUMENTS, DOCUMENTS)
def test_a_merge_patch_applied_twice_is_applied_once(document, patch):
    once = patched(document, patch, MERGE_PATCH)
    assert patched(once, patch, MERGE_PATCH) == once


@given(DOCUMENTS)
def test_an_empty_patch_changes_nothing(document):
    assert patched(document, {}, MERGE_PATCH) == document
    assert patched(document, {}, STRATEGIC_PATCH) == document
    assert patched(document, [], JSON_PATCH) == document


def test_strategic_merge_knows_lists_by_their_keys():
    before = {"containers": [{"name": "a", "image": "1"}, {"name": "b"}], "args": ["x"], "finalizers": ["f"]}
    patch = {
        "containers": [{"name": "a", "image": "2"}, {"name": "b", "$patch": "delete"}, {"name": "c"}],
        "$setElementOrder/containers": [{"name": "a"}, {"name": "c"}],
        "args": ["y"],
        "finalizers": ["g"],
    }
    after = {
        "containers": [{"name": "a", "image": "2"}, {"name": "c"}],
        "args": ["y"],
        "finalizers": ["f", "g"],
    }
    assert patched(before, patch, STRATEGIC_PATCH) == after


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ({"op": "remove", "path": "/nosuch"}, 422),
        ({"op": "replace", "path": "/list/9", "value": 1}, 422),
        ({"op": "test", "path": "/list/0", "value": 2}, 422),
        ({"op": "mend", "path": "/list"}, 400),
    ],
)
def test_a_json_patch_that_does_not_fit_is_refused(operation, code):
    with pytest.raises(ApiError) as caught:
        patched({"list": [1]}, [operation], JSON_PATCH)
    assert caught.value.code == code


def test_a_json_patch_moves_copies_and_inserts():
    operations = [
        {"op": "add", "path": "/list/0", "value": 0},
        {"op": "add", "path": "/list/-", "value": 9},
        {"op": "copy", "from": "/list/0", "path": "/first"},
        {"op": "move", "from": "/list/1", "path": "/second"},
        {"op": "test", "path": "/second", "value": 1},
    ]
    assert patched({"list": [1]}, operations, JSON_PATCH) == {"list": [0, 9], "first": 0, "second": 1}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        ("app=api", True),
        ("app==api,tier!=db", True),
        ("app in (web, api)", True),
        ("app notin (web,api)", False),
        ("app", True),
        ("!app", False),
        ("!canary,app", True),
        ("other=", False),
    ],
)
def test_label_selectors(selector, matches):
    assert label_selector(selector)({"metadata": {"labels": {"app": "api", "tier": "web"}}}) is matches


@pytest.mark.parametrize("selector", ["app in web", "app=a b", "=", "a=b=c"])
def test_a_label_selector_that_is_none_is_refused(selector):
    with pytest.raises(ApiError, match="unable to parse requirement"):
        label_selector(selector)


def test_field_selectors():
    pod = {"metadata": {"name": "a"}, "spec": {"unschedulable": True}}
    assert field_selector("metadata.name=a,spec.unschedulable=true,spec.nodeName=")(pod)
    assert not field_selector("metadata.name!=a")(pod)


@given(st.binary(max_size=60))
def test_no_protobuf_body_breaks_the_server(body):
    assert refusal_of(b"k8s\x00" + body) in {0, 400, 415}


def refusal_of(body: bytes) -> int:
    try:
        decode(body)
    except ApiError as error:
        return error.code
    return 0
