"""Jobs whose dependencies are installed, over a fake engine: what the tests of that share."""

from ci_common.recipe import Recipe
from ci_controller.job_script import PREPARED

RECIPE = Recipe(
    dependencies=("ci_pip install -r requirements.txt",),
    dependency_files=("requirements.txt",),
    notes=("Found requirements.txt.",),
)
HELLO = Recipe(dependencies=("ci_need pytest",))
INSTALLED = b"installing\ninstalled\n"


def is_installation(container) -> bool:
    return f">{PREPARED}".encode() in container.files["job.sh"]


def work(container) -> None:
    """Be an installation that succeeds, or a job that does."""
    begin(container)
    finish(container)


def begin(container) -> None:
    container.write(b"installing\n" if is_installation(container) else b"running\n")


def finish(container, code: int = 0) -> None:
    if is_installation(container):
        container.write(b"installed\n" if code == 0 else b"no such package\n")
        container.files = {PREPARED: b""} if code == 0 else container.files
    container.exit(code)


async def submitted(world, requirements: bytes = b"one==1\n", recipe: Recipe = RECIPE, **files):
    content = {"requirements.txt": requirements, "test_it.py": b"", **files}
    return await world.submit(files=content, recipe=recipe)


async def run(world, controller, **options):
    job = await submitted(world, **options)
    await world.settle(controller)
    return await world.job(job)


def count(world, call: str, job=None) -> int:
    return sum(c == call and (not job or job.id in name) for c, name in world.engine.calls)


async def is_called(world, call: str, job, times: int = 1) -> None:
    """Let the tasks run until the engine has been called for a job."""

    async def look() -> bool:
        return count(world, call, job) >= times

    await world.until(look)


async def is_waiting(world, job) -> None:
    """Let the tasks run until a job waits for another one's installation."""

    async def look() -> bool:
        return b"Waiting for job" in world.log(job)

    await world.until(look)


def snapshots(world) -> list:
    return [snapshot for _, snapshot in world.engine.images.snapshots]


async def in_mid_installation(world, controller, **options):
    """Have a job install, and go on installing until the test says otherwise."""
    world.engine.on_fed = begin
    job = await submitted(world, **options)
    await controller.reconcile()

    async def installing() -> bool:
        return world.log(job).endswith(b"installing\n")

    await world.until(installing)
    return job
