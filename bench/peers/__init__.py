"""The same job for this agent and for the tools that people use instead: a webhook in, a command started.

`python -m bench.peers` (what each of them needs is installed by `make bench-peers`).
"""
