// The MCP SDK's client against an MCP server behind Gatehouse: one flow by name, which fails when anything is not as it should be.
import { UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { ClientCredentialsProvider, PrivateKeyJwtProvider } from "@modelcontextprotocol/sdk/client/auth-extensions.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Browser, callback, issuer, mcp, must, publicKeys, refused, register, run } from "./house.js";

// provider remembers what the SDK gives it, as a program would.
function provider(members = {}) {
  const kept = {};
  return {
    kept,
    redirectUrl: callback,
    clientMetadata: { client_name: "An editor", redirect_uris: [callback], grant_types: ["authorization_code", "refresh_token"], token_endpoint_auth_method: "none" },
    clientInformation: () => kept.client,
    saveClientInformation: (client) => { kept.client = client; },
    tokens: () => kept.tokens,
    saveTokens: (tokens) => { kept.tokens = tokens; },
    saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
    codeVerifier: () => kept.verifier,
    redirectToAuthorization: (to) => { kept.to = to; },
    state: () => "a state",
    ...members,
  };
}

// use connects and calls the tool.
async function use(authProvider, address = mcp, transport = new StreamableHTTPClientTransport(new URL(address), { authProvider })) {
  const client = new Client({ name: "flows", version: "1" });
  await client.connect(transport);
  const answer = await client.callTool({ name: "headers" });
  const headers = JSON.parse(answer.content[0].text);
  must(!("authorization" in headers) && headers["x-gatehouse-assertion"], `the server sees an assertion, and no token: ${Object.keys(headers)}`);
  await client.close();
}

// allowed has a person allow what the SDK asks for, and gives it the code.
async function allowed(authProvider, browser, address = mcp) {
  const transport = new StreamableHTTPClientTransport(new URL(address), { authProvider }); // it knows where the challenge led
  const problem = await refused(use(authProvider, address, transport), "nobody has allowed it");
  must(problem instanceof UnauthorizedError, `${problem.stack}`);
  const back = await browser.allow(authProvider.kept.to);
  must(back.searchParams.get("state") === "a state" && back.searchParams.get("iss") === issuer, "state and iss");
  await transport.finishAuth(back.searchParams.get("code"));
}

const flows = {
  "a client that registers itself": async () => {
    const p = provider();
    const browser = new Browser();
    await allowed(p, browser);
    must(p.kept.client.client_id && p.kept.to.searchParams.get("resource") === mcp, "registered, and asks for this server");
    must(p.kept.tokens.scope === "documents:read", `what the challenge says: ${p.kept.tokens.scope}`);
    await use(p);
    const old = p.kept.tokens.access_token;
    p.kept.tokens = { ...p.kept.tokens, access_token: `${old}x` };
    await use(p);
    must(p.kept.tokens.access_token !== old, "renewed");
  },
  "a client with a secret": async () => {
    for (const method of ["client_secret_basic", "client_secret_post"]) {
      const made = await register({ token_endpoint_auth_method: method, scope: "documents:read documents:write" });
      const p = provider();
      p.kept.client = { client_id: made.client_id, client_secret: made.client_secret, token_endpoint_auth_method: method };
      await allowed(p, new Browser());
      await use(p);
    }
  },
  "more scopes": async () => {
    const made = await register({ token_endpoint_auth_method: "none", grant_types: ["authorization_code"], scope: "documents:read documents:write" });
    const p = provider();
    p.kept.client = { client_id: made.client_id };
    const browser = new Browser();
    await allowed(p, browser);
    must(p.kept.tokens.scope === "documents:read", "less at first");
    await allowed(p, browser, `${mcp}/write`);
    must(p.kept.tokens.scope.split(" ").includes("documents:write"), `what the challenge says: ${p.kept.tokens.scope}`);
    await use(p, `${mcp}/write`);
    await use(p);
  },
  "client_credentials": async () => {
    const made = await register({ redirect_uris: [], grant_types: ["client_credentials"], scope: "documents:read" });
    await use(new ClientCredentialsProvider({ clientId: made.client_id, clientSecret: made.client_secret, scope: "documents:read", expectedIssuer: issuer }));
    const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
    const signs = await register({ redirect_uris: [], grant_types: ["client_credentials"], scope: "documents:read", token_endpoint_auth_method: "private_key_jwt", jwks: await publicKeys(keys) });
    await use(new PrivateKeyJwtProvider({ clientId: signs.client_id, privateKey: await crypto.subtle.exportKey("jwk", keys.privateKey), algorithm: "ES256", scope: "documents:read", expectedIssuer: issuer }));
  },
};

await run(flows);
