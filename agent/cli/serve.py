"""`serve`: the daemon."""

from __future__ import annotations

from typing import Annotated

import typer

from agent.cli.output import DEFAULT_CONFIG, ConfigOption, load_config
from agent.domain.executor import Role
from agent.log import set_up_logging

RoleOption = Annotated[
    Role, typer.Option("--role", help="web: webhooks and API; worker: everything else; all: both.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def serve(config: ConfigOption = DEFAULT_CONFIG, role: RoleOption = Role.ALL) -> None:
        """Listen for pages and work on them until SIGTERM."""
        loaded = load_config(config, with_secrets=True)
        from agent.wiring import build, known_secrets  # builds the world: only when it is really served

        set_up_logging(secrets=known_secrets(loaded))

        daemon = build(loaded, role=role)
        daemon.start()
        daemon.run_until_signalled()
