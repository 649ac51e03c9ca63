#!/usr/bin/env bash
# joserfc 1.8.0 refuses a signed token whose header has a parameter that joserfc
# does not know; Authlib 1.9.10's validator of access tokens, built on it, answers
# invalid_token.
#
# A good engineer expects it to be ignored: RFC 7515 §4 says that header parameters
# which are not understood MUST be ignored unless "crit" lists them. The same token
# without the parameter is accepted, and so is the one with it by PyJWT 2.15.1. So
# an issuer that adds a parameter ends its tokens for such APIs. (The registry of
# joserfc has strict_check_header, which is on.) Gatehouse writes alg, kid and typ only.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v
v/bin/pip install -q joserfc==1.8.0 Authlib==1.9.10 'PyJWT[crypto]==2.15.1' requests==2.34.2
cat > check.py <<'PY'
import time

import jwt as pyjwt
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

key = ECKey.generate_key("P-256", {"kid": "k1"})
public = key.as_dict(private=False)
now = int(time.time())
claims = {"iss": "https://a.example", "aud": "https://b.example", "sub": "u", "client_id": "c", "jti": "1",
          "iat": now, "exp": now + 60}


class Validator(JWTBearerTokenValidator):
    def get_jwks(self):
        return {"keys": [public]}


def attempt(name, check):
    try:
        check()
        print(name, "accepts")
    except Exception as problem:
        print(name, "refuses:", type(problem).__name__)


for header in ({}, {"region": "north"}):
    token = pyjwt.encode(claims, key.as_pem(private=True), algorithm="ES256", headers={"kid": "k1", "typ": "at+jwt", **header})
    print("header with region" if header else "header without it")
    attempt("  PyJWT", lambda: pyjwt.decode(token, key.as_pem(private=False), algorithms=["ES256"], audience="https://b.example"))
    attempt("  joserfc", lambda: jwt.decode(token, KeySet.import_key_set({"keys": [public]})))
    attempt("  Authlib", lambda: Validator("https://a.example", "https://b.example").authenticate_token(token))
PY
v/bin/python -W ignore check.py > seen
cat > want <<'WANT'
header without it
  PyJWT accepts
  joserfc accepts
  Authlib accepts
header with region
  PyJWT accepts
  joserfc refuses: UnsupportedHeaderError
  Authlib refuses: InvalidTokenError
WANT
cat seen
diff want seen
