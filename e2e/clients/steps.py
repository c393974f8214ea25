"""What the scripts of Python share: steps that are told as they pass, and the server from the environment."""

import contextlib
import os
import sys
import time
import traceback

try:
    BASE, TOKEN = os.environ["LETHE_BASE"], os.environ["LETHE_TOKEN"]
except KeyError:
    sys.exit("The server is missing: start this with e2e/run, which starts one.")

POLL_SECONDS_MAX = 60


@contextlib.contextmanager
def step(what):
    """Does one thing with the client; whatever is unexpected ends the script."""
    try:
        yield
    except Exception:
        print(f"  FAILED: {what}")
        traceback.print_exc(file=sys.stdout)
        sys.exit(1)
    print(f"  {what}", flush=True)


def equal(found, expected):
    assert found == expected, f"{found!r} instead of {expected!r}"


@contextlib.contextmanager
def refused(kind):
    """What is done here must raise an error of this kind."""
    try:
        yield
    except kind:
        return
    raise AssertionError(f"it was not refused with {kind.__name__}")


def poll(ask):
    """Calls until it answers with something; so long, and no longer."""
    deadline = time.monotonic() + POLL_SECONDS_MAX
    while time.monotonic() < deadline:
        answer = ask()
        if answer is not None:
            return answer
        time.sleep(0.05)
    raise AssertionError("it took too long")
