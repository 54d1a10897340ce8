"""What speaks for a document: features by names that a person can read in an explanation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from agent.ranking.documents import Document
from agent.ranking.index import Index, Shares
from agent.ranking.known import Likeness
from agent.ranking.questions import Question
from agent.ranking.words import squeezed, words

_GRAM = 4
_LONG_NAME = 6

#: Feature name -> what it says in an explanation.
FEATURES: Mapping[str, str] = {
    "called_so": "it is called as the alert",
    "heading_says_so": "a heading is the alert's name",
    "text_names_it": "its text names the alert",
    "name_within_name": "one name contains the other",
    "name_in_its_name": "the alert's name has words of its name",
    "its_name_in_name": "its name has words of the alert's name",
    "name_in_title": "the alert's name has words of its title",
    "its_name_in_text": "the alert's text has the words of its name",
    "its_title_in_question": "the alert has the words of its title",
    "summary_in_its_name": "the summary has words of its name and title",
    "description_in_its_name": "the description has words of its name and title",
    "spelled_alike": "the names are spelled alike",
    "all_words": "the alert's words stand in it",
    "name_words": "the words of the alert's name stand in it",
    "summary_words": "the summary's words stand in it",
    "description_words": "the description's words stand in it",
    "words_in_its_lead": "the alert's words stand in its first lines",
    "labels_in_its_name": "labels are in its folder, name or title",
    "its_folder_in_question": "the alert has the words of its folder",
    "is_general": "it is a folder's general page",
    "size": "how long it is",
    "its_name_in_question": "the alert has the words of its name",
    "known_text": "a similar alert is known to be answered by it",
    "known_name": "an alert of a similar name is known to be answered by it",
    "known_votes": "most similar alerts are answered by it",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its words, and what each document earns for them."""

    question: Question
    name: frozenset[str]
    summary: frozenset[str]
    description: frozenset[str]
    about: frozenset[str]
    squeezed_name: str
    grams: Counter[str]
    by_all: Shares
    by_name: Shares
    by_summary: Shares
    by_description: Shares


def asked(question: Question, index: Index) -> Asked:
    """Look the question's words up in the index."""
    name, summary = frozenset(words(question.name)), frozenset(words(question.summary))
    description = frozenset(words(question.description))
    squeezed_name = squeezed(question.name)
    return Asked(
        question=question,
        name=name,
        summary=summary,
        description=description,
        about=frozenset(words(" ".join(question.about))),
        squeezed_name=squeezed_name,
        grams=_grams(squeezed_name),
        by_all=index.earned(name | summary | description),
        by_name=index.earned(name),
        by_summary=index.earned(summary),
        by_description=index.earned(description),
    )


def features(ask: Asked, document: Document, index: Index, likeness: Likeness) -> list[float]:
    """The values in the order of FEATURES."""
    rarity = index.rarity_in_names
    name, own = ask.squeezed_name, document.squeezed_name
    labelled = document.name | document.title
    said = ask.summary | ask.description
    question = ask.name | said
    at = index.at(document.key)
    return [
        float(bool(name) and name == own),
        float(bool(name) and name in document.squeezed_heads),
        float(len(name) > _LONG_NAME and name in document.squeezed_text),
        float(bool(name) and len(own) > _LONG_NAME and (own in name or name in own)),
        _covered(ask.name, document.name, rarity),
        _covered(document.name, ask.name, rarity),
        _covered(ask.name, document.title, rarity),
        _covered(document.name, said, rarity),
        _covered(document.title, question, rarity),
        _covered(ask.summary, labelled, rarity),
        _covered(ask.description, labelled, rarity),
        _alike(ask.grams, _grams(own)),
        float(ask.by_all[at]),
        float(ask.by_name[at]),
        float(ask.by_summary[at]),
        float(ask.by_description[at]),
        _covered(said, document.lead, index.rarity),
        _covered(ask.about, document.folder | labelled, rarity),
        _covered(document.folder, question | ask.about, rarity),
        float(document.is_general),
        math.log(1 + document.size) / 8,
        _covered(document.name, question | ask.about, rarity),
        likeness.text,
        likeness.name,
        likeness.votes,
    ]


def _covered(wanted: Collection[str], there: Collection[str], rarity: Callable[[str], float]) -> float:
    """How much of the wanted words is there, rare words counting more."""
    whole = found = 0.0
    for word in wanted:
        weight = rarity(word)
        whole += weight
        if word in there:
            found += weight
    return found / whole if whole else 0.0


def _grams(text: str) -> Counter[str]:
    return Counter(text[at : at + _GRAM] for at in range(len(text) - _GRAM + 1))


def _alike(one: Counter[str], other: Counter[str]) -> float:
    """Dice's coefficient of the pieces of two names."""
    both = one.total() + other.total()
    return 2 * (one & other).total() / both if one and other else 0.0
