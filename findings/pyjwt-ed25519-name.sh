#!/usr/bin/env bash
# PyJWT 2.15.1 cannot load a public key whose JWK says "alg": "Ed25519".
#
# A good engineer expects that a key set with the algorithm name of RFC 9864, which
# deprecates EdDSA, is read by a library that has Ed25519. The same JWK loads with
# "alg": "EdDSA", or without alg. So a server that publishes the new name locks out
# every Python API that fetches its key set. Gatehouse writes EdDSA by default.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv env >/dev/null
env/bin/pip install --quiet --disable-pip-version-check 'PyJWT[crypto]==2.15.1'
cat > main.py <<'PY'
import jwt
key = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}  # RFC 8037, appendix A.2
for alg in (None, "EdDSA", "Ed25519"):
    try:
        jwt.PyJWK(dict(key, **({"alg": alg} if alg else {})))
        print(alg, "loads")
    except Exception as e:
        print(alg, type(e).__name__)
PY
env/bin/python main.py > seen
cat > want <<'WANT'
None loads
EdDSA loads
Ed25519 PyJWKError
WANT
cat seen
diff want seen
