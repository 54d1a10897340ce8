import hashlib

import pytest

from agent.domain.command import Refusal
from agent.domain.errors import ConfigError
from agent.safety.effects import EffectTables


def tables(tmp_path, text, **kwargs):
    path = tmp_path / "team.yaml"
    path.write_text(text)
    return EffectTables(EffectTables.load([path]).tables, **kwargs)


def problem(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        tables(tmp_path, text)
    assert str(tmp_path / "team.yaml") in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tols: {}", "tols"),
        ("tools: {x: {effct: read}}", "tools.x.effct"),
        ("tools: {x: {effect: raed}}", "tools.x.effect.0.class"),
        ("tools: {x: {}}", "tools.x: it has no effect"),
        ("tools: {x: {effect: read, arguments: [nokind]}}", "nokind"),
        ("tools: {x: {effect: read, options: {-a: nokind}}}", "tools.x.options.-a"),
        ("tools: {x: {effect: {class: scale, count: --n}}}", "--n is no option"),
        ("tools: {x: {effect: {class: scale, count: 0}}}", "count"),
        ("tools: {x: {effect: read, requires: [-z]}}", "-z"),
        ("tools: {x: {rule: curl}}", "there is no rule curl"),
        ("tools: {x: {effect: read}, x: {effect: read}}", "given twice"),
        ("tools: {curl: {effect: read}}", "network.yaml has it already"),
        ("kinds: {file: {pattern: '.*', says: x}}", "base.yaml has it already"),
        ("kinds: {mine: {pattern: '(', says: x}}", "kinds.mine.pattern"),
        ("kinds: {mine: {pattern: '(?=x)', says: x}}", "kinds.mine.pattern"),
        ("kubernetes: {resources: {secrets: {}}}", "kubernetes.resources.secrets"),
        ("kubernetes: {resources: {widgets: {names: [secret]}}}", "kubernetes.resources.secret"),
        ("scripts: {x.sh: {sha256: '" + "0" * 64 + "', effect: read}}", "absolute path"),
        ("scripts: {/x.sh: {sha256: abc, effect: read}}", "scripts./x.sh.sha256"),
        ("scripts: {/x.sh: {effect: read}}", "scripts./x.sh.sha256"),
        ("urls: {allowed: [{method: GET, url: x, effect: read}]}", "urls.allowed.0.method"),
        ("a: b: c", "not YAML"),
        ("[]", "(file)"),
    ],
)
def test_a_wrong_table_is_an_error_with_its_key_path(tmp_path, text, words):
    assert words in problem(tmp_path, text)


def test_a_table_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        EffectTables.load([tmp_path / "absent.yaml"])


def test_an_empty_table_changes_nothing(tmp_path):
    assert tables(tmp_path, "").price(["df", "-h"]) == EffectTables.load().price(["df", "-h"])


def test_a_team_can_add_a_tool(tmp_path):
    text = """
    tools:
      flagctl:
        commands:
          show: {arguments: [name], effect: read}
          off:
            arguments: ['name+']
            effect: {class: feature_flag_change, target: '{arguments}', count: arguments}
    """
    team = tables(tmp_path, text)
    (effect,) = team.price(["flagctl", "off", "a", "b"])
    assert (effect.effect_class, effect.target, effect.count) == ("feature_flag_change", "a,b", 2)
    assert isinstance(team.price(["flagctl", "on", "a"]), Refusal)


def test_a_team_can_open_files_but_never_secrets(tmp_path):
    team = tables(tmp_path, "files: {readable: ['/srv/**', '/etc/**']}")
    assert [each.effect_class for each in team.price(["cat", "/srv/state.json"])] == ["read"]
    assert "secret_read" in [each.effect_class for each in team.price(["cat", "/etc/shadow"])]
    assert "secret_read" in [each.effect_class for each in team.price(["cat", "/srv/.env"])]


def test_a_team_can_price_a_request(tmp_path):
    text = """
    urls:
      allowed:
        - method: POST
          url: 'http://flags\\.internal/api/flags/[a-z-]+/off'
          effect: {class: feature_flag_change}
    """
    team = tables(tmp_path, text)
    (effect,) = team.price(["curl", "-X", "POST", "http://flags.internal/api/flags/new-cart/off"])
    assert effect.effect_class == "feature_flag_change"
    assert effect.target == "POST http://flags.internal/api/flags/new-cart/off"
    (other,) = team.price(["curl", "-X", "POST", "http://flags.internal/api/flags/new-cart/off/x"])
    assert other.effect_class == "opaque"
    (method,) = team.price(["curl", "-X", "PUT", "http://flags.internal/api/flags/new-cart/off"])
    assert method.effect_class == "opaque"


def test_a_team_can_add_a_resource(tmp_path):
    team = tables(tmp_path, "kubernetes: {resources: {widgets: {names: [widget]}}}")
    assert not isinstance(team.price(["kubectl", "get", "widgets"]), Refusal)


SCRIPT = b"#!/bin/sh\nexit 0\n"
DECLARED = f"""
scripts:
  /opt/team/flip.sh:
    sha256: {hashlib.sha256(SCRIPT).hexdigest()}
    options: {{'--to': name}}
    arguments: [name]
    effect: {{class: feature_flag_change, target: 'flag {{1}}'}}
"""


def test_a_declared_script_is_priced_while_its_content_is_the_declared_one(tmp_path):
    team = tables(tmp_path, DECLARED, read_script=lambda path: SCRIPT)
    (effect,) = team.price(["/opt/team/flip.sh", "cart", "--to", "off"])
    assert (effect.effect_class, effect.target) == ("feature_flag_change", "flag cart")
    assert isinstance(team.price(["/opt/team/flip.sh", "cart; id"]), Refusal)
    assert isinstance(team.price(["/opt/team/flip.sh", "cart", "--other"]), Refusal)
    assert isinstance(team.price(["flip.sh", "cart"]), Refusal)


def test_a_changed_script_is_refused(tmp_path):
    team = tables(tmp_path, DECLARED, read_script=lambda path: SCRIPT + b"rm -rf /\n")
    assert "its content has changed" in str(team.price(["/opt/team/flip.sh", "cart"]))


def test_a_missing_script_is_refused(tmp_path):
    team = tables(tmp_path, DECLARED)
    assert "cannot be read" in str(team.price(["/opt/team/flip.sh", "cart"]))


def test_a_declared_script_is_not_known_inside_a_pod(tmp_path):
    team = tables(tmp_path, DECLARED, read_script=lambda path: SCRIPT)
    argv = ["kubectl", "exec", "-n", "x", "p", "--", "/opt/team/flip.sh", "cart"]
    assert "inside a pod" in str(team.price(argv))


def test_every_shipped_refusal_has_a_hint():
    shipped = EffectTables.load().tables
    assert all(hint for hint in shipped.refused.values())
    assert not set(shipped.refused) & set(shipped.tools)
