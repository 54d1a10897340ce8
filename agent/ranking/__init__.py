"""Ranks runbooks, and any Markdown documentation, by how well each answers an alert; says how sure it is."""

from agent.ranking.documents import Document, document
from agent.ranking.known import KnownAlert
from agent.ranking.questions import Question
from agent.ranking.ranker import Ranked, Ranker

__all__ = ["Document", "KnownAlert", "Question", "Ranked", "Ranker", "document"]
