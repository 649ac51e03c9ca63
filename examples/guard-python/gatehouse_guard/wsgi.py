"""The guard in front of a WSGI application."""
from http import HTTPStatus

from .refusals import Refused

CALLER = "gatehouse.caller"  # in environ: a Caller, or None on a public path


class Guarded:
    def __init__(self, app, guard, public=()):
        self._app, self._guard, self._public = app, guard, frozenset(public)

    def __call__(self, environ, start_response):
        environ[CALLER] = None
        # Paths are compared as the application gets them, so that both mean the same one.
        if environ.get("PATH_INFO", "") not in self._public:
            try:
                environ[CALLER] = self._guard.check(environ.get("HTTP_AUTHORIZATION"))
            except Refused as r:
                return answer(environ, start_response, r, self._guard.realm)
        return self._app(environ, start_response)


def answer(environ, start_response, refused, realm):
    """Answers with a refusal."""
    body = refused.body()
    lines = [("Content-Type", "application/problem+json"), ("Content-Length", str(len(body))), *refused.headers(realm).items()]
    start_response(f"{refused.status} {HTTPStatus(refused.status).phrase}", lines)
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]
