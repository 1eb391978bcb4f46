"""What scripts expect of calls of skydive-client's RESTClient."""

import time

from skydive.rest.client import BadRequest

# Seconds.
DEADLINE = 30


def eventually(what, look):
    """What `look` gives, once it gives something."""
    end = time.monotonic() + DEADLINE
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, "still waiting for " + what
        time.sleep(0.05)


def refused(call):
    """The body with which a call is refused."""
    try:
        answer = call()
    except BadRequest as refusal:
        return refusal.args[0]
    raise AssertionError("not refused: %r" % (answer,))
