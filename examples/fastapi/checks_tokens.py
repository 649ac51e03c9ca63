"""An API that checks Gatehouse's access tokens itself, with jwcrypto and the issuer's public keys."""
import ipaddress
import json
import os
import re
import time

import httpx
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.security import HTTPBearer
from jwcrypto import jwk, jwt
from jwcrypto.common import JWException

ISSUER = os.environ["ISSUER"]  # https://auth.example.com
AUDIENCE = os.environ.get("AUDIENCE", ISSUER)
LEEWAY = 30  # seconds between our clock and Gatehouse's

app = FastAPI()
bearer = HTTPBearer(auto_error=False)  # its own answer to a missing token is 403


class Keys:
    """The issuer's keys, kept for five minutes, and fetched for an unknown one every ten seconds at most."""

    def __init__(self):
        self.known, self.fetched = jwk.JWKSet(), float("-inf")

    def get(self, older_than=300):
        if time.monotonic() - self.fetched > older_than:
            self.fetched = time.monotonic()
            try:
                answer = httpx.get(f"{ISSUER}/.well-known/jwks.json", timeout=5)
                answer.raise_for_status()
                self.known = jwk.JWKSet.from_json(answer.text)
            except httpx.HTTPError:
                pass  # a moment without Gatehouse is no reason to refuse tokens of known keys
        return self.known


keys = Keys()


def verify(text: str) -> dict:
    """Returns the claims of an access token that is meant for this API, or raises."""
    if not re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", text, re.ASCII):
        raise ValueError("not a compact token")  # jwcrypto would read the JSON form too
    token = jwt.JWT(algs=["ES256"], check_claims={"iss": ISSUER, "aud": AUDIENCE, "sub": None, "exp": None})
    token.leeway = LEEWAY
    try:
        token.deserialize(text, keys.get())
    except jwt.JWTMissingKey:
        token.deserialize(text, keys.get(older_than=10))
    claims = json.loads(token.claims)
    if json.loads(token.header).get("typ") != "at+jwt":  # jwcrypto looks for typ among the claims only
        raise ValueError("another kind of token")
    if claims.get("nbf", 0) > time.time() + LEEWAY:  # jwcrypto's check would insist that there is one
        raise ValueError("not yet valid")
    return claims


def caller(credentials=Depends(bearer)) -> dict:
    try:
        return verify(credentials.credentials)
    except (AttributeError, ValueError, JWException):  # nobody learns which
        raise HTTPException(401, "You are not authorized", {"WWW-Authenticate": "Bearer"})


@app.get("/public")
def public_page():
    return {"message": "Hello, world!"}


@app.get("/private")
def private_page(claims: dict = Depends(caller)):
    return {"message": "This is the private page", "subject": claims["sub"]}


@app.post("/login")
def login(request: Request, authorization: str = Header("")):
    """Passes a log-in with Basic on to Gatehouse: this program never compares a password, and none is in a URL."""
    headers = {"Authorization": authorization} if authorization else {}
    client = request.client.host
    if not ipaddress.ip_address(client).is_loopback:  # Gatehouse slows this address down, not us
        headers |= {"X-Forwarded-For": client, "X-Forwarded-Proto": request.url.scheme}
    answer = httpx.post(f"{ISSUER}/tokens", headers=headers, timeout=5, trust_env=False)
    kept = ("content-type", "cache-control", "www-authenticate", "retry-after")
    return Response(answer.content, answer.status_code, {k: v for k, v in answer.headers.items() if k in kept})
