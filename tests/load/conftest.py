from tests.e2e.conftest import engine, project, servers

__all__ = ["engine", "project", "servers"]
