"""Whether a change is only tried (`dryRun=All`): the server then changes nothing, and nothing is charged.

Where query and body may both say so, the API server believes the body of a deletion
(k8s.io/apiserver, endpoints/handlers/delete.go) and either one of an eviction
(pkg/registry/core/pod/storage/eviction.go).
"""

from __future__ import annotations

from agent.domain.access import ChangeForm
from agent.domain.command import Refusal
from agent.safety.cluster_bodies import at, body_of
from agent.safety.cluster_requests import ClusterRequest

_ALL = ["All"]


def rehearses(form: ChangeForm, request: ClusterRequest, body: bytes) -> bool | Refusal:
    """Whether nothing is changed; a refusal where this could be read in two ways."""
    asked = list(request.values("dryRun"))
    said = _said(form, request, body)
    if any(words not in ([], _ALL) for words in (asked, said)):
        return Refusal(f"{request} as another dry run than All", "say dryRun=All, or leave it out")
    if form is ChangeForm.DELETE and body:
        if asked and not said:
            return Refusal(f"{request} is a dry run by its query and none by its body", "say it in the body")
        return said == _ALL
    return _ALL in (asked, said)


def _said(form: ChangeForm, request: ClusterRequest, body: bytes) -> object:
    """What the body says; only those of deletions and evictions can."""
    if form not in (ChangeForm.DELETE, ChangeForm.EVICT) or not body:
        return []
    value = body_of(request, body)
    options = at(value, "deleteOptions") if form is ChangeForm.EVICT else value
    return at(options, "dryRun") or []
