// What a caller is told who is not let in (RFC 6750 §3, RFC 9457).

/** A request that is not let in. It says what went wrong as far as RFC 6750 does, and nothing of why. */
export class Refused extends Error {
  constructor (status, code, title, { error = '', scope = '', retryAfter = 0 } = {}) {
    super(title)
    Object.assign(this, { name: 'Refused', status, code, error, scope, retryAfter })
  }

  /** The lines of the answer; realm is what the challenge names. */
  headers (realm) {
    const lines = { 'Content-Type': 'application/problem+json', 'Cache-Control': 'no-store' }
    if (this.retryAfter) lines['Retry-After'] = String(this.retryAfter)
    if ([400, 401, 403].includes(this.status)) {
      lines['WWW-Authenticate'] = `Bearer realm="${realm}"` + (this.error && `, error="${this.error}"`) + (this.scope && `, scope="${this.scope}"`)
    }
    return lines
  }

  /** The body: a problem document with Gatehouse's member code. */
  body () {
    return JSON.stringify({ type: 'https://gatehouse.dev/errors/' + this.code, title: this.message, status: this.status, code: this.code })
  }

  /** Answers a request of node:http or Express. */
  answer (res, realm) {
    res.statusCode = this.status
    for (const [name, value] of Object.entries(this.headers(realm))) res.setHeader(name, value)
    res.end(this.body())
  }
}

export const missing = () => new Refused(401, 'credential_missing', 'This needs a credential.')
export const malformed = () => new Refused(400, 'authorization_malformed', 'The Authorization field is not well formed.', { error: 'invalid_request' })
export const invalid = () => new Refused(401, 'invalid_token', 'The credential is not accepted.', { error: 'invalid_token' })
export const unavailable = () => new Refused(503, 'authentication_unavailable', 'The credential cannot be checked at the moment.', { retryAfter: 5 })

/** Refuses who is nobody (caller is null), or lacks one of the scopes. */
export function need (caller, scopes) {
  scopesOf(scopes)
  if (caller === null) throw missing()
  if (!scopes.every((s) => caller.has(s))) {
    throw new Refused(403, 'insufficient_scope', 'The credential lacks a scope that this needs.', { error: 'insufficient_scope', scope: scopes.join(' ') })
  }
}

/** Checks the names of scopes that somebody asks for (RFC 6749 §3.3). */
export function scopesOf (scopes) {
  for (const s of scopes) {
    if (typeof s !== 'string' || !/^[\x21\x23-\x5b\x5d-\x7e]+$/.test(s) || s === '*') throw new TypeError(`${String(s)} is no scope that can be asked for`)
  }
}
