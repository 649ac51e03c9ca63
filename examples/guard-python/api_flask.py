"""An API in Flask behind the guard."""
import os

from flask import Flask
from gatehouse_guard import Guard
from gatehouse_guard.flask import caller, needs

guard = Guard(os.environ["ISSUER"], os.environ.get("AUDIENCE", os.environ["ISSUER"]), os.environ["GATEHOUSE_KEY"],
              max_staleness=float(os.environ.get("MAX_STALENESS", "10")), events_url=os.environ.get("EVENTS_URL", ""),
              read_lists=os.environ.get("READ_LISTS") == "1")
app = Flask(__name__)
app.wsgi_app = guard.wsgi(app.wsgi_app, public=["/public"])


@app.get("/public")
def public_page():
    return {"message": "Hello, world!"}


@app.get("/private")
def private_page():  # for whoever has a token
    return {"message": "This is the private page", "subject": caller().subject, "age": guard.age()}


@app.get("/notes")
@needs(guard, "notes:read")
def notes():
    return {"notes": [], "subject": caller().subject}
