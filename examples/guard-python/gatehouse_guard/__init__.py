"""A guard for Python services: verifies Gatehouse's access tokens, follows what is no longer valid, asks for scopes."""
from .guard import Guard
from .refusals import Refused, need
from .tokens import Caller

__all__ = ["Caller", "Guard", "Refused", "need"]
