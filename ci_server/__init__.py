"""The HTTP face: routes, streams, settings, and the one place where parts are put together."""
