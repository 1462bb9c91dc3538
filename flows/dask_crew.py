"""Workers of a Dask cluster: on this machine, at an address, or started by SLURM or Kubernetes.

Results are small (a fork and records), so nothing but references to chunks travels through the
scheduler. A clip that kills its worker comes back as `KilledWorker` after the scheduler's own
`allowed-failures`; what follows is the same as on one machine.
"""

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any

from dask import config
from distributed import Client, KilledWorker, LocalCluster
from distributed.comm.core import CommClosedError

from flows.errors import ClusterGone
from flows.workers import Answer, Job, compute
from store.session import package_version

CONNECT_SECONDS = 30

WORKER_CONFIG = {
    # A clip that kills a worker is tried alone by emohead; two lost workers are enough to say so.
    "distributed.scheduler.allowed-failures": 1,
    "distributed.worker.daemon": False,
    # Dask gives back every freed page (64 KiB) and looks at the stack a hundred times a second:
    # a decoder that frees a megabyte a frame then spends a tenth of its time on page faults.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 1 << 28,
    "distributed.worker.profile.enabled": False,
}


class DaskCrew:
    """Jobs as tasks of a Dask client."""

    def __init__(
        self, client: Client, workers: int, resources: Mapping[str, float] | None = None
    ) -> None:
        """`client`: connected; `workers`: jobs worked at a time now; `resources`: of each job."""
        self.workers = workers
        self._resources = dict(resources or {})
        self._client = client
        self._address = str(client.scheduler_info(n_workers=0)["address"])

    def work(self, job: Job) -> Answer:
        """Work a job on any worker.

        Raises:
            ClusterGone: the scheduler went away.
        """
        try:
            return self._client.submit(
                compute, job, pure=False, resources=self._resources or None
            ).result()
        except KilledWorker as died:
            return Answer(lost=f"Dask workers died under it ({died.last_worker})")
        except (CancelledError, CommClosedError, TimeoutError) as error:
            raise ClusterGone(
                f"the Dask scheduler {self._address} went away; what was committed before is safe: "
                "start it, and run again"
            ) from error

    def work_alone(self, job: Job) -> Answer:
        """On a cluster every job has a worker to itself."""
        return self.work(job)


def _cluster(spec: str, resources: Mapping[str, float]) -> Any:
    kind, _, count = spec.partition(":")
    if not count.isdigit() or int(count) < 1:
        raise ClusterGone(f"cluster {spec!r}: say {kind}:N with N workers, e.g. {kind}:4")
    workers = int(count)
    if kind == "local":
        return LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address="", resources=dict(resources)
        )
    module = {"slurm": "dask_jobqueue", "kubernetes": "dask_kubernetes.operator"}[kind]
    try:
        import importlib

        found = importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0].replace("_", "-")
        raise ClusterGone(f"cluster {spec!r} needs {package}: pip install {package}") from error
    cluster = found.SLURMCluster() if kind == "slurm" else found.KubeCluster()
    cluster.scale(workers)
    return cluster


@contextmanager
def dask_crew(spec: str, resources: Mapping[str, float] | None = None) -> Iterator[DaskCrew]:
    """Connect to (``tcp://host:8786``) or start (``local:2``, ``slurm:8``, ``kubernetes:8``).

    `resources`: what a worker must have for each job. With `{"GPU": 1}`, and one process started
    per GPU that says it has `GPU=1`, no GPU gets two jobs and other workers get none. Workers of
    `local:N` have them; those of SLURM and Kubernetes say so in Dask's own configuration.

    Raises:
        ClusterGone: nobody answers, no worker comes or has the resources, or the workers run
            another emohead.
    """
    logging.getLogger("distributed").setLevel(logging.WARNING)  # a line per worker otherwise
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # ClusterGone says it
    with config.set(WORKER_CONFIG):
        own = None
        if spec.partition(":")[0] in ("local", "slurm", "kubernetes"):
            own = _cluster(spec, resources or {})
        elif "://" not in spec:
            raise ClusterGone(
                f"cluster {spec!r}: neither an address (tcp://host:8786) nor local:N, slurm:N, "
                "kubernetes:N"
            )
        try:
            client = Client(own if own is not None else spec, timeout=CONNECT_SECONDS)
        except (OSError, TimeoutError) as error:
            raise ClusterGone(
                f"no Dask scheduler answers at {spec} within {CONNECT_SECONDS} s ({error}); start "
                "one with `dask scheduler` and workers with `dask worker`"
            ) from error
        try:
            try:
                client.wait_for_workers(1, timeout=CONNECT_SECONDS)
            except TimeoutError as error:
                raise ClusterGone(
                    f"the Dask cluster at {spec} has no worker; start one: "
                    f"dask worker {spec} --nthreads 1 --nworkers 4"
                ) from error
            _same_version(client)
            yield DaskCrew(client, _able(client, spec, resources or {}), resources)
        finally:
            client.close()
            if own is not None:
                own.close()


def _able(client: Client, spec: str, resources: Mapping[str, float]) -> int:
    """Jobs that fit the workers at a time.

    Raises:
        ClusterGone: none does; the scheduler would wait for such a worker for ever.
    """
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if not resources:
        return len(workers)
    jobs = sum(
        int(min(w.get("resources", {}).get(n, 0) / need for n, need in resources.items()))
        for w in workers
    )
    if not jobs:
        wanted = " ".join(f"{name}={need:g}" for name, need in resources.items())
        raise ClusterGone(
            f"none of the {len(workers)} workers of {spec} has {wanted}; start one for each GPU: "
            f'CUDA_VISIBLE_DEVICES=0 dask worker {spec} --nthreads 1 --resources "{wanted}"'
        )
    return jobs


def _same_version(client: Client) -> None:
    here = package_version()
    there: Any = client.run(package_version)
    others = {address: version for address, version in there.items() if version != here}
    if others:
        address, version = next(iter(others.items()))
        raise ClusterGone(
            f"worker {address} runs emohead {version}, this process {here}: they would compute "
            "different cells; install the same version"
        )
