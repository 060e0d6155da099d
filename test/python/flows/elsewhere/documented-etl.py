"""As Prefect 1 documents it: a function makes the cluster, of the image that the flow run is in. Its name is no module's."""

import prefect
from cloud import FargateCluster
from prefect import Flow, task
from prefect.executors import DaskExecutor


def fargate_cluster(n_workers=4):
    """Start a fargate cluster using the same image as the flow run"""
    return FargateCluster(n_workers=n_workers, image=prefect.context.image)


@task
def add(x):
    print("added", x + 1)
    return x + 1


with Flow("documented") as flow:
    add(1)

flow.executor = DaskExecutor(cluster_class=fargate_cluster, cluster_kwargs={"n_workers": 1})
flow.run()
