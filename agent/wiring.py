"""The only place that builds real things: `build(config) -> Daemon`."""

from __future__ import annotations

import threading
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from agent.adapters.audit_log import AuditLog
from agent.adapters.bell import bell_of
from agent.adapters.clock import SystemClock
from agent.adapters.courtesy import Courtesy
from agent.adapters.floor import outside
from agent.adapters.handoff_http import HandoffHttp
from agent.adapters.http import VendorHttp
from agent.adapters.keeptrusts_api import KeeptrustsApi
from agent.adapters.mail_templates import MailTemplates
from agent.adapters.pagerduty_events import PagerDutyEvents
from agent.adapters.pagerduty_rest import PagerDutyDesk
from agent.adapters.sight import sight_of
from agent.adapters.slack import SlackChat, SlackWebhookChat
from agent.adapters.slack_notices import SlackNotices
from agent.adapters.slack_socket import SlackSocket
from agent.adapters.smtp_mail import SmtpMail, SmtpServer
from agent.adapters.store import Store
from agent.adapters.teams import Teams
from agent.adapters.webhook_out import WebhookOut
from agent.config import Config, SecretReference
from agent.config import known_secrets as known_secrets
from agent.config.hooks import HookSection
from agent.config.secrets import checked_url
from agent.daemon import Daemon, Wakeup
from agent.delivery.alarms import Alarms
from agent.delivery.chat import ChatSender
from agent.delivery.desk import DeskSender
from agent.delivery.handoffs import Agents, HandoffSender
from agent.delivery.hooks import HookSender
from agent.delivery.keeptrusts import KeeptrustsSender
from agent.delivery.notices import MailSender, NoticeSender
from agent.delivery.pager import PagerSender
from agent.delivery.sending import Sender
from agent.delivery.tickets import TicketSender
from agent.dispatcher import Dispatcher
from agent.domain.decisions import EscalationTrigger, Stopped
from agent.domain.executor import Role
from agent.domain.folding import Folding
from agent.domain.outbox import Channel
from agent.domain.runs import Places
from agent.durable import Durable
from agent.escalations.settings import queueing_of
from agent.heartbeat import Heartbeat
from agent.library import Library
from agent.pipeline import closing
from agent.pipeline.context import Context
from agent.pipeline.gate import Gate
from agent.pipeline.handle import handle
from agent.pipeline.priced_alone import priced_alone
from agent.pipeline.probing import Prober
from agent.pipeline.queueing import QueueDesk
from agent.pipeline.sla_clock import SlaClock
from agent.pipeline.stops import StopsClerk
from agent.ports import Chat, IncidentDesk, Notifier, Pager, Run
from agent.ports.tracker import Tracker
from agent.pulse import Pulse
from agent.replicas import Presence, own_executor_id
from agent.safety.redaction import Redactor
from agent.surroundings import actions_of, advisor_of, bypass_clock_of, counter_of, sandbox_of, tables_of
from agent.watchdog import Watchdog
from agent.web.app import WebParts, create_app
from agent.web.slack_face import SlackFace
from agent.web.webhooks import Desk

#: Ways that only routing rules use.
RULES_TELL_BY = frozenset({Channel.MAIL, Channel.NOTICE, Channel.HOOK, Channel.HANDOFF, Channel.TICKET})


def build(config: Config, *, role: Role = Role.ALL) -> Daemon:
    """Everything a daemon needs, connected, nothing started."""
    clock, courtesy = SystemClock(), Courtesy()
    store = Store(config.database.url, clock)
    store.folding, store.queueing = folding_of(config), queueing_of(config)
    desk, pager, chat = desk_of(config), pager_of(config), chat_of(config)
    channels = _channels(desk, pager, chat) | (config.channels() & RULES_TELL_BY)
    context = context_of(config, store=store, desk=desk, channels=channels)
    context = replace(context, advisor=outside(advisor_of(config)))
    context.scores.prepare(context.library.runbooks)
    executor_id = own_executor_id(config.database.url, role)
    wakeup, ready, bell = Wakeup(), threading.Event(), bell_of(config.database.url)
    durable = Durable(
        database_url=config.database.url,
        executor_id=executor_id,
        store=store,
        places=Places(config.limits.concurrent_incidents, config.limits.one_at_a_time_per_service),
        handle=lambda run, incident_id: _handle(run, context, incident_id),
        on_crash=lambda incident_id, error: _page_crash(context, incident_id, error),
        on_leg_over=wakeup.notify,
        give_way=courtesy.give_way,
    )
    clerk, pulse = StopsClerk(context), Pulse(clock)
    alarms = Alarms(pager, store, clock, source=executor_id)
    web = WebParts(
        config=config,
        store=store,
        library=context.library,
        redactor=context.redactor,
        notify=wakeup.notify if role.works else bell.ring,
        ready=ready,
        serves_web=role.serves_web,
        stopped=lambda: clerk.in_force,
        priced=lambda runbook: priced_alone(context, runbook),
        courtesy=courtesy,
        pulse=pulse,
    )
    webhooks = Desk(web) if role.serves_web else None
    return Daemon(
        context=context,
        store=store,
        durable=durable,
        dispatcher=Dispatcher(context, store, durable, give_way=courtesy.give_way),
        watchdog=Watchdog(context, store, durable, alarms=alarms, pulse=pulse),
        heartbeat=_heartbeat(config, store, pulse, executor_id, role),
        senders=_senders(context, store, desk, pager, chat),
        audit_log=AuditLog(config.audit_path(), store),
        app=create_app(web, webhooks),
        webhooks=webhooks,
        wakeup=wakeup,
        ready=ready,
        presence=Presence(store, executor_id, role, version("oncall-agent")),
        bell=bell,
        pulse=pulse,
        stops=clerk,
        slack_socket=_slack_socket(config, web) if role.serves_web else None,
        sla=SlaClock(QueueDesk(store, context.redactor, store.queueing), clock),
        prober=Prober(context, store, sight_of(config), notify=wakeup.notify),
        bypasses=bypass_clock_of(config, store, channels=channels),
        role=role,
    )


def folding_of(config: Config) -> Folding:
    """What becomes of the same alert once more."""
    intake = config.intake
    return Folding(intake.fold_same_alert, intake.storm_s, is_told=Channel.CHAT in config.channels())


def context_of(
    config: Config, *, store: Store, desk: IncidentDesk | None, channels: frozenset[Channel]
) -> Context:
    """What the pipeline's stages may use."""
    return Context(
        config=config,
        store=store,
        library=Library(Path(config.runbooks.path)),
        sandbox=sandbox_of(config),
        tables=tables_of(config),
        redactor=Redactor(known_secrets(config)),
        clock=SystemClock(),
        desk=outside(desk),
        channels=channels,
        gate=Gate(),
        counter=outside(counter_of(config)),
        actions=outside(actions_of(config, store, channels=channels)),
    )


def desk_of(config: Config) -> IncidentDesk | None:
    """PagerDuty's REST API, if there is a token for it."""
    section = config.pagerduty
    if section is None or section.api_token is None:
        return None
    return PagerDutyDesk(
        section.api_url, _reveal(section.api_token), section.from_email, timeout_s=section.timeout_s
    )


def pager_of(config: Config) -> Pager | None:
    """PagerDuty's Events API, if there is a routing key for it."""
    section = config.pagerduty
    if section is None or section.routing_key is None:
        return None
    return PagerDutyEvents(section.events_url, _reveal(section.routing_key), timeout_s=section.timeout_s)


def chat_of(config: Config) -> Chat | None:
    """Slack with a bot token, else with an incoming webhook alone."""
    section = config.slack
    if section is None:
        return None
    if section.bot_token is not None:
        token = _reveal(section.bot_token)
        return SlackChat(section.api_url, token, section.channel, timeout_s=section.timeout_s)
    if section.webhook_url is None:
        return None
    url = section.webhook_url
    return SlackWebhookChat(
        _reveal(url) if isinstance(url, SecretReference) else url, timeout_s=section.timeout_s
    )


def _channels(desk: IncidentDesk | None, pager: Pager | None, chat: Chat | None) -> frozenset[Channel]:
    built = {Channel.DESK: desk, Channel.PAGER: pager, Channel.CHAT: chat}
    return frozenset(channel for channel, adapter in built.items() if adapter is not None)


def _senders(
    context: Context, store: Store, desk: IncidentDesk | None, pager: Pager | None, chat: Chat | None
) -> tuple[Sender, ...]:
    senders: list[Sender] = []
    if chat is not None:
        senders.append(ChatSender(context, store, chat))
    if desk is not None:
        senders.append(DeskSender(context, store, desk))
    if pager is not None:
        senders.append(PagerSender(context, store, pager, targets=_pager_targets(context.config)))
    keeptrusts = keeptrusts_of(context.config)
    if keeptrusts is not None:
        senders.append(KeeptrustsSender(context, store, keeptrusts))
    mailer, notices = mailer_of(context.config), notices_of(context.config)
    if mailer is not None:
        senders.append(MailSender(context, store, mailer))
    if notices is not None:
        senders.append(NoticeSender(context, store, notices))
    tracker = tracker_of(context.config)
    if tracker is not None:
        senders.append(_ticket_sender(context, store, tracker))
    if context.config.handoff.targets or context.config.handoff.accept_from:
        senders.append(HandoffSender(context, store, agents_of(context.config)))
    hooks = hooks_of(context.config)
    if hooks:
        senders.append(HookSender(context, store, hooks))
    return tuple(senders)


def _pager_targets(config: Config) -> dict[str, Pager]:
    """The further services of PagerDuty that routing rules may name."""
    section = config.pagerduty
    if section is None:
        return {}
    return {
        name: PagerDutyEvents(section.events_url, _reveal(key), timeout_s=section.timeout_s)
        for name, key in section.routing_keys.items()
    }


def keeptrusts_of(config: Config) -> KeeptrustsApi | None:
    """Keeptrusts' API, if there is a token for it."""
    section = config.keeptrusts
    if section is None or section.api_token is None:
        return None
    return KeeptrustsApi(section.api_url, _reveal(section.api_token), timeout_s=section.timeout_s)


def mailer_of(config: Config) -> SmtpMail | None:
    """The server that takes e-mail, if there is one."""
    section = config.mail
    if section is None:
        return None
    password = _reveal(section.password) if section.password is not None else ""
    server = SmtpServer(
        section.host,
        section.port,
        section.security,
        section.sender,
        username=section.username,
        password=password,
        timeout_s=section.timeout_s,
    )
    return SmtpMail(server, SystemClock(), templates=MailTemplates(config.notifications.templates))


def notices_of(config: Config) -> Notifier | None:
    """Further channels of Slack; an incoming webhook alone has but its own."""
    section = config.slack
    if section is None or section.bot_token is None:
        return None
    return SlackNotices(section.api_url, _reveal(section.bot_token), timeout_s=section.timeout_s)


def agents_of(config: Config) -> Agents:
    """Whom incidents are handed to, and who handed some to us."""
    handoff, clock = config.handoff, SystemClock()
    targets = {
        name: HandoffHttp(
            name,
            checked_url(f"handoff.targets.{name}.url", section.url),
            _reveal(section.secret),
            clock,
            own=handoff.name,
            token=_reveal(section.token) if section.token is not None else "",
            timeout_s=section.timeout_s,
        )
        for name, section in handoff.targets.items()
    }
    senders = {
        name: HandoffHttp(
            name, each.url, _reveal(each.secret), clock, own=handoff.name, timeout_s=each.timeout_s
        )
        for name, each in handoff.accept_from.items()
    }
    return Agents(targets, senders)


def hooks_of(config: Config) -> dict[str, Notifier]:
    """Further places that routing rules tell, by name."""
    return {name: _hook(name, section) for name, section in config.hooks.items()}


def _hook(name: str, section: HookSection) -> Notifier:
    url = checked_url(f"hooks.{name}.url", section.url)
    if section.kind == "teams" or section.secret is None:
        return Teams(name, url, timeout_s=section.timeout_s)
    return WebhookOut(name, url, _reveal(section.secret), SystemClock(), timeout_s=section.timeout_s)


def tracker_of(config: Config) -> Tracker | None:
    """Jira, if it is configured; its client is loaded only then."""
    if config.jira is None:
        return None
    from agent.adapters.jira_setup import tracker_from

    return tracker_from(config.jira)


def _ticket_sender(context: Context, store: Store, tracker: Tracker) -> TicketSender:
    section = context.config.jira
    lag_s = section.search_lag_s if section is not None else 0.0
    return TicketSender(context, store, tracker, store, search_lag_s=lag_s)


def _slack_socket(config: Config, web: WebParts) -> SlackSocket | None:
    """Socket Mode, if there is an app-level token for it."""
    section = config.slack
    if section is None or section.app_token is None:
        return None
    token = _reveal(section.app_token)
    return SlackSocket(section.api_url, token, SlackFace(web, section), timeout_s=section.timeout_s)


def _handle(run: Run, context: Context, incident_id: str) -> None:
    handle(run, context, incident_id)


def _page_crash(context: Context, incident_id: str, error: Exception) -> None:
    reason = f"the agent itself failed ({type(error).__name__}: {error})"
    closing.escalate(context, incident_id, Stopped(reason, EscalationTrigger.AGENT_ERROR))


def _heartbeat(config: Config, store: Store, pulse: Pulse, executor_id: str, role: Role) -> Heartbeat:
    """A process that only answers the web asks no URL: it would speak for the workers, who may be gone."""
    section = config.heartbeat
    url = _reveal(section.url) if isinstance(section.url, SecretReference) else section.url
    listener = None
    if url is not None and role.works:
        key = section.authorization
        headers = {"Authorization": _reveal(key)} if key is not None else {}
        secrets = [url, *headers.values()]
        listener = VendorHttp("heartbeat", url, timeout_s=5.0, headers=headers, secrets=secrets)
    return Heartbeat(
        store,
        pulse,
        SystemClock(),
        path=config.heartbeat_path(),
        every_s=section.every_s,
        executor_id=executor_id,
        url=listener,
    )


def _reveal(reference: SecretReference) -> str:
    return reference.resolve().reveal()
