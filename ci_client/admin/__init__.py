"""The parts of `ci admin` that are groups of commands themselves."""
