"""The guard in front of an ASGI application."""
import asyncio

from .refusals import Refused, repeated
from .tokens import Blocked

CALLER = "gatehouse.caller"  # in scope: a Caller, or None on a public path


class Guarded:
    def __init__(self, app, guard, public=()):
        self._app, self._guard, self._public = app, guard, frozenset(public)

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] not in ("http", "websocket"):
            raise ValueError("what this asks for is not known, so nobody may have it")
        scope[CALLER] = None
        if scope["path"] not in self._public:
            try:
                scope[CALLER] = await self._check(scope)
            except Refused as r:
                return await answer(scope, send, r, self._guard.realm)
        await self._app(scope, receive, send)

    async def _check(self, scope):
        lines = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
        if len(lines) > 1:
            raise repeated()
        value = lines[0].decode("latin-1") if lines else None
        try:
            return self._guard.check(value, wait=False)  # from memory: nothing that others would wait for
        except Blocked:
            return await asyncio.to_thread(self._guard.check, value)


async def answer(scope, send, refused, realm):
    """Answers with a refusal; for a WebSocket the server makes it a 403."""
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close", "code": 1008})
    body = refused.body()
    lines = {"Content-Type": "application/problem+json", "Content-Length": str(len(body)), **refused.headers(realm)}
    await send({"type": "http.response.start", "status": refused.status,
                "headers": [(name.lower().encode(), value.encode()) for name, value in lines.items()]})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
