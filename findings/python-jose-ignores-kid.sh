#!/usr/bin/env bash
# python-jose 3.5.0 does not look for the key that "kid" names: it tries the set's
# keys in their order, and fails at the first of another type.
#
# A good engineer expects jwt.decode(token, key_set) to take the key with the token's
# kid. With an RSA key before the EC key
# that signed, the error is one of key types and the right key is never tried; in the
# other order the token is accepted. So a realm that changes from RS256 to ES256, and
# publishes both keys for a time, ends its tokens for such APIs by the order alone.
# What helps: give it the one key whose kid the token names (docs/clients.md).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v
v/bin/pip install -q 'python-jose[cryptography]==3.5.0'
cat > check.py <<'PY'
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jose import jwk, jwt


def pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


signing, other = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
new = jwk.construct(pem(signing), "ES256").public_key().to_dict() | {"kid": "new", "use": "sig"}
old = jwk.construct(pem(other), "RS256").public_key().to_dict() | {"kid": "old", "use": "sig"}
token = jwt.encode({"sub": "u"}, pem(signing), algorithm="ES256", headers={"kid": "new"})
for name, keys in (("new, old", [new, old]), ("old, new", [old, new]), ("new alone", [new])):
    try:
        jwt.decode(token, {"keys": keys}, algorithms=["ES256"])
        print(name + ": accepted")
    except Exception as problem:
        print(f"{name}: {type(problem).__name__}: {problem}")
PY
v/bin/python check.py > seen
cat > want <<'WANT'
new, old: accepted
old, new: JWKError: Incorrect key type. Expected: 'EC', Received: RSA
new alone: accepted
WANT
cat seen
diff want seen
