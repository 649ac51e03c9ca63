"""The issuer's status lists (docs/check-tokens.md), for when nothing is heard of revocations, or nothing is followed."""
import base64
import logging
import re
import threading
import time
import zlib

from .revocations import Places
from .tokens import MAX_LIST, MAX_PLACE, Blocked

log = logging.getLogger("gatehouse_guard")

MAX_LISTS = 4096  # that are kept; an issuer has 64 for each day on which grants end
COOLDOWN = 5  # seconds between two fetches of one list
WAIT = 3  # how long a request waits for one
FETCHES, PENDING = 3, 64  # that run at a time; with those that wait for their turn
LOG_EVERY = 30  # seconds


class Known:
    """A list that was verified, and when."""

    def __init__(self, claims, at):
        self.places, self.at, self.issued = Places.of(unpack(claims["status_list"]["lst"])), at, claims["iat"]
        self.life, self.fresh = claims["exp"] - at[1], min(claims["iat"], at[1]) + claims["ttl"] - at[1]  # seconds from then


class Entry:
    known = pending = None
    tried = float("-inf")


class Lists:
    """Answers from memory whether a token was ended, by signed lists that have not expired."""

    def __init__(self, site, verifier, clock):
        self._site, self._verifier, self._clock = site, verifier, clock
        self.forked()

    def forked(self):
        self._lock, self._turns = threading.Lock(), threading.Semaphore(FETCHES)
        self._lists, self._pending, self._logged, self._closed = {}, 0, float("-inf"), False

    def close(self):
        """Nothing is known from then on."""
        with self._lock:
            self._lists, self._closed = {}, True

    def check(self, caller):
        """Whether a caller's token was ended (True), was not (False), or that nobody knows (None). What is old is fetched meanwhile."""
        if caller.place is None:
            return False  # no list will ever say so
        with self._lock:
            entry = self._entry(caller.place[0])
            known = entry and entry.known
            age = self._clock.since(known.at) if known else 0
            if not known or age >= known.fresh:
                self._start(caller.place[0], entry)
            return caller.place[1] in known.places if known and age < known.life else None

    def have(self, caller, wait):
        """Waits for the list of a caller, where there is none that counts. Raises Blocked for a wait that is not allowed."""
        if self.check(caller) is None:
            with self._lock:
                pending = (self._lists.get(caller.place[0]) or Entry).pending
            if pending and not wait:
                raise Blocked
            if pending:
                pending.wait(WAIT)

    def _entry(self, uri):
        """The entry of a list, which is then the last to be forgotten. None: there is no room."""
        entry = self._lists.pop(uri, None) or Entry()
        if self._closed or len(self._lists) >= MAX_LISTS and not self._forget():
            return None
        self._lists[uri] = entry
        return entry

    def _forget(self):
        for uri, entry in self._lists.items():
            if not entry.pending:
                del self._lists[uri]
                return True
        return False

    def _start(self, uri, entry):
        if entry and not entry.pending and self._pending < PENDING and time.monotonic() - entry.tried >= COOLDOWN:
            entry.tried, entry.pending = time.monotonic(), threading.Event()
            self._pending += 1
            threading.Thread(target=self._fetch, args=(uri, entry), name="gatehouse-list", daemon=True).start()

    def _fetch(self, uri, entry):
        found = problem = None
        try:
            with self._turns:
                text = self._site.get(MAX_LIST, "application/statuslist+jwt", more=uri.rpartition("/")[2]).decode()
            found = Known(self._verifier.status_list(text, uri), self._clock.now())
        except Exception as e:  # whatever comes: the list that is known counts until it expires
            problem = e
        with self._lock:
            old = entry.known
            if found and old and self._clock.since(old.at) < old.life and found.issued < old.issued:
                found, problem = None, "it is older than the one before"  # and may lack what was ended since
            if found:
                entry.known = found
            if problem and time.monotonic() - self._logged >= LOG_EVERY:
                self._logged = time.monotonic()
                log.warning("status list %s cannot be had: %s", uri, problem)
            self._pending -= 1
            pending, entry.pending = entry.pending, None
        pending.set()


def unpack(lst):
    """The bits of a list, no more than there are places: a few bytes of ZLIB could otherwise fill the memory."""
    if not re.fullmatch("[A-Za-z0-9_-]+", lst):
        raise ValueError("a list that is no base64url")
    z = zlib.decompressobj()
    bits = z.decompress(base64.urlsafe_b64decode(lst + "=" * (-len(lst) % 4)), MAX_PLACE // 8 + 1)
    if len(bits) > MAX_PLACE // 8 or not z.eof or z.unused_data:
        raise ValueError("a list that is too long, cut off, or has something behind it")
    return bits
