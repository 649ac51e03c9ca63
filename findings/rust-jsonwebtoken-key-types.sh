#!/usr/bin/env bash
# One key of a type or curve that it does not know makes Rust's jsonwebtoken 10.4.0
# refuse the whole key set, and jwt-authorizer with it.
#
# A good engineer expects that such a key is passed over: RFC 7517 §5 says that a
# key set's reader should ignore keys whose "kty" it does not understand. Here the
# set does not parse, so no token is accepted any more, also of the key that is
# known. It meets whoever adds a key for encryption (X25519) or of another curve
# (secp256k1, RFC 8812) beside the one that signs. Gatehouse publishes EC, RSA and Ed25519 keys
# for signatures only, and passes over foreign keys that it cannot use.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"

[dependencies]
jsonwebtoken = { version = "=10.4.0", features = ["rust_crypto"] }
serde_json = "=1.0.145"
TOML
cat > src/main.rs <<'RUST'
use jsonwebtoken::jwk::JwkSet;

fn main() {
    let known = r#"{"kty":"OKP","crv":"Ed25519","kid":"known","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    for (name, other) in [
        ("alone", None),
        ("beside X25519", Some(r#"{"kty":"OKP","crv":"X25519","use":"enc","kid":"x","x":"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}"#)),
        ("beside secp256k1", Some(r#"{"kty":"EC","crv":"secp256k1","kid":"k","x":"eb5mfvncu6xVoGKVzocLBwKb_NstzijZWfKBWxb4F5g","y":"SDradyajxGVdpPv8DhEIqP0XtEimhVQZnEfQj_sQ1Lg"}"#)),
    ] {
        let keys: Vec<&str> = other.into_iter().chain([known]).collect();
        let set = serde_json::from_str::<JwkSet>(&format!(r#"{{"keys":[{}]}}"#, keys.join(",")));
        println!("{name}: {}", match set {
            Ok(set) => format!("known key found: {}", set.find("known").is_some()),
            Err(problem) => problem.to_string().split(" at line").next().unwrap_or("").to_string(),
        });
    }
}
RUST
cargo run -q > seen 2> build || { cat build; exit 1; }
cat > want <<'WANT'
alone: known key found: true
beside X25519: data did not match any variant of untagged enum AlgorithmParameters
beside secp256k1: data did not match any variant of untagged enum AlgorithmParameters
WANT
cat seen
diff want seen
