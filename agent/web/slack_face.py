"""What people do in Slack, by HTTP or Socket Mode: who it is, whether they may, and done.

When a method here returns, what was decided is durable: only then Slack is answered, within its 3 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog

from agent.adapters.slack_people import SlackPeople, Stranger, people_client
from agent.adapters.slack_question import Pressed, pressed
from agent.adapters.slack_replies import SlackReplies
from agent.adapters.slack_text import first_message
from agent.domain.errors import ServiceError, UnknownIncidentError
from agent.domain.incident import Incident
from agent.domain.people import Actor, Deed, Person, Via, refusal
from agent.domain.presses import Press, PressAction
from agent.domain.records import CHOICE, Decision
from agent.pipeline import answers
from agent.pipeline.answers import NotTaken, Taken
from agent.pipeline.telling import Teller
from agent.web.slack_commands import Commands, WhoMay
from agent.web.slack_payloads import (
    ButtonPressed,
    Caller,
    CommandTyped,
    SomethingElse,
    command,
    interaction,
)

if TYPE_CHECKING:
    from agent.config.sections import Slack
    from agent.web.app import WebParts

log = structlog.get_logger()

_DEEDS = {
    PressAction.APPROVE: Deed.APPROVE,
    PressAction.STEP_BY_STEP: Deed.APPROVE,
    PressAction.REJECT: Deed.STAND_DOWN,
    PressAction.CHOOSE: Deed.CHOOSE,
    PressAction.TAKE_OVER: Deed.STAND_DOWN,
    PressAction.OTHER_RUNBOOK: Deed.APPROVE,
}

#: What lets the agent do more is never granted from memory: Slack is asked anew who is in a group.
_MORE = frozenset({Deed.APPROVE, Deed.CHOOSE, Deed.RUN, Deed.RESUME, Deed.PROMOTE, Deed.REASSIGN})

_NO_BUTTON = "this button is not one of this agent's, or of a version that is no longer here"


class SlackFace:
    """One workspace's people before this agent."""

    def __init__(self, parts: WebParts, section: Slack) -> None:
        self._parts = parts
        self._store = parts.store
        self._teller = Teller(parts.store, parts.redactor, parts.config.channels())
        token = section.bot_token
        client = people_client(section.api_url, token.resolve().reveal()) if token is not None else None
        people = [each.person() for each in parts.config.people]
        self._people = SlackPeople(
            client,
            people=people,
            groups=section.groups,
            known=parts.store,
            has_other_faces=parts.config.console.oidc is not None,
        )
        self._replies = SlackReplies(section.api_url)
        self._commands = Commands(parts, self._teller)

    def interaction(self, payload: Mapping[str, object]) -> None:
        """A button was pressed; the person is told what came of it by its response_url, later."""
        match interaction(payload):
            case ButtonPressed() as press:
                self._reply(press.caller, self._pressed(press))
            case SomethingElse(caller, kind):
                log.info("slack_unknown_interaction", type=kind)
                self._reply(caller, "This agent does nothing with that; it knows its buttons and /oncall")

    def command(self, fields: Mapping[str, object]) -> str:
        """`/oncall …` was typed; gives what the person is told, as mrkdwn that does nothing by itself."""
        typed = command(fields)
        return first_message([self._parts.redactor.text(self._typed(typed))])[0]

    def _pressed(self, press: ButtonPressed) -> str:
        if why := self._not_ours(press.caller):
            return why
        button = pressed(press.action_id, press.value)
        if button is None:
            return f"Nothing was done: {_NO_BUTTON}"
        begun = self._begin(press.key, press.caller, button.action.value, button.incident_id)
        if begun:
            return begun  # sent again: said again, done once
        who = self._who(press.caller, _DEEDS[button.action])
        words = f"Nothing was done: {who}" if isinstance(who, str) else self._answer(button, who)
        return self._end(press.key, who, words, about=button.incident_id, action=button.action.value)

    def _typed(self, typed: CommandTyped) -> str:
        if why := self._not_ours(typed.caller):
            return why
        name = typed.text.split(maxsplit=1)[0].lower()[:30] if typed.text.strip() else "help"
        begun = self._begin(typed.key, typed.caller, name, "")
        if begun:
            return begun
        found: list[Actor] = []

        def who_may(deed: Deed) -> Actor | str:
            who = self._who(typed.caller, deed)
            found.extend([who] if isinstance(who, Actor) else [])
            return who

        words = self._commands.answer(typed.text, WhoMay(who_may, typed.key))
        return self._end(typed.key, found[-1] if found else "", words, about="", action=name)

    def _answer(self, button: Pressed, actor: Actor) -> str:
        try:
            incident = self._store.incident(button.incident_id)
        except UnknownIncidentError as error:
            return f"Nothing was done: {error}"
        by, now = str(actor), self._store.clock.now()
        match button.action:
            case PressAction.APPROVE | PressAction.STEP_BY_STEP | PressAction.REJECT:
                taken = answers.decide(
                    self._store,
                    incident,
                    approved=button.action is not PressAction.REJECT,
                    by=by,
                    now=now,
                    plan_hash=button.answers,
                    actor=actor,
                    step_by_step=button.action is PressAction.STEP_BY_STEP,
                    teller=self._teller,
                )
            case PressAction.CHOOSE:
                taken = answers.choose(self._store, incident, button.answers, by=by, now=now, actor=actor)
            case PressAction.OTHER_RUNBOOK:
                plan_hash, _, runbook = button.answers.partition(" ")
                taken = answers.choose(
                    self._store, incident, runbook, by=by, now=now, plan_hash=plan_hash, actor=actor
                )
            case PressAction.TAKE_OVER:
                taken = answers.stand_down(self._teller, incident, by=by, now=now)
        if isinstance(taken, NotTaken):
            return f"Nothing was done: {taken.why}{self._became(incident, button)}"
        self._parts.notify()
        return _thanks(button, taken)

    def _became(self, incident: Incident, button: Pressed) -> str:
        """Who was faster, for whoever pressed a button that was over."""
        decides = CHOICE if button.action is PressAction.CHOOSE else button.answers.partition(" ")[0]
        decision = self._store.decision(incident.id, decides) if decides else None
        return "" if decision is None else f"; {_faster(decision)}"

    def _not_ours(self, caller: Caller) -> str:
        """Why nobody of there may do anything here; "" if it is our workspace and one of its people."""
        try:
            workspace = self._people.workspace()
        except ServiceError as error:
            log.warning("slack_workspace_unknown", error=str(error))
            return f"Nothing was done: this agent could not find out which workspace is its own ({error})"
        is_ours = workspace.has(caller.team_id, caller.enterprise_id)
        is_foreign = bool(caller.user_team_id) and not workspace.has(
            caller.user_team_id, caller.enterprise_id
        )
        if is_ours and not is_foreign and caller.user_id:
            return ""
        log.warning("slack_wrong_workspace", team=caller.team_id[:30], user=caller.user_id[:30])
        return "Nothing was done: only people of this agent's own workspace may do that"

    def _who(self, caller: Caller, deed: Deed) -> Actor | str:
        """The one way by which anybody in Slack becomes somebody; words if they may not."""
        person: Person | Stranger = self._people.person(caller.user_id, fresh=deed in _MORE)
        if isinstance(person, Stranger):
            return person.why
        return refusal(person, deed) or Actor(person, Via.SLACK, is_shown=self._people.is_one(person))

    def _begin(self, key: str, caller: Caller, action: str, about: str) -> str:
        """What was answered before, if it was; a press that died halfway is looked at again."""
        press = Press(key, caller.user_id, action, self._store.clock.now(), about)
        return self._store.begin_press(press) or ""

    def _end(self, key: str, who: Actor | str, words: str, *, about: str, action: str) -> str:
        told = self._parts.redactor.text(words)
        by = str(who) if isinstance(who, Actor) else ""
        self._store.end_press(key, by=by, answer=told)
        log.info("slack_answered", action=action, by=by or "nobody", about=about, told=told[:200])
        return told

    def _reply(self, caller: Caller, words: str) -> None:
        self._replies.say(caller.response_url, self._parts.redactor.text(words))


def _thanks(button: Pressed, taken: Taken) -> str:
    again = " (you had said so before)" if taken.again else ""
    match button.action:
        case PressAction.APPROVE | PressAction.STEP_BY_STEP:
            rest = f"; it waits for {taken.waits_for} more" if taken.waits_for else ""
            return f"You approved the plan {button.answers[:12]}{again}{rest}"
        case PressAction.REJECT:
            return f"You rejected the plan {button.answers[:12]}{again}"
        case PressAction.CHOOSE:
            return f"You chose {button.answers}{again}"
        case PressAction.OTHER_RUNBOOK:
            runbook = button.answers.partition(" ")[2]
            return f"You chose {runbook}{again}: its plan is asked about anew"
        case PressAction.TAKE_OVER:
            return f"{button.incident_id} is with you now: the agent starts nothing more{again}"


def _faster(decision: Decision) -> str:
    at = f"at {decision.at:%H:%M:%S} UTC"
    if decision.edited is not None:
        return f"{decision.by} edited its parameters {at}"
    if decision.rechosen:
        return f"{decision.by} chose {decision.rechosen} instead {at}"
    verb = "chose" if decision.plan_hash == CHOICE else "approved" if decision.approved else "rejected"
    what = f" {decision.choice}" if decision.plan_hash == CHOICE else " it"
    return f"{decision.by} {verb}{what} {at}"
