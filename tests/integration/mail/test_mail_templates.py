"""A mail as text and as HTML, from the shipped templates or a team's own; no mail is lost because of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.adapters.mail_templates import EXAMPLE, MailTemplates
from agent.cli.doctor_ways import ways_checks
from agent.config import parse
from agent.domain.errors import ConfigError
from agent.ports import Notification

HOSTILE = Notification(
    ("ops@example.com",),
    "<script>alert(1)</script>",
    "Why: <b>bold</b> & {{ 7 * 7 }}\n{% raw %}",
    "k-1",
    {"service": "<img src=x onerror=alert(1)>"},
    (
        ("javascript:alert(1)", "look"),
        ('https://example.com/"onmouseover="x', "there"),
        ("https://ok.example.com", "ok"),
    ),
)


def own(tmp_path: Path, **templates: str) -> MailTemplates:
    for name, text in templates.items():
        (tmp_path / f"mail.{name}").write_text(text)
    return MailTemplates(str(tmp_path))


def test_a_mail_says_the_same_as_text_and_as_html() -> None:
    templates = MailTemplates()
    assert templates.render("mail.txt", EXAMPLE) == EXAMPLE.text + "\n"
    html = templates.render("mail.html", EXAMPLE)
    for line in (EXAMPLE.subject, *EXAMPLE.text.splitlines(), "api-gateway"):
        assert line in html
    assert f'href="{EXAMPLE.links[0][0]}"' in html


def test_nothing_that_an_alert_says_is_html_or_a_template() -> None:
    html = MailTemplates().render("mail.html", HOSTILE)
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; {{ 7 * 7 }}" in html
    assert "javascript:" not in html
    assert '"onmouseover="' not in html
    assert MailTemplates().render("mail.txt", HOSTILE) == HOSTILE.text + "\n"


def test_a_teams_own_template_is_used_and_the_rest_is_shipped(tmp_path: Path) -> None:
    templates = own(tmp_path, html="<p>{{ facts.service }}</p>")
    assert templates.render("mail.html", HOSTILE) == "<p>&lt;img src=x onerror=alert(1)&gt;</p>"
    assert templates.render("mail.txt", EXAMPLE) == EXAMPLE.text + "\n"


@pytest.mark.parametrize(
    "broken",
    [
        "{% for %}",
        "{{ nobody }}",
        "{{ facts.nothing }}",
        "{{ 1 / 0 }}",
        "{{ text.__class__.__mro__ }}",
        "{% include 'other.html' %}",
        "{% for a in range(90000) %}0123456789{% endfor %}",
        "{% for a in range(10 ** 9) %}{% endfor %}",
    ],
)
def test_a_broken_template_is_told_and_the_shipped_one_is_sent(
    tmp_path: Path, broken: str, logged: Callable[[], str]
) -> None:
    templates = own(tmp_path, html=broken)
    assert EXAMPLE.text.splitlines()[0] in templates.render("mail.html", EXAMPLE)
    assert "template_broken" in logged()
    assert [name for name, _ in templates.problems()] == ["mail.html"]


def test_a_template_sees_nothing_but_the_message(tmp_path: Path) -> None:
    templates = own(tmp_path, txt="{{ self._TemplateReference__context.environment.loader.searchpath }}")
    assert templates.render("mail.txt", EXAMPLE) == EXAMPLE.text + "\n"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("mail.html", "a\n{% if %}", "mail.html:2: "),
        ("mial.html", "a", "mial.html is the template of nothing; there are mail.html, mail.txt"),
    ],
)
def test_what_is_no_template_is_found_when_the_configuration_is_read(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        parse({"notifications": {"templates": str(tmp_path)}}, path="config.yaml")
    assert words in str(caught.value)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a folder"):
        parse({"notifications": {"templates": str(tmp_path / "none")}}, path="config.yaml")


def test_doctor_tries_each_template(tmp_path: Path) -> None:
    (tmp_path / "mail.html").write_text("{{ nobody }}")
    config = parse({"notifications": {"templates": str(tmp_path)}}, path="config.yaml")
    (found,) = [each for each in ways_checks(config) if each.name == "template"]
    assert "mail.html" in found.seen
    assert "nobody" in found.seen
