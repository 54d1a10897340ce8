"""What a command may reach is what its row and its words say, and nothing beside it."""

import shlex

import pytest

from agent.domain.access import NO_ACCESS, Capability, CloudRight, Network
from agent.domain.command import Refusal
from agent.domain.effects import BlastRadius, EffectClass
from agent.safety import language, policy
from agent.safety.effects import EffectTables
from agent.safety.pricing import Cloud

TABLES = EffectTables.load()


class World:
    def workload_pods(self, namespace, kind, name):
        return 3

    def service_tasks(self, region, cluster, service):
        return 2 if region == "eu-west-1" else None

    def autoscaling_instances(self, region, group):
        return 4 if region == "eu-west-1" else None

    def __getattr__(self, name):
        return lambda *arguments: None


def access(command, tables=TABLES):
    found = tables.analyse(shlex.split(command), counter=World())
    assert not isinstance(found, Refusal), str(found)
    return found.access


TEXT_TOOLS = ("cat", "head", "tail", "grep x", "wc -l", "sort", "uniq", "cut -f1", "tr a b", "jq .a", "rev")


@pytest.mark.parametrize("command", [*TEXT_TOOLS, "echo x", "printf x", "true", "sleep 1", "seq 3"])
def test_a_program_that_looks_at_its_input_reaches_nothing(command):
    assert access(command) == NO_ACCESS


@pytest.mark.parametrize(
    ("command", "network", "hosts"),
    [
        ("curl https://api.internal/x", "egress", ["api.internal:443"]),
        ("curl api.internal", "egress", ["api.internal:80"]),
        ("curl http://api.internal:8080/x", "egress", ["api.internal:8080"]),
        ("curl 'http://[::1]/'", "egress", ["[::1]:80"]),
        ("redis-cli PING", "direct", ["localhost:6379"]),
        ("redis-cli -h cache -p 6380 PING", "direct", ["cache:6380"]),
        ("pg_isready -h db", "direct", ["db:5432"]),
        ("psql -Xw -U app -h db -p 5433 -c 'select 1'", "direct", ["db:5433"]),
        ("openssl s_client -connect example.com:443", "direct", ["example.com:443"]),
        ("openssl x509 -noout -in /etc/ssl/certs/a.pem", "none", []),
        ("dig @10.0.0.2 example.com", "direct", ["10.0.0.2:53"]),
        ("dig @10.0.0.2 -p 5353 example.com", "direct", ["10.0.0.2:5353"]),
        ("dig example.com", "direct", []),
        ("nslookup example.com 10.0.0.2", "direct", ["10.0.0.2:53"]),
        ("timeout 5 curl https://h/", "egress", ["h:443"]),
        ("kubectl exec -n a p -- curl https://h/", "cluster", []),
        ("df -h", "none", []),
    ],
)
def test_hosts_have_the_port_that_the_program_would_take(command, network, hosts):
    found = access(command)
    assert (found.network, list(found.hosts)) == (Network(network), hosts)


def test_only_name_lookups_and_pings_send_datagrams():
    talkers = [name for name, tool in TABLES.tables.tools.items() if tool.command.needs.datagrams]
    assert sorted(talkers) == ["dig", "getent", "host", "nslookup", "ping"]


def test_only_what_speaks_to_a_daemon_of_the_machine_has_its_sockets():
    talkers = [name for name, tool in TABLES.tables.tools.items() if tool.command.needs.local_sockets]
    assert sorted(talkers) == ["docker", "logrotate", "systemctl"]


def test_a_file_named_is_a_file_read_whoever_owns_it():
    found = access("grep -c error /var/log/app.log /var/log/old.log")
    assert found.reads == ("/var/log/app.log", "/var/log/old.log")
    assert (found.keeps_user, found.capabilities) == (False, (Capability.DAC_READ_SEARCH,))
    assert found.writes == ()


def test_what_only_prints_its_input_keeps_nothing_of_roots_power():
    assert access("grep -c error").capabilities == ()


def test_a_folder_named_is_looked_into_and_no_file_of_it_is_read():
    found = access("du -x /var/log")
    assert (found.lists, found.reads) == (("/var/log",), ())
    assert access("ls -l /etc/nginx").lists == ("/etc/nginx",)


def test_what_stays_the_agents_user_has_its_power_only_where_it_writes():
    keepers = {
        name: (tool.command.needs.capabilities, tool.command.needs.alone)
        for name, tool in TABLES.tables.tools.items()
        if tool.command.needs.keeps_user
    }
    files = (Capability.CHOWN, Capability.DAC_OVERRIDE, Capability.FOWNER)
    assert keepers.pop("certbot") == (files, False)
    assert keepers.pop("logrotate") == ((*files, Capability.SETGID, Capability.SETUID), False)
    assert sorted(keepers) == ["docker", "id", "journalctl", "pg_isready", "systemctl", "whoami"]
    assert set(keepers.values()) == {((), True)}


def test_a_place_that_is_only_looked_at_from_outside_is_not_read():
    assert "/" not in access("df -h /").reads
    assert "/srv/x" not in access("stat /srv/x").reads


def test_writing_is_for_the_option_that_writes():
    assert access("journalctl -u nginx").writes == ()
    assert access("journalctl --vacuum-size=1G").writes == ("/var/log/journal", "/run/log/journal")
    assert access("certbot renew --cert-name a").writes[0] == "/etc/letsencrypt"


def test_credentials_are_for_the_program_that_needs_them():
    assert access("redis-cli PING").environment == ("REDISCLI_AUTH",)
    assert "AWS_SESSION_TOKEN" in access("aws sts get-caller-identity").environment
    holders = [name for name, tool in TABLES.tables.tools.items() if tool.command.needs.environment]
    assert sorted(holders) == sorted(
        ["aws", "kt", "psql", "redis-cli", "reindexdb", "vacuumdb", "valkey-cli"]
    )


def test_a_right_in_aws_is_for_the_things_that_were_named():
    command = "aws ec2 reboot-instances --region eu-west-1 --instance-ids i-01234567 i-89abcdef"
    arn = "arn:aws:ec2:eu-west-1:*:instance"
    assert access(command).cloud == (
        CloudRight("ec2:RebootInstances", f"{arn}/i-01234567"),
        CloudRight("ec2:RebootInstances", f"{arn}/i-89abcdef"),
    )


def test_every_aws_command_says_which_right_it_takes():
    def leaves(command):
        return [leaf for sub in command.commands.values() for leaf in leaves(sub)] or [command]

    silent = [
        each.name
        for each in leaves(TABLES.tables.tools["aws"].command)
        if not each.refusal and not each.needs.cloud and each.rule != "aws_s3"
    ]
    assert silent == []
    assert access("aws s3 ls").cloud == (CloudRight("s3:ListAllMyBuckets"),)
    assert access("aws s3 ls s3://logs/a/").cloud == (CloudRight("s3:ListBucket", "arn:aws:s3:::logs"),)


@pytest.mark.parametrize(
    ("command", "cloud", "hosts"),
    [
        ("aws ec2 describe-instances --region us-east-1", Cloud(), ["ec2.us-east-1.amazonaws.com:443"]),
        ("aws ec2 describe-instances", Cloud("eu-west-1"), ["ec2.eu-west-1.amazonaws.com:443"]),
        ("aws ec2 describe-instances", Cloud(), ["*.amazonaws.com:443"]),
        ("aws ec2 describe-instances", Cloud("eu-west-1", "127.0.0.1:5000"), ["127.0.0.1:5000"]),
        ("aws cloudwatch describe-alarms", Cloud("a-b-1"), ["monitoring.a-b-1.amazonaws.com:443"]),
        (
            "aws s3 ls s3://logs",
            Cloud("us-east-1"),
            ["s3.us-east-1.amazonaws.com:443", "logs.s3.us-east-1.amazonaws.com:443"],
        ),
    ],
)
def test_aws_reaches_the_endpoint_of_the_service_in_its_region(command, cloud, hosts):
    assert list(access(command, EffectTables.load(cloud=cloud)).hosts) == hosts


def test_the_region_of_a_count_is_the_commands_else_the_configured_one():
    command = "aws ecs update-service --service api --force-new-deployment"
    assert isinstance(TABLES.analyse(command.split(), counter=World()), Refusal)
    assert access(command, EffectTables.load(cloud=Cloud("eu-west-1"))).cloud
    assert access(f"{command} --region eu-west-1").cloud


def test_a_list_of_hosts_holds_for_aws_too():
    script = language.bind(language.parse("aws s3 ls --region us-east-1"), {})

    def refusal(hosts):
        (command,) = policy.judge(script, TABLES, BlastRadius(), allowed_hosts=hosts)
        return str(command.refusal or "")

    assert refusal(["*.amazonaws.com"]) == ""
    assert refusal(["s3.us-east-1.amazonaws.com:443"]) == ""
    assert "s3.us-east-1.amazonaws.com:443 is not in execution.allow.hosts" in refusal(["api.internal"])


def test_the_plan_carries_what_each_command_may_reach():
    script = language.bind(language.parse("redis-cli FLUSHDB | head -1"), {})
    flush, head = policy.judge(script, TABLES, BlastRadius({EffectClass.CACHE_OPERATION: 1}))
    assert flush.access.hosts == ("localhost:6379",)
    assert head.access == NO_ACCESS


def test_a_declared_script_reaches_what_its_row_says_and_is_started_by_its_hash(tmp_path):
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    path = tmp_path / "tables.yaml"
    path.write_text(
        f"scripts:\n  /opt/flip.sh:\n    sha256: {digest}\n    effect: feature_flag_change\n"
        "    sandbox: {network: egress, hosts: ['flags.internal:443'], environment: [FLAGS_TOKEN]}\n"
    )
    tables = EffectTables(EffectTables.load([path]).tables, read_script=lambda _: b"")
    found = tables.analyse(["/opt/flip.sh"])
    assert found.access.executable_sha256 == digest
    assert found.access.hosts == ("flags.internal:443",)
    assert found.access.environment == ("FLAGS_TOKEN",)
    refusal = tables.analyse(["timeout", "5", "/opt/flip.sh"])
    assert "a declared script stands alone" in str(refusal)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("{network: internet}", "sandbox.network"),
        ("{reads: [relative]}", "sandbox.reads.0"),
        ("{write: [/tmp]}", "sandbox.write"),
        ("{cloud: ['ec2 reboot']}", "sandbox.cloud"),
    ],
)
def test_a_wrong_sandbox_row_is_an_error_with_its_key_path(tmp_path, row, words):
    path = tmp_path / "tables.yaml"
    path.write_text(f"tools: {{x: {{effect: read, sandbox: {row}}}}}")
    with pytest.raises(Exception, match=words):
        EffectTables.load([path])
