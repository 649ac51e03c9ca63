"""An API that knows nothing of passwords and tokens: Gatehouse's gateway stands in front of it.

It believes the X-Gatehouse-* lines, so nobody but the gateway may reach it: let it listen on loopback only.
"""
from fastapi import FastAPI, Header

app = FastAPI()


@app.get("/public", openapi_extra={"security": []})  # for `gatehouse protect --openapi`: open to everybody
def public_page():
    return {"message": "Hello, world!"}


@app.get("/private")
def private_page(
    x_gatehouse_subject: str = Header(include_in_schema=False),
    x_gatehouse_username: str = Header("", include_in_schema=False),
    x_gatehouse_roles: str = Header("", include_in_schema=False),
):
    return {
        "message": "This is the private page",
        "subject": x_gatehouse_subject,
        "user": x_gatehouse_username,
        "roles": x_gatehouse_roles,
    }
