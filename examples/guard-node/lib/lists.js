// The issuer's status lists (docs/check-tokens.md), for when nothing is heard of revocations, or nothing is followed.
import { inflateSync } from 'node:zlib'
import { get } from './fetch.js'
import { clock, since } from './follow.js'
import { Places } from './revocations.js'
import { MAX_LIST, MAX_PLACE, within } from './tokens.js'

// Milliseconds and numbers; tests have others.
export const DEFAULTS = {
  most: 4096, // lists that are kept; an issuer has 64 for each day on which grants end
  cooldown: 5000, // between two fetches of one list
  patience: 3000, // how long a request waits for one
  lanes: 3, // fetches that run at a time
  logEvery: 30_000
}

/** Answers from memory whether a token was ended, by signed lists that have not expired. */
export class Lists {
  #c; #lanes; #turn = 0; #logged = -Infinity; #closed = false
  #lists = new Map()

  /** c: url, verifier, log, ca; and what DEFAULTS has. */
  constructor (c) {
    this.#c = { clock, ...DEFAULTS, ...c }
    this.#lanes = Array(this.#c.lanes).fill(Promise.resolve())
  }

  /** Nothing is known from then on. */
  close () {
    this.#closed = true
    this.#lists.clear()
  }

  /** Whether a caller's token was ended (true), was not (false), or that nobody knows (null). What is old is fetched meanwhile. */
  check ({ place }) {
    if (!place) return false // no list will ever say so
    const entry = this.#entry(place.uri)
    const known = entry?.known
    const age = known && since(known.at, this.#c.clock.now())
    if (entry && !(known && age < known.fresh)) this.#start(place.uri, entry)
    return known && age < known.life ? known.places.has(place.idx) : null
  }

  /** Waits for the list of a caller, where there is none that counts. */
  async have (caller) {
    const pending = this.check(caller) === null && this.#lists.get(caller.place.uri)?.pending
    if (pending) await within(pending, this.#c.patience)
  }

  /** The entry of a list, which is then the last to be forgotten. undefined: there is no room. */
  #entry (uri) {
    const entry = this.#lists.get(uri) ?? { known: null, pending: null, tried: -Infinity }
    this.#lists.delete(uri)
    if (this.#closed || this.#lists.size >= this.#c.most && !this.#forget()) return undefined
    this.#lists.set(uri, entry)
    return entry
  }

  #forget () {
    for (const [uri, { pending }] of this.#lists) if (!pending) return this.#lists.delete(uri)
    return false
  }

  #start (uri, entry) {
    if (entry.pending || performance.now() - entry.tried < this.#c.cooldown) return
    entry.tried = performance.now()
    const lane = this.#turn++ % this.#lanes.length
    this.#lanes[lane] = entry.pending = this.#lanes[lane].then(() => this.#fetch(uri, entry))
  }

  async #fetch (uri, entry) {
    const { clock, url, ca, verifier, log, logEvery } = this.#c
    try {
      if (this.#closed) return
      const text = await get(new URL(url.href + uri.slice(uri.lastIndexOf('/') + 1)), MAX_LIST, 'application/statuslist+jwt', ca)
      const { iat, exp, ttl, status_list: { lst } } = await verifier.list(text.toString('latin1'), uri)
      const [at, old] = [clock.now(), entry.known]
      // It may lack what was ended since.
      if (old && since(old.at, at) < old.life && iat < old.iat) throw new Error('it is older than the one before')
      entry.known = { places: Places.of(unpack(lst)), at, iat, life: exp * 1000 - at[1], fresh: Math.min(iat * 1000, at[1]) + ttl * 1000 - at[1] }
    } catch (e) { // whatever comes: the list that is known counts until it expires
      if (performance.now() - this.#logged < logEvery) return
      this.#logged = performance.now()
      log(`status list ${uri} cannot be had: ${e.message}`)
    } finally {
      entry.pending = null
    }
  }
}

/** The bits of a list, no more than there are places: a few bytes of ZLIB could otherwise fill the memory. */
export function unpack (lst) {
  if (!/^[\w-]+$/.test(lst)) throw new Error('a list that is no base64url')
  const packed = Buffer.from(lst, 'base64url')
  const { buffer, engine } = inflateSync(packed, { maxOutputLength: MAX_PLACE / 8, info: true })
  if (engine.bytesWritten !== packed.length) throw new Error('a list with something behind it')
  return buffer
}
