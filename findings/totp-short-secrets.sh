#!/usr/bin/env bash
# Two libraries for authenticator apps refuse secrets of 80 bits when they verify: otplib
# 13.5.0, although otplib 12.0.1 makes such secrets by default, and PyOTP 2.12.1.
#
# RFC 4226 §4 (R6) wants 128 bits, so a good engineer expects a bound where a secret is made.
# Where a code is compared he expects enrolled people to go on: their app has the secret
# already. After the upgrade of otplib, who enrolled before it gets an error for a right code
# while new people get in, so a test with a new secret passes. createGuardrails of otplib
# takes it back; otpauth 9.5.2 has no bound.
# Gatehouse makes 160 bits and has no bound where it compares.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
cat > package.json <<'JSON'
{"private": true, "type": "module", "dependencies": {"before": "npm:otplib@12.0.1", "otpauth": "9.5.2", "otplib": "13.5.0"}}
JSON
npm install --silent --no-audit --no-fund > build 2>&1 || { cat build; exit 1; }
python3 -m venv v
v/bin/pip install -q pyotp==2.12.1
cat > check.py <<'PY'
import sys

import pyotp

try:
    print(str(pyotp.TOTP(sys.argv[1]).verify(sys.argv[2], valid_window=1)).lower())
except ValueError as problem:
    print(problem)
PY
cat > check.js <<'JS'
import { execFileSync } from "node:child_process";
import before from "before";
import * as otpauth from "otpauth";
import * as otplib from "otplib";

const attempt = (check) => { try { return check(); } catch (problem) { return problem.name; } };
for (const [name, secret] of Object.entries({ "made by 12": before.authenticator.generateSecret(), "made by 13": otplib.generateSecret() })) {
  const token = before.authenticator.generate(secret);
  const at = { secret, token, epochTolerance: 30 };
  const guardrails = otplib.createGuardrails({ MIN_SECRET_BYTES: 10 });
  console.log(`${name}, ${secret.length * 5} bits`);
  console.log("  otplib 12", attempt(() => before.authenticator.check(token, secret)));
  console.log("  otplib 13", attempt(() => otplib.verifySync(at).valid));
  console.log("  otplib 13 with a lower bound", attempt(() => otplib.verifySync({ ...at, guardrails }).valid));
  console.log("  otpauth", attempt(() => new otpauth.TOTP({ secret }).validate({ token }) !== null));
  console.log("  PyOTP", execFileSync("v/bin/python", ["check.py", secret, token]).toString().trim());
}
JS
node check.js > seen 2> log || { cat log; exit 1; }
cat > want <<'WANT'
made by 12, 80 bits
  otplib 12 true
  otplib 13 SecretTooShortError
  otplib 13 with a lower bound true
  otpauth true
  PyOTP Secrets must be at least 112 bits after decoding
made by 13, 160 bits
  otplib 12 true
  otplib 13 true
  otplib 13 with a lower bound true
  otpauth true
  PyOTP true
WANT
cat seen
diff want seen
