"""Ways around the limits that have been tried: each stays closed, and its harmless neighbour stays open."""

import shlex

import pytest

from agent.domain.command import Refusal
from agent.domain.effects import BlastRadius, EffectClass
from agent.safety import addresses, language
from agent.safety.effects import EffectTables
from agent.safety.kinds import matches
from agent.safety.policy import judge

TABLES = EffectTables.load()
GENEROUS = BlastRadius(dict.fromkeys(EffectClass, 1000))


def lines(block):
    return [line for line in block.strip().splitlines() if line]


def refusal_of(text, **values):
    """Why a step is refused, "" if it is allowed."""
    script = language.parse(text)
    if not isinstance(script, Refusal):
        script = language.bind(script, values)
    if isinstance(script, Refusal):
        return str(script)
    return "; ".join(str(each.refusal) for each in judge(script, TABLES, GENEROUS) if each.refusal)


def price(command):
    return TABLES.price(shlex.split(command))


CLOSED = """
ps -eux
ps -ewwux
ps -ewwuax
ps -e -ux
ps -ux
ps -aux
ps -u x
ps -ux e
ps -ef e
ps -ef -T -o args
ps -e -T --forest
ps -eo pid,args -T -f
ps -eLf
ps -eop e
ps -C x e
ps eux
ps auxe
ps axe
ps -Ux
ps -eU x
ps -e --user x
jq -n '$ ENV'
jq -n '$\tENV'
jq -n '. as [$x] | $  ENV'
jq -n '"\\($ ENV)"'
jq -n '$#comment'
jq -n '$__prog_args'
jq -n '$ENV'
jq -n env
jq -n input_filename
kubectl exec -n a x -- jq -n '$ ENV'
curl http://h/actuator/./env
curl http://h/actuator/x/../env
curl http://h/actuator//env
curl http://h//actuator/env
curl http://h/x/..
curl http://h/x/.
curl 'http://h/actuator/;x/env'
curl http://h/actuator/%65nv
curl http://h/actuator%2fenv
curl http://h/actuator%2Fenv
curl http://h/actuator/%2e%2e/env
curl http://h/actuator/%2565nv
curl http://h/%5cenv
curl http://h/%00
curl http://h/%zz
curl http://h/%
curl https://10.0.0.1/api/v1/namespaces/x/./secrets
curl http://metadata.goog/x
curl http://a.metadata.goog/x
curl http://metadata.tencentyun.com/x
curl http://192.0.0.192/x
curl http://168.63.129.16/x
curl http://100.100.100.200/x
curl http://[fd00:ec2::254]/x
curl http://[fd20:ce::254]/x
curl http://[64:ff9b::a9fe:a9fe]/x
curl http://[64:ff9b:1::a9fe:a9fe]/x
curl http://[::a9fe:a9fe]/x
curl http://[::ffff:a9fe:a9fe]/x
curl http://[2002:a9fe:a9fe::]/x
curl http://169.254.169.254.nip.io/x
curl http://169-254-169-254.nip.io/x
curl http://a9fea9fe.nip.io/x
curl http://x.sslip.io/x
curl http://x.xip.io/x
curl http://169.254.169.254.example.com/x
curl http://a-169-254-169-254.example.com/x
curl http://a9fea9fe.example.com/x
openssl s_client -connect metadata.goog:443
helm status api -n a -o json
helm status api -n a -o yaml
helm status api -n a --output=json
kubectl scale deploy/api --replicas=4 -n a
kubectl scale deploy/api --replicas=0 --current-replicas=3 -n a
redis-cli CLIENT PAUSE 999999999
redis-cli CLIENT PAUSE 100
redis-cli CLIENT PAUSE 100 ALL
redis-cli CLIENT PAUSE 10001 WRITE
redis-cli CLIENT KILL TYPE replica
redis-cli CLIENT KILL TYPE slave
redis-cli CLIENT KILL TYPE master
redis-cli CLIENT KILL TYPE pubsub
redis-cli CLIENT KILL TYPE normal TYPE replica
redis-cli CLIENT KILL ID 4 TYPE replica
redis-cli CLIENT KILL USER default
redis-cli client kill type REPLICA
redis-cli SCAN 0 COUNT 1001
redis-cli SCAN 0 COUNT 100000000
redis-cli SCAN 0 count 100000000
redis-cli SCAN 0 COUNT 1 COUNT 100000000
redis-cli SCAN 0 MATCH COUNT 100000000
redis-cli SCAN 0 COUNT 0x7fffffff
redis-cli SCAN 0 COUNT
redis-cli HSCAN h 0 COUNT 5000
redis-cli SSCAN s 0 MATCH 'a*' COUNT 5000
redis-cli ZSCAN z 0 COUNT 5000
cat /var/log/secrets.log
cat /var/log/secret
cat /var/log/app/secrets.log
cat /.env
cat /var/log/pods/kube-system_x/y/0.log
tail -n 5 /var/log/containers/x.log
kubectl exec -n a x -- cat /var/log/pods/x
journalctl -u x -o export
journalctl -u x -o verbose
journalctl -u x -o json
journalctl -u x -o json-pretty
kubectl get pods -o yaml
kubectl get pods -n a -o json
kubectl get pods/x -o yaml
kubectl get deploy -o go-template='{{range .items}}{{.spec}}{{end}}'
kubectl get sts,svc -o json
kubectl get ds -o json
kubectl get rs -o json
kubectl get jobs -o json
kubectl get cj -o yaml
kubectl get all -o json
kubectl get configmaps -A -o yaml
kubectl get cm -o json
kubectl get cm x -o jsonpath='{.data}'
kubectl get cm x -o jsonpath='{.data.password}'
kubectl get cm x -o jsonpath='{.binaryData}'
kubectl get cm x -o custom-columns=A:.data
kubectl get controllerrevisions -o yaml
kubectl get controllerrevisions -o jsonpath='{.items[*].data}'
kubectl get pods -A -o jsonpath='{..env[*].value}'
kubectl get pods -A -o jsonpath='{.items[*]..env}'
kubectl get pods -o jsonpath='{.items[*].spec.containers[*].env}'
kubectl get pods -o jsonpath='{.items[*].spec.containers[*].envFrom}'
kubectl get pods -o jsonpath='{.items[*].spec.containers[*].args}'
kubectl get pods -o jsonpath='{.items[*].spec.containers[*].command}'
kubectl get pods -o jsonpath='{.items[*].spec.containers[*].*}'
kubectl get pods -o jsonpath="{.items[*].spec.containers[*]['env']}"
kubectl get pods -o jsonpath='{.items[*].spec.containers}'
kubectl get pods -o jsonpath='{.items[*].spec}'
kubectl get pods -o jsonpath='{.items}'
kubectl get pods -o jsonpath='{.items[0]}'
kubectl get pods -o jsonpath='{.metadata}'
kubectl get pods -o jsonpath='{.metadata.annotations}'
kubectl get pods -o jsonpath='{.*}'
kubectl get pods -o jsonpath='{@}'
kubectl get pods -o jsonpath='{$}'
kubectl get pods -o jsonpath='{.status}{.spec}'
kubectl get pods -o jsonpath='{range .items[*]}{.spec}{end}'
kubectl get pods -o jsonpath='{range .items[*].spec.containers[*]}{.env}{end}'
kubectl get pods -o jsonpath='{range .items[*].spec.containers[*].env[*]}{.value}{end}'
kubectl get pods -o jsonpath='{range .status}{end}{.spec}'
kubectl get pods -o jsonpath='{range .items[*]}{@}{end}'
kubectl get pods -o jsonpath='{.items[?(@.spec.x=="y")].metadata.name}'
kubectl get pods -o jsonpath='{.status.x .spec}'
kubectl get pods -o jsonpath='{.status['
kubectl get pods -o jsonpath=.spec
kubectl get pods -o jsonpath-as-json='{.items[*].spec}'
kubectl get pods -o custom-columns=A:.spec
kubectl get pods -o custom-columns=A:.metadata.name,B:.spec.containers[*].env[*].value
kubectl get pods -o custom-columns=A:..env
kubectl get pods -o custom-columns=A:spec
kubectl wait pod/x --for=jsonpath='{.spec.containers[0].env[0].value}'=x
kubectl describe cm x
kubectl describe configmaps -n a
kubectl describe controllerrevisions -n a
"""

OPEN = """
ps aux
ps ax
ps auxww
ps -ef
ps -e
ps -f
ps -eo pid,comm
ps -e -o pid,args
ps -o pid,comm -p 1
ps -eo pid,ppid,%mem,%cpu,args --sort=-%mem
jq --arg n x '.[$n]'
jq '.a as $x | $x.b'
jq '.[] | select(.name | test("^a.*z$"))'
curl http://h/a/b.c/d
curl 'http://h/a%20b?c=%2e/../;x//'
curl 'http://h/_cat/indices?v&h=index'
curl http://h/...
curl http://[2001:db8::1]/x
curl http://ip-10-0-0-1.example.com/x
helm status api -n a
helm status api -n a -o table
redis-cli SCAN 0 MATCH 'a*' COUNT 1000 TYPE string
redis-cli scan 0 match a count 10
redis-cli HSCAN h 0 COUNT 100 NOVALUES
cat /var/log/nginx/error.log
journalctl -u x -o short-iso
journalctl -u x -o cat
kubectl get pods -o wide
kubectl get deploy -o name
kubectl get cm -o name
kubectl get cm
kubectl get svc -o yaml
kubectl get events -o json
kubectl get nodes -o json
kubectl get pods x -o jsonpath='{.status.containerStatuses[*].state.waiting.reason}'
kubectl get pods -o jsonpath='{.items[*].metadata.name}'
kubectl get pods -o jsonpath='{range .items[*]}{.metadata.name}{"\\t"}{.status.phase}{"\\n"}{end}'
kubectl get pods -o jsonpath='{range .items[*].status.containerStatuses[*]}{.name}{" "}{.restartCount}{end}'
kubectl get pods -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}'
kubectl get pods -o jsonpath='{.items[?(@.status.phase!="Running")].metadata.name}'
kubectl get deploy api -o jsonpath='{.spec.replicas} {.spec.template.spec.containers[0].image}'
kubectl get deploy api -o jsonpath='{.metadata.labels.app\\.kubernetes\\.io/name}'
kubectl get pods -o custom-columns=NAME:.metadata.name,IMAGE:.spec.containers[*].image
kubectl wait pod/x --for=jsonpath='{.status.phase}'=Running
kubectl describe pod x
"""


@pytest.mark.parametrize("command", lines(CLOSED))
def test_a_way_around_stays_closed(command):
    effects = price(command)
    granted = not isinstance(effects, Refusal) and all(
        effect.effect_class != EffectClass.SECRET_READ for effect in effects
    )
    assert not granted, f"priced: {effects}"


@pytest.mark.parametrize("command", lines(OPEN))
def test_its_harmless_neighbour_stays_open(command):
    effects = price(command)
    assert not isinstance(effects, Refusal), str(effects)
    assert [effect.effect_class for effect in effects] == ["read"]


@pytest.mark.parametrize(
    ("command", "effect_class", "count"),
    [
        ("redis-cli CLIENT KILL TYPE normal", "cache_operation", 1),
        ("redis-cli client kill type NORMAL", "cache_operation", 1),
        ("redis-cli CLIENT KILL ID 7", "cache_operation", 1),
        ("redis-cli CLIENT KILL ADDR 10.0.0.1:4242", "cache_operation", 1),
        ("redis-cli CLIENT PAUSE 10000 WRITE", "cache_operation", 1),
        ("redis-cli client pause 500 write", "cache_operation", 1),
        ("kubectl scale deploy/api --replicas=4 --current-replicas=1 -n a", "scale", 3),
        ("kubectl scale deploy/api --replicas=2 --current-replicas=9 -n a", "scale", 7),
        ("kubectl scale deploy/api --replicas=4 --current-replicas=4 -n a", "scale", 1),
    ],
)
def test_what_is_left_costs_what_it_changes(command, effect_class, count):
    effects = price(command)
    assert not isinstance(effects, Refusal), str(effects)
    assert [(effect.effect_class, effect.count) for effect in effects] == [(effect_class, count)]


def test_scaling_from_an_unknown_number_cannot_be_counted():
    refusal = str(price("kubectl scale deploy/api --replicas=4 -n a"))
    assert "cannot count" in refusal
    assert "--current-replicas" in refusal


@pytest.mark.parametrize("command", ["kubectl get pods -o yaml", "kubectl get deploy -o json"])
def test_a_refused_output_says_what_to_use_instead(command):
    assert "jsonpath" in str(price(command))


SLOTS_REFUSED = [
    ("kubectl {{ x }} pods -n a", "get"),
    ("kubectl g{{ x }} pods -n a", "et"),
    ("kubectl rollout {{ x }} deploy/a -n a", "status"),
    ("redis-cli {{ x }}", "FLUSHALL"),
    ("redis-cli FLUSH{{ x }}", "ALL"),
    ("redis-cli CLIENT {{ x }}", "LIST"),
    ("systemctl {{ x }} nginx", "restart"),
    ("docker {{ x }} api", "logs"),
    ("helm {{ x }} -n a", "list"),
    ("openssl {{ x }}", "version"),
    ("kubectl exec -n a x -- {{ x }}", "id"),
    ("kubectl exec -n a x -- /usr/bin/{{ x }}", "id"),
    ("kubectl exec -n a x -- redis-cli {{ x }}", "FLUSHALL"),
    ("kubectl exec -n a x -- jq -n '{{ x }}'", "1"),
    ("jq '{{ x }}'", ".a"),
    ("jq '.a == \"{{ x }}\"'", "b"),
    ("dig {{ x }} example.com", "@10.0.0.1"),
    ("dig {{ x }} example.com", "+trace"),
    ("curl http://{{ x }}/a", "evil/x"),
    ("curl http://{{ x }}/a", "evil:80"),
    ("curl http://{{ x }}.internal/a", "evil/x"),
    ("curl http://{{ x }}.internal/a", "evil?x"),
    ("curl http://{{ x }}.internal/a", "evil#x"),
    ("curl http://{{ x }}.internal/a", "evil@x"),
    ("curl http://{{ x }}.internal/a", "evil\\x"),
    ("curl http://api{{ x }}", ".evil/a"),
    ("curl http://api:{{ x }}/a", "80@evil"),
    ("curl http://api:{{ x }}/a", "80/b"),
    ("curl {{ x }}", "http://evil/"),
    ("curl {{ x }}/health", "https://evil"),
    ("curl {{ x }}://api/", "http"),
    ("curl htt{{ x }}//api/", "p:"),
    ("curl http://api/users/{{ x }}", ".."),
    ("curl http://api/users/{{ x }}/y", "../admin"),
    ("curl http://api/users/{{ x }}/y", "%2e%2e"),
    ("kubectl exec -n a x -- curl http://{{ x }}.internal/", "evil/x"),
    ("ps {{ x }}", "eux"),
]


@pytest.mark.parametrize(("text", "value"), SLOTS_REFUSED)
def test_a_parameter_never_chooses_the_operation(text, value):
    assert refusal_of(text, x=value)


SLOTS_ALLOWED = [
    ("kubectl get pods -n {{ x }}", "prod"),
    ("kubectl logs {{ x }} -n a", "get"),
    ("kubectl exec -n a {{ x }} -- redis-cli INFO", "redis-0"),
    ("kubectl exec -n a x -- redis-cli GET {{ x }}", "FLUSHALL"),
    ("redis-cli DEL {{ x }}", "k"),
    ("systemctl restart {{ x }}", "nginx"),
    ("jq --arg n {{ x }} '.[$n]'", "env"),
    ("dig @{{ x }} example.com", "10.0.0.1"),
    ("dig {{ x }}", "example.com"),
    ("curl http://{{ x }}/health", "api.internal"),
    ("curl http://{{ x }}.internal:8080/health", "api-1"),
    ("curl http://localhost:{{ x }}/health", "8080"),
    ("curl {{ x }}/health", "api"),
    ("curl 'http://api/users/{{ x }}?q={{ x }}'", "a.b"),
    ("kubectl exec -n a y -- curl http://{{ x }}.internal/", "api"),
]


@pytest.mark.parametrize(("text", "value"), SLOTS_ALLOWED)
def test_a_parameter_may_be_a_value(text, value):
    assert refusal_of(text, x=value) == ""


def test_the_same_words_written_out_are_allowed():
    assert refusal_of("redis-cli FLUSHALL") == ""
    assert refusal_of("jq .a") == ""


def test_two_stars_and_a_slash_match_nothing_too():
    assert matches("/a/b", ["/a/**/b"])
    assert matches("/a/x/y/b", ["/a/**/b"])
    assert not matches("/a/xb", ["/a/**/b"])
    assert matches("/a/x/y", ["/a/**"])


@pytest.mark.parametrize(
    "host",
    ["metadata.goog", "metadata.tencentyun.com", "x.nip.io", "[64:ff9b::a9fe:a9fe]", "168.63.129.16"],
)
def test_other_names_of_metadata_services_give_credentials(host):
    assert addresses.address(host).gives_credentials
