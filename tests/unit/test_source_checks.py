"""`doctor` says of each source whether anything is taken from it."""

from __future__ import annotations

from agent.cli.checks import Grade
from agent.cli.doctor_sources import source_checks
from agent.config import parse

TOPIC = "arn:aws:sns:us-east-1:123456789012:alarms"
MAPPING = {"title": "t", "id": "i"}


def test_each_source_is_told_with_what_proves_it() -> None:
    token = {"bearer_token": {"env": "T"}}
    password = {"username": "a", "password": {"env": "P"}}
    hmac = {"secrets": [{"env": "S"}], "header": "X-Sig"}
    config = parse(
        {
            "sources": {
                "opsgenie": {},
                "grafana": {"hmac_secrets": [{"env": "S"}], **token, **password},
                "sns": {"topics": [TOPIC]},
                "generic": {
                    "open": {"allow_unsigned_webhooks": True, "mapping": MAPPING},
                    "signed": {"hmac": hmac, "mapping": MAPPING},
                },
            }
        },
        path="config.yaml",
    )
    told = {check.name: (check.grade, check.seen) for check in source_checks(config)}
    assert told == {
        "source opsgenie": (Grade.BAD, "every webhook is refused: no secret is configured"),
        "source grafana": (Grade.OK, "webhooks with a signature and a bearer token or a password"),
        "source sns": (Grade.OK, "messages that SNS signed, from 1 topic(s)"),
        "source open": (Grade.NOTE, "webhooks that prove nothing are accepted"),
        "source signed": (Grade.OK, "webhooks with a signature"),
    }
