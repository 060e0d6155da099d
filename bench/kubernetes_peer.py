"""Two workers by KubeCluster of dask-kubernetes: seconds until both are there, and until it is closed, as JSON lines.

python kubernetes_peer.py NAMESPACE IMAGE: one start for each line on stdin, `shipped`, or `patched`: without the waits
of ten seconds for a host name that is not known outside of the cluster.
"""

import json
import os
import sys
import time
import warnings

warnings.simplefilter("ignore")


def main(namespace, image):
    from dask_kubernetes.operator import KubeCluster, make_cluster_spec, networking
    from distributed import Client

    look = networking._is_service_available
    for n, which in enumerate(sys.stdin):
        once = which.strip() == "patched"
        networking._is_service_available = (lambda host, port, retries: look(host, port, 1)) if once else look
        began = time.time()
        try:
            name = "peer-%d-%d" % (os.getpid(), n)
            spec = make_cluster_spec(name=name, image=image, n_workers=2, worker_command="dask worker")
            # The script `dask-scheduler`, which it would run, is gone from Dask 2026.
            spec["spec"]["scheduler"]["spec"]["containers"][0]["args"] = ["dask", "scheduler", "--host", "0.0.0.0"]
            cluster = KubeCluster(namespace=namespace, custom_cluster_spec=spec, quiet=True)
            with Client(cluster) as client:
                client.wait_for_workers(2, timeout=120)
            connected = time.time() - began
            closing = time.time()
            cluster.close()
            print(json.dumps({"connected": connected, "tornDown": time.time() - closing}), flush=True)
        except Exception as error:
            print(json.dumps({"error": "%s: %s" % (type(error).__name__, error)}), flush=True)


main(*sys.argv[1:])
