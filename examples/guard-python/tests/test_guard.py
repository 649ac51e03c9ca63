"""Tests of the guard by itself: a fake issuer on loopback, fixed events. examples/guards_test.go runs it beside a Gatehouse."""
import asyncio
import base64
import json
import logging
import os
import queue
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gatehouse_guard import Guard, Refused, follow, need, tokens
from gatehouse_guard.revocations import MAX_LISTS, View

logging.getLogger("gatehouse_guard").setLevel(logging.CRITICAL)
SOON = 20  # seconds, for a machine that is busy
EC, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
ED, RSA, WEAK = ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 1024)
JTI, JTI_MS = "tok_01jdqaw7y0abcdefghjkmnpqrs", 1732728725440  # the first ten letters are the time
FOREVER = 4_000_000_000


def jwk(kid, algorithm, key):
    return {**json.loads(jwt.get_algorithm_by_name(algorithm.replace("Ed25519", "EdDSA")).to_jwk(key.public_key())), "kid": kid, "alg": algorithm, "use": "sig"}


class Issuer:
    """A fake issuer. script answers for the stream: it gets what a handler can write to, and the request's path and lines."""

    def __init__(self, test):
        outer, self.fetched, self.asked, self.away = self, 0, queue.Queue(), False
        self.keys = [jwk("ec", "ES256", EC)]
        self.script = lambda h: None

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
                    self.wfile.write(f"event: {name}\n{'id: ' + position[0] + chr(10) if position else ''}data: {json.dumps(data)}\n\n".encode())

            def rest(self, until):
                """Goes on with signs of life until an event is set."""
                while not until.wait(0.05):
                    self.wfile.write(b":\n\n")

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
        g = Guard(self.issuer.url, more.pop("audience", self.issuer.url), "the-key", **more)
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
        b64 = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
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
                       {"issuer": "https://x/?a=b"}, {"max_staleness": 2}, {"max_staleness": float("nan")}, {"typ": "x"}, {"audience": 'a"b'}, {"audience": "a\nb"}]:
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
            h.say(("reload", {}))
            h.rest(self.issuer.over)
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
            h.wfile.write(b"event: reload\ndata: {}\n\nevent: \xff\n\n")
            h.say(("ready", {}, "A-1"))

        def json_(h):
            h.begin()
            h.wfile.write(b"event: reload\ndata: {}\n\nevent: status\ndata: " + b"[" * 60_000 + b"\n\n")
            h.say(("ready", {}, "A-1"))
        self.patch("PAUSE", 0.01)
        for script in (html, long, redirect, early, change, bytes_, json_, lambda h: h.send_error(401), lambda h: h.send_error(429)):
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
