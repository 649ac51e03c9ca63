// openid-client against Gatehouse: one flow by name, which fails when anything is not as it should be.
import * as client from "openid-client";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { Browser, callback, issuer, listen, must, publicKeys, refused, register, run, signedOut, username } from "./house.js";

const insecure = { execute: [client.allowInsecureRequests] }; // the issuer of a test is on loopback, without TLS
const openid = "openid profile email documents:read offline_access";

const discover = (made, auth, metadata) =>
  client.discovery(new URL(issuer), made.client_id, metadata ?? made.client_secret, auth, insecure);

// ask makes the parameters of a request, and what the answer is checked against.
async function ask(change = {}) {
  const checks = { pkceCodeVerifier: client.randomPKCECodeVerifier(), expectedState: client.randomState(), expectedNonce: client.randomNonce() };
  const parameters = {
    redirect_uri: callback, scope: openid, state: checks.expectedState, nonce: checks.expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier), code_challenge_method: "S256", ...change,
  };
  return { checks, parameters };
}

// whole goes through the code flow, and asks who it was.
async function whole(config, { browser = new Browser(), build = client.buildAuthorizationUrl, change, options } = {}) {
  const { checks, parameters } = await ask(change);
  const back = await browser.allow(await build(config, parameters));
  const tokens = await client.authorizationCodeGrant(config, back, checks, undefined, options);
  const { sub } = tokens.claims();
  const who = await client.fetchUserInfo(config, tokens.access_token, sub, options);
  must(who.preferred_username === username, "userinfo names the person");
  return { tokens, sub, back };
}

// renew renews, and asks again.
async function renew(config, { tokens, sub }, options) {
  const next = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, options);
  must(next.claims().sub === sub, "the renewed ID token is of the same person");
  await client.fetchUserInfo(config, next.access_token, sub, options);
  return next;
}

const bound = (config, pair) => ({ DPoP: client.getDPoPHandle(config, pair) });

const flows = {
  "code": async () => {
    for (const [method, auth] of [["client_secret_basic", client.ClientSecretBasic], ["client_secret_post", client.ClientSecretPost], ["none", client.None]]) {
      const made = await register({ token_endpoint_auth_method: method });
      const config = await discover(made, auth(made.client_secret));
      client.enableNonRepudiationChecks(config);
      const got = await whole(config);
      must(got.tokens.expiresIn() > 0 && got.tokens.claims().acr, "the token answer has its members");
      const next = await renew(config, got);
      must(next.refresh_token !== got.tokens.refresh_token, "refresh tokens are for once");
      await client.tokenRevocation(config, next.refresh_token);
      const problem = await refused(client.refreshTokenGrant(config, next.refresh_token), "a revoked refresh token");
      must(problem.error === "invalid_grant", `${problem}`);
    }
  },
  "ID token algorithms": async () => {
    for (const alg of ["RS256", "PS256", "ES256", "ES384", "EdDSA"]) {
      const made = await register({ id_token_signed_response_alg: alg, userinfo_signed_response_alg: alg });
      const config = await discover(made, client.ClientSecretBasic(made.client_secret), { id_token_signed_response_alg: alg, userinfo_signed_response_alg: alg });
      client.enableNonRepudiationChecks(config);
      await whole(config);
    }
  },
  "claims and acr_values": async () => {
    const made = await register({});
    const config = await discover(made, client.ClientSecretBasic(made.client_secret));
    const { tokens } = await whole(config, { change: { acr_values: "aal1", claims: JSON.stringify({ id_token: { preferred_username: { essential: true } } }) } });
    must(tokens.claims().preferred_username === username && tokens.claims().acr === "aal1", "in the ID token");
  },
  "max_age, prompt and refusal": async () => {
    const made = await register({});
    const config = await discover(made, client.ClientSecretBasic(made.client_secret));
    const browser = new Browser();
    await whole(config, { browser });
    const { checks, parameters } = await ask({ max_age: "600", prompt: "none" });
    const { left } = await browser.open(client.buildAuthorizationUrl(config, parameters));
    must((await client.authorizationCodeGrant(config, left, { ...checks, maxAge: 600 })).claims().auth_time, "auth_time");
    const nobody = await ask({ prompt: "none" });
    const away = await new Browser().open(client.buildAuthorizationUrl(config, nobody.parameters));
    const problem = await refused(client.authorizationCodeGrant(config, away.left, nobody.checks), "nobody is signed in");
    must(problem.error === "login_required", `${problem}`);
  },
  "form_post": async () => {
    const made = await register({});
    const config = await discover(made, client.ClientSecretBasic(made.client_secret));
    const { checks, parameters } = await ask({ response_mode: "form_post" });
    const browser = new Browser();
    const seen = await browser.press(await browser.signIn(await browser.open(client.buildAuthorizationUrl(config, parameters))), "allow");
    const body = new URLSearchParams([...seen.page.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)].map(([, name, value]) => [name, value]));
    await client.authorizationCodeGrant(config, new Request(callback, { method: "POST", body }), checks);
  },
  "DPoP": async () => {
    for (const [members, alg] of [[{ token_endpoint_auth_method: "none", dpop_bound_access_tokens: true }, "ES256"], [{ require_dpop_nonce: true }, "Ed25519"], [{}, "PS256"]]) {
      const made = await register(members);
      const config = await discover(made, made.client_secret ? client.ClientSecretBasic(made.client_secret) : client.None());
      const options = bound(config, await client.randomDPoPKeyPair(alg));
      const got = await whole(config, { options });
      must(got.tokens.token_type === "dpop", "bound");
      await renew(config, got, options);
      const problem = await refused(client.fetchUserInfo(config, got.tokens.access_token, got.sub), "a bound token without its proof");
      must(problem.status === 401, `${problem}`);
    }
  },
  "PAR": async () => {
    const made = await register({ require_pushed_authorization_requests: true });
    const config = await discover(made, client.ClientSecretBasic(made.client_secret));
    await whole(config, { build: client.buildAuthorizationUrlWithPAR });
    const options = bound(config, await client.randomDPoPKeyPair());
    await whole(config, { build: (c, parameters) => client.buildAuthorizationUrlWithPAR(c, parameters, options), options });
    const { parameters } = await ask({ redirect_uri: "https://elsewhere.example/" });
    must((await refused(client.buildAuthorizationUrlWithPAR(config, parameters), "another address")).error, "with an error");
  },
  "JAR": async () => {
    const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
    const made = await register({ jwks: await publicKeys(keys), request_object_signing_alg: "ES256", require_signed_request_object: true });
    const config = await discover(made, client.ClientSecretBasic(made.client_secret));
    const sign = (c, parameters) => client.buildAuthorizationUrlWithJAR(c, parameters, keys.privateKey);
    await whole(config, { build: sign });
    await whole(config, { build: async (c, parameters) => client.buildAuthorizationUrlWithPAR(c, (await sign(c, parameters)).searchParams) });
  },
  "JARM": async () => {
    for (const alg of ["RS256", "ES256"]) {
      const made = await register({ authorization_signed_response_alg: alg });
      const config = await discover(made, client.ClientSecretBasic(made.client_secret), { authorization_signed_response_alg: alg });
      client.useJwtResponseMode(config);
      const { back } = await whole(config);
      must(back.searchParams.has("response") && !back.searchParams.has("code"), "a signed answer");
    }
  },
  "FAPI 2.0": async () => {
    const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
    const made = await register({ token_endpoint_auth_method: "private_key_jwt", jwks: await publicKeys(keys), profile: "fapi2", require_signed_request_object: true });
    const config = await discover(made, client.PrivateKeyJwt(keys.privateKey), { id_token_signed_response_alg: "ES256", authorization_signed_response_alg: "ES256" });
    client.useJwtResponseMode(config);
    client.enableNonRepudiationChecks(config);
    const options = bound(config, await client.randomDPoPKeyPair());
    const build = async (c, parameters) =>
      client.buildAuthorizationUrlWithPAR(c, (await client.buildAuthorizationUrlWithJAR(c, parameters, keys.privateKey)).searchParams, options);
    await renew(config, await whole(config, { build, options }), options);
  },
  "private_key_jwt": async () => {
    for (const algorithm of [{ name: "ECDSA", namedCurve: "P-256" }, { name: "Ed25519" },
      { name: "RSA-PSS", hash: "SHA-256", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) }]) {
      const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
      const made = await register({ token_endpoint_auth_method: "private_key_jwt", jwks: await publicKeys(keys) });
      const config = await discover(made, client.PrivateKeyJwt(keys.privateKey));
      await renew(config, await whole(config));
    }
  },
  "client_credentials": async () => {
    const made = await register({ redirect_uris: [], grant_types: ["client_credentials"], scope: "documents:read" });
    const config = await discover(made, client.ClientSecretBasic(made.client_secret));
    must((await client.clientCredentialsGrant(config, { scope: "documents:read" })).scope === "documents:read", "the scope");
    must((await client.clientCredentialsGrant(config, { resource: "https://api.example" })).access_token, "for an audience");
    const options = bound(config, await client.randomDPoPKeyPair());
    must((await client.clientCredentialsGrant(config, {}, options)).token_type === "dpop", "bound");
    const problem = await refused(client.clientCredentialsGrant(config, { scope: "admin" }), "a scope of another");
    must(problem.error === "invalid_scope", `${problem}`);
  },
  "device": async () => {
    const made = await register({ redirect_uris: [], grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"], token_endpoint_auth_method: "none" });
    const config = await discover(made, client.None());
    const shown = await client.initiateDeviceAuthorization(config, { scope: openid });
    const [tokens] = await Promise.all([client.pollDeviceAuthorizationGrant(config, shown), new Browser().allowDevice(shown.verification_uri_complete)]);
    await renew(config, { tokens, sub: tokens.claims().sub });
  },
  "CIBA": async () => {
    const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
    const made = await register({ redirect_uris: [], grant_types: ["urn:openid:params:grant-type:ciba", "refresh_token"], backchannel_token_delivery_mode: "poll",
      token_endpoint_auth_method: "private_key_jwt", jwks: await publicKeys(keys) });
    const config = await discover(made, client.PrivateKeyJwt(keys.privateKey));
    for (const options of [undefined, bound(config, await client.randomDPoPKeyPair())]) {
      const message = `Code ${client.randomState().replace(/[^A-Za-z0-9]/g, "").slice(0, 8)}`;
      const asked = await client.initiateBackchannelAuthentication(config, { scope: openid, login_hint: username, binding_message: message });
      const [tokens] = await Promise.all([client.pollBackchannelAuthenticationGrant(config, asked, undefined, options), new Browser().allowAsked(message)]);
      await renew(config, { tokens, sub: tokens.claims().sub }, options);
    }
    const problem = await refused(client.initiateBackchannelAuthentication(config, { scope: openid, login_hint: "nobody-of-that-name" }), "nobody");
    must(problem.error === "unknown_user_id", `${problem}`);
  },
  "authorization details": async () => {
    const made = await register({ authorization_details_types: ["payment"] });
    const config = await discover(made, client.ClientSecretBasic(made.client_secret));
    const details = [{ type: "payment", amount: 12 }];
    const { tokens } = await whole(config, { change: { authorization_details: JSON.stringify(details) } });
    const [{ type, amount }] = tokens.authorization_details;
    must(type === "payment" && amount === 12, "in the answer");
    await whole(config, { build: client.buildAuthorizationUrlWithPAR, change: { authorization_details: JSON.stringify(details) } });
  },
  "introspection": async () => {
    const api = await register({ redirect_uris: [], grant_types: ["client_credentials"], scope: "", introspection_audiences: [issuer] });
    const config = await discover(api, client.ClientSecretBasic(api.client_secret));
    const made = await register({});
    const app = await discover(made, client.ClientSecretBasic(made.client_secret));
    const { tokens, sub } = await whole(app);
    const said = await client.tokenIntrospection(config, tokens.access_token);
    must(said.active && said.sub === sub && said.client_id === made.client_id, "what the token says");
    const own = await client.tokenIntrospection(app, tokens.refresh_token);
    must(own.active && !own.sub, "its own refresh token");
    await client.tokenRevocation(app, tokens.access_token);
    must(!(await client.tokenIntrospection(config, tokens.access_token)).active, "revoked");
  },
  "logout": async () => {
    const server = await listen();
    const made = await register({ post_logout_redirect_uris: [signedOut], backchannel_logout_uri: server.address, allow_private_address: true });
    const config = await discover(made, client.ClientSecretBasic(made.client_secret));
    const browser = new Browser();
    const { tokens, sub } = await whole(config, { browser });
    const end = client.buildEndSessionUrl(config, { post_logout_redirect_uri: signedOut, id_token_hint: tokens.id_token, state: "bye" });
    const { left } = await browser.open(end);
    must(`${left}` === `${signedOut}?state=bye`, `back at the program: ${left}`);
    const { payload } = await jwtVerify((await server.form).get("logout_token"), createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri)),
      { issuer, audience: made.client_id, typ: "logout+jwt", algorithms: ["RS256"] });
    must(payload.sub === sub && payload.sid === tokens.claims().sid && payload.events["http://schemas.openid.net/event/backchannel-logout"], "the logout token");
  },
  "registration": async () => {
    for (const [method, auth] of [["client_secret_basic", client.ClientSecretBasic()], ["client_secret_post", undefined], ["none", client.None()]]) {
      const config = await client.dynamicClientRegistration(new URL(issuer), {
        client_name: "A stranger", redirect_uris: [callback], token_endpoint_auth_method: method, grant_types: ["authorization_code", "refresh_token"], scope: openid,
      }, auth, insecure);
      await renew(config, await whole(config));
      const made = config.clientMetadata();
      const answer = await fetch(made.registration_client_uri, { method: "DELETE", headers: { authorization: `Bearer ${made.registration_access_token}` } });
      must(answer.status === 204, "removed");
    }
  },
  "token exchange": async () => {
    const made = await register({});
    const { tokens } = await whole(await discover(made, client.ClientSecretBasic(made.client_secret)));
    const grant = "urn:ietf:params:oauth:grant-type:token-exchange";
    const api = await register({ redirect_uris: [], grant_types: [grant], scope: "documents:read", introspection_audiences: [issuer],
      token_exchange: [{ from: [made.client_id], audiences: ["https://api.example"], scope: "documents:read" }] });
    const config = await discover(api, client.ClientSecretBasic(api.client_secret));
    const other = await client.genericGrantRequest(config, grant, { subject_token: tokens.access_token, resource: "https://api.example",
      subject_token_type: "urn:ietf:params:oauth:token-type:access_token" });
    must(other.access_token && other.issued_token_type && !other.refresh_token, "another token");
  },
};

await run(flows);
