"""The store: one face over intake, incidents, journal and outbox, all in one database."""

from __future__ import annotations

from agent.adapters.database import Database
from agent.adapters.store_autonomy import StoredAutonomy
from agent.adapters.store_bypasses import StoredBypasses
from agent.adapters.store_console import StoredConsole
from agent.adapters.store_counters import StoredCounters
from agent.adapters.store_events import StoredDecisionEvents
from agent.adapters.store_executors import StoredExecutors
from agent.adapters.store_handoffs import StoredHandoffs
from agent.adapters.store_history import StoredHistory
from agent.adapters.store_incidents import StoredIncidents
from agent.adapters.store_intake import StoredIntake
from agent.adapters.store_journal import StoredJournal
from agent.adapters.store_keeptrusts import StoredKeeptrusts
from agent.adapters.store_meter import StoredMeter
from agent.adapters.store_outbox import StoredOutbox
from agent.adapters.store_people import StoredPeople
from agent.adapters.store_presses import StoredPresses
from agent.adapters.store_probes import StoredProbes
from agent.adapters.store_queue_report import StoredQueueReport
from agent.adapters.store_sign_ins import StoredSignIns
from agent.adapters.store_starts import StoredStarts
from agent.adapters.store_statistics import StoredStatistics
from agent.adapters.store_stops import StoredStops
from agent.adapters.store_tickets import StoredTickets
from agent.adapters.store_views import StoredViews
from agent.adapters.store_votes import StoredVotes
from agent.adapters.store_waiting import StoredWaiting
from agent.adapters.store_watch import StoredWatch
from agent.ports import Clock


class Store(
    StoredIntake,
    StoredStops,
    StoredBypasses,
    StoredKeeptrusts,
    StoredQueueReport,
    StoredPeople,
    StoredVotes,
    StoredHandoffs,
    StoredTickets,
    StoredIncidents,
    StoredHistory,
    StoredJournal,
    StoredOutbox,
    StoredAutonomy,
    StoredPresses,
    StoredProbes,
    StoredViews,
    StoredWaiting,
    StoredWatch,
    StoredCounters,
    StoredExecutors,
    StoredSignIns,
    StoredStarts,
    StoredConsole,
    StoredStatistics,
    StoredMeter,
    StoredDecisionEvents,
):
    """Everything the agent must not forget; implements every store of the ports."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.database = Database(url)
        self.clock = clock

    def migrate(self) -> None:
        """Bring the tables up to date."""
        self.database.migrate()

    def close(self) -> None:
        """Give every connection back."""
        self.database.close()
