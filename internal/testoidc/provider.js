// An OpenID provider (npm oidc-provider) for the tests, with its own pages to sign in and to agree. It says on its
// standard output when it listens. What it is told comes from the environment: ISSUER, whose host and port it listens
// at, CLIENTS as JSON, and PEOPLE, a file of JSON with the claims of each person, read at each use.
import { readFileSync } from 'node:fs';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import Provider from 'oidc-provider';

const key = (alg, type, options) => ({ ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: alg });
const issuer = new URL(process.env.ISSUER);

const provider = new Provider(process.env.ISSUER, {
  clients: JSON.parse(process.env.CLIENTS),
  jwks: { keys: [key('RS256', 'rsa', { modulusLength: 2048 }), key('ES256', 'ec', { namedCurve: 'P-256' })] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  // Without further settings it has the claims of a scope told by userinfo alone (OpenID Connect Core §5.4).
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'], groups: ['groups', 'realm_access'] },
  scopes: ['openid', 'groups'],
  features: { jwtUserinfo: { enabled: true }, backchannelLogout: { enabled: true } },
  findAccount(_, id) {
    const claims = JSON.parse(readFileSync(process.env.PEOPLE))[id];
    return claims && { accountId: id, claims: () => ({ sub: id, ...claims }) };
  },
});
provider.on('server_error', (_, err) => console.error(err));
provider.listen(Number(issuer.port), issuer.hostname);
