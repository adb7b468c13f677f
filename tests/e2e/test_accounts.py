"""Accounts on a running server: from the command line of its machine to every worker at once."""

from ci_client.exits import Exit


def admin(server, *words: str) -> str:
    """Call ``ci admin`` on the server's machine; return what it says."""
    done = server.ci("admin", *words)
    assert done.returncode == Exit.PASSED, done.stderr.decode()
    return done.stderr.decode()


def test_the_first_user_is_made_beside_a_running_server_and_closes_it(servers, namespace):
    server = servers(namespace, workers=2, executor="local").start()
    assert {server.get("/jobs").status_code for _ in range(10)} == {200}
    assert "ada is a server admin now" in admin(server, "user", "create", "ada")
    # Each connection is a new one, so both workers are asked.
    assert {server.get("/jobs").status_code for _ in range(20)} == {401}
    assert {server.post("/submit-async").status_code for _ in range(10)} == {401}
    assert server.get("/health").status_code == 200
    done = server.ci("list")
    assert done.returncode == Exit.AUTHENTICATION
    assert b"ci login" in done.stderr
    key = server.ci("admin", "user", "create", "robot", "--admin", "--key").stdout.decode().strip()
    assert server.ci("list", env={"CI_API_KEY": key}).returncode == Exit.PASSED


def test_a_restored_server_keeps_its_accounts(servers, namespace):
    server = servers(namespace, executor="local")
    admin(server, "org", "create", "acme")
    admin(server, "user", "create", "ada", "--org", "acme")
    backup = server.folder / "backup"
    admin(server, "backup", str(backup))
    restored = servers(namespace, name="restored", executor="local")
    admin(restored, "restore", str(backup))
    restored.start()
    assert restored.get("/jobs").status_code == 401
    assert b"acme (member)" in restored.ci("admin", "user", "ls").stdout
    assert "nothing is wrong" in admin(restored, "check")
