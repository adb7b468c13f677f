import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def missing(what: str, why: str) -> None:
    """Skip a test for want of a tool that could be had; on CI that is a failure."""
    text = f"{what}: {why}"
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI=true asks for this test, but {text}", pytrace=False)
    pytest.skip(text)


@pytest.fixture(scope="session")
def proxies() -> dict[str, str]:
    """Return the paths of nginx, caddy and haproxy."""
    done = subprocess.run([ROOT / "scripts/install-proxies"], capture_output=True, text=True)
    if done.returncode:
        missing("no nginx, caddy and haproxy", done.stderr.strip())
    return dict(zip(("nginx", "caddy", "haproxy"), done.stdout.split(), strict=True))


def tool(name: str, package: str) -> str:
    """Return the path of a program of the distribution."""
    found = shutil.which(name)
    if found is None:
        missing(f"no {name}", f"install the package {package}")
    assert found is not None
    return found


@pytest.fixture(scope="session")
def compose() -> list[str]:
    """Return the command that compose is called by."""
    done = subprocess.run([ROOT / "scripts/install-compose"], capture_output=True, text=True)
    if done.returncode:
        missing("no compose", done.stderr.strip())
    return done.stdout.split()


@pytest.fixture(scope="session")
def kubernetes_validate() -> Path:
    """Return the folder of the library that knows the schemas of Kubernetes."""
    script = ROOT / "scripts/install-kubernetes-validate"
    done = subprocess.run([script], capture_output=True, text=True)
    if done.returncode:
        missing("no schemas of Kubernetes", done.stderr.strip())
    return Path(done.stdout.strip())
