"""Typed actions on AWS change exactly what they name, once, and say what they did."""

import json

import pytest
from botocore.session import get_session

from agent.adapters.aws.actions import AwsActions
from agent.adapters.aws.client import AwsApi
from agent.adapters.aws.counting import AwsCounting
from agent.adapters.fake_clock import FakeClock
from agent.adapters.live_actions import LiveActions
from agent.adapters.live_counter import LiveCounter
from agent.domain.command import PricedCommand, Refusal
from agent.domain.effects import Effect, EffectClass
from agent.domain.runbook import Action
from agent.safety import actions
from agent.safety.effects import EffectTables
from agent.simulators.server import Fault

REGION = "eu-west-1"
TABLES = EffectTables.load()
CACHE = {"region": REGION, "cluster": "sessions", "nodes": ["0001"]}
DENIED = """<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>
<Message>not authorized to perform: elasticache:RebootCacheCluster</Message></Error></ErrorResponse>"""
THROTTLED = "<ErrorResponse><Error><Code>Throttling</Code><Message>slower</Message></Error></ErrorResponse>"
FOUND = """<DescribeCacheClustersResponse xmlns="http://elasticache.amazonaws.com/doc/2015-02-02/">
<DescribeCacheClustersResult><CacheClusters><CacheCluster><CacheClusterId>sessions</CacheClusterId>
<CacheClusterStatus>available</CacheClusterStatus><CacheNodes><CacheNode><CacheNodeId>0001</CacheNodeId>
</CacheNode></CacheNodes></CacheCluster></CacheClusters></DescribeCacheClustersResult>
</DescribeCacheClustersResponse>"""


def live(api):
    return LiveActions(AwsActions(api).handlers(), clock=FakeClock())


def priced(api, name, arguments):
    action = Action(name, arguments)
    found = actions.analyse(action, TABLES, counter=LiveCounter(aws=lambda: AwsCounting(api)))
    assert not isinstance(found, Refusal), found
    words, analysis = found
    return action, PricedCommand(words, analysis.effects, access=analysis.access)


def run_priced(api, action, command, should_stop=lambda: False):
    return live(api).run(
        action, command=command, marker="inc/steps/1/1", timeout_s=20, should_stop=should_stop
    )


def run(api, name, arguments, **more):
    return run_priced(api, *priced(api, name, arguments), **more)


def told(result):
    assert result.exit_code == 0, result
    return json.loads(result.stdout)["changed"]


@pytest.fixture
def cache(boto):
    boto("elasticache").create_cache_cluster(
        CacheClusterId="sessions", Engine="redis", CacheNodeType="cache.t3.micro", NumCacheNodes=1
    )


# ElastiCache


def test_exactly_the_named_cache_nodes_are_rebooted(api, cache, happened):
    changed = told(run(api, "aws.elasticache_reboot", CACHE))
    assert happened.cache_reboots == [("sessions", ("0001",))]
    assert changed[0]["request"] == "elasticache:reboot_cache_cluster"
    assert changed[0]["status"] == "rebooting cache cluster nodes"
    assert changed[0]["request_id"]


def test_a_cache_that_reboots_already_is_refused(api, cache, happened):
    run(api, "aws.elasticache_reboot", CACHE)
    result = run(api, "aws.elasticache_reboot", CACHE)
    assert result.exit_code == 1
    assert "is rebooting cache cluster nodes, not available" in result.stderr
    assert len(happened.cache_reboots) == 1


def test_a_node_that_is_not_there_is_refused(api, cache, happened):
    result = run(api, "aws.elasticache_reboot", {**CACHE, "nodes": ["0009"]})
    assert (result.exit_code, happened.cache_reboots) == (1, [])
    assert "has no node 0009; it has 0001, 0002" in result.stderr


def test_a_cache_that_is_not_there_is_a_failure(api, happened):
    result = run(api, "aws.elasticache_reboot", CACHE)
    assert (result.exit_code, happened.cache_reboots) == (1, [])
    assert "CacheClusterNotFound" in result.stderr


# RDS, ECS, EC2, Auto Scaling


def test_a_database_is_rebooted_once(api, boto, happened):
    boto("rds").create_db_instance(
        DBInstanceIdentifier="orders", DBInstanceClass="db.t3.micro", Engine="postgres",
        MasterUsername="root1", MasterUserPassword="made-up-password", AllocatedStorage=20,
    )  # fmt: skip
    arguments = {"region": REGION, "instance": "orders"}
    assert told(run(api, "aws.rds_reboot", arguments))[0]["status"] == "rebooting"
    again = run(api, "aws.rds_reboot", arguments)
    assert again.exit_code == 1
    assert "is rebooting, not available" in again.stderr
    assert happened.database_reboots == ["orders"]


@pytest.fixture
def service(boto):
    ecs = boto("ecs")
    ecs.create_cluster(clusterName="shop")
    definition = {"name": "api", "image": "api:1", "memory": 128}
    ecs.register_task_definition(family="api", containerDefinitions=[definition])
    ecs.create_service(cluster="shop", serviceName="api", taskDefinition="api", desiredCount=3)
    return ecs


DEPLOYMENT = {"region": REGION, "cluster": "shop", "service": "api"}


def deployment_of(ecs):
    return ecs.describe_services(cluster="shop", services=["api"])["services"][0]["deployments"][0]["id"]


def test_a_service_gets_a_new_deployment_and_nothing_else(api, service):
    before = deployment_of(service)
    changed = told(run(api, "aws.ecs_force_new_deployment", DEPLOYMENT))
    found = service.describe_services(cluster="shop", services=["api"])["services"][0]
    assert deployment_of(service) != before
    assert changed[0]["deployment"] == deployment_of(service)
    assert found["desiredCount"] == 3


def test_a_service_scaled_up_since_the_plan_is_refused(api, service):
    planned = priced(api, "aws.ecs_force_new_deployment", DEPLOYMENT)
    service.update_service(cluster="shop", service="api", desiredCount=5)
    before = deployment_of(service)
    result = run_priced(api, *planned)
    assert result.exit_code == 1
    assert "has 5 tasks now, 3 were charged; plan again" in result.stderr
    assert deployment_of(service) == before


def test_exactly_the_named_instances_are_rebooted(api, boto, happened):
    ec2 = boto("ec2")
    made = ec2.run_instances(ImageId="ami-12c6146b", InstanceType="t3.micro", MinCount=3, MaxCount=3)[
        "Instances"
    ]
    names = [each["InstanceId"] for each in made]
    told(run(api, "aws.ec2_reboot", {"region": REGION, "instances": names[:2]}))
    assert happened.instance_reboots == names[:2]


def test_an_instance_that_is_not_there_spares_the_others(api, boto, happened):
    ec2 = boto("ec2")
    made = ec2.run_instances(ImageId="ami-12c6146b", InstanceType="t3.micro", MinCount=1, MaxCount=1)[
        "Instances"
    ]
    names = [made[0]["InstanceId"], "i-0123456789abcdef0"]
    result = run(api, "aws.ec2_reboot", {"region": REGION, "instances": names})
    assert (result.exit_code, happened.instance_reboots) == (1, [])
    assert "InvalidInstanceID.NotFound" in result.stderr


@pytest.fixture
def group(boto):
    autoscaling = boto("autoscaling")
    autoscaling.create_launch_configuration(
        LaunchConfigurationName="web", ImageId="ami-12c6146b", InstanceType="t3.micro"
    )
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="web", LaunchConfigurationName="web", MinSize=0, MaxSize=9, DesiredCapacity=2,
        AvailabilityZones=[f"{REGION}a"],
    )  # fmt: skip
    return autoscaling


GROUP = {"region": REGION, "group": "web"}


def test_a_group_is_refreshed(api, group, happened):
    assert told(run(api, "aws.asg_refresh", GROUP))[0]["instance_refresh_id"] == "refresh-of-web"
    assert happened.refreshes == ["web"]


def test_a_group_that_is_being_refreshed_is_a_failure(api, group, happened):
    run(api, "aws.asg_refresh", GROUP)
    assert run(api, "aws.asg_refresh", GROUP).exit_code == 1
    assert happened.refreshes == ["web"]


def test_a_group_scaled_up_since_the_plan_is_refused(api, group, happened):
    planned = priced(api, "aws.asg_refresh", GROUP)
    group.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=4)
    result = run_priced(api, *planned)
    assert (result.exit_code, happened.refreshes) == (1, [])
    assert "has 4 instances now, 2 were charged; plan again" in result.stderr


# SSM


def document(**more):
    arguments = {
        "region": REGION,
        "document": "AWS-RunShellScript",
        "instances": ["i-0123456789abcdef0", "i-0123456789abcdef1"],
        "parameters": {"commands": ["systemctl restart nginx"]},
        **more,
    }
    effects = (Effect(EffectClass.SERVICE_RESTART, "ssm", 2),)
    return Action("aws.ssm_run_document", arguments), PricedCommand(("aws.ssm_run_document",), effects)


def test_a_document_is_run_and_followed_to_its_end(api, boto):
    changed = told(run_priced(api, *document()))
    sent = boto("ssm").list_commands()["Commands"]
    assert [(each["DocumentName"], each["Parameters"]) for each in sent] == [
        ("AWS-RunShellScript", {"commands": ["systemctl restart nginx"]})
    ]
    assert sent[0]["Comment"] == "oncall-agent inc/steps/1/1"
    assert changed[0]["command_id"] == sent[0]["CommandId"]
    assert {name: run["status"] for name, run in changed[0]["runs"].items()} == {
        "i-0123456789abcdef0": "Success",
        "i-0123456789abcdef1": "Success",
    }


def ssm_answers(server, status):
    server.misbehave(
        Fault(200, body='{"Command": {"CommandId": "11111111-2222-3333-4444-555555555555"}}'),
        Fault(200, times=-1, body=json.dumps({"Status": status, "ResponseCode": 1})),
    )


@pytest.mark.parametrize("status", ["Failed", "TimedOut", "Cancelled"])
def test_a_document_that_fails_is_a_failure(faulty, status):
    ssm_answers(faulty, status)
    result = run_priced(AwsApi(endpoint_url=faulty.url, timeout_s=2), *document())
    assert result.exit_code == 1
    assert f"i-0123456789abcdef0: {status}" in result.stderr


def test_a_document_that_does_not_end_in_time_has_an_unknown_outcome(faulty):
    ssm_answers(faulty, "InProgress")
    result = run_priced(AwsApi(endpoint_url=faulty.url, timeout_s=2), *document())
    assert (result.exit_code, result.timed_out) == (None, True)
    assert "may still be running" in result.problem


def test_a_document_that_cannot_be_followed_has_an_unknown_outcome(faulty):
    faulty.misbehave(
        Fault(200, body='{"Command": {"CommandId": "11111111-2222-3333-4444-555555555555"}}'),
        Fault(400, times=-1, body='{"__type": "AccessDeniedException", "message": "no"}'),
    )
    result = run_priced(AwsApi(endpoint_url=faulty.url, timeout_s=2), *document())
    assert (result.exit_code, result.timed_out) == (None, True)
    assert "the IAM policy misses ssm:GetCommandInvocation" in result.problem


# Failures of the API


def cache_reboot_at(url, timeout_s=2.0):
    api = AwsApi(endpoint_url=url, timeout_s=timeout_s)
    return run(api, "aws.elasticache_reboot", CACHE)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, THROTTLED, "was throttled"),
        (403, DENIED, "the IAM policy misses elasticache:RebootCacheCluster"),
        (404, THROTTLED.replace("Throttling", "CacheClusterNotFound"), "was refused (CacheClusterNotFound)"),
        (409, THROTTLED.replace("Throttling", "InvalidCacheClusterState"), "InvalidCacheClusterState"),
        (429, THROTTLED.replace("Throttling", "SlowDown"), "was throttled"),
    ],
)
def test_a_write_that_was_refused_is_a_failure(faulty, status, body, words):
    faulty.misbehave(Fault(200, body=FOUND), Fault(status, body=body, times=-1))
    result = cache_reboot_at(faulty.url)
    assert (result.exit_code, result.timed_out) == (1, False)
    assert words in result.stderr
    assert len(faulty.requests()) == 2


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_write_that_the_server_failed_on_has_an_unknown_outcome_and_is_not_repeated(faulty, status):
    faulty.misbehave(Fault(200, body=FOUND), Fault(status, body="<Error/>", times=-1))
    result = cache_reboot_at(faulty.url)
    assert (result.exit_code, result.timed_out) == (None, True)
    assert result.problem.startswith("outcome unknown")
    assert len(faulty.requests()) == 2


@pytest.mark.parametrize(
    "fault",
    [Fault(0, delay_s=3.0, times=-1), Fault(-1, times=-1), Fault(200, body="not XML", times=-1)],
    ids=["slow", "cut", "not understood"],
)
def test_a_write_without_an_answer_has_an_unknown_outcome_and_is_not_repeated(faulty, fault):
    faulty.misbehave(Fault(200, body=FOUND), fault)
    result = cache_reboot_at(faulty.url, timeout_s=1.0)
    assert (result.exit_code, result.timed_out) == (None, True)
    assert result.problem.startswith("outcome unknown")


@pytest.mark.parametrize("status", [400, 403, 500, 503])
def test_a_look_that_fails_before_the_write_is_a_failure_with_nothing_written(faulty, status):
    faulty.misbehave(Fault(status, body=DENIED, times=-1))
    result = cache_reboot_at(faulty.url)
    assert (result.exit_code, result.timed_out) == (1, False)
    assert len(faulty.requests()) == 1


def test_an_endpoint_that_is_gone_is_a_failure_and_not_unknown(faulty):
    faulty.stop()
    result = cache_reboot_at(faulty.url)
    assert (result.exit_code, result.timed_out) == (1, False)
    assert "could not be sent" in result.stderr


def test_a_human_who_takes_over_stops_it_before_the_write(api, cache, happened):
    asked = iter([False])
    result = run(api, "aws.elasticache_reboot", CACHE, should_stop=lambda: next(asked, True))
    assert (result.exit_code, result.interrupted, happened.cache_reboots) == (None, True, [])


def test_the_secret_key_is_in_no_answer(faulty):
    faulty.misbehave(Fault(403, body=DENIED, times=-1))
    result = cache_reboot_at(faulty.url)
    assert "made-up-secret-access-key" not in f"{result}"


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("elasticache", "RebootCacheCluster"),
        ("rds", "RebootDBInstance"),
        ("ecs", "UpdateService"),
        ("ec2", "RebootInstances"),
        ("autoscaling", "StartInstanceRefresh"),
        ("ssm", "SendCommand"),
    ],
)
def test_none_of_the_changes_takes_an_idempotency_token(service, operation):
    """The day one does, it should be sent."""
    model = get_session().get_service_model(service).operation_model(operation)
    assert model.idempotent_members == []
