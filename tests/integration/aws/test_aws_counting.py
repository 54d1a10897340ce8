"""Counts in AWS come from what is there now; what cannot be told is None."""

import pytest

from agent.adapters.aws.client import AwsApi
from agent.adapters.aws.counting import AwsCounting
from agent.adapters.live_counter import LiveCounter

REGION = "eu-west-1"


def make_group(boto, *, wanted):
    autoscaling = boto("autoscaling")
    autoscaling.create_launch_configuration(
        LaunchConfigurationName="web", ImageId="ami-12c6146b", InstanceType="t3.micro"
    )
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="web",
        LaunchConfigurationName="web",
        MinSize=0,
        MaxSize=10,
        DesiredCapacity=wanted,
        AvailabilityZones=[f"{REGION}a"],
    )


def make_service(boto, *, wanted):
    ecs = boto("ecs")
    ecs.create_cluster(clusterName="shop")
    ecs.register_task_definition(
        family="api", containerDefinitions=[{"name": "api", "image": "api:1", "memory": 128}]
    )
    ecs.create_service(cluster="shop", serviceName="api", taskDefinition="api", desiredCount=wanted)


@pytest.fixture
def counter(api):
    return LiveCounter(aws=lambda: AwsCounting(api))


def test_a_group_counts_its_instances(boto, counter):
    make_group(boto, wanted=3)
    assert counter.autoscaling_instances(REGION, "web") == 3


def test_a_service_counts_the_tasks_that_it_wants(boto, counter):
    make_service(boto, wanted=4)
    assert counter.service_tasks(REGION, "shop", "api") == 4


def test_a_service_is_found_by_its_name_alone(boto, counter):
    make_service(boto, wanted=4)
    assert counter.service_tasks(REGION, "shop", "ap") is None


def test_what_is_not_there_cannot_be_counted(boto, counter):
    assert counter.autoscaling_instances(REGION, "none") is None
    assert counter.service_tasks(REGION, "none", "none") is None


def test_a_server_that_does_not_answer_in_time_cannot_be_asked(faulty):
    from agent.simulators.server import Fault

    faulty.misbehave(Fault(0, delay_s=1.5, times=-1))
    counter = LiveCounter(aws=lambda: AwsCounting(AwsApi(endpoint_url=faulty.url, timeout_s=0.2)))
    assert counter.autoscaling_instances(REGION, "web") is None


def test_an_answer_of_another_form_cannot_be_counted(faulty):
    counter = LiveCounter(aws=lambda: AwsCounting(AwsApi(endpoint_url=faulty.url, timeout_s=2)))
    assert counter.service_tasks(REGION, "shop", "api") is None
    assert counter.autoscaling_instances(REGION, "web") is None


def test_without_a_region_nobody_can_tell(faulty):
    counter = LiveCounter(aws=lambda: AwsCounting(AwsApi(endpoint_url=faulty.url, timeout_s=2)))
    assert counter.autoscaling_instances("", "web") is None


def test_without_aws_and_a_cluster_nothing_can_be_counted():
    counter = LiveCounter()
    assert counter.autoscaling_instances(REGION, "web") is None
    assert counter.workload_pods("production", "deployment", "api") is None
