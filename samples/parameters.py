"""A flow with parameters: those without a default are asked for when it runs, and remembered."""

import time

from prefect import flow, task


@task
def greet(name: str, times: int) -> str:
    """One greeting, said several times."""
    time.sleep(0.5)
    return " ".join([f"Hello {name}!"] * times)


@flow(name="greetings", log_prints=True)
def greetings(name: str, guests: list[str], times: int = 2) -> None:
    """Give a name ("Ada") and guests (["Grace", "Edsger"])."""
    print(f"{name} greets {len(guests)} guests")
    for line in greet.map(guests, times).result():
        print(line)


if __name__ == "__main__":
    greetings("Ada", ["Grace", "Edsger"])
