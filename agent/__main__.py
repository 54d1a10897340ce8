"""`oncall-agent` and `python -m agent`."""

from agent.cli.app import main

if __name__ == "__main__":
    main()
