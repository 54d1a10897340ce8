"""The sandbox: the agent's side hands attempts to a launcher process, which puts up the walls."""
