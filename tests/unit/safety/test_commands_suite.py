"""A table of commands with what each costs, or why it is refused; and laws that no command may break."""

import random
import shlex
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agent.config.execution import Allowance
from agent.domain.command import Refusal
from agent.domain.effects import NEVER_BY_LIMIT_ALONE, BlastRadius, EffectClass
from agent.safety import language, policy
from agent.safety.analysis import Analysis
from agent.safety.effects import EffectTables

TABLE = yaml.safe_load((Path(__file__).parent / "commands.yaml").read_text())
TABLES = EffectTables.load()
GENEROUS = BlastRadius(dict.fromkeys(EffectClass, 1000))


class World:
    """Counts what the table says that it can count."""

    def workload_pods(self, namespace, kind, name):
        return 5 if namespace == "production" else None

    def service_tasks(self, region, cluster, service):
        return 4 if cluster == "web" else None

    def autoscaling_instances(self, region, group):
        return 6

    def __getattr__(self, name):
        return lambda *arguments: None


def judge(text, radius=GENEROUS):
    """What each command costs, and the first refusal in words."""
    script = language.parse(text)
    if not isinstance(script, Refusal):
        script = language.bind(script, {})
    if isinstance(script, Refusal):
        return [], script.reason
    commands = policy.judge(script, TABLES, radius, counter=World())
    refusals = [command.refusal.reason for command in commands if command.refusal]
    effects = [f"{effect.effect_class.value} {effect.count}" for each in commands for effect in each.effects]
    return effects, refusals[0] if refusals else ""


def test_the_table_is_broad():
    assert sum(map(len, TABLE.values())) >= 300


@pytest.mark.parametrize(("text", "costs"), TABLE["allowed"].items(), ids=list(TABLE["allowed"]))
def test_what_is_allowed_costs_exactly_this(text, costs):
    assert judge(text) == (costs, "")


@pytest.mark.parametrize(("text", "costs"), TABLE["never"].items(), ids=list(TABLE["never"]))
def test_what_no_limit_grants_is_known_for_what_it_is(text, costs):
    effects, reason = judge(text)
    assert effects == costs
    assert "no limit grants" in reason


@pytest.mark.parametrize(("text", "words"), TABLE["refused"].items(), ids=list(TABLE["refused"]))
def test_what_is_refused_says_why(text, words):
    assert words in judge(text)[1]


@pytest.mark.parametrize(("text", "costs"), TABLE["allowed"].items(), ids=list(TABLE["allowed"]))
def test_without_limits_nothing_but_reading_is_allowed(text, costs):
    reads = all(cost.startswith("read ") for cost in costs)
    assert (judge(text, BlastRadius())[1] == "") is reads


@pytest.mark.parametrize("text", TABLE["allowed"])
def test_what_a_command_reaches_is_inside_what_it_names(text):
    script = language.bind(language.parse(text), {})
    for command in policy.judge(script, TABLES, GENEROUS, counter=World()):
        access = command.access
        assert all(path.startswith("/") and ".." not in path for path in (*access.reads, *access.writes))
        assert "/" not in access.writes
        assert access.hosts == () or access.network in ("egress", "direct")
        assert all(host.rpartition(":")[2].isdigit() for host in access.hosts if access.network == "egress")


def quoted(word, choice):
    """A word as bash may have it written; all of these mean the word itself."""
    single = "'" + word.replace("'", "'\"'\"'") + "'"
    middle = len(word) // 2
    halves = shlex.quote(word[:middle]) + shlex.quote(word[middle:]) if middle else single
    double = '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return (shlex.quote(word), single, halves, double)[choice]


SIMPLE = [
    text
    for section in TABLE.values()
    for text in section
    if not isinstance(language.parse(text), Refusal)
    and len(language.bind(language.parse(text), {}).commands()) == 1
]


@given(text=st.sampled_from(SIMPLE), seed=st.integers(0, 10_000))
def test_the_price_does_not_depend_on_how_a_word_is_quoted(text, seed):
    chance = random.Random(seed)
    (command,) = language.bind(language.parse(text), {}).commands()
    blanks = [" ", "  ", "\t", " \\\n"]
    words = [quoted(word, chance.randrange(4)) for word in command.argv[1:]]
    written = command.argv[0] + "".join(chance.choice(blanks) + word for word in words)
    effects, reason = judge(written)
    if reason.startswith("line "):  # refused as text is always right
        return
    assert (effects, reason) == judge(shlex.join(command.argv))


STEPS = [text for section in ("allowed", "never") for text in TABLE[section]]
limits = st.dictionaries(st.sampled_from(sorted(set(EffectClass) - {EffectClass.READ})), st.integers(0, 12))


@given(
    steps=st.lists(st.sampled_from(STEPS), max_size=12),
    limits=limits,
    most=st.none() | st.integers(0, 12),
    named=st.booleans(),
    listed=st.sets(st.sampled_from(sorted(NEVER_BY_LIMIT_ALONE))),
)
def test_no_order_of_steps_and_retries_is_charged_beyond_the_limits(steps, limits, most, named, listed):
    allowances = {"audit": Allowance(effects=tuple(listed), runbooks=("a",))}
    radius = BlastRadius(limits, max_commands=most, allowance="audit" if named else "")
    guard = policy.Guard(TABLES, radius, counter=World(), runbook_id="a", allowances=allowances)
    priced = policy.price_plan([language.bind(language.parse(text), {}) for text in steps], guard)
    ran = [command for step in priced for command in step if command.refusal is None]
    charged = dict.fromkeys(EffectClass, 0)
    for effect in (effect for command in ran for effect in command.effects):
        charged[effect.effect_class] += effect.count
    del charged[EffectClass.READ]
    assert all(count <= radius.limit(effect_class) for effect_class, count in charged.items())
    assert most is None or len(ran) <= most
    granted = {each for each in NEVER_BY_LIMIT_ALONE if charged[each]}
    assert granted <= (listed if named else set())
    assert policy.needs_approval(ran) is bool(granted)


@given(words=st.lists(st.text(max_size=12), max_size=6))
def test_any_argv_is_priced_or_refused_with_words(words):
    found = TABLES.analyse(words, counter=World())
    assert isinstance(found, Analysis) or found.reason


@given(
    tool=st.sampled_from(sorted(TABLES.tables.tools)),
    words=st.lists(
        st.sampled_from(
            [
                *("-", "--", "-x", "--help", "-n", "-c", "0", "1", "a", "/", "/etc/shadow", "@/etc/shadow"),
                *(
                    "file:///etc/shadow",
                    "http://h/x",
                    "--output=/tmp/x",
                    "$(id)",
                    "; id",
                    "restart",
                    "delete",
                ),
                *(
                    "get",
                    "pods",
                    "--all",
                    "-f",
                    "-o",
                    "SELECT 1",
                    "FLUSHALL",
                    "s3",
                    "rm",
                    "ec2",
                    "exec",
                    "sh",
                ),
            ]
        ),
        max_size=6,
    ),
)
def test_no_words_bring_a_tool_out_of_its_table(tool, words):
    found = TABLES.analyse([tool, *words], counter=World())
    if isinstance(found, Refusal):
        return
    shown = [effect for effect in found.effects if effect.effect_class is EffectClass.SECRET_READ]
    if any("/etc/shadow" in word for word in words) and "/etc/shadow" in found.access.reads:
        assert shown or tool in ("ls", "du")
