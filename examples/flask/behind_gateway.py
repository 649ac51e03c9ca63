"""An API behind Gatehouse's gateway that verifies the gateway's signed word about who calls.

So it is safe too where somebody else could reach it. AUDIENCE is the name that it has in gatehouse.yaml.
"""
import os

from flask import Flask
from flask_httpauth import HTTPTokenAuth

from gatehouse_tokens import verify

AUDIENCE = os.environ.get("AUDIENCE", "api")

app = Flask(__name__)
gateway = HTTPTokenAuth(header="X-Gatehouse-Assertion")


@gateway.verify_token
def verify_assertion(assertion):
    return verify(assertion, AUDIENCE, "gatehouse-assertion+jwt") if assertion else None


@app.get("/public")
def public_page():
    return {"message": "Hello, world!"}


@app.get("/private")
@gateway.login_required
def private_page():
    claims = gateway.current_user()
    return {
        "message": "This is the private page",
        "subject": claims["sub"],
        "user": claims.get("name", ""),
        "roles": ",".join(claims.get("roles", [])),
    }
