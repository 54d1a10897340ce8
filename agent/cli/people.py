"""`people` and `tokens`: who is known, who may sign in, and what opens the API for programs.

Names and roles are the configuration's, reviewed like code; passwords and tokens are given here, and kept as
hashes in the database.
"""

from __future__ import annotations

import getpass
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from agent.adapters import passwords
from agent.adapters.store import Store
from agent.cli.incidents import on_command_line, open_store
from agent.cli.output import (
    DEFAULT_CONFIG,
    FINDING,
    ConfigOption,
    JsonOption,
    console,
    fail,
    load_config,
    plain,
    print_json,
)
from agent.config import Config
from agent.domain.people import Person, Role
from agent.domain.sign_ins import ApiToken
from agent.domain.stops import words
from agent.web import keys

NameArgument = Annotated[str, typer.Argument(help="A name of `people` in the configuration.")]
_DURATION = re.compile(r"([1-9][0-9]{0,3})([hdw])", re.ASCII)
_HOURS = {"h": 1, "d": 24, "w": 168}
_NEVER = "never"


@dataclass(frozen=True, slots=True)
class _Row:
    """One person, as they are listed."""

    name: str
    role: str
    email: str
    slack: str
    teams: tuple[str, ...]
    comes_in_by: list[str]
    last_seen: str | None


def register(app: typer.Typer) -> None:
    """Add the two command groups."""
    people = typer.Typer(help="Who is known, and who may sign in.")
    people.callback(invoke_without_command=True)(list_people)
    people.command()(password)
    people.command()(forget)
    app.add_typer(people, name="people")
    tokens = typer.Typer(help="What opens the API for programs.", no_args_is_help=True)
    tokens.callback()(_group)
    tokens.command(name="create")(create)
    tokens.command(name="list")(list_tokens)
    tokens.command(name="revoke")(revoke)
    app.add_typer(tokens, name="tokens")


def _group() -> None:
    """What opens the API for programs."""


def list_people(
    context: typer.Context, config: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False
) -> None:
    """List who is known, with their role, how they come in, and when they were last there."""
    if context.invoked_subcommand is not None:
        return
    loaded = load_config(config)
    store = open_store(loaded)
    rows = _rows(loaded, store)
    if json:
        print_json([asdict(row) for row in rows])
        return
    for row in rows:
        ways = ", ".join(row.comes_in_by) or "[yellow]no way in[/yellow]"
        seen = f"last seen {row.last_seen}" if row.last_seen else "never seen"
        console.print(f"{plain(row.name)}  [cyan]{row.role}[/cyan]  {ways}, {seen}")
    if not rows:
        console.print("nobody is known yet: name people under `people` in the configuration")
    for name in sorted(_strangers(loaded, store)):
        console.print(
            f"[yellow]{plain(name)}[/yellow] is not configured any more, and can do nothing; "
            f"`oncall-agent people forget {plain(name)}` removes what is left"
        )


def password(
    name: NameArgument,
    from_stdin: Annotated[
        bool, typer.Option("--from-stdin", help="Read it from standard input, one line.")
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Set somebody's password; whoever was signed in under the name is signed out."""
    loaded = load_config(config)
    person = _somebody(loaded, name)
    given = _read_line() if from_stdin else _asked_twice(person)
    why = passwords.weakness(given, person.name, person.email)
    if why:
        fail(f"the password is not set: {why}")
    ended = keys.set_password(open_store(loaded), person, given, by=on_command_line())
    console.print(f"[green]set[/green]: {plain(person.name)} signs in with it from now on")
    if ended:
        console.print(f"signed out: {ended} {'session' if ended == 1 else 'sessions'}")
    if not loaded.console_is_on:
        console.print("[yellow]the console is off[/yellow]: set console.enabled: true to sign in at all")


def forget(
    name: Annotated[str, typer.Argument(help="Somebody's name, configured or not any more.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Take somebody's password, sessions and tokens away, at once."""
    loaded = load_config(config)
    person = loaded.person(name)
    if not keys.forget(open_store(loaded), person.name if person is not None else name, by=on_command_line()):
        fail(f"{name} has no password, session or token", code=FINDING)
    console.print(f"[green]gone[/green]: nothing opens anything for {plain(name)} any more")
    if person is not None and loaded.console.oidc is not None and person.email:
        console.print("[yellow]single sign-on still lets them in[/yellow]: take them out of `people` too")


def create(
    owner: Annotated[str, typer.Option("--for", help="Whose token it is: a name of `people`.")],
    role: Annotated[Role, typer.Option(help="What it may do at most; never more than its owner.")],
    expires: Annotated[str, typer.Option(help="How long it opens anything: 12h, 90d, 8w, never.")] = "90d",
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Make a token for the API; it is shown this once."""
    loaded = load_config(config)
    person = _somebody(loaded, owner)
    if not person.role.covers(role):
        fail(f"{person.name} is a {person.role}; a token of theirs cannot be {role}")
    until = _until(expires)
    token, secret = keys.create_token(
        open_store(loaded), person, role, name=words(name)[:60], expires_at=until, by=on_command_line()
    )
    if json:
        print_json({**_shown(token, loaded), "token": secret})
        return
    console.print(secret)
    lasts = f"until {until:%Y-%m-%d %H:%M} UTC" if until is not None else "until it is revoked"
    console.print(f"[dim]{token.id}: {token.role}, {lasts}; it is not shown again[/dim]")


def list_tokens(config: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False) -> None:
    """List tokens, newest first; never what they open with."""
    loaded = load_config(config)
    rows = [_shown(each, loaded) for each in open_store(loaded).tokens()]
    if json:
        print_json(rows)
        return
    for row in rows:
        colour = "green" if row["state"] == "counts" else "dim"
        label = f" “{plain(str(row['name']))}”" if row["name"] else ""
        until = row["expires_at"] or _NEVER
        used = row["used_at"] or _NEVER
        console.print(
            f"{row['id']}  {plain(str(row['person']))}  {row['role']}{label}  "
            f"[{colour}]{row['state']}[/{colour}], expires {until}, used {used}"
        )
    if not rows:
        console.print("there are no tokens")


def revoke(
    token_id: Annotated[str, typer.Argument(help="The id of a token; `tokens list` shows them.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Take a token away, at once."""
    if not keys.revoke_token(open_store(load_config(config)), token_id, by=on_command_line()):
        fail(f"there is no token {token_id} that opens anything; `tokens list` shows them", code=FINDING)
    console.print(f"[green]revoked[/green]: {plain(token_id)} opens nothing any more")


def ways_in(config: Config, person: Person, *, has_password: bool, has_token: bool) -> list[str]:
    """How somebody can show who they are, as things stand."""
    oidc = config.console_is_on and config.console.oidc is not None and bool(person.email)
    found = {
        "password": config.console_is_on and has_password,
        "single sign-on": oidc,
        "token": has_token,
        "Slack": config.slack is not None and bool(person.slack or person.email),
    }
    return [way for way, is_open in found.items() if is_open]


def people_with_token(store: Store) -> frozenset[str]:
    """Who has a token that counts."""
    now = store.clock.now()
    return frozenset(each.person for each in store.tokens() if each.counts(now))


def _rows(config: Config, store: Store) -> list[_Row]:
    with_password, with_token, seen = (
        store.people_with_password(),
        people_with_token(store),
        store.last_seen(),
    )
    return [
        _Row(
            name=person.name,
            role=person.role.value,
            email=person.email,
            slack=person.slack,
            teams=tuple(sorted(person.teams)),
            comes_in_by=ways_in(
                config,
                person,
                has_password=person.name in with_password,
                has_token=person.name in with_token,
            ),
            last_seen=_time(seen.get(person.name)),
        )
        for person in (each.person() for each in config.people)
    ]


def _strangers(config: Config, store: Store) -> frozenset[str]:
    """Who has a password or a token and is not configured any more."""
    known = {each.name for each in config.people}
    return (store.people_with_password() | people_with_token(store)) - known


def _somebody(config: Config, name: str) -> Person:
    person = config.person(name)
    if person is None:
        known = ", ".join(each.name for each in config.people)
        fail(f"nobody is called {name} in `people` of the configuration; known: {known or 'nobody'}")
    return person


def _asked_twice(person: Person) -> str:
    if not sys.stdin.isatty():
        fail("there is nobody to ask here; give the password on standard input with --from-stdin")
    first = getpass.getpass(f"New password for {person.name}: ")
    if getpass.getpass("Once more: ") != first:
        fail("the two are not the same; nothing was changed")
    return first


def _read_line() -> str:
    return sys.stdin.readline().removesuffix("\n").removesuffix("\r")


def _until(text: str) -> datetime | None:
    if text == _NEVER:
        return None
    found = _DURATION.fullmatch(text)
    if found is None:
        fail(f"--expires {text}: write a number with h, d or w, such as 90d, or never")
    return datetime.now(UTC) + timedelta(hours=int(found[1]) * _HOURS[found[2]])


def _shown(token: ApiToken, config: Config) -> Mapping[str, object]:
    return {
        "id": token.id,
        "person": token.person,
        "name": token.name,
        "role": token.role.value,
        "state": _state(token, config),
        "created_at": _time(token.created_at),
        "created_by": token.created_by,
        "expires_at": _time(token.expires_at),
        "used_at": _time(token.used_at),
    }


def _state(token: ApiToken, config: Config) -> str:
    if token.revoked_at is not None:
        return "revoked"
    if not token.counts(datetime.now(UTC)):
        return "expired"
    return "counts" if config.person(token.person) is not None else "owner not configured"


def _time(at: datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%d %H:%M} UTC"
