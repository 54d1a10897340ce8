"""A short run of the differential fuzz against bash; the long one is `bench/fuzz_language.py`."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from agent.safety import lexer

BENCH = Path(__file__).parents[3] / "bench" / "fuzz_language.py"
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz_language", BENCH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module.fuzz


def test_two_thousand_accepted_scripts_mean_the_same_to_bash(fuzz):
    figures = fuzz(2_000, seed=7)
    assert figures.accepted == 2_000
    assert figures.mismatches == []


@pytest.mark.parametrize("char", ["~", "*", "`", "<"])
def test_a_language_that_lets_one_more_character_through_is_found_out(fuzz, monkeypatch, char):
    monkeypatch.setattr(lexer, "_PLAIN", lexer._PLAIN | {char})
    assert fuzz(3_000, seed=7).mismatches
