"""Who takes part in queues.py, and how each is started: two workers, one submitter."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from brokers import running_nats, running_redis
from servers import processes, scratch
from throwaway import running_node

HERE = Path(__file__).resolve().parent / "peers"
PACKAGES = ["celery[redis]", "dramatiq[redis]", "taskiq", "taskiq-nats", "distributed"]
NEXA = "nexa"
CELERY = "celery"


@dataclass(frozen=True)
class Running:
    """A queue with its workers: what is left is to submit."""

    submit: list[str]
    environ: dict[str, str]
    pids: list[int]
    """Brokers and workers; what they started counts as theirs."""


@dataclass(frozen=True)
class Contestant:
    """One queue."""

    durable: str
    """What is on the disk when a call is answered."""
    start: Callable[[], AbstractContextManager[Running]]


def everybody(found: Path) -> dict[str, Contestant]:
    """All of them, by name; the peers' programs are in `found`."""
    return {
        NEXA: Contestant(
            "every acknowledged write synced; acknowledged after the work, fenced",
            _nexa,
        ),
        CELERY: Contestant(
            "Redis: appendonly yes, appendfsync always; task_acks_late",
            lambda: _celery(found, synced=True),
        ),
        "celery-unsynced": Contestant(
            "Redis and Celery as they come: nothing synced, acknowledged before the work",
            lambda: _celery(found, synced=False),
        ),
        "dramatiq": Contestant(
            "Redis: appendonly yes, appendfsync always; acknowledged after the work",
            lambda: _dramatiq(found, synced=True),
        ),
        "dramatiq-unsynced": Contestant(
            "Redis as it comes: nothing synced; acknowledged after the work",
            lambda: _dramatiq(found, synced=False),
        ),
        "taskiq-nats": Contestant(
            "nats-server: sync_interval always, tasks and results; acknowledged after the work",
            lambda: _taskiq(found),
        ),
        "dask": Contestant(
            "nothing: the memory of the scheduler", lambda: _dask(found)
        ),
    }


def _environ(**more: str) -> dict[str, str]:
    kept = {key: text for key, text in os.environ.items() if key[:5] != "NEXA_"}
    return {**kept, "PYTHONPATH": str(HERE), "PYTHONUNBUFFERED": "1", **more}


def _script(name: str, python: Path | str) -> list[str]:
    return [str(python), str(HERE / name)]


@contextmanager
def _nexa() -> Iterator[Running]:
    script = _script("nexa_tasks.py", sys.executable)
    with running_node() as node, scratch() as folder:
        environ = {**_environ(), **node.for_agents, "PYTHONPATH": str(HERE)}
        agents = [[*script, "--agent", f"worker-{number}"] for number in range(2)]
        with processes(agents, environ=environ, folder=folder) as workers:
            yield Running(script, environ, [node.pid, *workers])


@contextmanager
def _celery(found: Path, *, synced: bool) -> Iterator[Running]:
    script = _script("celery_tasks.py", found / "python")
    with scratch() as folder, running_redis(folder, synced=synced) as (url, redis):
        environ = _environ(BENCH_REDIS=url, BENCH_DURABLE="1" if synced else "")
        worker = [str(found / "celery"), "-A", "celery_tasks", "worker"]
        worker += ["--concurrency", "2", "--loglevel", "WARNING"]
        with processes([worker], environ=environ, folder=folder) as workers:
            yield Running(script, environ, [redis, *workers])


@contextmanager
def _dramatiq(found: Path, *, synced: bool) -> Iterator[Running]:
    script = _script("dramatiq_tasks.py", found / "python")
    with scratch() as folder, running_redis(folder, synced=synced) as (url, redis):
        environ = _environ(BENCH_REDIS=url)
        worker = [str(found / "dramatiq"), "dramatiq_tasks", "--processes", "2"]
        with processes([worker], environ=environ, folder=folder) as workers:
            yield Running(script, environ, [redis, *workers])


@contextmanager
def _taskiq(found: Path) -> Iterator[Running]:
    script = _script("taskiq_tasks.py", found / "python")
    with scratch() as folder, running_nats(folder) as (url, nats):
        environ = _environ(BENCH_NATS=url)
        worker = [str(found / "taskiq"), "worker", "taskiq_tasks:broker"]
        worker += ["--workers", "2", "--log-level", "WARNING"]
        with processes([worker], environ=environ, folder=folder) as workers:
            yield Running(script, environ, [nats, *workers])


@contextmanager
def _dask(found: Path) -> Iterator[Running]:
    script = _script("dask_tasks.py", found / "python")
    with scratch() as folder:
        file = str(folder / "scheduler.json")
        environ = _environ(BENCH_DASK=file)
        both = [str(found / "dask")]
        scheduler = [*both, "scheduler", "--scheduler-file", file]
        scheduler += ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        worker = [*both, "worker", "--scheduler-file", file, "--no-dashboard"]
        worker += ["--nworkers", "2", "--nthreads", "1"]
        commands = [scheduler, worker]
        with processes(commands, environ=environ, folder=folder) as workers:
            yield Running(script, environ, workers)
