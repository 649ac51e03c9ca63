"""Signed access tokens (RFC 9068): their keys, and what they must say."""
import json
import logging
import re
import threading
import time
from dataclasses import dataclass, field
from types import MappingProxyType

import jwt
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from .refusals import invalid, unavailable

log = logging.getLogger("gatehouse_guard")

LEEWAY = 5  # seconds between our clock and the issuer's
MAX_TOKEN = 16 << 10
MAX_LIST = 256 << 10  # of a signed status list; a full one that cannot be compressed is about 240 KB
MAX_PLACE = 1 << 20  # places of one status list
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_JTI = re.compile(r"tok_([0-7][0-9a-hjkmnp-tv-z]{9})[0-9a-hjkmnp-tv-z]{16}")
_CROCKFORD = {letter: n for n, letter in enumerate("0123456789abcdefghjkmnpqrstvwxyz")}


@dataclass(frozen=True)
class Caller:
    """Who calls, as the issuer signed it."""

    subject: str
    client: str  # client_id
    scopes: frozenset
    session: str  # sid
    token_id: str  # jti
    key_id: str  # kid of the header
    issued_ms: int  # Unix milliseconds
    expires: int  # Unix seconds
    place: tuple  # of the status list: (uri, idx); None where the token has none
    claims: MappingProxyType = field(repr=False)

    def has(self, scope):
        """Whether the token carries a scope. "*" is all of the user's own; tokens for this issuer's own audience alone have it."""
        return scope in self.scopes or "*" in self.scopes


class Keys:
    """The issuer's keys. One fetch runs at a time, beside the requests; for unknown keys once in 30 seconds at most."""

    FRESH, STALE = 600, 24 * 3600  # seconds: fetched again in the background; counts no more
    COOLDOWN, FAILED = 30, 5  # after a fetch, before one for an unknown key; after one that failed
    WAIT = 3  # how long a request waits for a fetch

    def __init__(self, site):
        self._site = site
        self.forked()

    def forked(self):
        self._lock, self._keys, self._pending = threading.Lock(), {}, None
        self._fetched = self._tried = float("-inf")
        self._failed, self._again = False, False

    def changed(self):
        """The issuer says that its keys have changed."""
        with self._lock:
            self._again = True
            self._start(0)

    def find(self, kid, wait):
        """The algorithm names and the public key of a kid, or None. Refuses where nobody knows; raises Blocked for a wait that is not allowed."""
        with self._lock:
            age = time.monotonic() - self._fetched
            good = age < self.STALE
            if good and (age >= self.FRESH or self._again):
                self._start(1 if self._again else self.FAILED)
            if good and kid in self._keys:
                return self._keys[kid]
            pending = self._start(self.FAILED if self._failed else self.COOLDOWN)
        if pending:
            if not wait:
                raise Blocked
            pending.wait(self.WAIT)
        with self._lock:
            if kid in self._keys and time.monotonic() - self._fetched < self.STALE:
                return self._keys[kid]
            if self._failed or self._pending or time.monotonic() - self._fetched >= self.STALE:
                raise unavailable()  # the issuer's last word is not known: no fault of the token
            return None

    def _start(self, pause):
        """Begins a fetch unless one runs or began less than pause seconds ago; returns what tells that the running one is over."""
        if self._pending is None and time.monotonic() - self._tried >= pause:
            self._tried, self._again, self._pending = time.monotonic(), False, threading.Event()
            threading.Thread(target=self._fetch, args=(self._pending,), name="gatehouse-keys", daemon=True).start()
        return self._pending

    def _fetch(self, done):
        found = None
        try:
            found = read_keys(self._site.get(512 << 10, "application/jwk-set+json, application/json"))
        except Exception as e:  # whatever comes: the keys that are known stay
            log.warning("the keys of the issuer cannot be had: %s", type(e).__name__)
        with self._lock:
            self._failed = not found
            if found:
                self._keys, self._fetched = found, time.monotonic()
            self._pending = None
            if self._again:
                self._start(1)
        done.set()


class Blocked(Exception):
    """The answer takes a moment: ask again from where one may wait."""


def read_keys(body):
    """Reads a key set: public keys for signatures that say their kid and algorithm, by kid. Others are left out."""
    found, twice = {}, set()
    for entry in json.loads(body)["keys"][:100]:
        try:
            kid, algorithm = entry["kid"], entry["alg"]
            if not isinstance(kid, str) or entry.get("use", "sig") != "sig" or "d" in entry:
                continue
            key = _public(algorithm, entry)
        except Exception:  # one that cannot be read must not take away the others
            continue
        if key is None or kid in found:
            twice.add(kid)
        found[kid] = ({"EdDSA", "Ed25519"} if algorithm in ("EdDSA", "Ed25519") else {algorithm}, key)
    return {kid: key for kid, key in found.items() if kid not in twice}


def _public(algorithm, entry):
    if algorithm == "ES256" and entry["kty"] == "EC" and entry["crv"] == "P-256":
        return ECAlgorithm.from_jwk(entry)
    if algorithm in ("EdDSA", "Ed25519") and entry["kty"] == "OKP" and entry["crv"] == "Ed25519":
        return OKPAlgorithm.from_jwk(entry)
    if algorithm in ("PS256", "RS256") and entry["kty"] == "RSA":
        key = RSAAlgorithm.from_jwk(entry)
        return key if key.key_size >= 2048 else None
    return None


def _signatures():
    """PyJWT's reader of signatures, with these algorithms and no others."""
    jws = jwt.PyJWS(algorithms=["ES256", "PS256", "RS256", "EdDSA"])
    if "Ed25519" not in jws.get_algorithms():  # the name of RFC 9864
        jws.register_algorithm("Ed25519", OKPAlgorithm())
    return jws


class Verifier:
    """Says all about a token that does not change."""

    def __init__(self, issuer, audience, keys, typ="at+jwt", now=time.time):
        self._issuer, self._audience, self._keys, self._typ, self._now = issuer, audience, keys, typ.lower(), now
        self._jws = _signatures()

    def verify(self, text, wait=True):
        """Returns the Caller, or refuses: everything that is wrong with a token is the same refusal."""
        payload, kid = self._open(text, MAX_TOKEN, self._typ, wait)
        try:
            return self._caller(payload, kid)
        except Exception:
            raise invalid() from None

    def status_list(self, text, uri):
        """Returns the claims of the status list at uri, which are only bits to whoever has them: sub ties them to their address."""
        c, _ = self._open(text, MAX_LIST, "statuslist+jwt", True)
        if c["iss"] != self._issuer or c["sub"] != uri or c["status_list"]["bits"] != 1:
            raise ValueError("a list of another issuer or address, or of another kind")
        if any(type(c[name]) is not int for name in ("exp", "iat", "ttl")) or not 0 < c["ttl"] <= 24 * 3600:
            raise ValueError("a time is no whole number, or too long")
        if self._now() >= c["exp"] or c["iat"] > self._now() + LEEWAY:  # late is stale: nothing is forgiven at its end
            raise ValueError("it has expired, or is not valid yet")
        return c

    def _open(self, text, most, typ_wanted, wait):
        """Returns what the issuer signed as this type, and the kid of the key, or refuses."""
        if len(text) > most or not _FORM.fullmatch(text):
            raise invalid()
        try:
            header = self._jws.get_unverified_header(text)
            kid, algorithm, typ = header["kid"], header["alg"], header["typ"].lower().removeprefix("application/")
            if typ != typ_wanted or not isinstance(kid, str) or not isinstance(algorithm, str):  # PyJWT looks at typ not at all
                raise ValueError
            if "crit" in header or "b64" in header:
                raise ValueError
        except Exception:
            raise invalid() from None
        found = self._keys.find(kid, wait)
        if found is None or algorithm not in found[0]:  # the key decides the algorithm
            raise invalid()
        try:
            return json.loads(self._jws.decode_complete(text, found[1], algorithms=list(found[0]))["payload"]), kid
        except Exception:  # PyJWT raises more than its own errors for what is strange enough
            raise invalid() from None

    def expired(self, caller):
        """Refuses a Caller whose token has expired since."""
        if self._now() >= caller.expires + LEEWAY:
            raise invalid()

    def _caller(self, c, kid):
        audience = c["aud"] if isinstance(c["aud"], list) else [c["aud"]]
        if c["iss"] != self._issuer or self._audience not in audience or not all(isinstance(a, str) for a in audience):
            raise ValueError("it is of another issuer, or for another audience")
        for name in ("exp", "iat") + (("nbf",) if "nbf" in c else ()):
            if type(c[name]) is not int:
                raise ValueError("a time is no whole number")
        now = self._now()
        if now >= c["exp"] + LEEWAY or max(c["iat"], c.get("nbf", 0)) > now + LEEWAY:
            raise ValueError("it has expired, or is not valid yet")
        for name, required in (("sub", True), ("jti", True), ("client_id", False), ("sid", False), ("scope", False)):
            if not isinstance(c[name] if required else c.get(name, ""), str) or required and not c[name]:
                raise ValueError("a text is missing, or none")
        return Caller(
            subject=c["sub"], client=c.get("client_id", ""), scopes=frozenset(c.get("scope", "").split()), session=c.get("sid", ""),
            token_id=c["jti"], key_id=kid, issued_ms=issued(c["jti"], c["iat"]), expires=c["exp"], place=self._place(c),
            claims=MappingProxyType(c))

    def _place(self, c):
        if "status" not in c:
            return None
        uri, idx = c["status"]["status_list"]["uri"], c["status"]["status_list"]["idx"]
        if not is_list(uri, self._issuer) or type(idx) is not int or not 0 <= idx < MAX_PLACE:
            raise ValueError("its status is not understood")
        return uri, idx


def is_list(uri, issuer):
    """Whether uri names a status list of the issuer."""
    return isinstance(uri, str) and uri.startswith(issuer + "/status/") and bool(re.fullmatch("0|[1-9][0-9]{0,11}", uri[len(issuer) + 8:]))


def issued(jti, iat):
    """When a token was issued, in Unix milliseconds: as its id says, or else from the beginning of the second of iat."""
    form = _JTI.fullmatch(jti)
    if not form:
        return iat * 1000
    ms = 0
    for letter in form[1]:
        ms = ms << 5 | _CROCKFORD[letter]
    return ms
