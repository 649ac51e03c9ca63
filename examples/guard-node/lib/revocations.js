// What is no longer valid, as the issuer told it.
import { isList, isPlace, MAX_PLACE } from './tokens.js'

// More than an issuer has: who sends more is none, and must not fill the memory.
export const MAX_LISTS = 16_384
const MAX_PLACES = 16_000_000
const MAX_CUTOFFS = 1_000_000
const SPARSE = MAX_PLACE / 32 // places that take as many bytes as a bit for each
const LATER = 3600 // seconds for which things are kept beyond their end
const KINDS = ['subject', 'client', 'session', 'key', 'realm']

/** Places of one list: in order while they are few, a bit for each when they are many. */
export class Places {
  count = 0
  #few = new Uint32Array(4)
  #bits = null

  constructor (exp) { this.exp = exp }

  /** The places whose bits are set, of MAX_PLACE / 8 bytes at most; the lowest bit of a byte is the first. */
  static of (bits) {
    const out = new Places(0)
    let count = 0
    for (let octet of bits) for (; octet; octet &= octet - 1) count++
    if (count >= SPARSE) {
      out.#bits = new Uint8Array(MAX_PLACE / 8)
      out.#bits.set(bits)
      return out
    }
    bits.forEach((octet, at) => { for (; octet; octet &= octet - 1) out.add(at * 8 + 31 - Math.clz32(octet & -octet)) })
    return out
  }

  has (idx) {
    if (this.#bits) return (this.#bits[idx >> 3] >> (idx & 7) & 1) === 1
    const at = this.#at(idx)
    return at < this.count && this.#few[at] === idx
  }

  #at (idx) {
    let [low, high] = [0, this.count]
    while (low < high) {
      const middle = low + high >> 1
      if (this.#few[middle] < idx) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Takes a place in, and says whether it is new. */
  add (idx) {
    if (this.has(idx)) return false
    if (!this.#bits && this.count >= SPARSE) {
      this.#bits = new Uint8Array(MAX_PLACE / 8)
      for (const known of this.#few.subarray(0, this.count)) this.#bits[known >> 3] |= 1 << (known & 7)
      this.#few = null
    }
    if (this.#bits) this.#bits[idx >> 3] |= 1 << (idx & 7)
    else this.#insert(idx)
    this.count++
    return true
  }

  #insert (idx) {
    if (this.count === this.#few.length) {
      const more = new Uint32Array(this.count * 2)
      more.set(this.#few)
      this.#few = more
    }
    const at = this.#at(idx)
    this.#few.copyWithin(at + 1, at, this.count)
    this.#few[at] = idx
  }
}

/** Everything that is known. */
export class View {
  #issuer
  #lists = new Map()
  #cutoffs = new Map()
  #places = 0

  // floor: Unix seconds. What was forgotten was so because it had expired: a clock that is set back revives nothing.
  constructor (issuer, floor = 0) {
    this.#issuer = issuer
    this.floor = floor
  }

  get size () { return { lists: this.#lists.size, places: this.#places, cutoffs: this.#cutoffs.size } }

  status ({ uri, idx, exp }) {
    if (!isList(uri, this.#issuer) || !Number.isSafeInteger(exp) || !Array.isArray(idx) || !idx.every(isPlace)) throw new Error('a status that is not understood')
    let places = this.#lists.get(uri)
    if (!places) this.#lists.set(uri, places = new Places(exp))
    places.exp = Math.max(places.exp, exp)
    for (const i of idx) this.#places += places.add(i) ? 1 : 0
    if (this.#lists.size > MAX_LISTS || this.#places > MAX_PLACES) throw new Error('more than an issuer has')
  }

  cutoff ({ kind, id = '', before, expires = 0 }) {
    if (!KINDS.includes(kind) || typeof id !== 'string' || id.length > 1024 || (kind === 'realm') !== (id === '')) throw new Error('a cut-off that is not understood')
    if (![before, expires].every(Number.isSafeInteger)) throw new Error('a time that is none')
    const key = kind + ':' + id
    const old = this.#cutoffs.get(key)
    expires ||= Infinity // without an end it stays
    this.#cutoffs.set(key, { before: Math.max(before, old?.before ?? before), expires: Math.max(expires, old?.expires ?? expires) })
    if (this.#cutoffs.size > MAX_CUTOFFS) throw new Error('more than an issuer has')
  }

  revoked (caller) {
    if (caller.expires <= this.floor || caller.place && this.#lists.get(caller.place.uri)?.has(caller.place.idx)) return true
    const keys = ['realm:', 'subject:' + caller.subject, 'client:' + caller.client, 'session:' + caller.session, 'key:' + caller.keyId]
    return keys.some((key) => caller.issuedMs <= (this.#cutoffs.get(key)?.before ?? -Infinity))
  }

  /** Forgets what ends nothing any more, at now in Unix seconds. */
  purge (now) {
    now -= LATER
    for (const [uri, places] of this.#lists) {
      if (places.exp > now) continue
      this.#lists.delete(uri)
      this.#places -= places.count
    }
    for (const [key, cut] of this.#cutoffs) if (cut.expires <= now * 1000) this.#cutoffs.delete(key)
    this.floor = Math.max(this.floor, now)
  }
}
