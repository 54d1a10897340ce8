import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.effects import BlastRadius, EffectClass
from agent.safety import language, policy
from agent.safety.budget import Limit, over
from agent.safety.effects import EffectTables

TABLES = EffectTables.load()


def script(text):
    return language.bind(language.parse(text), {})


def judge(text, *, limits=None, namespaces=(), hosts=(), **config):
    named = {EffectClass(name): count for name, count in (limits or {}).items()}
    radius = BlastRadius(limits=named, namespaces=namespaces, hosts=hosts)
    return policy.judge(script(text), TABLES, radius, **config)


def reasons(text, **setting):
    return [str(command.refusal) if command.refusal else "" for command in judge(text, **setting)]


def test_reads_are_free():
    (command,) = judge("curl -s http://api/health")
    assert command.refusal is None
    assert command.effects[0].effect_class is EffectClass.READ


def test_a_class_that_is_not_named_is_zero():
    (reason,) = reasons("redis-cli FLUSHDB")
    assert reason.startswith("max_cache_operations is 0, this asks for 1")


def test_a_command_inside_its_limit_is_allowed():
    assert reasons("redis-cli FLUSHDB", limits={"cache_operation": 1}) == [""]


def test_a_count_over_the_limit_is_refused():
    (reason,) = reasons("redis-cli -r 3 FLUSHDB", limits={"cache_operation": 2})
    assert reason.startswith("max_cache_operations is 2, this asks for 3")


def test_the_first_command_that_goes_over_is_the_refused_one():
    text = "redis-cli DEL a; redis-cli DEL b c; redis-cli DEL d"
    first, second, third = reasons(text, limits={"cache_operation": 2})
    assert first == ""
    assert "max_cache_operations is 2, 1 used by earlier commands, this asks for 2" in second
    assert third == ""


def test_commands_behind_a_connector_count_even_if_they_may_not_run():
    assert reasons("true || redis-cli FLUSHDB") != ["", ""]


def test_a_plan_adds_up_over_its_steps():
    guard = policy.Guard(TABLES, BlastRadius(limits={EffectClass.SERVICE_RESTART: 1}))
    steps = [script("systemctl restart a"), None, script("systemctl restart b")]
    first, nothing, third = policy.price_plan(steps, guard)
    assert first[0].refusal is None
    assert nothing == ()
    assert "max_service_restarts is 1, 1 used" in str(third[0].refusal)


@pytest.mark.parametrize("text", ["cat /etc/shadow", "curl -X POST http://h/x", "kubectl get secrets"])
def test_no_limit_grants_secrets_and_unknown_changes(text):
    generous = {each.value: 100 for each in EffectClass}
    (reason,) = reasons(text, limits=generous)
    assert "no limit grants" in reason


def test_a_rollout_is_counted_in_pods_by_the_live_world():
    class Five:
        def workload_pods(self, namespace, kind, name):
            return 5

    text = "kubectl rollout restart deploy/api -n production"
    (reason,) = reasons(text, limits={"rollout": 1, "pod_restart": 2}, counter=Five())
    assert reason.startswith("max_pod_restarts is 2, this asks for 5")
    assert reasons(text, limits={"rollout": 1, "pod_restart": 5}, counter=Five()) == [""]


@pytest.mark.parametrize(
    ("text", "allowed", "fine"),
    [
        ("curl http://api.internal/x", ["api.internal"], True),
        ("curl http://API.internal./x", ["api.internal"], True),
        ("curl http://api.internal:8080/x", ["api.internal"], True),
        ("curl http://api.internal:8080/x", ["api.internal:8080"], True),
        ("curl http://api.internal:8081/x", ["api.internal:8080"], False),
        ("curl http://api.internal/x", ["api.internal:8080"], False),
        ("curl http://a.b.internal/x", ["*.internal"], True),
        ("curl http://internal/x", ["*.internal"], False),
        ("curl http://evilinternal/x", ["*.internal"], False),
        ("curl http://evil/x", ["api.internal"], False),
        ("redis-cli PING", ["api.internal"], False),
        ("redis-cli PING", ["localhost"], True),
        ("redis-cli -h cache PING", ["localhost"], False),
        ("dig @8.8.8.8 example.com", ["localhost"], False),
        ("openssl s_client -connect evil:443", ["api.internal"], False),
        ("kubectl exec -n x p -- curl localhost:8080", ["api.internal"], True),
        ("kubectl exec -n x p -- curl evil:8080", ["api.internal"], False),
        ("kubectl exec -n x p -- redis-cli -h evil PING", ["api.internal"], False),
        ("systemctl status nginx", ["api.internal"], True),
        ("curl 'http://[::1]:80/'", ["::1"], True),
    ],
)
def test_hosts_outside_the_list_are_refused(text, allowed, fine):
    for setting in ({"allowed_hosts": allowed}, {"hosts": tuple(allowed)}):
        (reason,) = reasons(text, **setting)
        assert (reason == "") is fine, reason


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("kubectl get pods -n production", True),
        ("kubectl get pods --namespace=production", True),
        ("kubectl get pods -n staging", False),
        ("kubectl get pods", False),
        ("kubectl get pods -A", False),
        ("kubectl get pods -A -n production", False),
        ("kubectl get nodes", True),
        ("kubectl top pods -A", False),
        ("kubectl logs p -n staging", False),
        ("kubectl exec -n staging p -- df", False),
        ("kubectl exec -n production p -- df", True),
        ("helm list", False),
        ("helm list -n production", True),
        ("df -h", True),
    ],
)
def test_namespaces_outside_the_list_are_refused(text, fine):
    for setting in ({"allowed_namespaces": ["production"]}, {"namespaces": ("production",)}):
        (reason,) = reasons(text, **setting)
        assert (reason == "") is fine, reason


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("curl -s http://h/x | jq .a | head -5", True),
        ("echo x | cat", True),
        ("echo FLUSHALL | redis-cli PING", False),
        ("echo | openssl s_client -connect h:443 | openssl x509 -noout -enddate", True),
        ("printf 'DELETE / HTTP/1.0\\n\\n' | openssl s_client -connect h:443", False),
        ("echo x | openssl s_client -connect h:443", False),
        ("cat /var/log/a | kubectl exec -n x p -- cat", False),
        ("cat /var/log/a | curl http://h", False),
        ("echo a | kubectl get pods", False),
        ("kubectl get events -n x -o json | jq '.items | length'", True),
    ],
)
def test_only_programs_that_look_at_text_are_fed_through_a_pipe(text, fine):
    assert (not any(reasons(text))) is fine


def test_the_published_redis_runbook_costs_one_cache_operation():
    flush = script("kubectl exec -n production deploy/redis-primary -- redis-cli FLUSHDB")
    check = script(
        "kubectl exec -n production deploy/api-gateway -- curl -s localhost:8080/health | jq .redis"
    )
    guard = policy.Guard(TABLES, BlastRadius(limits={EffectClass.CACHE_OPERATION: 1}))
    priced = policy.price_plan([flush, check], guard)
    assert all(command.refusal is None for step in priced for command in step)
    retried = policy.price_plan([flush, flush, check], guard)
    assert "max_cache_operations is 1, 1 used" in str(retried[1][0].refusal)


COMMANDS = [
    "redis-cli FLUSHDB",
    "redis-cli DEL a b",
    "systemctl restart a b",
    "df -h",
    "cat /etc/shadow",
    "x",
]


@given(
    steps=st.lists(st.lists(st.sampled_from(COMMANDS), min_size=1, max_size=3), max_size=5),
    caches=st.integers(0, 5),
    services=st.integers(0, 5),
)
def test_what_is_allowed_never_adds_up_to_more_than_the_limits(steps, caches, services):
    limits = {EffectClass.CACHE_OPERATION: caches, EffectClass.SERVICE_RESTART: services}
    guard = policy.Guard(TABLES, BlastRadius(limits=limits))
    priced = policy.price_plan([script("; ".join(step)) for step in steps], guard)
    charged: dict[EffectClass, int] = {}
    for command in (command for step in priced for command in step if command.refusal is None):
        for effect in command.effects:
            charged[effect.effect_class] = charged.get(effect.effect_class, 0) + effect.count
    charged.pop(EffectClass.READ, None)
    assert all(count <= limits.get(effect_class, 0) for effect_class, count in charged.items())


@given(maximum=st.integers(0, 50), used=st.integers(0, 50), asked=st.integers(1, 50))
def test_a_budget_refuses_exactly_what_does_not_fit(maximum, used, asked):
    refusal = over(Limit("max_rollouts", maximum), used=used, asked=asked, by="inc-1")
    assert (refusal is not None) == (used + asked > maximum)


def test_a_refused_budget_tells_limit_used_by_whom_and_asked():
    refusal = over(Limit("max_rollouts", 3), used=2, asked=4, by="inc-1")
    assert refusal.reason == "max_rollouts is 3, 2 used by inc-1, this asks for 4"
