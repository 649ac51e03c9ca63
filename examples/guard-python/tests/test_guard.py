"""Tests of the guard by itself: a fake issuer on loopback, fixed events. examples/guards_test.go runs it beside a Gatehouse."""
import asyncio
import base64
import gzip
import json
import logging
import os
import queue
import threading
import time
import unittest
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gatehouse_guard import Guard, Refused, follow, guard as guards, lists, need, tokens
from gatehouse_guard.revocations import MAX_LISTS, Places, View

logging.getLogger("gatehouse_guard").setLevel(logging.CRITICAL)
SOON = 20  # seconds, for a machine that is busy
EC, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
ED, RSA, WEAK = ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 1024)
JTI, JTI_MS = "tok_01jdqaw7y0abcdefghjkmnpqrs", 1732728725440  # the first ten letters are the time
FOREVER = 4_000_000_000
BITS = bytes(tokens.MAX_PLACE // 8)


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwk(kid, algorithm, key):
    return {**json.loads(jwt.get_algorithm_by_name(algorithm.replace("Ed25519", "EdDSA")).to_jwk(key.public_key())), "kid": kid, "alg": algorithm, "use": "sig"}


class Issuer:
    """A fake issuer. script answers for the stream: it gets what a handler can write to, and the request's path and lines."""

    def __init__(self, test):
        outer, self.fetched, self.asked, self.away = self, 0, queue.Queue(), False
        self.keys = [jwk("ec", "ES256", EC)]
        self.script = lambda h: None
        self.lists, self.read = {}, 0  # by number: the text, or an answer's status

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if outer.away:
                    return self.send_error(503)
                if self.path == "/.well-known/jwks.json":
                    outer.fetched += 1
                    body = json.dumps({"keys": outer.keys}).encode()
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    return self.wfile.write(body)
                if self.path.startswith("/status/"):
                    outer.read += 1
                    found = outer.lists.get(int(self.path[8:]), 404)
                    if isinstance(found, int):
                        return self.send_error(found)
                    self.send_response(200)
                    self.end_headers()
                    self.close_connection = True
                    return self.wfile.write(found.encode())
                outer.asked.put((self.path, dict(self.headers)))
                self.close_connection = True
                outer.script(self)

            def begin(self, kind="text/event-stream"):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Connection", "close")
                self.end_headers()

            def say(self, *events):
                for name, data, *position in events:
                    if name in ("reload", "ready"):  # by a clock that is an hour ahead of the guard's
                        data = {"time": int(time.time() * 1000) + 3600_000, **data}
                    self.wfile.write(f"event: {name}\n{'id: ' + position[0] + chr(10) if position else ''}data: {json.dumps(data)}\n\n".encode())

            def rest(self, until, said=("ready", {}, "A-1")):
                """Goes on to say so until an event is set."""
                while not until.wait(0.05):
                    self.say(said)

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args):
                pass  # the client has gone

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.over = threading.Event()
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        test.addCleanup(self.server.server_close)
        test.addCleanup(self.server.shutdown)
        test.addCleanup(self.over.set)

    def follows(self, *events):
        """Has the stream tell these, then go on."""
        def script(h):
            h.begin()
            h.say(("reload", {}), *events, ("ready", {}, "A-1"))
            h.rest(self.over)
        self.script = script

    def list(self, *ended, n=7, key=EC, algorithm="ES256", header=None, lst=None, bits=1, **claims):
        """Makes the status list with that number known, with these places ended."""
        places, now = bytearray(BITS), int(time.time())
        for idx in ended:
            places[idx >> 3] |= 1 << (idx & 7)
        c = {"iss": self.url, "sub": f"{self.url}/status/{n}", "iat": now, "exp": now + 60, "ttl": 30,
             "status_list": {"bits": bits, "lst": b64(zlib.compress(places)) if lst is None else lst}, **claims}
        h = {"typ": "statuslist+jwt", "kid": "ec", **(header or {})}
        self.lists[n] = jwt.encode({k: v for k, v in c.items() if v is not None}, key, algorithm, {k: v for k, v in h.items() if v is not None})

    def token(self, key=EC, algorithm="ES256", header=None, **claims):
        now = int(time.time())
        c = {"iss": self.url, "aud": self.url, "sub": "usr_a", "client_id": "cli_a", "scope": "notes:read", "iat": now, "exp": now + 600,
             "jti": "tok_x", "status": {"status_list": {"uri": self.url + "/status/7", "idx": 3}}, **claims}
        h = {"typ": "at+jwt", "kid": "ec", **(header or {})}
        return jwt.encode({k: v for k, v in c.items() if v is not None}, key, algorithm, {k: v for k, v in h.items() if v is not None})


def refused(test, do, status):
    """What a refusal says."""
    with test.assertRaises(Refused) as caught:
        do()
    test.assertEqual(caught.exception.status, status, caught.exception)
    return caught.exception


def until(test, what, ok):
    end = time.monotonic() + SOON
    while not ok():
        if time.monotonic() > end:
            test.fail(what + ": not in time")
        threading.Event().wait(0.01)


class Base(unittest.TestCase):
    def setUp(self):
        self.issuer = Issuer(self)
        self.issuer.follows()

    def guard(self, **more):
        g = Guard(self.issuer.url, more.pop("audience", self.issuer.url), more.pop("key", "the-key"), **more)
        self.addCleanup(g.close)
        return g


class Tokens(Base):
    def test_claims(self):
        g, now = self.guard(), int(time.time())
        caller = g.check("Bearer " + self.issuer.token(), "notes:read")
        self.assertEqual((caller.subject, caller.client, caller.key_id, caller.place), ("usr_a", "cli_a", "ec", (self.issuer.url + "/status/7", 3)))
        good = {"audience among others": {"aud": ["x", self.issuer.url]}, "just expired": {"exp": now - 2}, "no status": {"status": None},
                "a moment ahead": {"iat": now + 3}, "all scopes": {"scope": "*"}, "an application type": {"header": {"typ": "application/AT+JWT"}}}
        for what, change in good.items():
            with self.subTest(what):
                g.check("bearer  " + self.issuer.token(**change), "notes:read")
        bad = {
            "issuer": {"iss": self.issuer.url + "/"}, "no issuer": {"iss": None}, "audience": {"aud": "x"}, "no audience": {"aud": None},
            "audience as a part": {"aud": self.issuer.url + "x"}, "audience of a number": {"aud": [self.issuer.url, 1]},
            "expired": {"exp": now - 6}, "no end": {"exp": None}, "end as text": {"exp": str(now + 9)}, "end as truth": {"exp": True},
            "end without end": {"exp": float("inf")}, "end that is none": {"exp": float("nan")},
            "not yet": {"nbf": now + 30}, "issued later": {"iat": now + 30}, "no time of issue": {"iat": None}, "nbf as text": {"nbf": "1"},
            "no subject": {"sub": None}, "empty subject": {"sub": ""}, "subject of a number": {"sub": 1}, "no id": {"jti": None},
            "client of a list": {"client_id": ["cli_a"]}, "session of a number": {"sid": 1}, "scope of a list": {"scope": ["notes:read"]},
            "status of a text": {"status": "x"}, "status elsewhere": {"status": {"status_list": {"uri": "https://evil.example/status/7", "idx": 3}}},
            "status below zero": {"status": {"status_list": {"uri": self.issuer.url + "/status/7", "idx": -1}}},
            "status of a strange number": {"status": {"status_list": {"uri": self.issuer.url + "/status/07", "idx": 1}}},
            "typ JWT": {"header": {"typ": "JWT"}}, "no typ": {"header": {"typ": None}}, "crit": {"header": {"crit": ["b64"], "b64": True}},
            "unknown kid": {"header": {"kid": "x"}}, "no kid": {"header": {"kid": None}},
            "another key": {"key": OTHER},
        }
        for what, change in bad.items():
            with self.subTest(what):
                said = refused(self, lambda: g.check("Bearer " + self.issuer.token(**change)), 401)
                self.assertEqual(said.headers("r")["WWW-Authenticate"], 'Bearer realm="r", error="invalid_token"')

    def test_garbage(self):
        """Whatever comes, the answer is the same, and it comes soon."""
        g, real = self.guard(), self.issuer.token()
        head, body, tail = real.split(".")
        deep = b64(b'{"a":' + b"[" * 8000)
        for text in ["x", "..", "a.b", "a.b.c.d", "a.b.", ".b.c", head + "." + body + ".", deep + "." + body + "." + tail, head + "." + deep + "." + tail,
                     b64(b"null") + "." + body + "." + tail, b64(b"[1]") + "." + body + "." + tail, b64(b"\xff\xfe") + "." + body + "." + tail,
                     b64(b'{"alg":"none","typ":"at+jwt","kid":"ec"}') + "." + body + ".", b64(b'{"alg":["ES256"],"typ":"at+jwt","kid":"ec"}') + "." + body + "." + tail,
                     b64(b'{"alg":"ES256","typ":1,"kid":"ec"}') + "." + body + "." + tail, b64(b'{"alg":"ES256","typ":"at+jwt","kid":["ec"]}') + "." + body + "." + tail,
                     b64(b'{"alg":"HS256","typ":"at+jwt","kid":"ec"}') + "." + body + "." + tail, real + "=", real + "\n", "é" + real, real[:-4] + "AAAA",
                     "a" * 20_000, real + "a" * 20_000]:
            with self.subTest(text[:60]):
                began = time.monotonic()
                said = refused(self, lambda: g.check("Bearer " + text), 401)
                self.assertEqual((said.code, said.error), ("invalid_token", "invalid_token"))
                self.assertLess(time.monotonic() - began, 2)
        for value, status, error in [(None, 401, ""), ("", 401, ""), ("Basic eDp5", 401, ""), ("Bearer", 400, "invalid_request"), ("Bearer ", 400, "invalid_request"),
                                     (f"Bearer {real}, Bearer {real}", 400, "invalid_request"), (f"Bearer {real} {real}", 400, "invalid_request")]:
            with self.subTest(value):
                self.assertEqual(refused(self, lambda: g.check(value), status).error, error)

    def test_algorithms(self):
        """The key decides, never the token."""
        self.issuer.keys = [jwk("ec", "ES256", EC), jwk("ed", "EdDSA", ED), jwk("new", "Ed25519", ED), jwk("rs", "RS256", RSA), jwk("ps", "PS256", RSA),
                            jwk("weak", "RS256", WEAK), jwk("twice", "ES256", EC), jwk("twice", "ES256", EC), {**jwk("enc", "ES256", EC), "use": "enc"},
                            {"kty": "oct", "k": "AAAA", "kid": "oct", "alg": "HS256"}, "nonsense", {"kid": "half", "alg": "ES256"}]
        g = self.guard()
        for kid, key, algorithm, good in [("ec", EC, "ES256", True), ("ed", ED, "EdDSA", True), ("new", ED, "EdDSA", True), ("rs", RSA, "RS256", True), ("ps", RSA, "PS256", True),
                                          ("rs", RSA, "PS256", False), ("ps", RSA, "RS256", False), ("rs", RSA, "RS512", False), ("weak", WEAK, "RS256", False),
                                          ("twice", EC, "ES256", False), ("enc", EC, "ES256", False), ("oct", b"\0\0\0", "HS256", False), ("half", EC, "ES256", False)]:
            with self.subTest(kid + " " + algorithm):
                ask = lambda: g.check("Bearer " + self.issuer.token(key, algorithm, {"kid": kid}))
                ask() if good else refused(self, ask, 401)

    def test_keys_are_fetched_seldom(self):
        g = self.guard()
        for n in range(20):
            refused(self, lambda: g.check("Bearer " + self.issuer.token(header={"kid": f"invented{n}"})), 401)
        self.assertEqual(self.issuer.fetched, 1)

    def test_no_keys(self):
        """Who does not know the keys does not say that a token is wrong."""
        self.issuer.away = True
        g = self.guard()
        said = refused(self, lambda: g.check("Bearer " + self.issuer.token()), 503)
        self.assertEqual((said.headers("r").get("Retry-After"), "WWW-Authenticate" in said.headers("r")), ("5", False))

    def test_issued(self):
        self.assertEqual(tokens.issued(JTI, 5), JTI_MS)
        for jti in ["tok_x", "", JTI.upper(), JTI + "0", JTI[4:], "tok_8" + JTI[5:], JTI.replace("a", "u")]:
            self.assertEqual(tokens.issued(jti, 5), 5000, jti)

    def test_settings(self):
        for change in [{"issuer": ""}, {"audience": ""}, {"key": ""}, {"key": "a b"}, {"key": "a\nb"}, {"issuer": "http://auth.example.com"}, {"issuer": "ftp://x"},
                       {"issuer": "https://x/?a=b"}, {"key": None}, {"key": "", "read_lists": True}, {"max_staleness": 2}, {"max_staleness": float("nan")}, {"typ": "x"}, {"audience": 'a"b'}, {"audience": "a\nb"}]:
            with self.subTest(change), self.assertRaises(ValueError):
                Guard(**{"issuer": "https://auth.example.com", "audience": "a", "key": "k", **change})
        for scope in ["", "*", "a b", 'a"b', "a\r\nb", 1]:
            with self.subTest(scope), self.assertRaises(ValueError):
                need(None, scope)


class Revocations(unittest.TestCase):
    ISSUER = "https://a.example"

    def caller(self, **change):
        return tokens.Caller(**{"subject": "usr_a", "client": "cli_a", "scopes": frozenset(), "session": "ses_a", "token_id": "tok_x", "key_id": "k",
                                "issued_ms": 1000, "expires": FOREVER, "place": (self.ISSUER + "/status/7", 3), "claims": None, **change})

    def test_places(self):
        v = View(self.ISSUER)
        v.status({"uri": self.ISSUER + "/status/7", "idx": [1, 5, 5, 2], "exp": FOREVER})
        at = lambda idx, n=7: v.revoked(self.caller(place=(f"{self.ISSUER}/status/{n}", idx)))
        self.assertEqual([at(i) for i in range(7)], [False, True, True, False, False, True, False])
        self.assertFalse(at(5, 8))
        many = list(range(0, 1 << 20, 20))  # more than fit the form for few
        v.status({"uri": self.ISSUER + "/status/7", "idx": many, "exp": FOREVER})
        self.assertTrue(all(at(i) for i in (0, 1, 2, 5, 20, many[-1])))
        self.assertFalse(any(at(i) for i in (3, 19, 21, (1 << 20) - 1)))
        self.assertEqual(v._places, len(many) + 3)

    def test_bits(self):
        """A status list has the same places in either form, the lowest bit of a byte first."""
        for ended in [[], [0, 9, 15, (1 << 20) - 1], range(0, 1 << 20, 20)]:
            bits = bytearray(BITS)
            for idx in ended:
                bits[idx >> 3] |= 1 << (idx & 7)
            places = Places.of(bytes(bits))
            self.assertTrue(all(idx in places for idx in ended))
            self.assertFalse(any(idx in places for idx in (1, 8, 16, 19, (1 << 20) - 2)))
        self.assertNotIn(1 << 19, Places.of(b"\xff" * (64 << 10)), "what is behind the end of a list has not ended")

    def test_cutoffs(self):
        for kind, name in [("realm", ""), ("subject", "usr_a"), ("client", "cli_a"), ("session", "ses_a"), ("key", "k")]:
            with self.subTest(kind):
                v = View(self.ISSUER)
                v.cutoff({"kind": kind, "id": name, "before": 1000})
                v.cutoff({"kind": kind, "id": name, "before": 500, "expires": 1})  # the later of both counts
                self.assertTrue(v.revoked(self.caller()))
                self.assertFalse(v.revoked(self.caller(issued_ms=1001)))
                v.purge(time.time())
                self.assertTrue(v.revoked(self.caller()), "what has no end is kept")
                other = View(self.ISSUER)
                if kind != "realm":
                    other.cutoff({"kind": kind, "id": name + "x", "before": 1000})
                self.assertFalse(other.revoked(self.caller(place=None)))
        v = View(self.ISSUER)
        v.cutoff({"kind": "client", "id": "usr_a", "before": 1000})  # another kind of the same name
        self.assertFalse(v.revoked(self.caller()))

    def test_forgetting(self):
        """What has expired is forgotten, and a clock that is set back afterwards revives none of its tokens."""
        v, now = View(self.ISSUER), 1_800_000_000
        v.status({"uri": self.ISSUER + "/status/7", "idx": [3], "exp": now})
        v.cutoff({"kind": "subject", "id": "usr_a", "before": 1000, "expires": now * 1000})
        v.purge(now + 10)
        self.assertEqual((len(v._lists), len(v._cutoffs)), (1, 1), "an hour later than it might be")
        v.purge(now + 3601)
        self.assertEqual((len(v._lists), len(v._cutoffs), v._places), (0, 0, 0))
        self.assertTrue(v.revoked(self.caller(expires=now)))
        self.assertFalse(v.revoked(self.caller(expires=now + 600)))

    def test_what_is_not_understood(self):
        place = {"uri": self.ISSUER + "/status/7", "idx": [1], "exp": FOREVER}
        for change in [{"uri": "https://evil.example/status/7"}, {"uri": 7}, {"uri": self.ISSUER + "/status/x"}, {"idx": 1}, {"idx": [1 << 20]}, {"idx": [-1]}, {"idx": ["1"]},
                       {"idx": [True]}, {"exp": "1"}, {"exp": None}]:
            with self.subTest(change), self.assertRaises(ValueError):
                View(self.ISSUER).status({**place, **change})
        cut = {"kind": "subject", "id": "usr_a", "before": 1, "expires": 2}
        for change in [{"kind": "planet"}, {"kind": ""}, {"id": ""}, {"id": 1}, {"id": "x" * 2000}, {"kind": "realm"}, {"before": "1"}, {"before": 1.5}, {"expires": "x"}]:
            with self.subTest(change), self.assertRaises(ValueError):
                View(self.ISSUER).cutoff({**cut, **change})

    def test_bounds(self):
        v = View(self.ISSUER)
        with self.assertRaises(ValueError):
            for n in range(MAX_LISTS + 1):
                v.status({"uri": f"{self.ISSUER}/status/{n}", "idx": [1], "exp": FOREVER})


class Shifted:
    """A clock that can be set forward."""

    def __init__(self):
        self.by = 0.0

    def now(self):
        return time.monotonic() + self.by, time.time() + self.by

    since = follow.Clock.since


class Following(Base):
    def place(self, idx=3):
        return "status", {"uri": self.issuer.url + "/status/7", "idx": [idx], "exp": FOREVER}

    def patch(self, name, value):
        old = getattr(follow, name)
        setattr(follow, name, value)
        self.addCleanup(setattr, follow, name, old)

    def known(self, g, authorization):
        """What the answer is when nobody waits for anything."""
        try:
            return g.check(authorization) and 200
        except Refused as r:
            return r.status

    def test_ends(self):
        """What is told at first, and later, is refused; keys that changed are fetched."""
        tell, told = threading.Event(), threading.Event()

        def script(h):
            h.begin()
            h.say(("reload", {}), self.place(9), ("planet", {"unknown": 1}), ("ready", {}, "A-1"))
            tell.wait(SOON)
            h.say(self.place(), ("keys", {}), ("ready", {}, "A-2"))
            told.set()
            h.rest(self.issuer.over)
        self.issuer.script = script
        g, one, other = self.guard(), "Bearer " + self.issuer.token(), "Bearer " + self.issuer.token(status={"status_list": {"uri": self.issuer.url + "/status/7", "idx": 9}})
        self.assertEqual((self.known(g, one), self.known(g, other)), (200, 401))
        caller = g.check(one)
        path, lines = self.issuer.asked.get()
        self.assertEqual((path, lines["Authorization"], lines.get("Last-Event-ID")), ("/admin/v1/realms/main/revocations/events", "Bearer the-key", None))
        tell.set()
        until(self, "an end", lambda: self.known(g, one) == 401)
        refused(self, lambda: g.again(caller), 401)
        until(self, "the keys", lambda: self.issuer.fetched == 2)
        self.assertLess(g.age(), 6)

    def test_nothing_before_ready(self):
        def script(h):
            h.begin()
            h.rest(self.issuer.over, ("reload", {}))
        self.issuer.script = script
        g = self.guard()
        refused(self, lambda: g.check("Bearer " + self.issuer.token()), 503)
        self.assertIsNone(g.age())

    def test_too_old(self):
        """Past the bound nobody is let in, what has ended stays so, and the age is told."""
        silent = threading.Event()

        def script(h):
            h.begin()
            h.say(("reload", {}), self.place(), ("ready", {}, "A-1"))
            h.rest(silent)
            self.issuer.over.wait(SOON)
        self.issuer.script = script
        g, clock = self.guard(max_staleness=10), Shifted()
        g._follower._clock = clock
        ended, good = "Bearer " + self.issuer.token(), "Bearer " + self.issuer.token(status=None)
        self.assertEqual(self.known(g, good), 200)
        silent.set()
        until(self, "silence", lambda: g.age() > 0.2)
        clock.by = 9
        self.assertEqual(self.known(g, good), 200)
        clock.by = 11
        self.assertEqual((self.known(g, good), self.known(g, ended)), (503, 401))
        self.assertGreater(g.age(), 10)

    def test_clocks(self):
        """A sleep counts (the time of day goes on), and a time of day that is set back makes nothing younger."""
        c = follow.Clock()
        c.now = lambda: (100.0, 5000.0)
        self.assertEqual([c.since(then) for then in [(99.0, 4999.0), (99.0, 4000.0), (50.0, 5999.0)]], [1.0, 1000.0, 50.0])

    def test_old_events(self):
        """What a kernel kept while the machine slept, or a proxy held back, is read late and makes nothing known: a new stream does."""
        now, slept = int(time.time() * 1000), threading.Event()

        def script(h):
            if self.issuer.asked.qsize() > 1:
                return self.issuer.over.wait(SOON)
            h.begin()
            h.say(("reload", {"time": now}), ("ready", {"time": now}, "A-1"))
            slept.wait(SOON)
            h.rest(self.issuer.over, ("ready", {"time": now + 2000}, "A-1"))
        self.issuer.script = script
        g, clock, token = self.guard(), Shifted(), "Bearer " + self.issuer.token()
        g._follower._clock = clock
        self.assertEqual(self.known(g, token), 200)
        clock.by = 3600
        self.assertEqual(self.known(g, token), 503)
        slept.set()
        until(self, "another stream", lambda: self.issuer.asked.qsize() > 1)
        self.assertEqual(self.known(g, token), 503)
        self.assertGreater(g.age(), 3590)

    def test_issuer_gains(self):
        """An issuer whose clock runs ahead is asked anew before its time says anything that is not so."""
        now = int(time.time() * 1000)

        def script(h):
            h.begin()
            h.say(("reload", {"time": now}), ("ready", {"time": now}, "A-1"))
            h.rest(self.issuer.over, ("ready", {"time": now + 3000}, "A-1"))
        self.issuer.script = script
        g = self.guard()
        g.start()
        until(self, "another stream", lambda: self.issuer.asked.qsize() > 1)
        self.assertEqual(self.known(g, "Bearer " + self.issuer.token()), 200)

    def test_comments(self):
        """A line that begins with a colon may be of anybody on the way, and is no sign of life."""
        self.patch("QUIET", 0.3)

        def script(h):
            h.begin()
            h.say(("reload", {}), ("ready", {}, "A-1"))
            while not self.issuer.over.wait(0.02):
                h.wfile.write(b":\n")
        self.issuer.script = script
        self.guard().start()
        until(self, "another stream", lambda: self.issuer.asked.qsize() > 1)

    def test_resumes(self):
        """A stream that was cut goes on where it was; what is not understood makes it begin anew, with nobody let in until then."""
        rounds = iter(["cut", "bad", "whole"])
        go = threading.Event()

        def script(h):
            h.begin()
            match next(rounds, "on"):
                case "cut":
                    h.say(("reload", {}), ("ready", {}, "A-1"))
                case "bad":
                    h.say(("cutoff", {"kind": "planet", "id": "x", "before": 1}), ("ready", {}, "A-2"))
                case "whole":
                    go.wait(SOON)
                    h.say(("reload", {}), ("ready", {}, "A-3"))
                    h.rest(self.issuer.over)
        self.issuer.script = script
        g = self.guard()
        self.known(g, "Bearer " + self.issuer.token())
        asked = [self.issuer.asked.get(timeout=SOON)[1].get("Last-Event-ID") for _ in range(3)]
        self.assertEqual(asked, [None, "A-1", None])
        self.assertEqual(self.known(g, "Bearer " + self.issuer.token()), 503)
        go.set()
        until(self, "it recovers", lambda: self.known(g, "Bearer " + self.issuer.token()) == 200)

    def test_polls_and_returns(self):
        """Where streams are held back it polls, and when they come through again it follows one."""
        self.patch("QUIET", 0.3)
        self.patch("PAUSE", 0.01)
        held = threading.Event()
        held.set()

        def script(h):
            if "wait=" not in h.path and held.is_set():
                return self.issuer.over.wait(1)
            h.begin()
            h.say(("reload", {}), ("ready", {}, "A-1"))
            if "wait=" not in h.path:
                h.rest(self.issuer.over)
        self.issuer.script = script
        g = self.guard(max_staleness=4)
        g.start()
        until(self, "a poll", lambda: self.known(g, "Bearer " + self.issuer.token()) == 200)
        until(self, "it asks for less than its bound", lambda: self.issuer.asked.get(timeout=SOON)[0].endswith("?wait=2"))
        held.clear()
        self.patch("AGAIN", 0)
        until(self, "the stream", lambda: g._follower._tried and not g._follower._poll or self.streams())

    def streams(self):
        return not self.issuer.asked.get(timeout=SOON)[0].endswith("?wait=2")

    def test_what_is_no_stream(self):
        """None of these is followed, and none ends the thread."""
        def html(h):
            h.begin("text/html")
            h.say(("reload", {}), ("ready", {}, "A-1"))

        def long(h):
            h.begin()
            h.say(("reload", {}))
            h.wfile.write(b"data: " + b"x" * 300_000)
            h.say(("ready", {}, "A-1"))

        def redirect(h):
            h.send_response(302)
            h.send_header("Location", "/elsewhere")
            h.end_headers()

        def early(h):
            h.begin()
            h.say(("ready", {}, "A-1"))

        def change(h):
            h.begin()
            h.say(self.place(), ("ready", {}, "A-1"))

        def bytes_(h):
            h.begin()
            h.say(("reload", {}))
            h.wfile.write(b"event: \xff\n\n")
            h.say(("ready", {}, "A-1"))

        def json_(h):
            h.begin()
            h.say(("reload", {}))
            h.wfile.write(b"event: status\ndata: " + b"[" * 60_000 + b"\n\n")
            h.say(("ready", {}, "A-1"))

        def timeless(h):
            h.begin()
            h.say(("reload", {}), ("ready", {"time": None}, "A-1"))

        def texts(h):
            h.begin()
            h.say(("reload", {"time": "1"}), ("ready", {"time": "1"}, "A-1"))

        def packed(h):
            """Something on the way compresses, which nobody asked for."""
            h.send_response(200)
            h.send_header("Content-Type", "text/event-stream")
            h.send_header("Content-Encoding", "gzip")
            h.end_headers()
            h.wfile.write(gzip.compress(b'event: reload\ndata: {"time":1}\n\nevent: ready\nid: A-1\ndata: {"time":1}\n\n'))
        self.patch("PAUSE", 0.01)
        for script in (html, long, redirect, early, change, bytes_, json_, timeless, texts, packed, lambda h: h.send_error(401), lambda h: h.send_error(429)):
            with self.subTest(script.__name__):
                self.issuer.script = script
                g = self.guard()
                g.start()
                for _ in range(3):
                    path, _ = self.issuer.asked.get(timeout=SOON)
                    self.assertNotIn("elsewhere", path)
                self.assertIsNone(g.age())
                g.close()
                while not self.issuer.asked.empty():
                    self.issuer.asked.get()

    def test_pauses_grow(self):
        waits = []
        g = self.guard()
        self.issuer.script = lambda h: h.send_error(503)

        class Stop(threading.Event):
            def wait(self, seconds=None):
                waits.append(seconds)
                if len(waits) == 12:
                    self.set()
        g._follower._stop = Stop()
        g.start()
        until(self, "twelve pauses", lambda: len(waits) == 12)
        self.assertTrue(0.1 <= waits[0] <= 0.3 and max(waits) <= 45 and waits[-1] >= 15, waits)

    def test_forks(self):
        """Workers that are forked follow by themselves."""
        g, token = self.guard(), "Bearer " + self.issuer.token()
        g.check(token)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                g.check(token)
                code = 0
            finally:
                os._exit(code)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        g.check(token)
        g.close()
        refused(self, lambda: g.check(token), 503)


class StatusLists(Base):
    def setUp(self):
        super().setUp()
        old, guards.START = guards.START, 0.05
        self.addCleanup(setattr, guards, "START", old)
        self.issuer.list(3)
        self.ended, self.good = ["Bearer " + self.issuer.token(status={"status_list": {"uri": self.issuer.url + "/status/7", "idx": idx}}) for idx in (3, 4)]

    known = Following.known

    def patch(self, name, value):
        old = getattr(lists, name)
        setattr(lists, name, value)
        self.addCleanup(setattr, lists, name, old)

    def test_read(self):
        """With a stream that cannot be had, or without any, the lists decide; a token that is on none is let in."""
        self.issuer.script = lambda h: h.send_error(503)
        for what in [{}, {"key": None}]:
            with self.subTest(what):
                g, read = self.guard(read_lists=True, **what), self.issuer.read
                caller = g.check(self.good)
                refused(self, lambda: g.check(self.ended), 401)
                self.assertEqual([self.known(g, "Bearer " + self.issuer.token(status=None)) for _ in range(3)], [200] * 3)
                self.assertEqual((self.issuer.read - read, g.age()), (1, None))
                g.again(caller)
                g.close()
                refused(self, lambda: g.again(caller), 503)
                refused(self, lambda: g.check(self.good), 503)

    def test_not_read(self):
        """Who follows reads none, and neither does who was not told to."""
        g = self.guard(read_lists=True)
        self.assertEqual(self.known(g, self.ended), 200)  # as the stream says
        self.issuer.script = lambda h: h.send_error(503)
        refused(self, lambda: self.guard().check(self.good), 503)
        self.assertEqual(self.issuer.read, 0)

    def test_past_the_bound(self):
        """What was told stays so; about everything else the lists decide."""
        silent = threading.Event()

        def script(h):
            h.begin()
            h.say(("reload", {}), ("cutoff", {"kind": "subject", "id": "usr_b", "before": FOREVER * 1000}), ("ready", {}, "A-1"))
            silent.wait(SOON)
        self.issuer.script = script
        g, clock, cut = self.guard(read_lists=True), Shifted(), "Bearer " + self.issuer.token(sub="usr_b", status={"status_list": {"uri": self.issuer.url + "/status/7", "idx": 4}})
        g._follower._clock = clock
        self.assertEqual([self.known(g, t) for t in (self.good, self.ended, cut)], [200, 200, 401])
        clock.by = 11
        self.assertEqual([self.known(g, t) for t in (self.good, self.ended, cut)], [200, 401, 401])
        self.assertEqual(self.issuer.read, 1)
        silent.set()

    def test_what_is_no_list(self):
        """None of these lets anybody in, and none says that a token is wrong."""
        now, url, whole = int(time.time()), self.issuer.url, zlib.compress(BITS)
        bad = {
            "another list": {"sub": url + "/status/8"}, "no address": {"sub": None}, "another issuer": {"iss": url + "/"}, "another key": {"key": OTHER},
            "an access token": {"header": {"typ": "at+jwt"}}, "no type": {"header": {"typ": None}}, "an unknown key": {"header": {"kid": "x"}},
            "expired": {"exp": now - 1}, "no end": {"exp": None}, "end as text": {"exp": str(now + 60)}, "from the future": {"iat": now + 60}, "no issue": {"iat": None},
            "no ttl": {"ttl": None}, "ttl of nothing": {"ttl": 0}, "ttl for ever": {"ttl": 86401}, "ttl as text": {"ttl": "30"}, "two bits": {"bits": 2}, "no list": {"status_list": None},
            "a list of a number": {"lst": 7}, "no base64url": {"lst": "+" + b64(whole)}, "a line break": {"lst": b64(whole) + "\n"}, "cut off": {"lst": b64(whole[:-4])},
            "something behind it": {"lst": b64(whole + b"x")}, "not packed": {"lst": b64(b"x" * 100)}, "nothing": {"lst": ""},
            "one byte too many": {"lst": b64(zlib.compress(BITS + b"\0"))}, "a bomb": {"lst": b64(zlib.compress(bytes(64 << 20), 9))}, "too long": {"lst": "A" * (256 << 10)},
        }
        for what, change in [*bad.items(), ("404", 404), ("a redirect", 302), ("no token", "x" * 100)]:
            with self.subTest(what):
                self.issuer.list(**change) if isinstance(change, dict) else self.issuer.lists.update({7: change})
                g = self.guard(key=None, read_lists=True)
                refused(self, lambda: g.check(self.good), 503)
                read = self.issuer.read
                refused(self, lambda: g.check(self.good), 503)
                self.assertEqual(self.issuer.read, read, "asked again at once")
        self.issuer.list(4, lst=b64(zlib.compress(b"\x10", 0)))  # a short one
        refused(self, lambda: self.guard(key=None, read_lists=True).check(self.good), 401)

    def test_ages(self):
        """A list is fetched again when it is old, counts until it expires and no longer, and is not replaced by an older one."""
        self.patch("COOLDOWN", 0)
        g, clock = self.guard(key=None, read_lists=True), Shifted()
        g._lists._clock, caller = clock, g.check(self.good)
        clock.by = 29
        self.assertEqual((self.known(g, self.good), self.issuer.read), (200, 1))
        clock.by = 31
        self.issuer.list(3, 4, iat=int(time.time()) - 10)
        self.assertEqual(self.known(g, self.good), 200)
        until(self, "a second reading", lambda: self.issuer.read == 2 and not g._lists._pending)
        self.assertEqual(self.known(g, self.good), 200, "by an older list")
        self.issuer.list(3, 4)
        until(self, "what ended meanwhile", lambda: self.known(g, self.good) == 401)
        self.issuer.lists = {}
        clock.by += 70
        refused(self, lambda: g.check(self.good), 503)
        refused(self, lambda: g.again(caller), 503)

    def test_bounds(self):
        """Lists that nobody asks for are forgotten when there are many; no more are fetched than may wait."""
        self.patch("MAX_LISTS", 2)
        g = self.guard(key=None, read_lists=True)
        for n in (1, 2, 3):
            self.issuer.list(n=n)
            g.check("Bearer " + self.issuer.token(status={"status_list": {"uri": f"{self.issuer.url}/status/{n}", "idx": 4}}))
        self.assertEqual([uri[-1] for uri in g._lists._lists], ["2", "3"])
        self.patch("PENDING", 0)
        refused(self, lambda: g.check("Bearer " + self.issuer.token(status={"status_list": {"uri": f"{self.issuer.url}/status/1", "idx": 4}})), 503)

    def test_one_fetch(self):
        """Many who need a list cause one fetch, and nobody waits for it who may not."""
        g, go = self.guard(key=None, read_lists=True), threading.Event()
        g._keys.find("ec", True)
        get = g._lists._site.get
        g._lists._site.get = lambda *a, **k: go.wait(SOON) and get(*a, **k)
        with self.assertRaises(tokens.Blocked):
            g.check(self.good, wait=False)
        out = []
        waiting = [threading.Thread(target=lambda: out.append(self.known(g, self.good))) for _ in range(8)]
        for t in waiting:
            t.start()
        go.set()
        for t in waiting:
            t.join()
        self.assertEqual((out, self.issuer.read), ([200] * 8, 1))
        g.check(self.good, wait=False)


class Middleware(Base):
    def setUp(self):
        super().setUp()
        self.good, self.poor = "Bearer " + self.issuer.token(), "Bearer " + self.issuer.token(scope="other")

    def test_flask(self):
        from flask import Flask
        from gatehouse_guard.flask import caller, needs
        g, app = self.guard(audience="https://api.example.com"), Flask(__name__)
        app.wsgi_app = g.wsgi(app.wsgi_app, public=["/public"])
        app.get("/public", endpoint="public")(lambda: {"caller": caller()})
        app.get("/any", endpoint="any")(lambda: {"caller": caller().subject})
        app.get("/notes", endpoint="notes")(needs(g, "notes:read", "notes:list")(lambda: "in"))
        client, token = app.test_client(), self.issuer.token(aud="https://api.example.com")
        rich = self.issuer.token(aud="https://api.example.com", scope="notes:read notes:list")
        for path, bearer, status, challenge in [
                ("/public", None, 200, None), ("/public/", None, 401, ""), ("/any", None, 401, ""), ("/any", token, 200, None), ("/any", "x", 401, ', error="invalid_token"'),
                ("/notes", token, 403, ', error="insufficient_scope", scope="notes:read notes:list"'), ("/notes", rich, 200, None), ("/nothing", None, 401, ""), ("/nothing", token, 404, None)]:
            with self.subTest(path):
                r = client.get(path, headers={"Authorization": "Bearer " + bearer} if bearer else {})
                self.assertEqual((r.status_code, r.headers.get("WWW-Authenticate")), (status, None if challenge is None else 'Bearer realm="https://api.example.com"' + challenge))
                if challenge is not None:
                    self.assertEqual((r.content_type, r.headers["Cache-Control"], r.json["status"]), ("application/problem+json", "no-store", status))
        self.assertEqual(client.head("/any").data, b"")
        bare = Flask("bare")
        bare.get("/notes")(needs(g, "notes:read")(lambda: "in"))
        self.assertEqual(bare.test_client().get("/notes", headers={"Authorization": "Bearer " + rich}).status_code, 500)  # without the guard in front

    def ask(self, app, path, *authorization, kind="http"):
        sent = []

        async def send(message):
            sent.append(message)

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False} if kind == "http" else {"type": "websocket.connect"}
        scope = {"type": kind, "method": "GET", "path": path, "raw_path": path.encode(), "root_path": "", "scheme": kind, "query_string": b"", "http_version": "1.1",
                 "server": ("a", 80), "client": ("127.0.0.1", 1), "headers": [(b"authorization", a.encode()) for a in authorization], "subprotocols": []}
        asyncio.run(app(scope, receive, send))
        return sent

    def test_fastapi(self):
        from fastapi import Depends, FastAPI
        from gatehouse_guard.fastapi import needs
        g, api = self.guard(), FastAPI()
        api.get("/public")(lambda: 1)
        api.get("/any")(lambda: 1)
        api.get("/notes")(lambda caller=Depends(needs(g, "notes:read")): caller.subject)
        app = g.asgi(api, public=["/public"])
        for path, lines, status, error in [("/public", [], 200, None), ("/any", [], 401, ""), ("/any", [self.poor], 200, None), ("/any", [self.good, self.good], 400, ', error="invalid_request"'),
                                           ("/notes", [self.poor], 403, ', error="insufficient_scope", scope="notes:read"'), ("/notes", [self.good], 200, None),
                                           ("/notes", ["Bearer x"], 401, ', error="invalid_token"'), ("/nothing", [], 401, "")]:
            with self.subTest(path):
                start = self.ask(app, path, *lines)[0]
                lines = dict(start["headers"])
                self.assertEqual((start["status"], lines.get(b"www-authenticate")), (status, None if error is None else f'Bearer realm="{self.issuer.url}"{error}'.encode()))
        with self.assertRaises(KeyError):
            self.ask(api, "/notes", self.good)  # without the guard in front

    def test_asgi(self):
        g, seen = self.guard(), []

        async def inner(scope, receive, send):
            seen.append((scope["type"], scope.get("gatehouse.caller")))
        app = g.asgi(inner)
        self.assertEqual(self.ask(app, "/", kind="websocket"), [{"type": "websocket.close", "code": 1008}])
        self.ask(app, "/", self.good, kind="websocket")
        self.ask(app, "/", kind="lifespan")
        self.assertEqual([(kind, who and who.subject) for kind, who in seen], [("websocket", "usr_a"), ("lifespan", None)])
        with self.assertRaises(ValueError):
            self.ask(app, "/", self.good, kind="planet")

    def test_asgi_does_not_wait_in_the_loop(self):
        """While the keys are fetched for one request, others are answered."""
        g = self.guard()
        g.check(self.good)
        g._keys._fetched = g._keys._tried = float("-inf")
        slow, out = threading.Event(), []
        g._keys._site.get = lambda *a: slow.wait(SOON) and b'{"keys":[]}'

        async def both():
            async def inner(scope, receive, send):
                out.append(scope["gatehouse.caller"])
            app = g.asgi(inner, public=["/public"])
            scope = lambda path: {"type": "http", "method": "GET", "path": path, "headers": [(b"authorization", self.good.encode())]}

            async def send(message):
                out.append(message.get("status"))
            first = asyncio.create_task(app(scope("/any"), None, send))
            await asyncio.sleep(0)
            await app(scope("/public"), None, send)
            slow.set()
            await first
        asyncio.run(both())
        self.assertEqual(out[:2], [None, 503])


if __name__ == "__main__":
    unittest.main()
