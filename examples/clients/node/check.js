// Reads one access token a line, and says what the library named in the first argument makes of it.
// Each function holds the lines that docs/clients.md gives for its library, and nothing that checks more.
import { createInterface } from "node:readline";

const { ISSUER: issuer, AUDIENCE: audience } = process.env;
const jwksUri = `${issuer}/.well-known/jwks.json`;
const bearer = (token) => ({ headers: { authorization: `Bearer ${token}` } });

// serve puts an Express application with the middleware on a port, and asks it.
async function serve(middleware) {
  const { default: express } = await import("express");
  const app = express();
  app.use(middleware);
  app.get("/", (request, response) => response.json({}));
  const listening = await new Promise((resolve) => { const s = app.listen(0, "127.0.0.1", () => resolve(s)); });
  return async (token) => {
    const answer = await fetch(`http://127.0.0.1:${listening.address().port}/`, bearer(token));
    if (answer.status !== 200) throw new Error(`status ${answer.status} ${answer.headers.get("www-authenticate")}`);
  };
}

const libraries = {
  "jsonwebtoken": async () => {
    const { default: jwt } = await import("jsonwebtoken");
    const { default: jwksRsa } = await import("jwks-rsa");
    const keys = jwksRsa({ jwksUri });
    const key = (header, done) => keys.getSigningKey(header.kid).then((k) => done(null, k.getPublicKey()), done);
    return (token) => new Promise((resolve, reject) => {
      jwt.verify(token, key, { algorithms: ["ES256"], issuer, audience }, (problem) => (problem ? reject(problem) : resolve()));
    });
  },
  "express-jwt": async () => {
    const { expressjwt } = await import("express-jwt");
    const { default: jwksRsa } = await import("jwks-rsa");
    return serve(expressjwt({ secret: jwksRsa.expressJwtSecret({ jwksUri }), algorithms: ["ES256"], issuer, audience }));
  },
  "koa-jwt": async () => {
    const { default: jwt } = await import("koa-jwt");
    const { default: jwksRsa } = await import("jwks-rsa");
    const middleware = jwt({ secret: jwksRsa.koaJwtSecret({ jwksUri }), algorithms: ["ES256"], issuer, audience });
    return (token) => {
      const refuse = (status, text) => { throw new Error(`${status} ${text}`); };
      return middleware({ request: { header: bearer(token).headers }, header: bearer(token).headers, state: {}, throw: refuse }, async () => {});
    };
  },
  "passport-jwt": async () => {
    const { default: passport } = await import("passport");
    const { ExtractJwt, Strategy } = await import("passport-jwt");
    const { default: jwksRsa } = await import("jwks-rsa");
    passport.use(new Strategy({
      secretOrKeyProvider: jwksRsa.passportJwtSecret({ jwksUri }),
      jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
      algorithms: ["ES256"], issuer, audience,
    }, (claims, done) => done(null, claims)));
    return (token) => new Promise((resolve, reject) => {
      passport.authenticate("jwt", { session: false }, (problem, user, info) => (user ? resolve() : reject(problem ?? info)))(bearer(token), {}, reject);
    });
  },
  "express-oauth2-jwt-bearer": async () => {
    const { auth } = await import("express-oauth2-jwt-bearer");
    return serve(auth({ issuer, jwksUri, audience, tokenSigningAlg: "ES256" }));
  },
  "@fastify/jwt": async () => {
    const { default: fastify } = await import("fastify");
    const { default: jwt } = await import("@fastify/jwt");
    const { default: buildGetJwks } = await import("get-jwks");
    const keys = buildGetJwks({ jwksPath: "/.well-known/jwks.json" });
    const app = fastify();
    app.register(jwt, {
      decode: { complete: true },
      secret: (request, { header: { kid, alg } }) => keys.getPublicKey({ kid, alg, domain: issuer }),
      verify: { algorithms: ["ES256"], allowedIss: issuer, allowedAud: audience },
    });
    app.get("/", async (request) => { await request.jwtVerify(); return {}; });
    return inject(app);
  },
  "fastify-jwt-jwks": async () => {
    const { default: fastify } = await import("fastify");
    const { default: jwks } = await import("fastify-jwt-jwks");
    const app = fastify();
    app.register(jwks, { jwksUrl: jwksUri, issuer, audience });
    app.register(async (inside) => { inside.get("/", { preValidation: inside.authenticate }, async () => ({})); });
    return inject(app);
  },
  "aws-jwt-verify": async () => {
    const { JwtVerifier } = await import("aws-jwt-verify");
    const verifier = JwtVerifier.create({ issuer, audience, jwksUri });
    verifier.cacheJwks(await (await fetch(jwksUri)).json()); // by address it fetches over https alone
    return (token) => verifier.verify(token);
  },
  "hono": async () => {
    const { Hono } = await import("hono");
    const { jwk } = await import("hono/jwk");
    const app = new Hono();
    app.use("*", jwk({ jwks_uri: jwksUri, alg: ["ES256"], verification: { iss: issuer, aud: audience, typ: "at+jwt" } }));
    app.get("/", (c) => c.text("in"));
    return async (token) => {
      const answer = await app.request("/", bearer(token));
      if (answer.status !== 200) throw new Error(`status ${answer.status} ${await answer.text()}`);
    };
  },
  "oauth4webapi": async () => {
    const oauth = await import("oauth4webapi");
    const server = { issuer, jwks_uri: jwksUri };
    return (token) => oauth.validateJwtAccessToken(server, new Request(issuer, bearer(token)), audience,
      { [oauth.allowInsecureRequests]: true, signingAlgorithms: ["ES256"] });
  },
  "jose": async () => {
    const { createRemoteJWKSet, jwtVerify } = await import("jose");
    const keys = createRemoteJWKSet(new URL(jwksUri));
    return (token) => jwtVerify(token, keys, { algorithms: ["ES256"], issuer, audience, typ: "at+jwt" });
  },
};

function inject(app) {
  return async (token) => {
    const answer = await app.inject({ url: "/", headers: bearer(token).headers });
    if (answer.statusCode !== 200) throw new Error(`status ${answer.statusCode} ${answer.body}`);
  };
}

const check = await libraries[process.argv[2]]();
for await (const token of createInterface({ input: process.stdin })) {
  try {
    await check(token);
    console.log("accepted");
  } catch (problem) { // whatever a library throws is a refusal
    console.log("refused", problem?.name, String(problem?.message ?? problem).replaceAll("\n", " ").slice(0, 200));
  }
}
process.exit(0); // some libraries keep timers
