"""Stands for dask_cloudprovider: a cluster whose image is given."""

from distributed import LocalCluster


class FargateCluster(LocalCluster):
    def __init__(self, n_workers=0, image=None):
        print("image", image)
        super().__init__(n_workers=n_workers, threads_per_worker=1, dashboard_address="127.0.0.1:0")
