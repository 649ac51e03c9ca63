"""Follows the issuer's stream of revocations (docs/revocation-stream.md), in a thread of its own."""
import json
import logging
import random
import socket
import threading
import time

from .revocations import View

log = logging.getLogger("gatehouse_guard")

QUIET, TRIAL = 6, 2.5  # seconds that a stream may say nothing; it speaks every two
PAUSE, LONGEST = 0.2, 30.0  # seconds before the next try: the first, and the most
LINE = 128 << 10  # bytes of a line; a thousand places and their list are a tenth of it
AHEAD = 1.0  # seconds that the issuer's clock may gain on ours while a stream is open
AGAIN = 300  # seconds after which somebody who polls tries a stream again


class Clock:
    """Time that passes. It goes on while the machine sleeps, and does not go back when somebody sets the time of day."""

    def now(self):
        return time.monotonic(), time.time()

    def since(self, then):
        now = self.now()
        return max(now[0] - then[0], now[1] - then[1])


class Late(Exception):
    """What comes was said long ago."""


class Follower:
    """Knows what its issuer has ended, for as long as it is told."""

    def __init__(self, site, key, issuer, bound, changed, clock=None):
        self._site, self._key, self._issuer, self._bound, self._changed = site, key, issuer, bound, changed
        self._clock = clock or Clock()
        self.wait = max(1, min(60, int(bound) // 2))  # of a poll
        self.forked()

    def forked(self):
        """Begins anew: the process that has this follower now is another one."""
        self._lock = threading.Lock()
        self._view = None  # None: nothing was told to the end yet
        self._heard = None  # of the clock: as of when, at least, it is known what has ended
        self._known = threading.Event()
        self._stop = threading.Event()
        self._thread = self._socket = self._started = None
        # Of the thread alone:
        self._id, self._loading, self._ready = "", None, False
        self._poll, self._tried, self._purged = False, 0.0, 0.0

    def start(self):
        """Begins to follow, once."""
        with self._lock:
            if self._thread is None and not self._stop.is_set():
                self._started = time.monotonic()
                self._thread = threading.Thread(target=self._run, name="gatehouse-follow", daemon=True)
                self._thread.start()

    def close(self):
        """Ends it, and waits for that. Nothing is known from then on."""
        self._stop.set()
        with self._lock:
            thread, sock, self._view = self._thread, self._socket, None
        _shut(sock)
        if thread:
            thread.join()

    def first(self, seconds):
        """Waits for the first view, no longer than so many seconds after the start; returns whether to wait at all makes sense."""
        left = (self._started or 0) + seconds - time.monotonic()
        return self._known.is_set() or left > 0 and self._known.wait(left)

    def starting(self, seconds):
        """Whether a first view may still come so soon after the start."""
        return not self._known.is_set() and time.monotonic() < (self._started or 0) + seconds

    def age(self):
        """For how many seconds nothing was heard; None before everything was told once."""
        with self._lock:
            return None if self._view is None or self._heard is None else max(0.0, self._clock.since(self._heard))

    def check(self, caller):
        """Whether a caller's token was ended (True), was not (False), or that nobody knows (None)."""
        with self._lock:
            if self._view is None:
                return None
            if self._view.revoked(caller):
                return True  # what has ended stays so, however old the view
            return False if self._heard is not None and self._clock.since(self._heard) < self._bound else None

    # What follows runs in the thread.

    def _run(self):
        pause, told = PAUSE, False
        while not self._stop.is_set():
            settled = self._poll and self._ready
            trial = settled and time.monotonic() - self._tried > AGAIN
            poll, problem = self._poll and not trial, None
            if not poll:
                self._tried = time.monotonic()
            self._ready, self._loading = False, None
            try:
                # A trial has to speak at once, and the first poll is a short one: meanwhile nothing is heard.
                if trial:
                    self._read(0, min(2.0, (self._bound - self.wait) / 4), TRIAL)
                else:
                    self._read(poll and (self.wait if settled else 1), QUIET, QUIET)
            except Exception as e:  # whatever comes is a reason to try again, and none to stop
                problem = e
            if self._stop.is_set():
                return
            if self._ready:
                if told:
                    log.info("revocations are followed again")
                pause, told, self._poll = PAUSE, False, poll
                if poll and problem is None:
                    continue  # an answer is over: the next one
            else:
                if isinstance(problem, TimeoutError) or problem is None:
                    self._poll = not poll  # what comes through, if anything, does not come this way
                if trial:
                    self._poll = True
                    continue
                if not told:
                    told = True
                    log.warning("revocations cannot be followed: %s", problem or "the answer ended before it was whole")
            self._stop.wait(pause / 2 + random.random() * pause)
            pause = PAUSE if self._ready else min(2 * pause, LONGEST)

    def _read(self, wait, first, quiet):
        """Reads one answer to its end, of a poll where there is a wait. first is the patience with its beginning, quiet that until ready."""
        headers = {"Accept": "text/event-stream", "Authorization": "Bearer " + self._key}
        if self._id and self._view is not None:
            headers["Last-Event-ID"] = self._id
        if wait:
            first, quiet = first + wait, quiet + wait
        asked = self._clock.now()
        connection, sock, answer = self._site.open(f"?wait={wait}" if wait else "", headers, first)
        try:
            with self._lock:
                self._socket = sock
            if answer.headers.get_content_type() != "text/event-stream":
                raise ValueError("the answer is no stream of events")
            event, began = {}, 0  # when the issuer began to speak, by its own clock
            for line in self._lines(answer, sock, first, quiet):
                name, _, value = line.partition(":")
                if line:
                    event[name] = value.removeprefix(" ")
                    continue
                at = self._take(event)
                began = began or at
                if event.get("event") == "ready" and not self._hear(asked, (at - began) / 1000) and not wait:
                    raise Late("what comes is old")
                event = {}
        finally:
            with self._lock:
                self._socket = None
            connection.close()
            answer.close()

    def _hear(self, asked, seconds):
        """Takes in as of when it is known what has ended, and says whether that is not long ago.

        It is the time of the question, and what has passed since the beginning of the answer by one clock, the issuer's. So
        nothing becomes younger by what holds it on its way, or in the kernel of a machine that sleeps; the clocks need not agree.
        """
        with self._lock:
            late = self._clock.since(asked) - seconds
            heard = (asked[0] + seconds, asked[1] + seconds) if late > 0 else self._clock.now()
            if self._heard is None or self._clock.since(heard) < self._clock.since(self._heard):
                self._heard = heard
        self._known.set()
        return -AHEAD <= late <= min(QUIET, self._bound / 2)

    def _lines(self, answer, sock, patience, quiet):
        """The lines of an answer. One that does not end in time, or is too long, ends the answer."""
        rest, last = b"", time.monotonic()
        while not self._stop.is_set():
            part = answer.read1(16 << 10)
            if not part:
                return
            patience = max(quiet, QUIET) if self._ready else quiet
            sock.settimeout(patience)
            *lines, rest = (rest + part).split(b"\n")
            if len(rest) > LINE:
                raise ValueError("a line is too long")
            lines = [line for line in lines if not line.startswith(b":")]  # such say nothing, and anybody on the way may add them
            if lines:
                last = time.monotonic()
            elif time.monotonic() - last > patience:
                raise TimeoutError("a line does not end")
            for line in lines:
                yield line.removesuffix(b"\r").decode()

    def _take(self, event):
        """Applies an event. After one that is not understood everything is asked for anew.

        The first and the last of what belongs together say as of when, in Unix milliseconds; for others 0 is returned.
        """
        at = 0
        try:
            name = event.get("event")
            if name in ("reload", "ready"):
                at = json.loads(event["data"])["time"]
                if type(at) is not int or not 0 < at < 1 << 53:
                    raise ValueError("an event that does not say as of when")
            if name == "reload":
                self._loading = View(self._issuer, self._view.floor if self._view else 0.0)
            elif name in ("status", "cutoff"):
                data = json.loads(event["data"])
                if self._loading is not None:
                    getattr(self._loading, name)(data)
                else:
                    with self._lock:
                        getattr(self._view, name)(data)
            elif name == "keys":
                self._changed()
            elif name == "ready":
                self._whole(event["id"])
        except Exception:
            self._id = ""
            if self._loading is None:
                with self._lock:  # it may have been an end: nobody is let in by what is known without it
                    self._view = None
            raise
        return at

    def _whole(self, position):
        """Everything up to a position has come."""
        if len(position) > 64:
            raise ValueError("an id that is none")
        now = time.time()
        with self._lock:
            if self._loading is not None:
                self._view, self._loading, self._purged = self._loading, None, now
            if self._view is None:
                raise ValueError("ready before everything was told")
            if not 0 <= now - self._purged < 3600:
                self._view.purge(now)
                self._purged = now
        self._id, self._ready = position, True


def _shut(sock):
    """Ends what waits for a socket."""
    try:
        if sock is not None:
            sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it has ended already
