"""A small cluster and account to count in, and short forms of what an analysis says."""

import shlex

from agent.domain.command import Refusal
from agent.safety.effects import EffectTables

TABLES = EffectTables.load()


class Counts:
    """What stands in the namespaces prod and web; nobody can tell about others."""

    def workload_pods(self, namespace, kind, name):
        return {"api": 5, "db": 3, "idle": 0}.get(name) if namespace == "prod" else None

    def workload_replicas(self, namespace, kind, name):
        return {"api": 5, "db": 3, "idle": 0}.get(name) if namespace == "prod" else None

    def selected_pods(self, namespace, labels, fields):
        if namespace != "prod":
            return None
        return (
            ("api-1", "api-2") if (labels, fields) in (("app=api", ""), ("", "status.phase=Failed")) else ()
        )

    def node_pods(self, node):
        pods = (("prod", "api-1"), ("web", "front-1"), ("prod", "api-2"))
        return {"n1": pods, "empty": ()}.get(node)

    def release_workloads(self, namespace, release):
        workloads = (("deployment", "api", 5), ("statefulset", "db", 3))
        return {"shop": workloads, "bare": ()}.get(release)

    def autoscaling_instances(self, region, group):
        return 7 if group == "workers" else None

    def service_tasks(self, region, cluster, service):
        return 4 if service == "api" else None


def analyse(command, counter=None):
    """The analysis of a command in this world."""
    return TABLES.analyse(shlex.split(command), counter=counter or Counts())


def effects_of(found):
    """(class, target, count, namespace) of each effect."""
    assert not isinstance(found, Refusal), str(found)
    return [(each.effect_class.value, each.target, each.count, each.namespace) for each in found.effects]


def right_in_words(right):
    """`verb resource.group/subresource namespace/name`, `-` for no namespace and `*` for any name."""
    group = f".{right.group}" if right.group else ""
    sub = f"/{right.subresource}" if right.subresource else ""
    return f"{right.verb} {right.resource}{group}{sub} {right.namespace or '-'}/{right.name or '*'}"


def reads_of(found):
    """The rights to read, in words and in order."""
    assert not isinstance(found, Refusal), str(found)
    return [right_in_words(right) for right in found.access.cluster]


def change_in_words(change):
    """Form, right, and whatever else is set."""
    more = {
        "at_most": change.at_most if change.at_most != 1 else None,
        "pods": change.pods,
        "replicas": change.replicas,
        "from": change.from_replicas,
        "argv": shlex.join(change.argv) or None,
        "container": change.container or None,
        "names": ",".join(change.names) or None,
    }
    said = "".join(f" {key}={value}" for key, value in more.items() if value is not None)
    return f"{change.form}: {right_in_words(change.right)}{said}"


def changes_of(found):
    """The changes, in words and in order."""
    assert not isinstance(found, Refusal), str(found)
    return [change_in_words(change) for change in found.access.changes]
