"""Clusters of any class: what the user names by an import path, and what is known of it before it is called."""
