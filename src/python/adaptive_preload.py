"""Adaptive scaling that lives in the scheduler: `dask scheduler --preload adaptive_preload.py`, in a pod of Kubernetes.

The scheduler of a static cluster has nobody else to see to it: it sets how many pods the Deployment of its workers has,
by Dask's own advice and within Dask's own limits (`distributed.adaptive.*`). A worker hands on what it holds before its
pod goes. Of the API server it asks two things only: the scale of that Deployment, and, for the pods that shall go, the
annotation by which Kubernetes takes these first. Workers are called as their pods are.
"""

import asyncio
import json
import logging
import os
import ssl
import urllib.request

logger = logging.getLogger("distributed.scheduler.adaptive")

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
ANSWER_SECONDS = 10
# Somebody else may have changed the number.
LOOKS_UNTIL_ASKED_AGAIN = 30
GOODBYE_SECONDS = 60
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


class Workers:
    """The Deployment of the workers, by the service account of this pod. Calls block."""

    def __init__(self, deployment):
        self._server = "https://%s:%s" % (
            os.environ["KUBERNETES_SERVICE_HOST"],
            os.environ["KUBERNETES_SERVICE_PORT"],
        )
        with open(os.path.join(ACCOUNT, "namespace")) as file:
            namespace = file.read().strip()
        self._scale = "/apis/apps/v1/namespaces/%s/deployments/%s/scale" % (namespace, deployment)
        self._pods = "/api/v1/namespaces/%s/pods/" % namespace
        self._context = ssl.create_default_context(cafile=os.path.join(ACCOUNT, "ca.crt"))
        # Strict from Python 3.13 on, which refuses authorities without key usage, as those of EKS.
        self._context.verify_flags &= ~ssl.VERIFY_X509_STRICT

    def replicas(self):
        return self._ask("GET", self._scale)["spec"].get("replicas", 0)

    def scale(self, replicas):
        self._ask("PATCH", self._scale, {"spec": {"replicas": replicas}})

    def let_go_first(self, pod):
        self._ask("PATCH", self._pods + pod, {"metadata": {"annotations": {DELETION_COST: "-1000"}}})

    def _ask(self, method, path, body=None):
        with open(os.path.join(ACCOUNT, "token")) as file:  # it is another one every hour
            headers = {"Authorization": "Bearer " + file.read().strip()}
        if body is not None:
            headers["Content-Type"] = "application/merge-patch+json"
            body = json.dumps(body).encode()
        request = urllib.request.Request(self._server + path, data=body, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS, context=self._context) as answer:
            return json.load(answer)


class Adaptive:
    """As many workers as the work asks for, by the rules of Dask's `Adaptive`: up at once, down only after a worker was

    to close several times in a row.
    """

    def __init__(self, scheduler, workers):
        import dask
        from dask.utils import parse_timedelta

        self._scheduler = scheduler
        self._workers = workers
        option = "distributed.adaptive.%s"
        self._minimum = dask.config.get(option % "minimum") or 0
        self._maximum = dask.config.get(option % "maximum")
        self._interval = parse_timedelta(dask.config.get(option % "interval"))
        self._wait_count = dask.config.get(option % "wait-count")
        self._replicas = None
        self._looks = 0
        self._to_close = {}
        self._task = None

    def start(self):
        self._task = asyncio.ensure_future(self._run())

    def stop(self):
        self._task.cancel()

    async def _run(self):
        told = None
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.look()
                told = None
            except Exception as error:  # the API server may be away for a while: the work goes on
                if str(error) != told:
                    logger.warning("workers can't be scaled: %s", error)
                told = str(error)
                self._replicas = None

    async def look(self):
        """One look at what the work asks for."""
        wanted = self._scheduler.adaptive_target()
        target = int(max(self._minimum, min(self._maximum, wanted)))
        self._looks += 1
        if self._replicas is None or self._looks >= LOOKS_UNTIL_ASKED_AGAIN:
            await self._learn()
        if target == self._replicas:
            self._to_close.clear()
            return
        await self._learn()
        if target > self._replicas:
            self._to_close.clear()
            await self._scale(target)
        elif target < self._replicas:
            await self._look_down(target)

    async def _look_down(self, target):
        here = {worker.name for worker in self._scheduler.workers.values()}
        too_many = self._replicas - target
        # Kubernetes ends those that have not come before all others.
        coming = min(too_many, max(0, self._replicas - len(here)))
        names = []
        if too_many > coming:
            names = self._scheduler.workers_to_close(target=target, attribute="name")
        idle = ([""] if coming else []) + list(names)
        self._to_close = {name: self._to_close.get(name, 0) + 1 for name in idle}
        firmly = [name for name in idle if self._to_close[name] >= self._wait_count]
        for name in firmly:
            del self._to_close[name]
        leaving = [name for name in firmly if name]
        if leaving:
            leaving = await self._retire(leaving)
        count = len(leaving) + (coming if "" in firmly else 0)
        if count == 0:
            return
        try:
            for name in leaving:
                await self._call(self._workers.let_go_first, name)
            await self._scale(self._replicas - count)
        except Exception:
            # They would do nothing for ever: closed, they start again.
            await self._scheduler.retire_workers(names=leaving, close_workers=True)
            raise
        for _ in range(int(GOODBYE_SECONDS / 0.1)):
            if not {worker.name for worker in self._scheduler.workers.values()} & set(leaving):
                return
            await asyncio.sleep(0.1)

    async def _retire(self, names):
        """Has them hand on what they hold; returns those that could."""
        retired = await self._scheduler.retire_workers(names=names, close_workers=False, remove=False)
        return [worker["name"] for worker in retired.values()]

    async def _learn(self):
        self._replicas = await self._call(self._workers.replicas)
        self._looks = 0

    async def _scale(self, replicas):
        logger.info("from %d to %d workers", self._replicas, replicas)
        await self._call(self._workers.scale, replicas)
        self._replicas = replicas

    async def _call(self, function, *args):
        return await asyncio.get_event_loop().run_in_executor(None, function, *args)


async def dask_setup(scheduler):
    adaptive = Adaptive(scheduler, Workers(os.environ["WORKER_DEPLOYMENT"]))
    scheduler.extensions["adaptive-preload"] = adaptive
    adaptive.start()


async def dask_teardown(scheduler):
    scheduler.extensions.pop("adaptive-preload").stop()
