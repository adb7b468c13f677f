"""Which fault has which test: ``python -m tests.reliability`` writes ``docs/reliability.md``."""
