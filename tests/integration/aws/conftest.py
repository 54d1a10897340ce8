"""A real AWS API on loopback: moto's server, with what it lacks added."""

from dataclasses import dataclass, field

import boto3
import pytest
from flask import Flask, Response
from moto.autoscaling.exceptions import AutoscalingClientError
from moto.autoscaling.models import autoscaling_backends
from moto.autoscaling.responses import AutoScalingResponse
from moto.backends import get_backend
from moto.core.responses import ActionResult
from moto.ec2.models.instances import Instance
from moto.elasticache.exceptions import CacheClusterNotFound
from moto.elasticache.responses import ElastiCacheResponse
from moto.rds.models import RDSBackend
from moto.server import ThreadedMotoServer

from agent.adapters.aws.client import AwsApi
from agent.simulators.server import Simulator

REGION = "eu-west-1"


@dataclass
class Happened:
    """What was changed, as the server saw it."""

    cache_reboots: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    instance_reboots: list[str] = field(default_factory=list)
    database_reboots: list[str] = field(default_factory=list)
    refreshes: list[str] = field(default_factory=list)


HAPPENED = Happened()


def reboot_cache_cluster(self):
    name = self._get_param("CacheClusterId")
    cluster = self.elasticache_backend.cache_clusters.get(name)
    if cluster is None:
        raise CacheClusterNotFound(name)
    nodes = tuple(self._get_param("CacheNodeIdsToReboot"))
    HAPPENED.cache_reboots.append((name, nodes))
    cluster.cache_cluster_status = "rebooting cache cluster nodes"
    return ActionResult({"CacheCluster": cluster})


def describe_cache_clusters(self):
    """moto leaves the nodes out."""
    name = self._get_param("CacheClusterId")
    found = self.elasticache_backend.describe_cache_clusters(name)
    nodes = [{"CacheNodeId": "0001"}, {"CacheNodeId": "0002"}]
    told = [
        {"CacheClusterId": each.cache_cluster_id, "CacheClusterStatus": each.cache_cluster_status,
         "CacheNodes": nodes if self._get_bool_param("ShowCacheNodeInfo") else []}
        for each in found
    ]  # fmt: skip
    return ActionResult({"CacheClusters": told})


class RefreshInProgressError(AutoscalingClientError):
    code = "InstanceRefreshInProgress"
    message = "An instance refresh is already in progress"
    status_code = 400


def start_instance_refresh(self):
    name = self._get_param("AutoScalingGroupName")
    assert name in autoscaling_backends[self.current_account][self.region].autoscaling_groups
    if name in HAPPENED.refreshes:
        raise RefreshInProgressError
    HAPPENED.refreshes.append(name)
    return ActionResult({"InstanceRefreshId": f"refresh-of-{name}"})


@pytest.fixture(scope="session")
def moto_url():
    added = pytest.MonkeyPatch()
    added.setattr(ElastiCacheResponse, "reboot_cache_cluster", reboot_cache_cluster, raising=False)
    added.setattr(ElastiCacheResponse, "describe_cache_clusters", describe_cache_clusters)
    added.setattr(AutoScalingResponse, "start_instance_refresh", start_instance_refresh, raising=False)
    reboot, reboot_database = Instance.reboot, RDSBackend.reboot_db_instance

    def instance_reboot(self):
        HAPPENED.instance_reboots.append(self.id)
        reboot(self)

    def database_reboot(self, db_instance_identifier):
        database = reboot_database(self, db_instance_identifier)
        HAPPENED.database_reboots.append(db_instance_identifier)
        database.status = "rebooting"
        return database

    added.setattr(Instance, "reboot", instance_reboot)
    added.setattr(RDSBackend, "reboot_db_instance", database_reboot)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
    added.undo()


@pytest.fixture(autouse=True)
def credentials(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up-secret-access-key")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def happened():
    for name in ("elasticache", "autoscaling", "ecs", "ec2", "rds", "ssm", "secretsmanager"):
        for account in get_backend(name).values():
            for backend in account.values():
                backend.reset()
    for seen in vars(HAPPENED).values():
        seen.clear()
    return HAPPENED


@pytest.fixture
def api(moto_url):
    return AwsApi(region=REGION, endpoint_url=moto_url, timeout_s=10)


@pytest.fixture
def boto(moto_url, happened):
    """A client of one's own, to prepare and to look."""
    return lambda service: boto3.client(service, region_name=REGION, endpoint_url=moto_url)


@pytest.fixture
def faulty():
    """An endpoint that answers as it is told."""
    app = Flask("aws")

    @app.route("/", defaults={"path": ""}, methods=["GET", "POST"])
    @app.route("/<path:path>", methods=["GET", "POST"])
    def anything(path):
        return Response("{}", content_type="application/x-amz-json-1.1")

    with Simulator(app) as server:
        yield server
