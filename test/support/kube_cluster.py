"""Somebody's KubeCluster of one worker: `kube_cluster.py NAMESPACE NAME IMAGE`.

Says its name when its worker is there. At a line on stdin it says a result of its own from there, then that it has
closed it.
"""

# ruff: noqa: T201 - stdout is how it answers

import sys
import warnings

warnings.simplefilter("ignore")


def made(namespace, name, image):
    from dask_kubernetes.operator import KubeCluster, make_cluster_spec

    spec = make_cluster_spec(name=name, image=image, n_workers=1, worker_command="dask worker")
    # The script `dask-scheduler`, which it would run, is gone from Dask 2026.
    spec["spec"]["scheduler"]["spec"]["containers"][0]["args"] = ["dask", "scheduler", "--host", "0.0.0.0"]
    return KubeCluster(namespace=namespace, custom_cluster_spec=spec, quiet=True)


def main(namespace, name, image):
    from distributed import Client

    try:
        cluster = made(namespace, name, image)
    except Exception as error:  # its operator notes a phase over a later one, now and then
        print("again: %r" % error, file=sys.stderr)
        name += "-2"
        cluster = made(namespace, name, image)
    with Client(cluster) as client:
        client.wait_for_workers(1, timeout=60)
        print(name, flush=True)
        sys.stdin.readline()
        print(client.submit(sum, [1, 2]).result(timeout=30), flush=True)
    cluster.close()
    print("closed", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
