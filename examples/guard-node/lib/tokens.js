// Signed access tokens (RFC 9068): their keys, and what they must say.
import { importJWK, jwtVerify } from 'jose'
import { get } from './fetch.js'
import { invalid, Refused, unavailable } from './refusals.js'

export const LEEWAY = 5 // seconds between our clock and the issuer's
export const MAX_TOKEN = 16 << 10
export const MAX_LIST = 256 << 10 // of a signed status list; a full one that cannot be compressed is about 240 KB
export const MAX_PLACE = 1 << 20 // places of one status list

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz'
const EDWARDS = ['EdDSA', 'Ed25519']

/** Who calls, as the issuer signed it. */
export class Caller {
  constructor (c, kid, place) {
    this.subject = c.sub
    this.client = c.client_id ?? ''
    this.scopes = new Set((c.scope ?? '').split(' ').filter(Boolean))
    this.session = c.sid ?? ''
    this.tokenId = c.jti
    this.keyId = kid
    this.issuedMs = issued(c.jti, c.iat) // Unix milliseconds
    this.expires = c.exp // Unix seconds
    this.place = place // of the status list: { uri, idx }, or null
    this.claims = c
    Object.freeze(this)
  }

  /** Whether the token carries a scope. "*" is all of the user's own; tokens for this issuer's own audience alone have it. */
  has (scope) { return this.scopes.has(scope) || this.scopes.has('*') }
}

/** The issuer's keys. One fetch runs at a time; for unknown keys once in 30 seconds at most. */
export class Keys {
  static FRESH = 600e3 // milliseconds: then fetched again in the background
  static STALE = 24 * 3600e3 // then it counts no more
  static COOLDOWN = 30e3 // after a fetch, before one for an unknown key
  static FAILED = 5e3 // after one that failed
  static WAIT = 3e3 // how long a request waits for a fetch

  #url; #ca; #log
  #keys = new Map()
  #fetched = -Infinity; #tried = -Infinity
  #pending = null; #failed = false; #again = false

  constructor (url, ca, log) { [this.#url, this.#ca, this.#log] = [url, ca, log] }

  /** The issuer says that its keys have changed. */
  changed () {
    this.#again = true
    this.#start(0)
  }

  /** The algorithms and the public key of a kid, or undefined. Refuses where nobody knows. */
  async find (kid) {
    const age = performance.now() - this.#fetched
    if (age < Keys.STALE) {
      if (age >= Keys.FRESH || this.#again) this.#start(this.#again ? 1e3 : Keys.FAILED)
      const known = this.#keys.get(kid)
      if (known) return known
    }
    const pending = this.#start(this.#failed ? Keys.FAILED : Keys.COOLDOWN)
    if (pending) await within(pending, Keys.WAIT)
    const good = performance.now() - this.#fetched < Keys.STALE
    const known = good ? this.#keys.get(kid) : undefined
    // The issuer's last word is not known: no fault of the token.
    if (!known && (!good || this.#failed || this.#pending)) throw unavailable()
    return known
  }

  /** Begins a fetch unless one runs or began less than pause ago; returns the one that runs. */
  #start (pause) {
    if (!this.#pending && performance.now() - this.#tried >= pause) {
      this.#tried = performance.now()
      this.#again = false
      this.#pending = this.#fetch().finally(() => {
        this.#pending = null
        if (this.#again) this.#start(1e3)
      })
    }
    return this.#pending
  }

  async #fetch () {
    try {
      this.#keys = await readKeys(await get(this.#url, 512 << 10, 'application/jwk-set+json, application/json', this.#ca))
      this.#fetched = performance.now()
      this.#failed = false
    } catch (e) { // whatever comes: the keys that are known stay
      this.#failed = true
      this.#log('the keys of the issuer cannot be had: ' + e.message)
    }
  }
}

/** Resolves when a promise has, or after so many milliseconds. */
export async function within (promise, ms) {
  let timer
  await Promise.race([promise, new Promise((resolve) => { timer = setTimeout(resolve, ms) })])
  clearTimeout(timer)
}

/** Reads a key set: public keys for signatures that say their kid and algorithm, by kid. Others are left out. */
export async function readKeys (body) {
  const found = new Map()
  const twice = new Set()
  for (const entry of JSON.parse(body).keys.slice(0, 100)) {
    try {
      const { kid, alg, use = 'sig' } = entry
      if (typeof kid !== 'string' || use !== 'sig' || 'd' in entry || !fits(alg, entry)) continue
      if (found.has(kid)) twice.add(kid)
      found.set(kid, { algorithms: EDWARDS.includes(alg) ? EDWARDS : [alg], key: await importJWK(entry, alg) })
    } catch {} // one that cannot be read must not take away the others
  }
  for (const kid of twice) found.delete(kid)
  if (found.size === 0) throw new Error('no usable key')
  return found
}

function fits (alg, { kty, crv, n }) {
  switch (alg) {
    case 'ES256': return kty === 'EC' && crv === 'P-256'
    case 'EdDSA': case 'Ed25519': return kty === 'OKP' && crv === 'Ed25519'
    case 'PS256': case 'RS256': return kty === 'RSA' && Buffer.from(n, 'base64url').length >= 256
  }
  return false
}

/** Says all about a token that does not change. */
export class Verifier {
  constructor (issuer, audience, keys, typ) { Object.assign(this, { issuer, audience, keys, typ }) }

  /** Resolves with the Caller, or refuses: everything that is wrong with a token is the same refusal. */
  async verify (text) {
    try {
      const { payload, kid } = await this.#open(text, MAX_TOKEN, {
        typ: this.typ,
        audience: this.audience,
        requiredClaims: ['sub', 'exp', 'iat', 'jti'], // jose checks exp only where there is one
        clockTolerance: LEEWAY
      })
      return this.#caller(payload, kid)
    } catch (e) {
      throw e instanceof Refused ? e : invalid()
    }
  }

  /** Resolves with the claims of the status list at uri, which are only bits to whoever has them: sub ties them to their address. */
  async list (text, uri) {
    const { payload: c } = await this.#open(text, MAX_LIST, { typ: 'statuslist+jwt', subject: uri })
    if (![c.exp, c.iat, c.ttl].every(Number.isSafeInteger) || !(c.ttl > 0 && c.ttl <= 24 * 3600) || c.status_list.bits !== 1) throw invalid()
    const now = Date.now() / 1000 // late is stale: nothing is forgiven at its end, which jose forgives a part of a second
    if (now >= c.exp || c.iat > now + LEEWAY) throw invalid()
    return c
  }

  async #open (text, most, options) {
    if (text.length > most || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(text)) throw invalid()
    let kid
    const { payload } = await jwtVerify(text, async (header) => {
      ({ kid } = header)
      const found = typeof kid === 'string' ? await this.keys.find(kid) : undefined
      if (!found?.algorithms.includes(header.alg)) throw invalid() // the key decides the algorithm
      return found.key
    }, { algorithms: ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256'], issuer: this.issuer, ...options })
    return { payload, kid }
  }

  /** Refuses a Caller whose token has expired since. */
  expired (caller) {
    if (Date.now() / 1000 >= caller.expires + LEEWAY) throw invalid()
  }

  // What jose leaves open: that times are whole numbers and texts are texts, a time of issue that is still to come, and ours.
  #caller (c, kid) {
    const texts = [c.iss, c.sub, c.jti, ...[c.aud].flat(), c.client_id ?? '', c.sid ?? '', c.scope ?? '']
    if (!texts.every((t) => typeof t === 'string') || !c.sub || !c.jti) throw invalid()
    if (![c.exp, c.iat, c.nbf ?? 0].every(Number.isSafeInteger) || c.iat > Date.now() / 1000 + LEEWAY) throw invalid()
    let place = null
    if ('status' in c) {
      const { uri, idx } = c.status.status_list
      if (!isList(uri, this.issuer) || !isPlace(idx)) throw invalid()
      place = { uri, idx }
    }
    return new Caller(c, kid, place)
  }
}

/** Whether uri names a status list of the issuer. */
export function isList (uri, issuer) {
  return typeof uri === 'string' && uri.startsWith(issuer + '/status/') && /^(0|[1-9]\d{0,11})$/.test(uri.slice(issuer.length + 8))
}

export const isPlace = (idx) => Number.isSafeInteger(idx) && idx >= 0 && idx < MAX_PLACE

/** When a token was issued, in Unix milliseconds: as its id says, or else from the beginning of the second of iat. */
export function issued (jti, iat) {
  const form = /^tok_([0-7][0-9a-hjkmnp-tv-z]{9})[0-9a-hjkmnp-tv-z]{16}$/.exec(jti)
  if (!form) return iat * 1000
  return [...form[1]].reduce((ms, letter) => ms * 32 + CROCKFORD.indexOf(letter), 0)
}
