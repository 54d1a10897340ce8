"""Laws of pricing kubectl: what is charged is what may be changed, and nothing is changed uncharged."""

import shlex

from cluster_counts import TABLES, Counts
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.domain.access import ChangeForm, Network
from agent.domain.command import Refusal
from agent.domain.effects import EffectClass

NAMES = st.sampled_from(["api", "db", "idle", "api-1", "unknown", "a.b", "-x", "A"])
NODES = st.sampled_from(["n1", "empty", "n9", "api"])
WORKLOADS = st.sampled_from(["deploy", "sts", "ds", "deployments.apps", "rs", "job", "pod"])
KINDS = st.sampled_from(
    ["pods", "po", "deploy", "svc", "cm", "secret", "node", "ns", "all", "deploy,svc", "hpa"]
)
WAITS = ["--wait=false", "--wait", "--timeout=5s", "--force"]
SELECTORS = ["-l app=api", "-l app=web", "--field-selector=status.phase=Failed", "--all"]
SHOWS = [
    *SELECTORS,
    "-A",
    "-o wide",
    "-o yaml",
    "--show-events=false",
    "--for=delete",
    "--for=condition=Ready",
]
INSIDE = st.sampled_from(["-- redis-cli FLUSHDB", "-- redis-cli DEL a b", "-- df -h", "-- sh -c id", ""])
PLACES = st.sampled_from(["-n prod", "-n prod", "-n prod", "--namespace=prod", "-n web", "-A", ""])


def some(options):
    """Up to two of the options."""
    return st.lists(st.sampled_from(options), max_size=2).map(" ".join)


def targets(kinds):
    """`TYPE/NAME`, `TYPE NAME…`, and what is neither."""
    return st.one_of(
        st.builds("{}/{}".format, kinds, NAMES),
        st.builds("{} {}".format, kinds, NAMES),
        st.builds("{} {} {}".format, kinds, NAMES, NAMES),
        st.builds("{}/{} {}/{}".format, kinds, NAMES, kinds, NAMES),
        kinds,
        NAMES,
    )


def commands(verbs, *parts):
    """kubectl with one of the verbs, and parts that may or may not fit it."""
    return st.builds(lambda *words: "kubectl " + " ".join(words), verbs, *parts)


SCALES = ["--replicas=3", "--replicas=3", "--replicas=0", "--replicas=9999", "--current-replicas=2"]
LINES = st.one_of(
    commands(st.sampled_from(["rollout restart", "rollout undo"]), targets(WORKLOADS), PLACES),
    commands(st.sampled_from(["rollout status", "rollout history"]), targets(WORKLOADS), PLACES),
    commands(st.just("delete"), targets(st.one_of(st.just("pod"), KINDS)), some(WAITS + SELECTORS), PLACES),
    commands(st.just("scale"), targets(WORKLOADS), some(SCALES), st.sampled_from(SCALES), PLACES),
    commands(st.just("exec"), targets(WORKLOADS), st.sampled_from(["-c app", ""]), PLACES, INSIDE),
    commands(st.sampled_from(["cordon", "uncordon"]), NODES, st.one_of(NODES, st.just("")), PLACES),
    commands(st.just("drain"), NODES, some(["--ignore-daemonsets"] * 5 + ["--force"]), PLACES),
    commands(st.sampled_from(["get", "describe", "wait"]), targets(KINDS), some(SHOWS), PLACES),
    commands(st.just("logs"), targets(WORKLOADS), some(["-l app=api", "--tail=5", "-p"]), PLACES),
    commands(st.sampled_from(["top pods", "top nodes", "auth can-i", "version", "cluster-info"]), PLACES),
)


def kubectl():
    """Command lines as argv."""
    return LINES.map(shlex.split).map(tuple)


@settings(max_examples=300)
@given(kubectl())
def test_what_is_charged_is_what_may_be_changed(argv):
    found = TABLES.analyse(argv, counter=Counts())
    if isinstance(found, Refusal):
        assert found.reason
        return
    charged = [each for each in found.effects if each.effect_class is not EffectClass.READ]
    shows_secret = {EffectClass.SECRET_READ} >= {each.effect_class for each in charged}
    forms = [change.form for change in found.access.changes]
    assert found.access.network is Network.CLUSTER
    if forms == [ChangeForm.EXEC]:
        assert argv[1] == "exec"
    else:
        assert bool(forms) is (bool(charged) and not shows_secret)


@settings(max_examples=300)
@given(kubectl())
def test_no_more_requests_are_open_than_were_charged(argv):
    found = TABLES.analyse(argv, counter=Counts())
    if isinstance(found, Refusal) or any(c.form is ChangeForm.EXEC for c in found.access.changes):
        return
    charged = sum(each.count for each in found.effects if each.effect_class is not EffectClass.READ)
    assert sum(change.at_most for change in found.access.changes) <= charged
    for change in found.access.changes:
        assert change.at_most == max(1, len(change.names))
        assert change.right.verb in ("patch", "update", "delete", "create")
        assert change.right.name or change.names
        assert change.right.resource == "nodes" or change.right.namespace not in ("", "*", "default")


@settings(max_examples=300)
@given(kubectl())
def test_a_right_to_look_never_changes_anything(argv):
    found = TABLES.analyse(argv, counter=Counts())
    if isinstance(found, Refusal):
        return
    for right in found.access.cluster:
        assert right.verb in ("get", "list", "watch") or right.resource.startswith("selfsubject")
        assert right.subresource in ("", "log", "scale")
    assert len(set(found.access.cluster)) == len(found.access.cluster)
