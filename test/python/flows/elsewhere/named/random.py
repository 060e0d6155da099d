"""Runs its flow when it is imported, and has the name of a module of Python's own."""

from distributed import LocalCluster
from prefect import flow


def make_cluster(n_workers=2):
    return LocalCluster(n_workers)


@flow
def etl():
    print("the flow ran")


etl()


def make_late():
    return LocalCluster()
