"""Helpers that the user's own interpreter runs: the cluster host, its clusters, its runs."""
