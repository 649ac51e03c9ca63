#!/usr/bin/env bash
# Two keys of different types under one kid: PyJWT 2.15.1 and jsonwebtoken 9.0.3 with
# jwks-rsa 4.1.0 take the first one, and fail; npm's jose 6.2.18 takes the one that fits.
#
# RFC 7517 §4.5 names just this as a use of equal kids: keys of different "kty" that
# the application takes for equivalent. A good engineer expects that the token's alg,
# or the list of accepted algorithms, decides between them. Neither error says that a
# second key was there. Gatehouse's ids are thumbprints (RFC 7638), so no two of its
# keys share one.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v
v/bin/pip install -q 'PyJWT[crypto]==2.15.1'
cat > package.json <<'JSON'
{"private": true, "type": "module", "dependencies": {"jose": "6.2.18", "jsonwebtoken": "9.0.3", "jwks-rsa": "4.1.0"}}
JSON
npm install --silent --no-audit --no-fund > build 2>&1 || { cat build; exit 1; }
cat > check.js <<'JS'
import { execFileSync } from "node:child_process";
import { createServer } from "node:http";
import { createRemoteJWKSet, exportJWK, generateKeyPair, jwtVerify, SignJWT } from "jose";
import jsonwebtoken from "jsonwebtoken";
import jwksRsa from "jwks-rsa";

const made = async (alg) => {
  const { publicKey, privateKey } = await generateKeyPair(alg);
  return { privateKey, jwk: { ...(await exportJWK(publicKey)), alg, use: "sig", kid: "2026" } };
};
const rsa = await made("RS256"), ec = await made("ES256");
const token = await new SignJWT({ sub: "u" }).setProtectedHeader({ alg: "ES256", kid: "2026" }).sign(ec.privateKey);
let keys;
const server = createServer((request, response) => response.end(JSON.stringify({ keys })));
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const address = `http://127.0.0.1:${server.address().port}/`;

const attempt = async (name, check) => {
  try { await check(); console.log(`  ${name}: accepted`); } catch (problem) { console.log(`  ${name}: refused`); }
};
for (const [order, set] of Object.entries({ "EC, RSA": [ec.jwk, rsa.jwk], "RSA, EC": [rsa.jwk, ec.jwk] })) {
  keys = set;
  console.log(order);
  await attempt("jose", () => jwtVerify(token, createRemoteJWKSet(new URL(address)), { algorithms: ["ES256"] }));
  const client = jwksRsa({ jwksUri: address });
  await attempt("jsonwebtoken", async () =>
    jsonwebtoken.verify(token, (await client.getSigningKey("2026")).getPublicKey(), { algorithms: ["ES256"] }));
  await attempt("PyJWT", () => execFileSync("v/bin/python", ["-c", `
import json, jwt, sys
keys, token = jwt.PyJWKSet.from_dict(json.loads(sys.argv[1])), sys.argv[2]
jwt.decode(token, keys["2026"], algorithms=["ES256"])
`, JSON.stringify({ keys }), token], { stdio: "ignore" }));
}
server.close();
process.exit(0);
JS
node check.js > seen
cat > want <<'WANT'
EC, RSA
  jose: accepted
  jsonwebtoken: accepted
  PyJWT: accepted
RSA, EC
  jose: accepted
  jsonwebtoken: refused
  PyJWT: refused
WANT
cat seen
diff want seen
