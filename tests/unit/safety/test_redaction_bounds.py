"""However hostile an output is: what redaction looks at is bounded, and nothing passes it unread."""

import pytest

from agent.adapters.sandbox.output import CappedOutput
from agent.safety.redaction import MASK, Redactor
from agent.safety.redaction_bounds import MOST_CHARACTERS, MOST_PLACES

CANARY = "canary-7f3a9b2c"
REDACTOR = Redactor([CANARY])
SAYS_SO = "characters not shown: too much to look for secrets …\n"

#: One place each, in the way of each of the passes: known, below, command, address, form.
PLACES = [
    f"x {CANARY} y\n",
    "password: |\n  {}\nother: 1\n",
    "curl -u admin:{} http://x/\n",
    "redis-cli -h cache -a {} PING\n",
    "postgres://u:{}@h/x\n",
    "token={} \n",
]


@pytest.mark.parametrize("place", PLACES)
def test_text_denser_with_secrets_than_the_bound_ends_in_a_line_that_says_so(place):
    text = "first line\n" + "".join(place.format(f"s3cr3t{n}") for n in range(6 * MOST_PLACES))
    redacted = REDACTOR.text(text)
    assert redacted.startswith("first line\n")
    assert redacted.endswith(SAYS_SO)
    assert "s3cr3t" not in redacted
    assert CANARY not in redacted
    assert redacted.count(MASK) <= MOST_PLACES + 1


@pytest.mark.parametrize("place", PLACES)
def test_text_inside_the_bound_is_shown_to_its_end(place):
    text = "".join(place.format(f"s3cr3t{n}") for n in range(MOST_PLACES // 3)) + "last line"
    redacted = REDACTOR.text(text)
    assert redacted.endswith("last line")
    assert "s3cr3t" not in redacted


def test_of_one_line_that_is_too_dense_nothing_is_shown():
    redacted = REDACTOR.text("token=s3cr3t;" * 5_000)
    assert redacted.startswith("… ")
    assert redacted.endswith(SAYS_SO)
    assert len(redacted) < 100


@pytest.mark.parametrize("end", ["\n", " "])
def test_a_text_longer_than_the_bound_is_cut_at_whole_lines(end):
    text = f"2026-01-31 12:00:00 INFO ordinary{end}" * 40_000 + CANARY
    redacted = REDACTOR.text(text)
    assert redacted.endswith(SAYS_SO)
    assert CANARY not in redacted
    assert len(redacted) <= MOST_CHARACTERS + 100
    shown = redacted.splitlines()[:-1]
    assert set(shown) <= {"2026-01-31 12:00:00 INFO ordinary"}


def test_a_secret_in_the_way_of_the_cut_is_not_shown_by_half():
    filler = "ordinary line\n"
    lines = filler * ((MOST_CHARACTERS - len(CANARY) // 2) // len(filler)) + "x" * 5
    redacted = REDACTOR.text(lines + CANARY + "\nmore\n")
    assert "canary" not in redacted


@pytest.mark.parametrize("filler", ["z", "ordinary words ", "line\n"])
@pytest.mark.parametrize("shift", range(0, len(CANARY) + 1, 3))
def test_a_secret_that_the_output_cap_cut_in_two_is_not_shown_by_half(filler, shift):
    kept = CappedOutput(2_000)
    half = 1_000
    before = (filler * half)[: half - shift - 1] + " "
    kept.add((before + CANARY + " " + "w " * 2_000).encode())
    redacted = REDACTOR.text(kept.text())
    assert not any(CANARY[:length] in redacted for length in range(4, len(CANARY)))
    assert "bytes left out …" in redacted


def test_a_secret_whose_end_alone_survived_the_output_cap_is_not_shown():
    kept = CappedOutput(2_000)
    kept.add(("w " * 2_000 + CANARY + " " + "v" * 993).encode())
    assert CANARY[-6:] in kept.text()
    assert CANARY[-6:] not in REDACTOR.text(kept.text())


@pytest.mark.parametrize("indent", ["", "    "])
def test_a_private_key_whose_beginning_was_cut_off_is_not_shown(indent):
    line = f"{indent}MIIEvAIBADANBgkqhkiG9w0BAQEFAASC"
    kept = CappedOutput(1_000)
    kept.add(f"{'w ' * 500}\n{indent}-----BEGIN PRIVATE KEY-----\n".encode())
    kept.add(f"{chr(10).join([line] * 200)}\n{indent}-----END PRIVATE KEY-----\nafter\n".encode())
    redacted = REDACTOR.text(kept.text())
    assert "BEGIN" not in kept.text()
    assert "MIIE" not in redacted
    assert redacted.endswith("***\nafter\n")


@pytest.mark.parametrize("piece", [b"token=x;", CANARY.encode(), b"A", b"\xff\xfe", b"password:\n  x\n"])
def test_of_a_stream_of_100_mb_only_the_cap_reaches_redaction(piece):
    kept = CappedOutput(64 * 1024)
    chunk = (piece * 1_000_000)[:1_000_000]
    for _ in range(100):
        kept.add(chunk)
    text = kept.text()
    assert len(text) <= 64 * 1024 + 100
    assert CANARY not in REDACTOR.text(text)


def test_the_line_that_says_so_stays_when_it_is_redacted_again():
    redacted = REDACTOR.text("a\n" + f"token={CANARY}x1\n" * 3_000)
    assert REDACTOR.text(redacted) == redacted
