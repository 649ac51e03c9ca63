// oauth4webapi against Gatehouse: one flow by name, which fails when anything is not as it should be.
import { decodeJwt } from "jose";
import * as oauth from "oauth4webapi";
import { Browser, callback, issuer, mcp, must, refused, register, run, username } from "./house.js";

const insecure = { [oauth.allowInsecureRequests]: true }; // the issuer of a test is on loopback, without TLS
const openid = "openid profile email documents:read offline_access";

const discover = async (algorithm) =>
  oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), { algorithm, ...insecure }));

// proved sends a request with a proof, and once more where the server wants a nonce in it.
async function proved(send) {
  try {
    return await send();
  } catch (problem) {
    if (!oauth.isDPoPNonceError(problem)) throw problem;
    return send();
  }
}

// whole goes through the code flow.
async function whole(as, client, auth, { DPoP, push, change } = {}) {
  const verifier = oauth.generateRandomCodeVerifier();
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
  let parameters = new URLSearchParams({ client_id: client.client_id, response_type: "code", redirect_uri: callback, scope: openid, state, nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256", ...change });
  if (push) {
    const pushed = await proved(async () =>
      oauth.processPushedAuthorizationResponse(as, client, await oauth.pushedAuthorizationRequest(as, client, auth, parameters, { DPoP, ...insecure })));
    parameters = new URLSearchParams({ client_id: client.client_id, request_uri: pushed.request_uri });
  }
  const answer = oauth.validateAuthResponse(as, client, await new Browser().allow(`${as.authorization_endpoint}?${parameters}`), state);
  return proved(async () => {
    const response = await oauth.authorizationCodeGrantRequest(as, client, auth, answer, callback, verifier, { DPoP, ...insecure });
    const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, requireIdToken: true });
    await oauth.validateApplicationLevelSignature(as, response, insecure);
    return tokens;
  });
}

async function asks(as, client, tokens, DPoP) {
  const { sub } = oauth.getValidatedIdTokenClaims(tokens);
  const who = await proved(async () => oauth.processUserInfoResponse(as, client, sub, await oauth.userInfoRequest(as, client, tokens.access_token, { DPoP, ...insecure })));
  must(who.preferred_username === username, "userinfo names the person");
}

// reads checks an access token as an API does.
const reads = (as, token, audience) =>
  oauth.validateJwtAccessToken(as, new Request("https://api.example/read", { headers: { authorization: `Bearer ${token}` } }), audience, insecure);

const flows = {
  "code": async () => {
    for (const algorithm of ["oidc", "oauth2"]) {
      const as = await discover(algorithm);
      const made = await register({});
      const client = { client_id: made.client_id };
      const auth = oauth.ClientSecretBasic(made.client_secret);
      const tokens = await whole(as, client, auth);
      await asks(as, client, tokens);
      must((await reads(as, tokens.access_token, issuer)).client_id === made.client_id, "the access token names the client");
      const next = await oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, auth, tokens.refresh_token, insecure));
      await asks(as, client, next);
      await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, next.refresh_token, insecure));
      const problem = await refused((async () => oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, auth, next.refresh_token, insecure)))(), "a revoked one");
      must(problem.error === "invalid_grant", `${problem}`);
    }
  },
  "DPoP": async () => {
    const as = await discover();
    for (const [alg, members] of [["ES256", {}], ["Ed25519", { require_dpop_nonce: true }], ["PS256", { require_pushed_authorization_requests: true }]]) {
      const made = await register({ token_endpoint_auth_method: "none", dpop_bound_access_tokens: true, ...members });
      const client = { client_id: made.client_id };
      const DPoP = oauth.DPoP(client, await oauth.generateKeyPair(alg));
      const tokens = await whole(as, client, oauth.None(), { DPoP, push: members.require_pushed_authorization_requests });
      must(tokens.token_type === "dpop", "bound");
      await asks(as, client, tokens, DPoP);
      const next = await proved(async () => oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, oauth.None(), tokens.refresh_token, { DPoP, ...insecure })));
      await asks(as, client, next, DPoP);
      const other = oauth.DPoP(client, await oauth.generateKeyPair(alg));
      await refused(proved(async () => oauth.processUserInfoResponse(as, client, oauth.skipSubjectCheck, await oauth.userInfoRequest(as, client, tokens.access_token, { DPoP: other, ...insecure }))), "another key");
    }
  },
  "client_credentials": async () => {
    const as = await discover();
    const made = await register({ redirect_uris: [], grant_types: ["client_credentials"], scope: "documents:read", token_endpoint_auth_method: "client_secret_post" });
    const client = { client_id: made.client_id };
    const tokens = await oauth.processClientCredentialsResponse(as, client,
      await oauth.clientCredentialsGrantRequest(as, client, oauth.ClientSecretPost(made.client_secret), { resource: "https://api.example" }, insecure));
    must((await reads(as, tokens.access_token, "https://api.example")).sub === made.client_id, "the client itself");
  },
  "device": async () => {
    const as = await discover();
    const made = await register({ redirect_uris: [], grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"], token_endpoint_auth_method: "none" });
    const client = { client_id: made.client_id };
    const shown = await oauth.processDeviceAuthorizationResponse(as, client, await oauth.deviceAuthorizationRequest(as, client, oauth.None(), { scope: openid }, insecure));
    const poll = async () => oauth.processDeviceCodeResponse(as, client, await oauth.deviceCodeGrantRequest(as, client, oauth.None(), shown.device_code, insecure));
    const problem = await refused(poll(), "nobody has allowed it");
    must(problem.error === "authorization_pending", `${problem}`);
    await new Browser().allowDevice(shown.verification_uri_complete);
    await asks(as, client, await poll());
  },
  "signed introspection": async () => {
    const as = await discover();
    const made = await register({});
    const tokens = await whole(as, { client_id: made.client_id }, oauth.ClientSecretBasic(made.client_secret));
    for (const alg of ["RS256", "ES256"]) {
      const api = await register({ redirect_uris: [], grant_types: ["client_credentials"], scope: "", introspection_audiences: [issuer], introspection_signed_response_alg: alg });
      const client = { client_id: api.client_id, introspection_signed_response_alg: alg };
      const response = await oauth.introspectionRequest(as, client, oauth.ClientSecretBasic(api.client_secret), tokens.access_token, { requestJwtResponse: true, ...insecure });
      const said = await oauth.processIntrospectionResponse(as, client, response);
      await oauth.validateApplicationLevelSignature(as, response, insecure);
      must(said.active && said.client_id === made.client_id, "what the token says");
    }
  },
  "token exchange": async () => {
    const as = await discover();
    const made = await register({});
    const tokens = await whole(as, { client_id: made.client_id }, oauth.ClientSecretBasic(made.client_secret));
    const grant = "urn:ietf:params:oauth:grant-type:token-exchange";
    const api = await register({ redirect_uris: [], grant_types: [grant], scope: "documents:read", introspection_audiences: [issuer],
      token_exchange: [{ from: [made.client_id], audiences: ["https://api.example"], scope: "documents:read" }] });
    const client = { client_id: api.client_id };
    const auth = oauth.ClientSecretBasic(api.client_secret);
    const exchange = async (change, options) => oauth.processGenericTokenEndpointResponse(as, client, await oauth.genericTokenEndpointRequest(as, client, auth, grant,
      { subject_token: tokens.access_token, subject_token_type: "urn:ietf:params:oauth:token-type:access_token", ...change }, { ...options, ...insecure }));
    const other = await exchange({ resource: "https://api.example" });
    const claims = await reads(as, other.access_token, "https://api.example");
    must(claims.act.sub === api.client_id && claims.scope === "documents:read", "who acts");
    const DPoP = oauth.DPoP(client, await oauth.generateKeyPair("ES256"));
    must((await proved(() => exchange({ audience: "https://api.example" }, { DPoP }))).token_type === "dpop", "bound");
    const problem = await refused(exchange({ resource: "https://none.example" }), "an audience without a rule");
    must(problem.error === "invalid_target", `${problem}`);
  },
  "registration": async () => {
    const as = await discover();
    const client = await oauth.processDynamicClientRegistrationResponse(await oauth.dynamicClientRegistrationRequest(as,
      { client_name: "A stranger", redirect_uris: [callback], grant_types: ["authorization_code", "refresh_token"], scope: openid }, insecure));
    await asks(as, client, await whole(as, client, oauth.ClientSecretBasic(client.client_secret)));
  },
  // An API behind the gateway, of which nothing is known but its address.
  "protected resource": async () => {
    const about = await oauth.processResourceDiscoveryResponse(new URL(mcp), await oauth.resourceDiscoveryRequest(new URL(mcp), insecure));
    must(about.authorization_servers.length === 1 && about.authorization_servers[0] === issuer, "who gives tokens for it");
    const as = await discover("oauth2");
    const made = await register({ token_endpoint_auth_method: "none", dpop_bound_access_tokens: true });
    const client = { client_id: made.client_id };
    const DPoP = oauth.DPoP(client, await oauth.generateKeyPair("ES256"));
    const tokens = await whole(as, client, oauth.None(), { DPoP, change: { resource: mcp } });
    const { aud, cnf } = decodeJwt(tokens.access_token);
    must(aud === mcp && cnf.jkt, "for it alone, and bound");
    const call = (token, options, path = "") => oauth.protectedResourceRequest(token, "POST", new URL(mcp + path), new Headers({ "content-type": "application/json", accept: "application/json, text/event-stream" }),
      JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" }), { ...options, ...insecure });
    must((await proved(() => call(tokens.access_token, { DPoP }))).status === 200, "let in");
    must((await refused(call(tokens.access_token), "without the proof")).status === 401, "401");
    const { cause: [challenge] } = await refused(proved(() => call(tokens.access_token, { DPoP }, "/write")), "a scope that it lacks");
    must(challenge.parameters.error === "insufficient_scope" && challenge.parameters.scope === "documents:read documents:write", "which scopes it needs");
  },
};

await run(flows);
