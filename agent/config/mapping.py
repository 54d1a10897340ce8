"""A mapping in `config.yaml`: JMESPath expressions that find an alert's fields in somebody's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from agent.config.base import Section
from agent.domain.alert import Severity

_EXPRESSION_MAX = 1_000


def _compiles(value: str) -> str:
    import jmespath  # every command reads the configuration, and few have a mapping in it

    if not value.strip():
        raise ValueError("is an empty expression; leave the key out")
    if len(value) > _EXPRESSION_MAX:
        raise ValueError(f"is longer than {_EXPRESSION_MAX} characters")
    try:
        jmespath.compile(value)
    except jmespath.exceptions.JMESPathError as error:
        raise ValueError(f"is not JMESPath: {' '.join(str(error).split())[:200]}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    return value


#: An expression that is compiled when the configuration is read, so that a wrong one is told there.
Expression = Annotated[str, AfterValidator(_compiles)]
Words = tuple[Annotated[str, Field(min_length=1, max_length=200)], ...]


class MappingSection(Section):
    """Where in the JSON an alert's fields are. `alerts` finds a list of alerts; else the body is one."""

    alerts: Expression | None = None
    title: Expression
    id: Expression | None = None
    dedup_key: Expression | None = None
    fired_at: Expression | None = None
    body: Expression | None = None
    service: Expression | None = None
    severity: Expression | None = None
    severity_map: Mapping[str, Severity] = Field(default_factory=dict)
    priority: Expression | None = None
    team: Expression | None = None
    environment: Expression | None = None
    labels: Expression | None = None
    url: Expression | None = None
    status: Expression | None = None
    resolved: Words = ("resolved", "ok", "closed", "recovered")
    acknowledged: Words = ()
    firing: Words = ()

    @model_validator(mode="after")
    def _tells_one_from_the_next(self) -> MappingSection:
        if self.id is None and (self.dedup_key is None or self.fired_at is None):
            raise ValueError(
                "give id (another one each time the alert fires), or dedup_key and fired_at together: "
                "without them an alert that fires anew looks like one that is delivered twice"
            )
        if (self.acknowledged or self.firing) and self.status is None:
            raise ValueError("acknowledged and firing are values of status, which is missing")
        return self
