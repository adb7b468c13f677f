"""What a server takes that has nothing to do but keep a standby ready."""

from threading import Event

from bench.context import Context
from bench.measure import CORE, MEGABYTES, Comparison, Series, Target, announce
from bench.process import cpu_seconds, engine_process, resident_bytes
from bench.server import running_server

_SECONDS = 20.0


def idle_server(context: Context) -> list[Comparison]:
    """Measure the server's process alone, and beside it what the engine does because of it."""
    announce("an idle server with a standby")
    engine = engine_process()
    without = _share(engine) if engine else 0.0
    with running_server(context.folder, context.image) as server:
        server.settle()
        _, standbys = server.count()
        before = cpu_seconds(engine) if engine else 0.0
        ours = _share(server.pid)
        caused = (cpu_seconds(engine) - before) / _SECONDS - without if engine else 0.0
        size = resident_bytes(server.pid)
    if not standbys:
        raise RuntimeError("the server has no standby, so it is not what was to be measured")
    share = CORE.show(max(0.0, caused)) if engine else "not measured here: it runs elsewhere"
    return [
        Comparison(
            "idle server with a standby, CPU",
            (Series("ci serve", ((ours,),)),),
            (Target("p50", 0.01),),
            quantity=CORE,
            remarks=(f"the engine, because of it: {share}",),
        ),
        Comparison(
            "idle server with a standby, memory",
            (Series("ci serve", ((float(size),),)),),
            (Target("p50", 120e6),),
            quantity=MEGABYTES,
        ),
    ]


def _share(pid: int) -> float:
    """Return the share of a core that a process takes."""
    before = cpu_seconds(pid)
    Event().wait(_SECONDS)
    return (cpu_seconds(pid) - before) / _SECONDS
