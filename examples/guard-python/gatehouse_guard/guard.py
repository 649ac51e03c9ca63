"""The guard: one for a program."""
import os
import re
import weakref

from . import asgi, wsgi
from .fetch import Site
from .follow import Clock, Follower
from .lists import Lists
from .refusals import invalid, missing, need, repeated, unavailable
from .tokens import MAX_TOKEN, Blocked, Keys, Verifier

START = 3.0  # seconds after the start during which requests wait for the first view


class Guard:
    """Verifies access tokens of one issuer and follows what is no longer valid.

    issuer and audience are compared exactly. key is an API key with the scope admin:revocations of an account with the
    role gatehouse-guard. max_staleness is for how many seconds (3 at least) the guard goes on by what it knows when it
    hears nothing; past it nobody is let in (503), or, with read_lists, whom the issuer's status lists let in: they are up
    to a minute old and know no cut-offs. Without a key it follows nothing and has to read them. typ is JWT where the
    realm's access_token_type says so. context is an ssl.SSLContext, for authorities that the system does not know.
    events_url, jwks_url and lists_url are for inner addresses.

    It contacts nobody before start(), or the first request. It can be made before a server forks its workers.
    """

    def __init__(self, issuer, audience, key=None, *, max_staleness=10.0, read_lists=False, typ="at+jwt", events_url="", jwks_url="",
                 lists_url="", context=None):
        if not issuer or not audience:
            raise ValueError("issuer and audience are required")
        if not read_lists if key is None else not re.fullmatch(r"[!-~]+", key):
            raise ValueError("a key is needed; who has none follows nothing, and has to say read_lists")
        if not 3 <= max_staleness <= 3600:
            raise ValueError("max_staleness is 3 seconds at least: the stream speaks every two")
        if typ not in ("at+jwt", "JWT"):
            raise ValueError("typ is at+jwt or JWT")
        if not re.fullmatch(r"[ !#-\[\]-~]+", audience):
            raise ValueError("the audience cannot be named in a challenge")
        base, _, realm = issuer.rstrip("/").partition("/realms/")
        self.realm = audience  # of the challenges (RFC 9110 §11.5)
        self._keys = Keys(Site(jwks_url or issuer.rstrip("/") + "/.well-known/jwks.json", context))
        self._verifier = Verifier(issuer, audience, self._keys, typ)
        self._follower = key and Follower(Site(events_url or f"{base}/admin/v1/realms/{realm or 'main'}/revocations/events", context),
                                          key, issuer, max_staleness, self._keys.changed)
        self._lists = Lists(Site(lists_url or issuer + "/status/", context), self._verifier, Clock()) if read_lists else None
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: this() and this()._forked())

    def _forked(self):
        for part in (self._keys, self._follower, self._lists):
            if part:
                part.forked()

    def start(self):
        """Begins to follow, where that should not wait for the first request."""
        if self._follower:
            self._follower.start()

    def close(self):
        """Ends it. Nobody is let in afterwards."""
        for part in (self._follower, self._lists):
            if part:
                part.close()

    def age(self):
        """For how many seconds nothing was heard of revocations; None before everything was told once, or where nothing is followed."""
        return self._follower.age() if self._follower else None

    def check(self, authorization, *scopes, wait=True):
        """Returns the Caller of a request, or raises Refused.

        authorization is the value of the Authorization field, None where there is none. Without wait it raises Blocked
        where an answer would have to be waited for.
        """
        caller = self._verifier.verify(_bearer(authorization), wait)
        self.start()
        if self._follower and self._follower.starting(START):
            if not wait:
                raise Blocked
            self._follower.first(START)
        if self._lists and self._told(caller) is None:
            self._lists.have(caller, wait)
        self.again(caller)
        need(caller, *scopes)
        return caller

    def again(self, caller):
        """Refuses a Caller whose token was ended since, or of whom nobody knows: for what stays open for long."""
        self._verifier.expired(caller)
        ended = self._told(caller)
        if ended is None and self._lists:
            ended = self._lists.check(caller)
        if ended is None:
            raise unavailable()
        if ended:
            raise invalid()

    def _told(self, caller):
        """Whether a caller's token was ended, as far as was told; None: nobody knows."""
        return self._follower.check(caller) if self._follower else None

    def wsgi(self, app, public=()):
        """A WSGI application (PEP 3333) that lets in who may, to all paths but the public ones."""
        return wsgi.Guarded(app, self, public)

    def asgi(self, app, public=()):
        """The same for ASGI."""
        return asgi.Guarded(app, self, public)


def _bearer(value):
    """Takes the token out of an Authorization field (RFC 6750 §2.1)."""
    scheme, _, text = (value or "").partition(" ")
    text = text.lstrip(" ")
    if scheme.lower() != "bearer":
        raise missing()  # also another scheme: RFC 6750 §3.1 wants no error then
    if not text or "," in text or " " in text:  # a comma joins what occurred twice (RFC 9110 §5.3)
        raise repeated()
    if len(text) > MAX_TOKEN:
        raise invalid()
    return text
