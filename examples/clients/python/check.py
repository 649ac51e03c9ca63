"""Reads one access token a line, and says what the library named in the first argument makes of it.

Each function holds the lines that docs/clients.md gives for its library, and nothing that checks more.
"""
import json
import os
import sys
import urllib.request

ISSUER, AUDIENCE = os.environ["ISSUER"], os.environ["AUDIENCE"]
JWKS = ISSUER + "/.well-known/jwks.json"


def key_set():
    with urllib.request.urlopen(JWKS, timeout=10) as answer:
        return json.load(answer)


def pyjwt():
    import jwt

    keys = jwt.PyJWKClient(JWKS)

    def check(token):
        key = keys.get_signing_key_from_jwt(token).key
        jwt.decode(token, key, algorithms=["ES256"], issuer=ISSUER, audience=AUDIENCE)

    return check


def python_jose():
    from jose import jwt

    keys = key_set()
    return lambda token: jwt.decode(token, keys, algorithms=["ES256"], issuer=ISSUER, audience=AUDIENCE)


def authlib():
    from authlib.oauth2.rfc9068 import JWTBearerTokenValidator

    class Validator(JWTBearerTokenValidator):
        def get_jwks(self):
            return key_set()

    validator = Validator(issuer=ISSUER, resource_server=AUDIENCE)

    def check(token):
        found = validator.authenticate_token(token)
        validator.validate_token(found, [], None)

    return check


def joserfc():
    from joserfc import jwt
    from joserfc.jwk import KeySet

    keys = KeySet.import_key_set(key_set())
    rules = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": AUDIENCE}, exp={"essential": True}
    )

    def check(token):
        rules.validate(jwt.decode(token, keys).claims)

    return check


def simplejwt():
    from django.conf import settings

    settings.configure(
        SECRET_KEY=os.urandom(32).hex(),  # Django wants one; no token is checked with it
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
        SIMPLE_JWT={
            "ALGORITHM": "ES256", "TOKEN_TYPE_CLAIM": None, "USER_ID_CLAIM": "sub",
            "JWK_URL": JWKS, "ISSUER": ISSUER, "AUDIENCE": AUDIENCE,
        }
    )
    import django

    django.setup()
    from rest_framework_simplejwt.tokens import AccessToken

    return AccessToken


def flask_jwt_extended():
    import jwt
    from flask import Flask
    from flask_jwt_extended import JWTManager, decode_token

    keys = jwt.PyJWKClient(JWKS)
    app = Flask(__name__)
    app.config.update(
        JWT_ALGORITHM="ES256", JWT_DECODE_ISSUER=ISSUER, JWT_DECODE_AUDIENCE=AUDIENCE,
        JWT_PUBLIC_KEY=keys.get_signing_keys()[0].key,
    )
    JWTManager(app)

    def check(token):
        with app.app_context():
            decode_token(token)

    return check


LIBRARIES = {
    "PyJWT": pyjwt, "python-jose": python_jose, "Authlib": authlib, "joserfc": joserfc,
    "simplejwt": simplejwt, "flask-jwt-extended": flask_jwt_extended,
}

check = LIBRARIES[sys.argv[1]]()
for line in sys.stdin:
    try:
        check(line.rstrip("\n"))
        print("accepted", flush=True)
    except Exception as problem:  # whatever a library raises is a refusal
        print("refused", type(problem).__name__, str(problem).replace("\n", " ")[:200], flush=True)
