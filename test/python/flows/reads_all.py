"""Reads its input to the end."""

import sys

import dask

print("ready", flush=True)
print(dask.delayed(len)(sys.stdin.read()).compute())
