#!/usr/bin/env bash
# The TypeScript SDK of MCP (@modelcontextprotocol/sdk 1.32.2) does not see a Bearer
# challenge that stands behind another one.
#
# A good engineer expects that the order of challenges does not matter: a 401 may have
# several, in one WWW-Authenticate line or in lines of their own, in any order (RFC 9110
# §11.6.1), and the SDK must find resource_metadata (RFC 9728 §5.1) and scope in the one that
# it understands. It looks at the first word of all of them joined. With Basic in front,
# both are lost and it guesses addresses instead, silently; the SDK for Python (mcp 2.3.0) finds them.
# Gatehouse writes the line for Bearer before all others (authn, TestChallenges).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
cat > package.json <<'JSON'
{"private": true, "type": "module", "dependencies": {"@modelcontextprotocol/sdk": "1.32.2"}}
JSON
npm install --silent --no-audit --no-fund > build 2>&1 || { cat build; exit 1; }
python3 -m venv v
v/bin/pip install -q mcp==2.3.0
cat > check.py <<'PY'
import sys

from mcp.client.auth import utils

try:
    import httpx2 as http
except ImportError:
    import httpx as http

answer = http.get(sys.argv[1])
print(utils.extract_resource_metadata_from_www_auth(answer) or "none", utils.extract_scope_from_www_auth(answer) or "none")
PY
cat > check.js <<'JS'
import { execFile } from "node:child_process";
import { createServer } from "node:http";
import { promisify } from "node:util";
import { extractWWWAuthenticateParams } from "@modelcontextprotocol/sdk/client/auth.js";

const bearer = 'Bearer realm="r", resource_metadata="https://api.example/meta", scope="read"';
const basic = 'Basic realm="r"';
let lines;
const server = createServer((request, response) => response.writeHead(401, { "WWW-Authenticate": lines }).end());
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const address = `http://127.0.0.1:${server.address().port}/`;
for (const [name, sent] of Object.entries({ "Bearer": [bearer], "Bearer, Basic": [bearer, basic], "Basic, Bearer": [basic, bearer] })) {
  lines = sent;
  const { resourceMetadataUrl = "none", scope = "none" } = extractWWWAuthenticateParams(await fetch(address));
  const python = (await promisify(execFile)("v/bin/python", ["check.py", address])).stdout.trim();
  console.log(`${name}\n  TypeScript ${resourceMetadataUrl} ${scope}\n  Python     ${python}`);
}
server.close();
process.exit(0);
JS
node check.js > seen
cat > want <<'WANT'
Bearer
  TypeScript https://api.example/meta read
  Python     https://api.example/meta read
Bearer, Basic
  TypeScript https://api.example/meta read
  Python     https://api.example/meta read
Basic, Bearer
  TypeScript none none
  Python     https://api.example/meta read
WANT
cat seen
diff want seen
