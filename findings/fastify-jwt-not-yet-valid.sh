#!/usr/bin/env bash
# @fastify/jwt 10.2.8 answers 500 to a token that is not yet valid ("nbf"), and 401
# to one that has expired.
#
# A good engineer expects 401 for both (RFC 6750 §3.1, invalid_token). The plugin
# knows the verifier's error for an expired token and lets the one for "nbf" through
# as an error of the server: clocks that differ by seconds page the API's people, and
# clients that renew their token on 401 do not. Gatehouse's tokens carry no "nbf".
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
cat > package.json <<'JSON'
{"private": true, "type": "module", "dependencies": {"@fastify/jwt": "10.2.8", "fastify": "5.12.8"}}
JSON
npm install --silent --no-audit --no-fund > build 2>&1 || { cat build; exit 1; }
cat > check.js <<'JS'
import { createHmac } from "node:crypto";
import fastify from "fastify";
import jwt from "@fastify/jwt";

const secret = "only-for-this-demonstration-32-bytes";
const app = fastify();
app.register(jwt, { secret });
app.get("/", async (request) => { await request.jwtVerify(); return {}; });
const text = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const now = Math.floor(Date.now() / 1000);
for (const [name, times] of Object.entries({
  "valid": { exp: now + 600 }, "expired": { exp: now - 600 }, "not yet valid": { nbf: now + 600, exp: now + 1200 },
})) {
  const signed = `${text({ alg: "HS256", typ: "JWT" })}.${text({ sub: "u", ...times })}`;
  const token = `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
  const answer = await app.inject({ url: "/", headers: { authorization: `Bearer ${token}` } });
  console.log(`${name}: ${answer.statusCode} ${answer.json().code ?? ""}`.trimEnd());
}
JS
node check.js > seen
cat > want <<'WANT'
valid: 200
expired: 401 FST_JWT_AUTHORIZATION_TOKEN_EXPIRED
not yet valid: 500 FAST_JWT_INACTIVE
WANT
cat seen
diff want seen
