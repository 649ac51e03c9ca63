//! Reads one access token a line, and says what the library named in the first argument makes of it.
//! Each function holds the lines that docs/clients.md gives for its library, and nothing that checks more.
use std::env;
use std::io::BufRead;

type Answer = Result<(), String>;

fn text(problem: impl std::fmt::Display) -> String {
    problem.to_string().replace('\n', " ")
}

fn jsonwebtoken_check(issuer: &str, audience: &str) -> Result<impl Fn(&str) -> Answer, String> {
    use jsonwebtoken::{decode, decode_header, jwk::JwkSet, Algorithm, DecodingKey, Validation};
    let keys: JwkSet = ureq::get(format!("{issuer}/.well-known/jwks.json"))
        .call()
        .map_err(text)?
        .body_mut()
        .read_json()
        .map_err(text)?;
    let mut rules = Validation::new(Algorithm::ES256);
    rules.set_issuer(&[issuer]);
    rules.set_audience(&[audience]);
    rules.set_required_spec_claims(&["exp", "iss", "aud"]);
    Ok(move |token: &str| {
        let kid = decode_header(token).map_err(text)?.kid.ok_or("no kid")?;
        let key = keys.find(&kid).ok_or("no such key")?;
        let key = DecodingKey::from_jwk(key).map_err(text)?;
        decode::<serde_json::Value>(token, &key, &rules).map(|_| ()).map_err(text)
    })
}

async fn jwt_authorizer_check(issuer: &str, audience: &str) -> Result<jwt_authorizer::Authorizer<serde_json::Value>, String> {
    use jwt_authorizer::{JwtAuthorizer, Validation};
    let rules = Validation::new().iss(&[issuer]).aud(&[audience]).algs(vec![jsonwebtoken9::Algorithm::ES256]);
    JwtAuthorizer::from_jwks_url(&format!("{issuer}/.well-known/jwks.json")).validation(rules).build().await.map_err(text)
}

fn answer(given: Answer) {
    match given {
        Ok(()) => println!("accepted"),
        Err(why) => println!("refused {why}"),
    }
}

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), String> {
    let (issuer, audience) = (env::var("ISSUER").map_err(text)?, env::var("AUDIENCE").map_err(text)?);
    let tokens = std::io::stdin().lock().lines().map(|line| line.map_err(text));
    match env::args().nth(1).as_deref() {
        Some("jsonwebtoken") => {
            let check = jsonwebtoken_check(&issuer, &audience)?;
            for token in tokens {
                answer(check(&token?));
            }
        }
        Some("jwt-authorizer") => {
            let check = jwt_authorizer_check(&issuer, &audience).await?;
            for token in tokens {
                answer(check.check_auth(&token?).await.map(|_| ()).map_err(text));
            }
        }
        _ => return Err("no such library".into()),
    }
    Ok(())
}
