"""Containers for machines without an engine: scratch folders and process groups."""
