"""Asking for scopes in FastAPI and Starlette."""
from fastapi import HTTPException
from starlette.requests import HTTPConnection

from . import asgi
from .refusals import Refused, need, scopes_of


def needs(guard, *scopes):
    """A dependency that gives the Caller, and refuses who lacks a scope. Without the guard in front of the application it fails."""
    scopes_of(scopes)

    def asked(connection: HTTPConnection):
        who = connection.scope[asgi.CALLER]
        try:
            need(who, *scopes)
        except Refused as r:
            raise HTTPException(r.status, r.problem(), r.headers(guard.realm)) from None
        return who
    return asked
