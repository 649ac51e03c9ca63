// An API that checks Gatehouse's access tokens itself, with jose and the issuer's public keys.
import { isIPv4 } from 'node:net'
import express from 'express'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const issuer = process.env.ISSUER // https://auth.example.com
if (!issuer) throw new Error('ISSUER is needed')
const audience = process.env.AUDIENCE ?? issuer
const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`))

async function authenticated (req, res, next) {
  try {
    const [, token] = /^Bearer ([\w.-]+)$/i.exec(req.headers.authorization ?? '') ?? []
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience,
      algorithms: ['ES256'], // ours, never the token's word
      typ: 'at+jwt',
      requiredClaims: ['sub', 'exp'], // jose checks exp only where there is one
      clockTolerance: 30
    })
    req.caller = payload
  } catch { // nobody learns why
    return res.status(401).set('WWW-Authenticate', 'Bearer').json({ error: 'You are not authorized' })
  }
  next()
}

const app = express()
app.disable('x-powered-by')

app.get('/public', (req, res) => res.json({ message: 'Hello, world!' }))

app.get('/private', authenticated, (req, res) => {
  res.json({ message: 'This is the private page', subject: req.caller.sub })
})

// Passes a log-in with Basic on to Gatehouse: this program never compares a password, and none is in a URL.
app.post('/login', async (req, res) => {
  const headers = {}
  if (req.headers.authorization) headers.authorization = req.headers.authorization
  const client = req.ip.replace(/^::ffff:/, '')
  if (client !== '::1' && !(isIPv4(client) && client.startsWith('127.'))) { // Gatehouse slows this address down, not us
    headers['x-forwarded-for'] = client
    headers['x-forwarded-proto'] = req.protocol
  }
  const answer = await fetch(`${issuer}/tokens`, { method: 'POST', headers, redirect: 'error', signal: AbortSignal.timeout(5000) })
  for (const name of ['content-type', 'cache-control', 'www-authenticate', 'retry-after']) {
    if (answer.headers.has(name)) res.set(name, answer.headers.get(name))
  }
  res.status(answer.status).send(Buffer.from(await answer.arrayBuffer()))
})

app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', (error) => { if (error) throw error })
