"""Checks of Gatehouse's signed tokens with PyJWT."""
import os
import time

import httpx
import jwt

ISSUER = os.environ["ISSUER"]  # https://auth.example.com


class Keys(jwt.PyJWKClient):
    """PyJWT's cache of the issuer's keys, which asks for an unknown one every ten seconds at most.

    Its own way of fetching asks each time, waits without end, and empties the cache when it fails.
    """

    asked = float("-inf")

    def fetch_data(self):
        if time.monotonic() - self.asked < 10:
            raise jwt.PyJWKClientError("asked a moment ago")
        self.asked = time.monotonic()
        try:
            answer = httpx.get(self.uri, timeout=5)
            answer.raise_for_status()
            found = answer.json()
        except (httpx.HTTPError, ValueError) as e:
            raise jwt.PyJWKClientError("no keys") from e
        self.jwk_set_cache.put(found)
        return found


keys = Keys(f"{ISSUER}/.well-known/jwks.json")


def verify(token: str, audience: str, typ: str):
    """Returns the claims of a token of this kind for this audience, or None."""
    try:
        claims = jwt.decode(
            token,
            keys.get_signing_key_from_jwt(token).key,
            algorithms=["ES256"],  # ours, never the token's word
            issuer=ISSUER,
            audience=audience,
            leeway=30,
            options={"require": ["iss", "aud", "sub", "exp"]},
        )
    except (jwt.PyJWTError, RecursionError, TypeError, ArithmeticError):  # PyJWT 2.6 lets these out of strange tokens
        return None
    header = jwt.get_unverified_header(token)  # verified by now; PyJWT looks at neither of these
    if header.get("typ") != typ or "crit" in header:
        return None
    return claims
