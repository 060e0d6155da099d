import dask


@dask.delayed
def where():
    from distributed import get_worker

    return get_worker().address


print("ran on", where().compute())
