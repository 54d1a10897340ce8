from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from agent.config import Config, Secret, SecretReference, is_loopback, load, parse
from agent.domain.effects import EffectClass
from agent.domain.errors import ConfigError
from agent.domain.limits import Scope, WindowLimit

README = Path(__file__).parent.parent.parent / "README.md"


def problems(data: object) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(data, path="config.yaml")
    return str(caught.value)


def key_paths(section: type[BaseModel], prefix: str = "") -> list[str]:
    paths = []
    for name, field in section.model_fields.items():
        kind = field.annotation
        candidates = (kind, *getattr(kind, "__args__", ()))
        nested = next(
            (
                each
                for each in candidates
                if isinstance(each, type) and issubclass(each, BaseModel) and each is not SecretReference
            ),
            None,
        )
        paths += key_paths(nested, f"{prefix}{name}.") if nested else [f"{prefix}{name}"]
    return paths


def test_every_setting_is_documented_in_the_readme_and_nothing_else_is() -> None:
    documented = re.findall(r"^\| `([a-z_]+\.[a-z_.]+)` \|", README.read_text(), flags=re.M)
    assert sorted(documented) == sorted(key_paths(Config))


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("")
    assert load(path) == Config()


def test_all_problems_are_told_at_once_with_their_key_path() -> None:
    told = problems(
        {"server": {"prot": 1, "port": 99_999}, "pagerdutty": {}, "limits": {"per_hour": {"pod": 1}}}
    )
    assert "server.prot: is not a known key; did you mean port?" in told
    assert "server.port: " in told
    assert "pagerdutty: is not a known key; did you mean pagerduty?" in told
    assert "limits.per_hour: pod is no effect class" in told


def test_a_nested_unknown_key_gets_a_suggestion() -> None:
    assert "execution.allow.hostz: is not a known key; did you mean hosts?" in problems(
        {"execution": {"allow": {"hostz": []}}}
    )


def test_a_key_like_nothing_known_gets_the_list_of_known_ones() -> None:
    assert "known keys: path, reload, default_autonomy" in problems({"runbooks": {"zzz": 1}})


def test_a_secret_written_into_the_file_is_refused_and_not_repeated() -> None:
    told = problems({"pagerduty": {"api_token": "u+canary-token"}})
    assert "pagerduty.api_token: must be a reference, never the secret itself; write {env: NAME}" in told
    assert "canary" not in told


@pytest.mark.parametrize("reference", [{}, {"env": "A", "file": "b"}])
def test_a_reference_names_exactly_one_place(tmp_path: Path, reference: dict[str, str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"pagerduty": {"api_token": reference}}))
    with pytest.raises(ConfigError, match="exactly one of env, file"):
        load(path)


def test_secrets_come_from_the_environment_and_from_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "from-the-environment")
    file = tmp_path / "token"
    file.write_text("from-a-file\n")
    assert SecretReference(env="CANARY").resolve().reveal() == "from-the-environment"
    assert SecretReference(file=str(file)).resolve().reveal() == "from-a-file"


def test_every_secret_that_is_not_there_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    data = {
        "pagerduty": {
            "api_token": {"env": "NOT_SET"},
            "routing_key": {"file": "/nowhere"},
            "webhook_secrets": [{"aws_ssm": "x"}],
        }
    }
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError) as caught:
        load(path)
    told = str(caught.value)
    assert "pagerduty.api_token: the environment variable NOT_SET is not set" in told
    assert "pagerduty.routing_key: the file /nowhere does not exist" in told
    assert "pagerduty.webhook_secrets[0]: aws_ssm x is fetched by" in told


def test_an_empty_secret_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    with pytest.raises(ValueError, match="is empty"):
        SecretReference(file=str(tmp_path / "token")).resolve()


def test_what_is_switched_off_needs_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"llm": {"provider": "none", "api_key": {"env": "NOT_SET"}}}))
    assert load(path).llm.provider == "none"


def test_a_secret_shows_itself_as_stars() -> None:
    secret = Secret("canary")
    assert f"{secret} {secret!r} {[secret]}" == "*** *** [***]"


@pytest.mark.parametrize(
    "url", ["http://example.com", "ftp://localhost", "api.pagerduty.com", "http://10.0.0.1"]
)
def test_plain_http_leaves_this_machine_never(url: str) -> None:
    assert "must be an https:// URL" in problems({"pagerduty": {"api_url": url}})


@pytest.mark.parametrize("url", ["https://api.eu.pagerduty.com", "http://127.0.0.1:9", "http://localhost:9"])
def test_https_and_loopback_are_fine(url: str) -> None:
    section = parse({"pagerduty": {"api_url": url}}, path="c").pagerduty
    assert section is not None
    assert section.api_url == url


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("::1", True), ("[::1]", True), ("0.0.0.0", False), ("db", False)],
)
def test_loopback_is_told_from_the_rest(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize("data", [[], "text", 7])
def test_a_file_that_is_no_mapping_is_told_so(data: Any) -> None:
    assert "must be a mapping of sections" in problems(data)


def test_a_file_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "config.yaml")


def test_a_file_that_is_no_yaml_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("a: [")
    with pytest.raises(ConfigError, match="is not YAML"):
        load(path)


def test_limits_across_incidents_are_known_by_their_key_path_scope_and_window() -> None:
    limits = {"per_hour": {"pod_restarts": 10}, "per_namespace": {"per_day": {"rollouts": 3}}}
    assert parse({"limits": limits}, path="c").limits.windows() == (
        WindowLimit("limits.per_hour.pod_restarts", EffectClass.POD_RESTART, Scope.ALL, 3_600, 10),
        WindowLimit("limits.per_namespace.per_day.rollouts", EffectClass.ROLLOUT, Scope.NAMESPACE, 86_400, 3),
    )


def test_rollouts_run_one_at_a_time_unless_configured_otherwise() -> None:
    assert parse({}, path="c").limits.exclusive() == {EffectClass.ROLLOUT}
    assert parse({"limits": {"one_at_a_time": []}}, path="c").limits.exclusive() == frozenset()


def test_a_database_of_another_kind_is_refused() -> None:
    assert "must start with sqlite:/// or postgresql://" in problems({"database": {"url": "mysql://x"}})


def test_the_audit_log_stands_beside_the_sqlite_file() -> None:
    assert parse({"database": {"url": "sqlite:////var/lib/x/a.db"}}, path="c").audit_path() == Path(
        "/var/lib/x/audit.jsonl"
    )
    assert parse({"database": {"url": "postgresql://h/d"}}, path="c").audit_path() == Path("data/audit.jsonl")
    assert parse({"audit": {"path": "/a/b"}}, path="c").audit_path() == Path("/a/b")


def test_flapping_that_could_never_be_seen_is_refused() -> None:
    assert "escalation.flapping.count" in problems({"escalation": {"flapping": {"count": 51}}})
