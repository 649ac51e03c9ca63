"""Checks of Gatehouse's signed tokens with PyJWT."""
import os
import time

import jwt

ISSUER = os.environ["ISSUER"]  # https://auth.example.com


class Keys(jwt.PyJWKClient):
    """PyJWT's cache of the issuer's keys asks again for each unknown key; here, every ten seconds at most."""

    asked = float("-inf")

    def fetch_data(self):
        if time.monotonic() - self.asked < 10:
            raise jwt.PyJWKClientError("asked a moment ago")
        self.asked = time.monotonic()
        return super().fetch_data()


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
    except jwt.PyJWTError:
        return None
    if jwt.get_unverified_header(token).get("typ") != typ:  # PyJWT does not look at it; it is verified by now
        return None
    return claims
