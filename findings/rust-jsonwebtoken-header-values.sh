#!/usr/bin/env bash
# Rust's jsonwebtoken 10.4.0 cannot read a token whose header has an unknown
# parameter with a value that is no string.
#
# A good engineer expects it to be ignored: RFC 7515 §4 says that parameters which
# are not understood MUST be ignored, whatever their value. An unknown parameter
# with a string passes; one with a number, true or an object is a JSON error, before
# the signature is looked at. Gatehouse writes alg, kid and typ only.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"

[dependencies]
base64 = "=0.22.1"
jsonwebtoken = { version = "=10.4.0", features = ["rust_crypto"] }
serde_json = "=1.0.145"
TOML
cat > src/main.rs <<'RUST'
use base64::{engine::general_purpose::URL_SAFE_NO_PAD, Engine};
use jsonwebtoken::{crypto::sign, decode, Algorithm, DecodingKey, EncodingKey, Validation};

fn main() {
    let secret = b"only-for-this-demonstration-32-bytes";
    let claims = URL_SAFE_NO_PAD.encode(r#"{"sub":"u","exp":4102444800}"#);
    for value in [r#""north""#, "7", "true", r#"{"name":"north"}"#] {
        let header = format!(r#"{{"alg":"HS256","typ":"JWT","region":{value}}}"#);
        let signed = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(header));
        let signature = sign(signed.as_bytes(), &EncodingKey::from_secret(secret), Algorithm::HS256).unwrap();
        let token = format!("{signed}.{signature}");
        let read = decode::<serde_json::Value>(&token, &DecodingKey::from_secret(secret), &Validation::new(Algorithm::HS256));
        println!("region {value}: {}", match read {
            Ok(_) => "accepted".into(),
            Err(problem) => problem.to_string().split(" at line").next().unwrap_or("").to_string(),
        });
    }
}
RUST
cargo run -q > seen 2> build || { cat build; exit 1; }
cat > want <<'WANT'
region "north": accepted
region 7: JSON error: invalid type: integer `7`, expected a string
region true: JSON error: invalid type: boolean `true`, expected a string
region {"name":"north"}: JSON error: invalid type: map, expected a string
WANT
cat seen
diff want seen
