import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.execution import Allowance
from agent.domain.command import PricedCommand, Refusal
from agent.domain.effects import BlastRadius, Effect, EffectClass
from agent.safety import language, policy
from agent.safety.analysis import Analysis
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


SECRET = "aws ssm get-parameter --name /prod/flag"
ALLOWANCES = {"audit": Allowance(effects=("secret_read",), runbooks=("show-flag",))}


def secret_reasons(
    *, limits=None, allowance="audit", runbook="show-flag", allowances=ALLOWANCES, text=SECRET
):
    named = {EffectClass(name): count for name, count in (limits or {"secret_read": 1}).items()}
    radius = BlastRadius(limits=named, allowance=allowance)
    guard = policy.Guard(TABLES, radius, runbook_id=runbook, allowances=allowances)
    ((command,),) = policy.price_plan([script(text)], guard)
    return str(command.refusal or "")


def test_an_allowance_in_config_and_runbook_with_a_limit_grants_what_no_limit_grants_alone():
    assert secret_reasons() == ""


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"allowance": ""}, "the runbook's Blast Radius names no allowance"),
        ({"allowance": "other"}, "execution.allowances has no other"),
        ({"allowances": {}}, "execution.allowances has no audit"),
        ({"runbook": "another"}, "execution.allowances.audit.runbooks does not list another"),
        ({"text": "curl -X POST http://h/x"}, "execution.allowances.audit.effects does not list opaque"),
        ({"limits": {"rollout": 1}}, "max_secret_reads is 0, this asks for 1"),
    ],
)
def test_a_refusal_tells_what_of_the_allowance_is_missing(setting, words):
    assert words in secret_reasons(**setting)


def test_what_an_allowance_grants_needs_an_approval_whatever_the_autonomy():
    assert policy.needs_approval(judge(SECRET))
    assert not policy.needs_approval(judge("redis-cli FLUSHDB; df -h"))


def test_a_runbook_can_limit_how_many_commands_there_are():
    guard = policy.Guard(TABLES, BlastRadius(max_commands=3))
    first, second = policy.price_plan([script("df -h | head -2"), script("true; true")], guard)
    assert [command.refusal for command in first] == [None, None]
    assert second[0].refusal is None
    assert str(second[1].refusal).startswith("max_commands is 3, 3 used by earlier commands, this asks for 1")


def test_a_step_that_is_no_script_is_held_to_the_same_limits():
    restart = Analysis((Effect(EffectClass.ROLLOUT, "a/deployment/b"),), namespaces=("a",))
    steps = [policy.Judged(("kubernetes.rollout_restart",), restart)] * 2
    guard = policy.Guard(TABLES, BlastRadius({EffectClass.ROLLOUT: 1}, namespaces=("a",)))
    (first,), (second,) = policy.price_plan(steps, guard)
    assert first.refusal is None
    assert "max_rollouts is 1, 1 used" in str(second.refusal)
    elsewhere = policy.Guard(TABLES, BlastRadius({EffectClass.ROLLOUT: 1}, namespaces=("c",)))
    assert "namespace a is not in" in str(policy.price_plan(steps, elsewhere)[0][0].refusal)
    unknown = policy.Judged(("kubernetes.explode",), Refusal("it is not known"))
    assert policy.price_plan([unknown], guard)[0][0].refusal == Refusal("it is not known")


def priced(*effects, argv=("kubectl",)):
    return PricedCommand(argv, tuple(effects))


def pods(count, target="production/deployment/api"):
    return Effect(EffectClass.POD_RESTART, target, count, "production")


ROLLOUT = Effect(EffectClass.ROLLOUT, "production/deployment/api", 1, "production")


@pytest.mark.parametrize("now", [(ROLLOUT, pods(3)), (ROLLOUT, pods(2)), (pods(1), pods(2)), ()])
def test_the_same_or_less_than_planned_may_run(now):
    assert policy.grown(priced(ROLLOUT, pods(3)), priced(*now)) is None


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ((ROLLOUT, pods(5)), "production/deployment/api has 5 pods now, 3 were planned"),
        ((pods(2), pods(2)), "production/deployment/api has 4 pods now, 3 were planned"),
        ((ROLLOUT, ROLLOUT), "production/deployment/api: 2 × rollout now, 1 was planned"),
        ((pods(3, "production/deployment/web"),), "web: 3 × pod_restart now, which was not planned"),
        ((Effect(EffectClass.DELETE, "x"),), "x: 1 × delete now, which was not planned"),
    ],
)
def test_what_grew_since_the_plan_is_refused_with_both_numbers(now, words):
    refusal = policy.grown(priced(ROLLOUT, pods(3)), priced(*now))
    assert words in refusal.reason
    assert "anew" in refusal.hint


def test_another_command_than_the_planned_one_is_refused():
    assert policy.grown(priced(argv=("a",)), priced(argv=("b",))) is not None
