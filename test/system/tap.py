"""Steps of a test, printed as TAP."""
import time
import traceback


class Timeout(Exception):
    pass


class Skip(Exception):
    """Raised by a step that cannot be taken here, with the reason."""


def wait_for(what, seconds, function):
    """The first true answer of function(), asked five times a second."""
    end = time.monotonic() + seconds
    while True:
        answer = function()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Timeout(f"{what}: not within {seconds} s")
        time.sleep(0.2)


def note(text):
    print("\n".join("# " + line for line in str(text).splitlines()), flush=True)


class Tap:
    """Numbers the points. Where steps build on each other, those after a failed one are not run but fail too."""

    def __init__(self, plan, chained=True):
        self.number, self.chained, self.failed = 0, chained, False
        print(f"1..{plan}", flush=True)

    def point(self, promise, step):
        """Runs step(); it fails by raising."""
        self.number += 1
        start, why = time.monotonic(), None
        if self.failed and self.chained:
            why = "a step before it failed"
        else:
            try:
                step()
            except Skip as reason:
                print(f"ok {self.number} - {promise} # SKIP {reason}", flush=True)
                return
            except Exception as error:
                why, self.failed = f"{type(error).__name__}: {error}", True
                note(traceback.format_exc())
        print(f"{'not ok' if why else 'ok'} {self.number} - {promise}", flush=True)
        if why:
            note(why)
        else:
            note(f"took {time.monotonic() - start:.1f} s")
