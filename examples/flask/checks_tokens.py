"""An API that checks Gatehouse's access tokens itself, with Flask-HTTPAuth and PyJWT."""
import ipaddress
import os

import httpx
from flask import Flask, abort, request
from flask_httpauth import HTTPBasicAuth, HTTPTokenAuth

from gatehouse_tokens import ISSUER, verify

AUDIENCE = os.environ.get("AUDIENCE", ISSUER)

app = Flask(__name__)
basic_auth = HTTPBasicAuth()
token_auth = HTTPTokenAuth()


@basic_auth.verify_password
def verify_password(username, password):
    """Asks Gatehouse, which answers with tokens: this program never compares a password."""
    if not username:
        return None
    headers = {}
    if not ipaddress.ip_address(request.remote_addr).is_loopback:  # Gatehouse slows this address down, not us
        headers = {"X-Forwarded-For": request.remote_addr, "X-Forwarded-Proto": request.scheme}
    answer = httpx.post(f"{ISSUER}/tokens", auth=(username, password), headers=headers, timeout=5)
    if answer.status_code == 200:
        return answer.json()
    if answer.status_code != 401:  # too many attempts, for example
        kept = ("content-type", "retry-after")
        abort(app.response_class(answer.content, answer.status_code, {k: v for k, v in answer.headers.items() if k in kept}))
    return None


@token_auth.verify_token
def verify_token(token):
    return verify(token, AUDIENCE, "at+jwt") if token else None


@app.get("/public")
def public_page():
    return {"message": "Hello, world!"}


@app.get("/private")
@token_auth.login_required
def private_page():
    return {"message": "This is the private page", "subject": token_auth.current_user()["sub"]}


@app.post("/login")
@app.post("/tokens")
@basic_auth.login_required
def get_token():
    return basic_auth.current_user(), {"Cache-Control": "no-store"}


@app.delete("/tokens")
@token_auth.login_required
def revoke_token():
    """Ends the grant at Gatehouse: no refresh, and no entry at the gateway, from this moment on."""
    answer = httpx.delete(f"{ISSUER}/tokens", headers={"Authorization": request.headers["Authorization"]}, timeout=5)
    return answer.content, answer.status_code
