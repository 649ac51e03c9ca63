"""Asking for scopes in Flask."""
from functools import wraps

from flask import Response, request

from . import wsgi
from .guard import Guard
from .refusals import Refused, need, scopes_of

__all__ = ["Guard", "caller", "needs"]


def caller():
    """Who calls, or None on a public path. Without the guard in front of the application it fails."""
    return request.environ[wsgi.CALLER]


def needs(guard, *scopes):
    """A view that only those may call who have these scopes."""
    scopes_of(scopes)

    def decorate(view):
        @wraps(view)
        def asked(*args, **kwargs):
            try:
                need(caller(), *scopes)
            except Refused as r:
                return Response(r.body(), r.status, r.headers(guard.realm), content_type="application/problem+json")
            return view(*args, **kwargs)
        return asked
    return decorate
