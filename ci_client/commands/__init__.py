"""The commands of `ci`, one module each, imported when called."""
