"""Ends the cluster that it runs on."""

from distributed import Client

if __name__ == "__main__":
    Client().shutdown()
