"""What the pipeline needs from the world. Each port has a real adapter and a fake held to one contract.

Values that cross a port are defined here or in `domain`; nothing of a vendor's shape passes it.
"""

from agent.ports.notifier import Notification, Notifier
from agent.ports.outbox import OutboxStore
from agent.ports.probes import Metrics, PendingEscalations, ProbeStore
from agent.ports.sources import AlertSource, Malformed, NotGenuine, Read
from agent.ports.stores import (
    HistoryStore,
    IncidentStore,
    IntakeStore,
    QueueStore,
    Records,
    StopStore,
)
from agent.ports.world import (
    Actions,
    Advisor,
    Chat,
    Clock,
    Cluster,
    CommandResult,
    Counter,
    IncidentDesk,
    Page,
    Pager,
    QuestionCard,
    Run,
    Sandbox,
    SourceFacts,
    ThreadCard,
    Writer,
)

__all__ = [
    "Actions",
    "Advisor",
    "AlertSource",
    "Chat",
    "Clock",
    "Cluster",
    "CommandResult",
    "Counter",
    "HistoryStore",
    "IncidentDesk",
    "IncidentStore",
    "IntakeStore",
    "Malformed",
    "Metrics",
    "NotGenuine",
    "Notification",
    "Notifier",
    "OutboxStore",
    "Page",
    "Pager",
    "PendingEscalations",
    "ProbeStore",
    "QuestionCard",
    "QueueStore",
    "Read",
    "Records",
    "Run",
    "Sandbox",
    "SourceFacts",
    "StopStore",
    "ThreadCard",
    "Writer",
]
