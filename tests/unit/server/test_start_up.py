"""What a server loads: memory and time that every process of it pays."""

import subprocess
import sys

PROGRAM = """
import sys
before = set(sys.modules)
import ci_server.serve, ci_server.app, uvicorn.protocols.http.auto
ci_server.app.app
print(*sorted(set(sys.modules) - before))
"""

SERVE = """
import gc, os, signal, sys
from ci_server import serve
def announce(*_):
    print(gc.get_freeze_count())
    os.kill(os.getpid(), signal.SIGTERM)
serve._announce = announce
serve.run_server(port=0, overrides={"db_path": sys.argv[1], "executor": "local"})
"""

OURS = {"ci_common", "ci_controller", "ci_persistence", "ci_server"}

LIBRARIES = {
    "aiosqlite",
    "annotated_types",
    "anyio",
    "backports",  # urllib3 looks whether zstd is there, and finds the empty package
    "certifi",
    "charset_normalizer",
    "click",
    "cython_runtime",  # a part of yaml
    "docker",
    "h11",
    "idna",
    "litestar",
    "msgspec",
    "multidict",
    "multipart",
    "opentelemetry",  # Litestar looks whether it is there, and finds some names
    "pydantic",
    "pydantic_core",
    "python_multipart",
    "requests",
    "sniffio",
    "sse_starlette",
    "starlette",
    "typing_extensions",
    "typing_inspection",
    "urllib3",
    "uvicorn",
    "websockets",
    "yaml",
}
"""All that may be loaded. Whoever adds to it has looked at what an idle server then takes."""

PARTS_NOT_NEEDED = {
    "ci_client",
    "litestar.contrib",
    "litestar.testing",
    "multiprocessing.managers",
    "opentelemetry.exporter",
    "opentelemetry.sdk",
    "opentelemetry.trace",
    "prometheus_client",
    "starlette.applications",
    "unittest",
    "uvicorn.protocols.websockets.auto",
    "xml.etree",
}
"""Parts of what is installed that are large and of no use here."""


def loaded() -> set[str]:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    return set(ended.stdout.split())


def test_a_server_loads_what_was_decided_and_nothing_else():
    modules = loaded()
    packages = {name.partition(".")[0] for name in modules}
    public = {name for name in packages if not name.startswith("_")}
    assert public - OURS - LIBRARIES <= set(sys.stdlib_module_names)
    assert not modules & PARTS_NOT_NEEDED
    # 1,000 when this was written, 1,210 with accounts: a library that grows should be noticed.
    assert len(modules) < 1_300


def test_what_is_loaded_is_not_looked_through_for_garbage_again(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", SERVE, str(tmp_path / "ci_jobs.db")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert int(ended.stdout) > 50_000, ended.stderr
