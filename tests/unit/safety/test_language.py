import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.command import Connector, Refusal, SimpleCommand
from agent.safety import language


def script_of(text, **values):
    template = language.parse(text)
    assert not isinstance(template, Refusal), str(template)
    bound = language.bind(template, values)
    assert not isinstance(bound, Refusal), str(bound)
    return bound


def refusal_of(text, **values):
    template = language.parse(text)
    if not isinstance(template, Refusal):
        template = language.bind(template, values)
    assert isinstance(template, Refusal), f"accepted: {template}"
    return template


def argvs(text, **values):
    return [command.argv for command in script_of(text, **values).commands()]


ACCEPTED = [
    ("echo hello", [("echo", "hello")]),
    ("echo  a\tb  ", [("echo", "a", "b")]),
    ("echo 'a b' \"c d\"", [("echo", "a b", "c d")]),
    ("echo 'a'\"b\"c", [("echo", "abc")]),
    ("echo '' \"\"", [("echo", "", "")]),
    ("echo '$HOME `id` * ~ {a,b} !x'", [("echo", "$HOME `id` * ~ {a,b} !x")]),
    ('echo "* ? [a] {a,b} ~ ( ) < > & ; |"', [("echo", "* ? [a] {a,b} ~ ( ) < > & ; |")]),
    (r'echo "a\"b\\c\nd"', [("echo", 'a"b\\c\\nd')]),
    ("echo a \\\n  b", [("echo", "a", "b")]),
    ("echo a\\\nb", [("echo", "ab")]),
    ("echo a#b '#c' # d", [("echo", "a#b", "#c")]),
    ("# only\necho a # tail \\\necho b", [("echo", "a"), ("echo", "b")]),
    ("a | b | c", [("a",), ("b",), ("c",)]),
    ("a |\n\n b && # why\n c", [("a",), ("b",), ("c",)]),
    ("a; b;", [("a",), ("b",)]),
    ("a\n\n\nb\n", [("a",), ("b",)]),
    ("jq '.items[] | select(.x != \"y\")'", [("jq", '.items[] | select(.x != "y")')]),
    ("curl -s localhost:8080/health", [("curl", "-s", "localhost:8080/health")]),
    ("docker ps --format '{{.Names}} {{json .}}'", [("docker", "ps", "--format", "{{.Names}} {{json .}}")]),
    ("echo 'two\nlines'", [("echo", "two\nlines")]),
    ("/usr/bin/df -h /var/log", [("/usr/bin/df", "-h", "/var/log")]),
    ("echo k=v a=~b".replace("~", "-"), [("echo", "k=v", "a=-b")]),
    ("echo 100% a^b x@y 1,2 +3", [("echo", "100%", "a^b", "x@y", "1,2", "+3")]),
]


@pytest.mark.parametrize(("text", "expected"), ACCEPTED, ids=[text for text, _ in ACCEPTED])
def test_plain_commands_are_read_as_bash_reads_them(text, expected):
    assert argvs(text) == expected


REFUSED = [
    "echo $HOME",
    'echo "$HOME"',
    "echo $(id)",
    "echo `id`",
    'echo "`id`"',
    'echo "a" "b$(id)c"',
    "echo ${x:-$(id)}",
    "echo $'a'",
    'echo $"a"',
    "echo *",
    "ls *.log",
    "ls file?",
    "ls [ab]",
    "echo {a,b}",
    "echo a{1..3}",
    "echo ~",
    "echo ~root/x",
    "echo k=~/x",
    "! true",
    "echo hi!",
    'echo "hi!"',
    "cat <<EOF\nx\nEOF",
    "cat <<< x",
    "cat < /etc/shadow",
    "echo x > /etc/passwd",
    "echo x >> /dev/null",
    "echo x >| /dev/null",
    "echo x > /dev/nullx",
    "echo x > '/dev/null'",
    "echo x >/dev/null/../../etc/passwd",
    "echo x 2> err.log",
    "echo x 2>&1>/dev/null",
    "echo x 2>&1 >/dev/null",
    "echo x 1>&2",
    "echo x >&2",
    "echo x 3>/dev/null",
    "echo x 12>/dev/null",
    "echo x>/dev/null",
    "echo x 2>&1x",
    "echo x 2>&-",
    "echo x &>> /dev/null",
    ">/dev/null echo x",
    "2>&1 echo x",
    "sleep 100 &",
    "a & b",
    "a |& b",
    "(a)",
    "a (b)",
    "f() { a; }",
    "{ a; }",
    "A=b cmd",
    "A=b",
    "A+=b",
    "A[1]=b",
    "if true; then a; fi",
    "for x in a; do b; done",
    "while true; do a; done",
    "until a; do b; done",
    "case a in b) c;; esac",
    "select x in a; do b; done",
    "function f { a; }",
    "time a",
    "coproc a",
    "[[ a == b ]]",
    "[ a = b ]",
    "((1))",
    "a | if",
    "a && time b",
    "'if' a",
    '"echo" a',
    "ec'h'o a",
    "echo a\\ b",
    "echo \\$x",
    "echo \\",
    'echo "a\\$b"',
    'echo "a\\`b"',
    'echo "a\\!b"',
    'echo "a\\\nb"',
    "echo 'a",
    'echo "a',
    "a |",
    "a &&",
    "a ||\n",
    "| a",
    "&& a",
    "; a",
    "a ;; b",
    "a ; ; b",
    "a && ; b",
    "a | | b",
    "a\n&& b",
    "",
    "   \n# nothing\n",
    "echo a\rb",
    "echo a\r\n",
    "echo ä",
    "echo \x00",
    "echo \x1b[31m",
    "echo a\u200bb",
    "echo {{ Name }}",
    "echo '{{ Name }}'",
    "echo {{ a b }}",
    "echo {{a",
    "echo {{}}",
    "{{ cmd }} a",
    "x{{ cmd }} a",
    "echo --{{ flag }}",
    "echo -{{ flag }}",
    "echo -n{{ flag }}",
    "%1",
    "-x",
    "=a",
    "@a",
]


@pytest.mark.parametrize("text", REFUSED)
def test_anything_that_needs_a_shell_is_refused_with_its_position(text):
    refusal = language.parse(text)
    assert isinstance(refusal, Refusal), f"accepted: {refusal}"
    assert refusal.reason.startswith("line ")
    assert refusal.hint


def test_a_refusal_points_at_line_and_column():
    assert refusal_of("echo a\n  echo $X").reason.startswith("line 2, column 8: a `$`")


def test_connectors_stand_in_front_of_their_pipeline():
    links = script_of("a && b || c; d\ne").links
    expected = [Connector.ALWAYS, Connector.AND, Connector.OR, Connector.ALWAYS, Connector.ALWAYS]
    assert [link.connector for link in links] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a >/dev/null", SimpleCommand(("a",), quiet_stdout=True)),
        ("a > /dev/null", SimpleCommand(("a",), quiet_stdout=True)),
        ("a 1>/dev/null b", SimpleCommand(("a", "b"), quiet_stdout=True)),
        ("a 2>/dev/null", SimpleCommand(("a",), quiet_stderr=True)),
        ("a 2>&1", SimpleCommand(("a",), merge_stderr=True)),
        ("a >/dev/null 2>&1", SimpleCommand(("a",), quiet_stdout=True, quiet_stderr=True)),
        ("a &>/dev/null", SimpleCommand(("a",), quiet_stdout=True, quiet_stderr=True)),
        ("a 2>&1 2>/dev/null", SimpleCommand(("a",), quiet_stderr=True)),
        ("a 2>/dev/null 2>&1", SimpleCommand(("a",), merge_stderr=True)),
        ("a 2>&1 &>/dev/null", SimpleCommand(("a",), quiet_stdout=True, quiet_stderr=True)),
    ],
)
def test_redirections_take_effect_from_left_to_right(text, expected):
    assert script_of(text).commands() == (expected,)


def test_placeholders_are_told_in_order_and_once():
    template = language.parse("echo {{ b }} '{{a}}' \"x{{ b }}\" --c={{ c }}")
    assert template.placeholders == ("b", "a", "c")


def test_a_value_stays_inside_its_word():
    value = "a b; rm -rf / | $(id) ' \" > x"
    assert argvs("echo {{ v }} 'p{{ v }}s'", v=value) == [("echo", value, f"p{value}s")]


def test_a_value_that_looks_like_a_placeholder_is_not_bound_again():
    assert argvs("echo {{ a }}", a="{{ b }}", b="x") == [("echo", "{{ b }}")]


@pytest.mark.parametrize("value", ["", "-rf", "--all", "-", "a\nb", "a\tb", "a\x00b", "a\x1bb", "a\u202eb"])
def test_values_that_could_be_options_or_are_not_text_are_refused(value):
    refusal_of("echo {{ v }}", v=value)


def test_a_missing_parameter_is_refused_by_name():
    assert "pod" in refusal_of("echo {{ pod }}").reason


def test_too_long_values_and_texts_are_refused():
    refusal_of("echo {{ v }}", v="x" * 5000)
    refusal_of("echo " + "x" * 70000)
    refusal_of("a;" * 65)


def test_a_dash_inside_a_word_is_fine():
    assert argvs("kubectl get pod/{{ v }} --field={{ v }}", v="-x")[0][-2:] == ("pod/-x", "--field=-x")


@given(text=st.text(max_size=80))
def test_any_text_is_either_understood_or_refused(text):
    assert isinstance(language.parse(text), (language.ParsedTemplate, Refusal))


@given(value=st.text(min_size=1, max_size=60))
def test_a_bound_value_is_found_unchanged_in_exactly_one_word(value):
    bound = language.bind(language.parse("echo 'x{{ v }}' end"), {"v": value})
    if not isinstance(bound, Refusal):
        assert bound.commands()[0].argv == ("echo", "x" + value, "end")
