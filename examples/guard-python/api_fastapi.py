"""An API in FastAPI behind the guard."""
import os

from fastapi import Depends, FastAPI
from gatehouse_guard import Caller, Guard
from gatehouse_guard.fastapi import needs

guard = Guard(os.environ["ISSUER"], os.environ.get("AUDIENCE", os.environ["ISSUER"]), os.environ["GATEHOUSE_KEY"],
              max_staleness=float(os.environ.get("MAX_STALENESS", "10")), events_url=os.environ.get("EVENTS_URL", ""),
              read_lists=os.environ.get("READ_LISTS") == "1")
api = FastAPI()


@api.get("/public")
def public_page():
    return {"message": "Hello, world!"}


@api.get("/private")
def private_page(caller=Depends(needs(guard))):  # for whoever has a token
    return {"message": "This is the private page", "subject": caller.subject, "age": guard.age()}


@api.get("/notes")
def notes(caller: Caller = Depends(needs(guard, "notes:read"))):
    return {"notes": [], "subject": caller.subject}


app = guard.asgi(api, public=["/public"])
