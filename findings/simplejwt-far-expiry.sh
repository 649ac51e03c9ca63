#!/usr/bin/env bash
# djangorestframework-simplejwt 5.5.1 answers 500 to a validly signed token whose "exp" lies
# beyond the year 9999.
#
# "exp" is any number of seconds (RFC 7519 §2, NumericDate), and issuers write far ones for
# "never". A good engineer expects such a token to be good, as PyJWT beneath takes it, or to
# be 401. The library turns "exp" into a datetime, which knows no such year, and lets the
# ValueError through. Gatehouse's tokens always end within its bounds.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv env > build 2>&1 && env/bin/pip install -q djangorestframework-simplejwt==5.5.1 djangorestframework==3.16.1 Django==5.2.19 >> build 2>&1 || { cat build; exit 1; }
cat > check.py <<'PY'
import time

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="only-for-this-demonstration-32-bytes", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"], REST_FRAMEWORK={"UNAUTHENTICATED_USER": None},
    LOGGING_CONFIG=None,
)
django.setup()

import jwt
from django.test import Client
from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication


class Private(APIView):
    authentication_classes = [JWTStatelessUserAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({})


urlpatterns = [path("", Private.as_view())]

for name, exp in {"in an hour": time.time() + 3600, "an hour ago": time.time() - 3600, "in the year 9999": 253402300799, "in the year 10000": 253402300800}.items():
    claims = {"token_type": "access", "user_id": "u", "jti": "1", "exp": int(exp)}
    token = jwt.encode(claims, settings.SECRET_KEY, algorithm="HS256")
    beneath = "refused"
    try:
        jwt.decode(token, settings.SECRET_KEY, algorithms=["HS256"])
        beneath = "accepted"
    except jwt.InvalidTokenError:
        pass
    answer = Client(raise_request_exception=False).get("/", headers={"authorization": f"Bearer {token}"})
    print(f"ends {name}: {answer.status_code}, PyJWT: {beneath}")
PY
env/bin/python check.py > seen 2> log || { cat log; exit 1; }
cat > want <<'WANT'
ends in an hour: 200, PyJWT: accepted
ends an hour ago: 401, PyJWT: refused
ends in the year 9999: 200, PyJWT: accepted
ends in the year 10000: 500, PyJWT: accepted
WANT
cat seen
diff want seen
