"""Markdown → runbooks: what a file says, whether an alert meets it, whether an output is as expected."""

from agent.library.bindings import bind, check_captured
from agent.library.captures import apply as capture
from agent.library.expectations import judge
from agent.library.load import Library
from agent.library.markdown import parse
from agent.library.parameters import captured_in
from agent.library.results import Broken, Documentation, Parsed, ParseResult
from agent.library.trigger_verdicts import Verdict, evaluate

__all__ = [
    "Broken",
    "Documentation",
    "Library",
    "ParseResult",
    "Parsed",
    "Verdict",
    "bind",
    "capture",
    "captured_in",
    "check_captured",
    "evaluate",
    "judge",
    "parse",
]
