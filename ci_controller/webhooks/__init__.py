"""Delivering messages to webhooks."""
