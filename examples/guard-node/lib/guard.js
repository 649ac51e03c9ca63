// A guard for Node services: verifies Gatehouse's access tokens, follows what is no longer valid, asks for scopes.
import { address } from './fetch.js'
import { Follower } from './follow.js'
import { Lists } from './lists.js'
import { invalid, malformed, missing, need, Refused, scopesOf, unavailable } from './refusals.js'
import { Keys, MAX_TOKEN, Verifier } from './tokens.js'

export { Caller } from './tokens.js'
export { Refused } from './refusals.js'

const START = 3000 // milliseconds after the start during which requests wait for the first view

/** One for a program. It contacts nobody before start(), or the first request. */
export class Guard {
  #verifier; #follower; #lists

  /**
   * issuer and audience are compared exactly. key is an API key with the scope admin:revocations of an account with the
   * role gatehouse-guard. maxStaleness is for how many seconds (3 at least) the guard goes on by what it knows when it
   * hears nothing; past it nobody is let in (503), or, with readLists, whom the issuer's status lists let in: they are up
   * to a minute old and know no cut-offs. Without a key it follows nothing and has to read them. typ is JWT where the
   * realm's access_token_type says so. ca is for authorities that the system does not know. eventsURL, jwksURL and
   * listsURL are for inner addresses. log gets a text.
   */
  constructor ({ issuer, audience, key, maxStaleness = 10, readLists = false, typ = 'at+jwt', eventsURL, jwksURL, listsURL, ca, log = console.warn, ...rest }) {
    if (![issuer, audience].every((s) => typeof s === 'string' && s)) throw new TypeError('issuer and audience are required')
    if (key === undefined ? readLists !== true : typeof key !== 'string' || !/^[!-~]+$/.test(key)) {
      throw new TypeError('a key is needed; who has none follows nothing, and has to say readLists')
    }
    if (!(maxStaleness >= 3 && maxStaleness <= 3600)) throw new TypeError('maxStaleness is 3 seconds at least: the stream speaks every two')
    if (!['at+jwt', 'JWT'].includes(typ)) throw new TypeError('typ is at+jwt or JWT')
    if (!/^[ !#-[\]-~]+$/.test(audience)) throw new TypeError('the audience cannot be named in a challenge')
    if (Object.keys(rest).length) throw new TypeError('unknown settings: ' + Object.keys(rest).join(', '))
    const at = issuer.replace(/\/+$/, '')
    const [base, realm = 'main'] = at.split('/realms/')
    this.realm = audience // of the challenges (RFC 9110 §11.5)
    const keys = new Keys(address(jwksURL || at + '/.well-known/jwks.json'), ca, log)
    this.#verifier = new Verifier(issuer, audience, keys, typ)
    if (readLists) this.#lists = new Lists({ url: address(listsURL || issuer + '/status/'), verifier: this.#verifier, log, ca })
    if (key) this.#follower = new Follower({
      url: address(eventsURL || `${base}/admin/v1/realms/${realm}/revocations/events`),
      key, issuer, bound: maxStaleness, changed: () => keys.changed(), log, ca
    })
  }

  /** Begins to follow, where that should not wait for the first request. */
  start () { this.#follower?.start() }

  /** Ends it. Nobody is let in afterwards. */
  close () {
    this.#follower?.close()
    this.#lists?.close()
  }

  /** For how many seconds nothing was heard of revocations; null before everything was told once, or where nothing is followed. */
  age () { return this.#follower?.age() ?? null }

  /** Resolves with the Caller of a request of node:http or Express, or rejects with Refused. */
  async check (req, ...scopes) {
    const caller = await this.#verifier.verify(bearer(req.rawHeaders))
    this.start()
    await this.#follower?.first(START)
    if (this.#lists && this.#told(caller) === null) await this.#lists.have(caller)
    this.again(caller)
    need(caller, scopes)
    return caller
  }

  /** Refuses a Caller whose token was ended since, or of whom nobody knows: for what stays open for long. */
  again (caller) {
    this.#verifier.expired(caller)
    const ended = this.#told(caller) ?? this.#lists?.check(caller) ?? null
    if (ended === null) throw unavailable()
    if (ended) throw invalid()
  }

  /** Whether a caller's token was ended, as far as was told; null: nobody knows. */
  #told (caller) { return this.#follower?.check(caller) ?? null }

  /** Middleware that lets in who may, to all paths but the public ones; req.caller is a Caller, or null on those. */
  protect ({ open = [] } = {}) {
    const paths = new Set(open)
    return async (req, res, next) => {
      req.caller = null
      // The path as it came: one that is written in another way is not the public one.
      if (!paths.has((req.originalUrl ?? req.url).split('?')[0])) {
        try {
          req.caller = await this.check(req)
        } catch (e) {
          return (e instanceof Refused ? e : unavailable()).answer(res, this.realm)
        }
      }
      return next()
    }
  }

  /** Middleware behind protect, for those who have these scopes. */
  needs (...scopes) {
    scopesOf(scopes)
    return (req, res, next) => {
      if (req.caller === undefined) throw new Error('protect() has to come first')
      try {
        need(req.caller, scopes)
      } catch (e) {
        return e.answer(res, this.realm)
      }
      return next()
    }
  }
}

/** Takes the token out of the Authorization field (RFC 6750 §2.1), which node:http would give the first of several. */
function bearer (raw) {
  const lines = raw.filter((_, i) => i % 2 === 1 && raw[i - 1].toLowerCase() === 'authorization')
  if (lines.length > 1) throw malformed()
  const [, scheme, text] = /^([^ ]*) *(.*)$/s.exec(lines[0] ?? '')
  if (scheme.toLowerCase() !== 'bearer') throw missing() // also another scheme: RFC 6750 §3.1 wants no error then
  if (!text || /[ ,]/.test(text)) throw malformed() // a comma joins what occurred twice (RFC 9110 §5.3)
  if (text.length > MAX_TOKEN) throw invalid()
  return text
}
