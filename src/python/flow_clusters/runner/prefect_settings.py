"""Prefect 2 and 3: the settings of one run."""

import os


def apply(api_url):
    """Makes Prefect read its settings anew, after the run's environment is in place."""
    if api_url:
        os.environ["PREFECT_API_URL"] = api_url
    from prefect import context

    context.GLOBAL_SETTINGS_CONTEXT = context.root_settings_context()  # as at its import
