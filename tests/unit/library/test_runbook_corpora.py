"""Public runbooks and the published article, where they lie beside this checkout."""

import random
import time

import pytest

from agent.domain.expectation import Equals, OutputContains
from agent.domain.runbook import FailureAction
from agent.library import Broken, Documentation, Library, Parsed, parse


@pytest.fixture(scope="module")
def corpora(shared):
    files = sorted((shared / "corpora").rglob("*.md"))
    if not files:
        pytest.skip("no corpora beside this checkout")
    return files


def test_public_runbooks_in_another_form_are_documentation(corpora):
    for path in corpora:
        assert isinstance(parse(path.read_bytes().decode(), path=str(path)), Documentation), path


def test_a_library_of_public_runbooks_holds_documentation_only(corpora, shared):
    library = Library(shared / "corpora")
    assert (len(library.runbooks), library.broken) == (0, ())
    assert len(library.documentation) == len(corpora)


def test_mutated_public_runbooks_never_become_runbooks(corpora):
    """Their headings renamed to ours, lines lost and doubled: nothing of it may run."""
    chance = random.Random(7)
    begin = time.process_time()
    for path in chance.sample(corpora, len(corpora)):
        lines = [*path.read_text().split("\n"), "", "", "", ""]
        heads = [number for number, line in enumerate(lines) if line.startswith("#")]
        names = ["# Runbook: x", "## Trigger Conditions", "## Blast Radius", "## Steps", "### Step 1: x"]
        for number, name in zip(heads, names, strict=False):
            lines[number] = name
        for _ in range(4):
            at = chance.randrange(len(lines))
            lines[at : at + 1] = chance.choice([[], [lines[at]] * 2, ["```"], ["Failure action: stop"]])
        assert not isinstance(parse("\n".join(lines), path=str(path)), Parsed), path
        if time.process_time() - begin > 8:
            break


def test_the_published_article_is_understood_as_its_author_meant_it(shared):
    article = next((shared / "seeds").glob("004_*.txt"), None)
    if article is None:
        pytest.skip("the published article is not beside this checkout")
    text = article.read_text()
    runbook_text = text[text.index("# Runbook: Redis") : text.index("A few things to notice:")]
    result = parse(runbook_text, path="runbooks/redis-connection-timeout.md")
    assert not isinstance(result, Broken), result.problems
    assert isinstance(result, Parsed)
    first, second = result.runbook.steps
    assert first.command == "kubectl exec -n production deploy/redis-primary -- redis-cli FLUSHDB"
    assert first.expectation is not None
    assert first.expectation.check == Equals("OK")
    assert first.failure_action is FailureAction.CONTINUE
    assert second.command.endswith("curl -s localhost:8080/health | jq .redis")
    assert second.expectation is not None
    assert second.expectation.check == OutputContains("connected")
    assert second.failure_action is FailureAction.ESCALATE
    assert result.runbook.escalation.prose.startswith("If any step with")
