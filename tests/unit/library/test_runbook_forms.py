import hashlib

import pytest
from library_texts import EVERYTHING, FENCE, QUEUE, QUEUE_AS_PUBLISHED

from agent.domain.effects import EffectClass
from agent.domain.expectation import Equals, Expectation, OutputContains
from agent.domain.runbook import Action, Autonomy, Capture, FailureAction, OnlyIf, Runbook
from agent.library import Broken, Documentation, Parsed, parse


def runbook(text: str, path: str = "runbooks/queue-stuck.md") -> Runbook:
    result = parse(text, path=path)
    assert isinstance(result, Parsed), getattr(result, "problems", result)
    return result.runbook


def meaning(book: Runbook) -> object:
    """What a runbook does, whatever its lines are."""
    return (
        book.id,
        book.title,
        [condition.expression for condition in book.trigger.conditions],
        book.blast_radius,
        [
            (step.index, step.title, step.command, step.expectation, step.failure_action)
            for step in book.steps
        ],
        book.escalation,
    )


def test_the_plain_form_is_understood():
    book = runbook(QUEUE)
    assert (book.id, book.title, book.text) == ("queue-stuck", "Queue Stuck", QUEUE)
    assert book.revision == hashlib.sha256(QUEUE.encode()).hexdigest()
    assert book.blast_radius.limit(EffectClass.POD_RESTART) == 1
    assert book.blast_radius.limit(EffectClass.SCALE) == 0
    assert book.blast_radius.requires_human_approval is False
    first, second = book.steps
    assert (first.title, first.line, first.command_line) == ("Look at the queue", 15, 17)
    assert first.command == "kubectl exec -n jobs deploy/worker -- queuectl length"
    assert first.expectation == Expectation('"0"', Equals("0"))
    assert first.failure_action is FailureAction.CONTINUE
    assert second.expectation == Expectation('contains "done"', OutputContains("done"))
    assert second.failure_action is FailureAction.ESCALATE
    assert book.escalation.prose == "If a step fails twice, call the owners of the queue."


def test_the_published_form_with_its_open_fences_means_the_same():
    published = runbook(QUEUE_AS_PUBLISHED)
    assert meaning(published) == meaning(runbook(QUEUE))
    assert [step.line for step in published.steps] == [11, 15]
    assert [step.command_line for step in published.steps] == [13, 16]


def test_everything_the_format_knows_is_understood():
    book = runbook(EVERYTHING)
    assert (book.id, book.owner, book.autonomy) == ("restart-worker", "jobs", Autonomy.APPROVE)
    assert book.tags == ("queue", "jobs")
    assert book.blast_radius.max_duration_s == 600
    assert book.blast_radius.namespaces == ("jobs", "web")
    assert book.blast_radius.hosts == ("localhost:8080", "queue.example.com")
    look, restart, free = book.steps
    assert look.command == "kubectl get pod {{ pod }} -n jobs\nqueuectl slots \\\n    --region {{ region }}"
    assert (look.max_attempts, look.retry_delay_s, look.timeout_s) == (3, 0.5, 90.0)
    assert look.captures == (Capture("slot", pattern="slot ([0-9]+)"),)
    assert look.failure_action is FailureAction.CONTINUE
    assert restart.command == ""
    arguments = {"namespace": "jobs", "deployment": "{{ pod }}", "wait": True, "names": ("a", "b")}
    assert restart.action == Action("rollout_restart", arguments)
    assert restart.only_if == OnlyIf(
        1, Expectation('not contains "healthy"', OutputContains("healthy", negated=True))
    )
    assert restart.approval_required
    assert free.failure_action is FailureAction.ESCALATE
    assert book.verification is not None
    assert book.verification.hold_for_s == 300
    assert [step.command for step in book.verification.steps] == ["queuectl moving"]
    assert [step.command for step in book.rollback] == ["queuectl take {{ slot }}"]
    assert (book.escalation.routing, book.escalation.severity) == ("jobs", "error")
    assert book.escalation.message == "The worker did not come back"
    assert [(example.text, example.matches) for example in book.examples] == [
        ('"worker stuck" severity:high', True),
        ('"worker stuck" environment:staging', False),
    ]


TOLERATED = {
    "bold keys": [("Expected output:", "**Expected output:**"), ("Failure action:", "**Failure action**:")],
    "underlined bold keys": [("Failure action: continue", "__Failure action:__ continue")],
    "bold lines": [("Failure action: continue", "**Failure action: continue**")],
    "keys in code": [("- max_pod_restarts: 1", "- `max_pod_restarts`: `1`")],
    "escaped underscores": [("- max_pod_restarts: 1", r"- max\_pod\_restarts: 1")],
    "limits in words": [("- max_pod_restarts: 1", "- Max pod restarts: 1")],
    "list items": [("Expected output:", "- Expected output:"), ("Failure action:", "- Failure action:")],
    "star lists": [("\n- ", "\n* ")],
    "no lists": [("- Alert", "Alert"), ("- Severity", "Severity"), ("- Service", "Service")],
    "one line": [('"0"\nFailure action: continue', '"0" Failure action: continue')],
    "one line with semicolon": [('"0"\nFailure action: continue', '"0"; Failure action: continue')],
    "one bold line": [
        (
            'Expected output: "0"\nFailure action: continue',
            '**Expected output:** "0" **Failure action:** continue',
        )
    ],
    "capitals": [("Expected output", "EXPECTED OUTPUT"), ("Failure action", "Failure Action")],
    "values in capitals": [("Failure action: continue", "Failure action: Continue")],
    "heading capitals": [("## Trigger Conditions", "## TRIGGER CONDITIONS"), ("## Steps", "## steps")],
    "heading marks": [("## Steps", "## Steps:"), ("## Blast Radius", "## **Blast Radius** ##")],
    "emoji headings": [("## Steps", "## 🔧 Steps")],
    "hyphenated heading": [("## Blast Radius", "## Blast-Radius")],
    "numbers only": [("### Step 1:", "### 1."), ("### Step 2:", "### 2)")],
    "dashes": [("### Step 1:", "### Step 1 -"), ("### Step 2:", "### Step 2 –")],
    "step without mark": [("### Step 1:", "### Step 1")],
    "bold step headings": [("### Step 1: Look at the queue", "### **Step 1: Look at the queue**")],
    "bare step headings": [("### Step", "Step")],
    "bold paragraphs as step headings": [
        ("### Step 1: Look at the queue", "**Step 1: Look at the queue**"),
        ("### Step 2: Check that jobs move again", "**Step 2: Check that jobs move again**"),
    ],
    "steps at the sections' level": [("### Step", "## Step")],
    "deeper steps": [("### Step", "#### Step")],
    "deeper sections": [("## ", "### "), ("#### Step", "##### Step")],
    "sections as titles": [("## ", "# ")],
    "underlined headings": [("## Steps\n", "Steps\n-----\n"), ("## Escalation\n", "Escalation\n---\n")],
    "sh": [("```bash", "```sh")],
    "shell in capitals": [("```bash", "``` Shell")],
    "tildes": [("```bash", "~~~bash"), ("```\n", "~~~\n")],
    "longer fences": [("```", "`````")],
    "prompts": [("\nkubectl", "\n$ kubectl")],
    "console": [
        ("```bash", "```console"),
        ("\nkubectl", "\n$ kubectl"),
        ("length\n", "length\n(integer) 0\n"),
    ],
    "empty lines in code": [("```bash\n", "```bash\n\n"), ("length\n```", "length\n\n```")],
    "carriage returns": [("\n", "\r\n")],
    "byte-order mark": [("# Runbook", "\ufeff# Runbook")],
    "trailing spaces": [("continue\n", "continue   \n")],
    "tabs": [("Failure action: continue", "Failure action:\tcontinue")],
    "keys above the code": [
        ("### Step 1: Look at the queue\n", '### Step 1: Look at the queue\nExpected output: "0"\n\n'),
        ('```\nExpected output: "0"\n', "```\n"),
    ],
    "notes": [("Failure action: continue", "Failure action: continue\n\nNote: it may be empty already")],
    "prose": [("Failure action: continue", "Failure action: continue\n\nAn empty queue is fine.")],
    "intros": [("```bash\nkubectl exec", "Look at the length:\n\n```bash\nkubectl exec")],
    "links": [
        ("Failure action: continue", "Failure action: continue\n\nSee https://example.com/queue for more.")
    ],
    "comments": [("Failure action: continue", "Failure action: continue\n\n<!-- Retries: 3 -->")],
    "wrapped lists": [('"queue", "stuck"', '"queue",\n  "stuck"')],
    "typographic quotes": [('"queue", "stuck"', "“queue”, “stuck”")],
    "single quotes": [('"queue", "stuck"', "'queue', 'stuck'")],
    "bare words": [('"queue", "stuck"', "queue, stuck")],
    "AND": [('"queue", "stuck"', '"queue" AND "stuck"')],
    "severities with commas": [
        ("high or critical", "high, critical"),
        ("worker, queue-*", "worker or queue-*"),
    ],
    "severities with both": [("high or critical", "High, or Critical")],
    "a foreign section": [
        ("## Steps", "## Background\nThe queue is old: it has 3 parts.\n\n```\nls\n```\n\n## Steps")
    ],
    "no title prefix": [("# Runbook: Queue", "# Queue")],
    "yes and no": [("requires_human_approval: false", "requires_human_approval: No")],
}


@pytest.mark.parametrize("name", TOLERATED)
def test_form_is_free_and_meaning_stays(name):
    text = QUEUE
    for old, new in TOLERATED[name]:
        assert old in text
        text = text.replace(old, new)
    assert meaning(runbook(text)) == meaning(runbook(QUEUE))


OPEN_FENCES = {
    "first fence open, second has its own": [("length\n```\n", "length\n")],
    "both fences open": [("length\n```\n", "length\n"), ("done\n```\n", "done\n")],
    "open, keys on one line": [
        ('length\n```\nExpected output: "0"\nFailure action', 'length\nExpected output: "0" Failure action'),
        ("done\n```\n", "done\n"),
    ],
    "open, keys as bold list": [
        ('length\n```\nExpected output: "0"\n', 'length\n- **Expected output:** "0"\n'),
        ("done\n```\n", "done\n"),
    ],
    "open tildes": [("```bash\nkubectl exec", "~~~bash\nkubectl exec"), ("length\n```\n", "length\n")],
    "open, empty line before the keys": [("length\n```\n", "length\n\n"), ("done\n```\n", "done\n\n")],
    "last fence open": [("done\n```\n", "done\n")],
    "open, bare section": [("done\n```\n", "done\n"), ("## Escalation", "Escalation")],
    "open, bare step with its own fence": [("length\n```\n", "length\n"), ("### Step 2", "Step 2")],
    "open, carriage returns": [("length\n```\n", "length\n"), ("done\n```\n", "done\n"), ("\n", "\r\n")],
}


@pytest.mark.parametrize("name", OPEN_FENCES)
def test_an_open_code_block_ends_where_the_steps_keys_begin(name):
    text = QUEUE
    for old, new in OPEN_FENCES[name]:
        assert old in text
        text = text.replace(old, new)
    assert meaning(runbook(text)) == meaning(runbook(QUEUE))


def test_a_backslash_continues_the_command_of_an_open_code_block():
    text = QUEUE_AS_PUBLISHED.replace("deploy/worker --tail", "\\\n  deploy/worker --tail").replace(
        "-- queuectl", "-- \\\n  queuectl"
    )
    commands = [step.command for step in runbook(text).steps]
    assert commands[0] == "kubectl exec -n jobs deploy/worker -- \\\n  queuectl length"
    assert commands[1] == "kubectl logs -n jobs \\\n  deploy/worker --tail=20 | grep -c done"


def test_sections_with_steps_after_an_open_code_block_are_found():
    text = QUEUE_AS_PUBLISHED + (
        "Verify\nHold for: 1m\nStep 1: Jobs move\nqueuectl moving\nExpected output: > 0\n"
        "## Rollback\n### Step 1: Undo\n```sh\nqueuectl undo\n```\n"
    )
    book = runbook(text)
    assert book.escalation.prose == "If a step fails twice, call the owners of the queue."
    assert book.verification is not None
    assert book.verification.hold_for_s == 60
    assert [step.command for step in book.verification.steps] == ["queuectl moving"]
    assert [step.command for step in book.rollback] == ["queuectl undo"]


def test_text_in_an_open_block_below_escalation_never_becomes_a_command():
    text = (
        QUEUE_AS_PUBLISHED
        + 'Step 3: Delete everything\nkubectl delete ns jobs\nExpected output: contains "x"\n'
    )
    assert len(runbook(text).steps) == 2


def test_the_id_comes_from_the_files_name_and_front_matter_wins():
    assert runbook(QUEUE, "a/Queue Stuck (old).md").id == "queue-stuck-old"
    assert runbook("---\nid: q1\n---\n" + QUEUE).id == "q1"
    assert runbook("---\ntags: a, b\n---\n" + QUEUE).tags == ("a", "b")
    assert runbook("---\n# only a remark\n---\n" + QUEUE).id == "queue-stuck"


def test_lines_are_those_of_the_file_also_below_front_matter():
    assert runbook("---\nid: q1\n---\n" + QUEUE).steps[0].line == 18


def test_a_runbook_without_title_is_named_after_its_file():
    assert runbook(QUEUE.removeprefix("# Runbook: Queue Stuck\n")).title == "queue-stuck"


def test_a_runbook_without_blast_radius_may_only_read():
    begin, end = QUEUE.index("## Blast"), QUEUE.index("## Steps")
    book = runbook(QUEUE[:begin] + QUEUE[end:])
    assert not book.blast_radius.limits
    assert book.blast_radius.requires_human_approval is None


def test_comment_lines_stay_in_the_command_as_written():
    text = QUEUE.replace("\nkubectl logs", "\n# look at the log\nkubectl logs")
    assert runbook(text).steps[1].command.startswith("# look at the log\nkubectl logs")


def test_go_templates_are_not_parameters():
    text = QUEUE.replace("queuectl length", "queuectl length --format '{{.Length}} {{json .All}}'")
    assert "{{.Length}}" in runbook(text).steps[0].command


DOCUMENTATION = {
    "empty": "",
    "prose": "# How we work\n\nCall somebody.\n",
    "no heading": "just text",
    "steps of another kind": "# Upgrade\n\n## Steps\n\n1. Stop\n\n```bash\nsystemctl stop x\n```\n",
    "steps and escalation": "# Upgrade\n\n## Steps\nDo it.\n\n## Escalation\nCall us.\n",
    "blast radius as prose": "# Incident\n\n## Blast Radius\nAll users.\n",
    "sections inside code": f"# Format\n\n{FENCE}{FENCE}\n{QUEUE}\n{FENCE}{FENCE}\n",
    "sections inside a quote": "# Format\n\n" + "\n".join(f"> {line}" for line in QUEUE.split("\n")),
    "broken front matter": "---\n[\n---\n# x\n",
    "long headings": "# " + "trigger conditions " * 50,
}


@pytest.mark.parametrize("name", DOCUMENTATION)
def test_other_markdown_is_documentation(name):
    assert isinstance(parse(DOCUMENTATION[name], path="docs/page.md"), Documentation)


def test_documentation_has_a_title_and_its_text():
    assert parse("# Runbook: How *to*\n", path="a.md") == Documentation(
        "a.md", "How *to", "# Runbook: How *to*\n"
    )
    assert parse("text", path="docs/some-page.md") == Documentation("docs/some-page.md", "some-page", "text")


def test_lines_of_exotic_white_space_do_not_shift_line_numbers():
    text = QUEUE.replace("- Alert contains", "\u00a0\nOdd: value\n\n- Alert contains")
    result = parse(text, path="a.md")
    assert isinstance(result, Broken)
    assert [problem.line for problem in result.problems] == [5]


def test_a_note_may_speak_of_keys():
    text = QUEUE.replace(
        "Failure action: continue", "Failure action: continue\n\nNote: no failure action: it is fine"
    )
    assert meaning(runbook(text)) == meaning(runbook(QUEUE))
