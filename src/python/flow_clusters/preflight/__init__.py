"""Looks at a cluster before a run: tells what it is like and what the flow needs. Nothing of either is changed."""
