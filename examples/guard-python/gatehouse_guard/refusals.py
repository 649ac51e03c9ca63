"""What a caller is told who is not let in (RFC 6750 §3, RFC 9457)."""
import json
import re


class Refused(Exception):
    """A request that is not let in. It says what went wrong as far as RFC 6750 does, and nothing of why."""

    def __init__(self, status, code, title, error="", scope="", retry_after=0):
        super().__init__(title)
        self.status, self.code, self.title = status, code, title
        self.error, self.scope, self.retry_after = error, scope, retry_after

    def problem(self):
        """The body: a problem document of RFC 9457 with Gatehouse's member code."""
        return {"type": "https://gatehouse.dev/errors/" + self.code, "title": self.title, "status": self.status, "code": self.code}

    def body(self):
        return json.dumps(self.problem()).encode()

    def headers(self, realm):
        """The lines of the answer but Content-Type and Content-Length; realm is what the challenge names."""
        out = {"Cache-Control": "no-store"}
        if self.retry_after:
            out["Retry-After"] = str(self.retry_after)
        if self.status in (400, 401, 403):
            line = f'Bearer realm="{realm}"'
            if self.error:
                line += f', error="{self.error}"'
            if self.scope:
                line += f', scope="{self.scope}"'
            out["WWW-Authenticate"] = line
        return out


def missing():
    return Refused(401, "credential_missing", "This needs a credential.")


def repeated():
    return Refused(400, "authorization_malformed", "The Authorization field is not well formed.", "invalid_request")


def invalid():
    return Refused(401, "invalid_token", "The credential is not accepted.", "invalid_token")


def unavailable():
    return Refused(503, "authentication_unavailable", "The credential cannot be checked at the moment.", retry_after=5)


_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # scope-token of RFC 6749 §3.3


def scopes_of(names):
    """Checks the names of scopes that somebody asks for, and returns them."""
    for name in names:
        if not isinstance(name, str) or not _SCOPE.fullmatch(name) or name == "*":
            raise ValueError(f"{name!r} is no scope that can be asked for")
    return names


def need(caller, *scopes):
    """Refuses who is nobody (caller is None), or lacks one of the scopes."""
    scopes_of(scopes)
    if caller is None:
        raise missing()
    if not all(caller.has(s) for s in scopes):
        raise Refused(403, "insufficient_scope", "The credential lacks a scope that this needs.", "insufficient_scope", " ".join(scopes))
