"""The domain: what a job is, who stores and runs it, and what travels over the wire."""

__version__ = "0.1.0"
