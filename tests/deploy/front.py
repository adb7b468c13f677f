"""The examples of reverse proxies, started as they are but for their ports, paths and name."""

import contextlib
import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.ports import free_port
from tests.waiting import eventually

DEPLOY = Path(__file__).parents[2] / "deploy"


@dataclass(frozen=True)
class Front:
    """A proxy that listens on ``port`` with TLS, and whose certificate ``tls`` trusts."""

    port: int
    tls: ssl.SSLContext

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, verify=self.tls, timeout=60, trust_env=False)


@contextlib.contextmanager
def front_of(program: str, kind: str, upstream: int, folder: Path) -> Iterator[Front]:
    """Start nginx or caddy before the server on the port ``upstream``."""
    certificate, key = make_certificate(folder)
    port = free_port()
    write = {"nginx": nginx_command, "caddy": caddy_command}[kind]
    command = write(folder, upstream, port, certificate, key)
    with (folder / "proxy.log").open("ab") as log:
        process = subprocess.Popen(
            [program, *command],
            stdout=log,
            stderr=log,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        )
    try:
        front = Front(port, ssl.create_default_context(cafile=certificate))
        eventually(lambda: _listens(process, front, folder), what=f"{kind} listens")
        yield front
    finally:
        # At once: a graceful end would wait for whatever a failed test left open.
        process.kill()
        process.wait()
        print((folder / "proxy.log").read_text()[-5000:])


def _listens(process: subprocess.Popen, front: Front, folder: Path) -> bool:
    assert process.poll() is None, (folder / "proxy.log").read_text()
    try:
        with socket.create_connection(("127.0.0.1", front.port), timeout=5) as plain:
            front.tls.wrap_socket(plain, server_hostname="localhost").close()
    except OSError:
        return False
    return True


def make_certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "fullchain.pem", folder / "privkey.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost",
         "-out", str(certificate), "-keyout", str(key)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def nginx_command(
    folder: Path, upstream: int, port: int, certificate: Path, key: Path
) -> list[str]:
    site = put(
        (DEPLOY / "nginx" / "standby-ci.conf").read_text(),
        {
            r"server 127\.0\.0\.1:8000;": f"server 127.0.0.1:{upstream};",
            r"listen 80;": f"listen 127.0.0.1:{free_port()};",
            r"listen 443 ": f"listen 127.0.0.1:{port} ",
            r"ci\.example\.com": "localhost",
            r"/etc/ssl/standby-ci/fullchain\.pem": str(certificate),
            r"/etc/ssl/standby-ci/privkey\.pem": str(key),
        },
    )
    (folder / "site.conf").write_text(site)
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    main = f"""
        daemon off; {user} worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
        events {{ worker_connections 256; }}
        http {{ access_log off; {temporary} include {folder}/site.conf; }}
    """
    (folder / "nginx.conf").write_text(main)
    return ["-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]


def caddy_command(
    folder: Path, upstream: int, port: int, certificate: Path, key: Path
) -> list[str]:
    site = put(
        (DEPLOY / "caddy" / "Caddyfile").read_text(),
        {
            r"127\.0\.0\.1:8000": f"127.0.0.1:{upstream}",
            r"ci\.example\.com \{": f"https://localhost:{port} {{\n\ttls {certificate} {key}",
        },
    )
    options = "{\n\tadmin off\n\tauto_https disable_redirects\n\tdefault_bind 127.0.0.1\n}\n"
    (folder / "Caddyfile").write_text(options + site)
    return ["run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def put(text: str, values: dict[str, str]) -> str:
    """Replace patterns that must be there: an example that changed must not be tested by half."""
    for pattern, value in values.items():
        text, count = re.subn(pattern, value, text)
        assert count, f"{pattern} is not in the example any more"
    return text
