#!/usr/bin/env bash
# With bcrypt 5.0.0 of PyPI and BCryptPasswordHasher, Django 5.2.19 answers 500 to a login
# whose password has more than 72 bytes, and pwdlib 0.3.1 raises ValueError when it verifies.
#
# A good engineer expects False from a check of a password: nothing that a stranger types
# is an error of the server. Earlier versions of bcrypt cut the password, 5 raises; the two
# libraries above it pass it on as it is and let the error through, so 72 wrong bytes are 401
# and 73 are 500. BCryptSHA256PasswordHasher is not concerned.
# In Gatehouse a password that is too long for bcrypt is a wrong one (credential,
# TestBcryptDoesNotTruncate).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v
v/bin/pip install -q bcrypt==5.0.0 Django==5.2.19 pwdlib==0.3.1
cat > check.py <<'PY'
import django
from django.conf import settings

hashers = "django.contrib.auth.hashers."
settings.configure(
    SECRET_KEY="only-for-this-demonstration-32-bytes", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True, LOGGING_CONFIG=None,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()

from django.contrib.auth import authenticate
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import path
from pwdlib.hashers.bcrypt import BcryptHasher


def login(request):
    return HttpResponse(status=200 if authenticate(request, username=request.POST["u"], password=request.POST["p"]) else 401)


urlpatterns = [path("", login)]
call_command("migrate", verbosity=0)
for name in ("BCryptPasswordHasher", "BCryptSHA256PasswordHasher"):
    with override_settings(PASSWORD_HASHERS=[hashers + name]):
        User.objects.create(username=name, password=make_password("right"))
        for title, password in (("right", "right"), ("72 bytes", "w" * 72), ("73 bytes", "w" * 73)):
            answer = Client(raise_request_exception=False).post("/", {"u": name, "p": password})
            print(f"Django, {name}, {title}: {answer.status_code}")
pwdlib = BcryptHasher(rounds=4)
stored = pwdlib.hash("right")
for title, password in (("right", "right"), ("72 bytes", "w" * 72), ("73 bytes", "w" * 73)):
    try:
        print(f"pwdlib, {title}: {pwdlib.verify(password, stored)}")
    except ValueError:
        print(f"pwdlib, {title}: ValueError")
PY
v/bin/python check.py > seen 2> log || { cat log; exit 1; }
cat > want <<'WANT'
Django, BCryptPasswordHasher, right: 200
Django, BCryptPasswordHasher, 72 bytes: 401
Django, BCryptPasswordHasher, 73 bytes: 500
Django, BCryptSHA256PasswordHasher, right: 200
Django, BCryptSHA256PasswordHasher, 72 bytes: 401
Django, BCryptSHA256PasswordHasher, 73 bytes: 401
pwdlib, right: True
pwdlib, 72 bytes: False
pwdlib, 73 bytes: ValueError
WANT
cat seen
diff want seen
