#!/usr/bin/env bash
# npm bcrypt 6.0.0 says "wrong password" to the right one where the hash begins with $2y$,
# as those of htpasswd -B and PHP do, although it reads the cost out of such a hash.
#
# A good engineer expects true, or at least an error for a hash that is not supported: $2y$
# and $2b$ name the same computation, and bcryptjs 3.0.3 and Python's bcrypt 5.0.0 take both.
# Here compare() is false, as for a wrong password, so accounts taken over from a file of
# htpasswd are locked out one by one and the log shows nothing but typing errors.
# Gatehouse takes $2a$, $2b$ and $2y$ alike (credential, TestKnownAnswers).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
cat > package.json <<'JSON'
{"private": true, "type": "module", "dependencies": {"bcrypt": "6.0.0", "bcryptjs": "3.0.3"}}
JSON
npm install --silent --no-audit --no-fund > build 2>&1 || { cat build; exit 1; }
python3 -m venv v
v/bin/pip install -q bcrypt==5.0.0
cat > check.js <<'JS'
import { execFileSync } from "node:child_process";
import bcrypt from "bcrypt";
import bcryptjs from "bcryptjs";

const password = "correct horse";
const rest = bcryptjs.hashSync(password, 5).slice(4);
const python = (hash) => execFileSync("v/bin/python", ["-c",
  "import bcrypt, sys; print(str(bcrypt.checkpw(sys.argv[1].encode(), sys.argv[2].encode())).lower())", password, hash]).toString().trim();
for (const prefix of ["$2a$", "$2b$", "$2y$"]) {
  const hash = prefix + rest;
  console.log(`${prefix} bcrypt ${await bcrypt.compare(password, hash)}, cost ${bcrypt.getRounds(hash)};`,
    `bcryptjs ${await bcryptjs.compare(password, hash)}; Python ${python(hash)}`);
}
JS
node check.js > seen
cat > want <<'WANT'
$2a$ bcrypt true, cost 5; bcryptjs true; Python true
$2b$ bcrypt true, cost 5; bcryptjs true; Python true
$2y$ bcrypt false, cost 5; bcryptjs true; Python true
WANT
cat seen
diff want seen
