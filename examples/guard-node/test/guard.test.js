// Tests of the guard by itself: a fake issuer on loopback, fixed events. examples/guards_test.go runs it beside a Gatehouse.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import { deflateSync, gzipSync } from 'node:zlib'
import { after, before, describe, test } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { Guard, Refused } from '../lib/guard.js'
import { DEFAULTS, Follower, since } from '../lib/follow.js'
import { need } from '../lib/refusals.js'
import { Lists } from '../lib/lists.js'
import { MAX_LISTS, Places, View } from '../lib/revocations.js'
import { issued, Keys, MAX_PLACE, Verifier } from '../lib/tokens.js'

const SOON = 20_000
const FOREVER = 4_000_000_000
const JTI = 'tok_01jdqaw7y0abcdefghjkmnpqrs'
const keys = {}
const jwk = async (kid, alg, { publicKey }) => ({ ...await exportJWK(publicKey), kid, alg, use: 'sig' })

before(async () => {
  keys.ec = await generateKeyPair('ES256')
  keys.other = await generateKeyPair('ES256')
  keys.ed = await generateKeyPair('EdDSA', { crv: 'Ed25519' })
  keys.rsa = await generateKeyPair('RS256')
})

async function until (what, ok) {
  for (const end = Date.now() + SOON; !await ok();) {
    assert.ok(Date.now() < end, what + ': not in time')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** A fake issuer. script answers for the stream. */
class Issuer {
  asked = []; fetched = 0; away = false; script = () => {}
  lists = {}; read = 0 // by number: the text, or an answer's status

  static async start (t) {
    const i = new Issuer()
    i.keys = [await jwk('ec', 'ES256', keys.ec)]
    i.server = http.createServer((req, res) => {
      if (i.away) return res.writeHead(503).end()
      if (req.url === '/.well-known/jwks.json') {
        i.fetched++
        return res.end(JSON.stringify({ keys: i.keys }))
      }
      if (req.url.startsWith('/status/')) {
        i.read++
        const found = i.lists[req.url.slice(8)] ?? 404
        return typeof found === 'number' ? res.writeHead(found, { location: '/status/1' }).end() : res.end(found)
      }
      i.asked.push({ path: req.url, lines: req.headers })
      i.script(res, req)
    }).listen(0, '127.0.0.1')
    await once(i.server, 'listening')
    i.url = 'http://127.0.0.1:' + i.server.address().port
    i.follows()
    t.after(() => { i.server.closeAllConnections(); i.server.close() })
    return i
  }

  /** Has the stream tell these, then go on. */
  follows (...events) {
    this.script = (res) => {
      begin(res)
      say(res, ['reload', {}], ...events, ['ready', {}, 'A-1'])
      rest(res)
    }
  }

  /** Makes the status list with that number known, with these places ended. */
  async list (ended, { n = 7, key = keys.ec.privateKey, alg = 'ES256', header = {}, bits = 1, lst, ...claims } = {}) {
    const places = Buffer.alloc(MAX_PLACE / 8)
    for (const idx of ended) places[idx >> 3] |= 1 << (idx & 7)
    const now = Math.floor(Date.now() / 1000)
    lst ??= deflateSync(places).toString('base64url')
    const c = { iss: this.url, sub: `${this.url}/status/${n}`, iat: now, exp: now + 60, ttl: 30, status_list: { bits, lst }, ...claims }
    this.lists[n] = await new SignJWT(c).setProtectedHeader({ alg, typ: 'statuslist+jwt', kid: 'ec', ...header }).sign(key)
  }

  token ({ key = keys.ec.privateKey, alg = 'ES256', header = {}, ...claims } = {}) {
    const now = Math.floor(Date.now() / 1000)
    const c = {
      iss: this.url, aud: this.url, sub: 'usr_a', client_id: 'cli_a', scope: 'notes:read', iat: now, exp: now + 600, jti: 'tok_x',
      status: { status_list: { uri: this.url + '/status/7', idx: 3 } }, ...claims
    }
    return new SignJWT(c).setProtectedHeader({ alg, typ: 'at+jwt', kid: 'ec', ...header }).sign(key)
  }
}

function begin (res, type = 'text/event-stream') { res.writeHead(200, { 'content-type': type }).flushHeaders() }

function say (res, ...events) {
  for (let [name, data, id] of events) {
    if (name === 'reload' || name === 'ready') data = { time: Date.now() + 3600e3, ...data } // by a clock that is an hour ahead of the guard's
    res.write(`event: ${name}\n${id ? `id: ${id}\n` : ''}data: ${JSON.stringify(data)}\n\n`)
  }
}

/** Goes on to say so, until it is told to be silent. */
function rest (res, said = ['ready', {}, 'A-1']) {
  const timer = setInterval(() => say(res, said), 50)
  res.on('close', () => clearInterval(timer))
  return () => clearInterval(timer)
}

function guardOf (t, issuer, more) {
  const g = new Guard({ issuer: issuer.url, audience: issuer.url, key: 'the-key', log: () => {}, ...more })
  t.after(() => g.close())
  return g
}

/** A request as node:http makes it. */
const request = (...lines) => ({ url: '/', rawHeaders: lines.flatMap((l) => ['Authorization', l]) })
const status = (promise) => promise.then(() => 200, (e) => { if (!(e instanceof Refused)) throw e; return e.status })

async function refused (promise, want, what) {
  const e = await promise.then(() => null, (e) => e)
  assert.ok(e instanceof Refused, `${what}: ${e ?? 'let in'}`)
  assert.equal(e.status, want, what)
  return e
}

describe('tokens', () => {
  test('claims', async (t) => {
    const i = await Issuer.start(t)
    const g = guardOf(t, i)
    const now = Math.floor(Date.now() / 1000)
    const caller = await g.check(request('Bearer ' + await i.token()), 'notes:read')
    assert.deepEqual([caller.subject, caller.client, caller.keyId, caller.place], ['usr_a', 'cli_a', 'ec', { uri: i.url + '/status/7', idx: 3 }])
    for (const [what, change] of Object.entries({
      'audience among others': { aud: ['x', i.url] }, 'just expired': { exp: now - 2 }, 'no status': { status: undefined }, 'a moment ahead': { iat: now + 3 },
      'all scopes': { scope: '*' }, 'an application type': { header: { typ: 'application/AT+JWT' } }
    })) assert.equal(await status(g.check(request('bearer  ' + await i.token(change)), 'notes:read')), 200, what)
    for (const [what, change] of Object.entries({
      issuer: { iss: i.url + '/' }, 'no issuer': { iss: undefined }, 'issuer of a list': { iss: [i.url] }, audience: { aud: 'x' }, 'no audience': { aud: undefined },
      'audience as a part': { aud: i.url + 'x' }, 'audience of a number': { aud: [i.url, 1] }, expired: { exp: now - 6 }, 'no end': { exp: undefined },
      'end as text': { exp: String(now + 9) }, 'end of a half': { exp: now + 9.5 }, 'not yet': { nbf: now + 30 }, 'issued later': { iat: now + 30 },
      'no time of issue': { iat: undefined }, 'nbf as text': { nbf: '1' }, 'no subject': { sub: undefined }, 'empty subject': { sub: '' }, 'subject of a number': { sub: 1 },
      'no id': { jti: undefined }, 'client of a list': { client_id: ['cli_a'] }, 'session of a number': { sid: 1 }, 'scope of a list': { scope: ['notes:read'] },
      'status of a text': { status: 'x' }, 'status of nothing': { status: null }, 'status elsewhere': { status: { status_list: { uri: 'https://evil.example/status/7', idx: 3 } } },
      'status below zero': { status: { status_list: { uri: i.url + '/status/7', idx: -1 } } }, 'status of a strange number': { status: { status_list: { uri: i.url + '/status/07', idx: 1 } } },
      'typ JWT': { header: { typ: 'JWT' } }, 'no typ': { header: { typ: undefined } }, 'unknown kid': { header: { kid: 'x' } }, 'no kid': { header: { kid: undefined } },
      'another key': { key: keys.other.privateKey }
    })) {
      const e = await refused(g.check(request('Bearer ' + await i.token(change))), 401, what)
      assert.equal(e.headers('r')['WWW-Authenticate'], 'Bearer realm="r", error="invalid_token"')
    }
  })

  test('garbage: whatever comes, the answer is the same, and it comes soon', async (t) => {
    const i = await Issuer.start(t)
    const g = guardOf(t, i)
    const real = await i.token()
    const [head, body, tail] = real.split('.')
    const b64 = (text) => Buffer.from(text).toString('base64url')
    const deep = b64('{"a":' + '['.repeat(8000))
    for (const text of ['x', '..', 'a.b', 'a.b.c.d', 'a.b.', '.b.c', `${head}.${body}.`, `${deep}.${body}.${tail}`, `${head}.${deep}.${tail}`, `${b64('null')}.${body}.${tail}`,
      `${b64('[1]')}.${body}.${tail}`, `${b64(Buffer.from([255, 254]))}.${body}.${tail}`, `${b64('{"alg":"none","typ":"at+jwt","kid":"ec"}')}.${body}.`,
      `${b64('{"alg":["ES256"],"typ":"at+jwt","kid":"ec"}')}.${body}.${tail}`, `${b64('{"alg":"ES256","typ":1,"kid":"ec"}')}.${body}.${tail}`,
      `${b64('{"alg":"ES256","typ":"at+jwt","kid":["ec"]}')}.${body}.${tail}`, `${b64('{"alg":"HS256","typ":"at+jwt","kid":"ec"}')}.${body}.${tail}`,
      `${b64('{"alg":"ES256","typ":"at+jwt","kid":"__proto__"}')}.${body}.${tail}`, `${b64('{"alg":"ES256","typ":"at+jwt","kid":"ec","crit":["b64"],"b64":true}')}.${body}.${tail}`,
      real + '=', 'é' + real, real + '\n', real.slice(0, -4) + 'AAAA', 'a'.repeat(20_000), real + 'a'.repeat(20_000)]) {
      const began = Date.now()
      const e = await refused(g.check(request('Bearer ' + text)), 401, text.slice(0, 60))
      assert.deepEqual([e.code, e.error], ['invalid_token', 'invalid_token'])
      assert.ok(Date.now() - began < 2000)
    }
    for (const [lines, want, error] of [[[], 401, ''], [[''], 401, ''], [['Basic eDp5'], 401, ''], [['Bearer'], 400, 'invalid_request'], [['Bearer '], 400, 'invalid_request'],
      [[`Bearer ${real}, Bearer ${real}`], 400, 'invalid_request'], [[`Bearer ${real} ${real}`], 400, 'invalid_request'], [[`Bearer ${real}`, `Bearer ${real}`], 400, 'invalid_request']]) {
      assert.equal((await refused(g.check(request(...lines)), want, lines.join('; '))).error, error)
    }
  })

  test('the key decides the algorithm', async (t) => {
    const i = await Issuer.start(t)
    i.keys = [await jwk('ec', 'ES256', keys.ec), await jwk('ed', 'EdDSA', keys.ed), await jwk('new', 'Ed25519', keys.ed), await jwk('rs', 'RS256', keys.rsa), await jwk('ps', 'PS256', keys.rsa),
      await jwk('twice', 'ES256', keys.ec), await jwk('twice', 'ES256', keys.ec), { ...await jwk('enc', 'ES256', keys.ec), use: 'enc' },
      { kty: 'oct', k: 'AAAA', kid: 'oct', alg: 'HS256' }, 'nonsense', null, { kid: 'half', alg: 'ES256' }, { ...await jwk('weak', 'RS256', keys.rsa), n: 'AQAB' }]
    const g = guardOf(t, i)
    const { ec, ed, rsa } = keys
    for (const [kid, { privateKey }, alg, good] of [['ec', ec, 'ES256', true], ['ed', ed, 'EdDSA', true], ['new', ed, 'EdDSA', true], ['ed', ed, 'Ed25519', true], ['rs', rsa, 'RS256', true],
      ['ps', rsa, 'PS256', true], ['rs', rsa, 'PS256', false], ['ps', rsa, 'RS256', false], ['rs', rsa, 'RS512', false], ['twice', ec, 'ES256', false], ['enc', ec, 'ES256', false],
      ['oct', { privateKey: Buffer.alloc(3) }, 'HS256', false], ['half', ec, 'ES256', false], ['weak', rsa, 'RS256', false]]) {
      assert.equal(await status(g.check(request('Bearer ' + await i.token({ key: privateKey, alg, header: { kid } })))), good ? 200 : 401, `${kid} ${alg}`)
    }
  })

  test('keys are fetched seldom', async (t) => {
    const i = await Issuer.start(t)
    const g = guardOf(t, i)
    for (let n = 0; n < 20; n++) await refused(g.check(request('Bearer ' + await i.token({ header: { kid: 'invented' + n } }))), 401, 'invented')
    assert.equal(i.fetched, 1)
  })

  test('who does not know the keys does not say that a token is wrong', async (t) => {
    const i = await Issuer.start(t)
    i.away = true
    const e = await refused(guardOf(t, i).check(request('Bearer ' + await i.token())), 503, 'no keys')
    assert.equal(e.headers('r')['Retry-After'], '5')
    assert.equal(e.headers('r')['WWW-Authenticate'], undefined)
  })

  test('the time of issue', () => {
    assert.equal(issued(JTI, 5), 1732728725440) // the first ten letters are the time
    for (const jti of ['tok_x', '', JTI.toUpperCase(), JTI + '0', JTI.slice(4), 'tok_8' + JTI.slice(5), JTI.replace('a', 'u')]) assert.equal(issued(jti, 5), 5000, jti)
  })

  test('settings', () => {
    for (const change of [{ issuer: '' }, { audience: '' }, { key: '' }, { key: 'a b' }, { key: 'a\nb' }, { key: undefined }, { key: '', readLists: true }, { key: null, readLists: true }, { issuer: 'http://auth.example.com' }, { issuer: 'ftp://x' }, { issuer: 'https://x/?a=b' },
      { maxStaleness: 2 }, { maxStaleness: NaN }, { typ: 'x' }, { audience: 'a"b' }, { audience: 'a\nb' }, { maxStale: 5 }, { eventsURL: 'http://10.0.0.1/' }]) {
      assert.throws(() => new Guard({ issuer: 'https://auth.example.com', audience: 'a', key: 'k', ...change }), TypeError, JSON.stringify(change))
    }
    for (const scope of ['', '*', 'a b', 'a"b', 'a\r\nb', 1]) assert.throws(() => need(null, [scope]), TypeError)
  })
})

describe('revocations', () => {
  const ISSUER = 'https://a.example'
  const caller = (change = {}) => ({
    subject: 'usr_a', client: 'cli_a', session: 'ses_a', keyId: 'k', issuedMs: 1000, expires: FOREVER, place: { uri: ISSUER + '/status/7', idx: 3 }, ...change
  })

  test('places', () => {
    const v = new View(ISSUER)
    v.status({ uri: ISSUER + '/status/7', idx: [1, 5, 5, 2, 9, 8, 7], exp: FOREVER })
    const at = (idx, n = 7) => v.revoked(caller({ place: { uri: `${ISSUER}/status/${n}`, idx } }))
    assert.deepEqual([0, 1, 2, 3, 4, 5, 6, 7].map((i) => at(i)), [false, true, true, false, false, true, false, true])
    assert.equal(at(5, 8), false)
    const many = Array.from({ length: (1 << 20) / 20 | 0 }, (_, n) => n * 20) // more than fit the form for few
    v.status({ uri: ISSUER + '/status/7', idx: many, exp: FOREVER })
    assert.ok([0, 1, 2, 5, 20, many.at(-1)].every((i) => at(i)))
    assert.ok(![3, 19, 21, (1 << 20) - 1].some((i) => at(i)))
    assert.equal(v.size.places, many.length + 6)
  })

  test('a status list has the same places in either form, the lowest bit of a byte first', () => {
    for (const ended of [[], [0, 9, 15, MAX_PLACE - 1], Array.from({ length: MAX_PLACE / 20 | 0 }, (_, n) => n * 20)]) {
      const bits = Buffer.alloc(MAX_PLACE / 8)
      for (const idx of ended) bits[idx >> 3] |= 1 << (idx & 7)
      const places = Places.of(bits)
      assert.ok(ended.every((idx) => places.has(idx)))
      assert.ok(![1, 8, 16, 19, MAX_PLACE - 2].some((idx) => places.has(idx)))
    }
    assert.equal(Places.of(Buffer.alloc(64 << 10, 255)).has(1 << 19), false, 'what is behind the end of a list has not ended')
  })

  test('cut-offs', () => {
    for (const [kind, id] of [['realm', ''], ['subject', 'usr_a'], ['client', 'cli_a'], ['session', 'ses_a'], ['key', 'k']]) {
      const v = new View(ISSUER)
      v.cutoff({ kind, id, before: 1000 })
      v.cutoff({ kind, id, before: 500, expires: 1 }) // the later of both counts
      assert.equal(v.revoked(caller()), true, kind)
      assert.equal(v.revoked(caller({ issuedMs: 1001 })), false, kind)
      v.purge(Date.now() / 1000)
      assert.equal(v.revoked(caller()), true, 'what has no end is kept')
      const other = new View(ISSUER)
      if (kind !== 'realm') other.cutoff({ kind, id: id + 'x', before: 1000 })
      assert.equal(other.revoked(caller({ place: null })), false, kind)
    }
    const v = new View(ISSUER)
    v.cutoff({ kind: 'client', id: 'usr_a', before: 1000 }) // another kind of the same name
    assert.equal(v.revoked(caller()), false)
  })

  test('what has expired is forgotten, and a clock that is set back revives nothing', () => {
    const [v, now] = [new View(ISSUER), 1_800_000_000]
    v.status({ uri: ISSUER + '/status/7', idx: [3], exp: now })
    v.cutoff({ kind: 'subject', id: 'usr_a', before: 1000, expires: now * 1000 })
    v.purge(now + 10)
    assert.deepEqual(v.size, { lists: 1, places: 1, cutoffs: 1 }, 'an hour later than it might be')
    v.purge(now + 3601)
    assert.deepEqual(v.size, { lists: 0, places: 0, cutoffs: 0 })
    assert.equal(v.revoked(caller({ expires: now })), true)
    assert.equal(v.revoked(caller({ expires: now + 600 })), false)
  })

  test('what is not understood', () => {
    const place = { uri: ISSUER + '/status/7', idx: [1], exp: FOREVER }
    for (const change of [{ uri: 'https://evil.example/status/7' }, { uri: 7 }, { uri: ISSUER + '/status/x' }, { idx: 1 }, { idx: [1 << 20] }, { idx: [-1] }, { idx: ['1'] }, { idx: [true] },
      { exp: '1' }, { exp: null }]) assert.throws(() => new View(ISSUER).status({ ...place, ...change }), Error, JSON.stringify(change))
    const cut = { kind: 'subject', id: 'usr_a', before: 1, expires: 2 }
    for (const change of [{ kind: 'planet' }, { kind: '' }, { kind: 'constructor' }, { id: '' }, { id: 1 }, { id: 'x'.repeat(2000) }, { kind: 'realm' }, { before: '1' }, { before: 1.5 }, { expires: 'x' }]) {
      assert.throws(() => new View(ISSUER).cutoff({ ...cut, ...change }), Error, JSON.stringify(change))
    }
  })

  test('bounds', () => {
    const v = new View(ISSUER)
    assert.throws(() => { for (let n = 0; n <= MAX_LISTS; n++) v.status({ uri: `${ISSUER}/status/${n}`, idx: [1], exp: FOREVER }) })
  })
})

describe('following', () => {
  const caller = (url, idx = 3) => ({ subject: 'usr_a', client: '', session: '', keyId: 'ec', issuedMs: 1000, expires: FOREVER, place: { uri: url + '/status/7', idx } })
  const place = (i, idx = 3) => ['status', { uri: i.url + '/status/7', idx: [idx], exp: FOREVER }]

  function follower (t, i, more = {}) {
    const f = new Follower({ url: new URL(i.url + '/admin/v1/realms/main/revocations/events'), key: 'the-key', issuer: i.url, bound: 10, changed: () => {}, log: () => {}, pause: 10, ...more })
    t.after(() => f.close())
    f.start()
    return f
  }

  test('what is told at first, and later, is refused; keys that changed are fetched', async (t) => {
    const i = await Issuer.start(t)
    let stream
    i.script = (res) => {
      begin(stream = res)
      say(res, ['reload', {}], place(i, 9), ['planet', { unknown: 1 }], ['ready', {}, 'A-1'])
      rest(res)
    }
    const g = guardOf(t, i)
    const one = request('Bearer ' + await i.token())
    const other = request('Bearer ' + await i.token({ status: { status_list: { uri: i.url + '/status/7', idx: 9 } } }))
    const caller = await g.check(one)
    assert.equal(await status(g.check(other)), 401)
    const [{ path, lines }] = i.asked
    assert.deepEqual([path, lines.authorization, lines['last-event-id']], ['/admin/v1/realms/main/revocations/events', 'Bearer the-key', undefined])
    say(stream, place(i), ['keys', {}], ['ready', {}, 'A-2'])
    await until('an end', async () => await status(g.check(one)) === 401)
    assert.throws(() => g.again(caller), { status: 401 })
    await until('the keys', () => i.fetched === 2)
    assert.ok(g.age() < 6)
    g.close()
    assert.equal(await status(g.check(one)), 503)
  })

  test('nothing is known before ready', async (t) => {
    const i = await Issuer.start(t)
    i.script = (res) => { begin(res); rest(res, ['reload', {}]) }
    const g = guardOf(t, i)
    await refused(g.check(request('Bearer ' + await i.token())), 503, 'loading')
    assert.equal(g.age(), null)
  })

  test('past the bound nobody is let in, and what has ended stays so', async (t) => {
    const i = await Issuer.start(t)
    let silence
    i.script = (res) => { begin(res); say(res, ['reload', {}], place(i), ['ready', {}, 'A-1']); silence = rest(res) }
    let by = 0
    const f = follower(t, i, { clock: { now: () => [performance.now() + by, Date.now() + by] } })
    await until('a view', () => f.check(caller(i.url, 4)) === false)
    silence()
    await until('silence', () => f.age() > 0.2)
    by = 9000
    assert.equal(f.check(caller(i.url, 4)), false)
    by = 11_000
    assert.deepEqual([f.check(caller(i.url, 4)), f.check(caller(i.url))], [null, true])
    assert.ok(f.age() > 10)
  })

  test('a sleep counts, and a time of day that is set back makes nothing younger', () => {
    assert.deepEqual([[99, 4999], [99, 4000], [50, 5999]].map((then) => since(then, [100, 5000])), [1, 1000, 50])
  })

  test('a stream that was cut goes on where it was; what is not understood makes it begin anew', async (t) => {
    const i = await Issuer.start(t)
    let go
    i.script = (res) => {
      begin(res)
      switch (i.asked.length) {
        case 1: say(res, ['reload', {}], ['ready', {}, 'A-1']); return res.end()
        case 2: say(res, ['cutoff', { kind: 'planet', id: 'x', before: 1 }], ['ready', {}, 'A-2']); return res.end()
      }
      go = () => { say(res, ['reload', {}], ['ready', {}, 'A-3']); rest(res) }
    }
    const f = follower(t, i)
    await until('three streams', () => go)
    assert.deepEqual(i.asked.map((a) => a.lines['last-event-id']), [undefined, 'A-1', undefined])
    assert.equal(f.check(caller(i.url)), null)
    go()
    await until('it recovers', () => f.check(caller(i.url)) === false)
  })

  test('where streams are held back it polls, and when they come through again it follows one', async (t) => {
    const i = await Issuer.start(t)
    let held = true
    i.script = (res, req) => {
      if (!req.url.includes('wait=') && held) return
      begin(res)
      say(res, ['reload', {}], ['ready', {}, 'A-1'])
      if (req.url.includes('wait=')) setTimeout(() => res.end(), 5)
      else rest(res)
    }
    const f = follower(t, i, { bound: 4, quiet: 300, again: 500 })
    await until('a poll', () => f.check(caller(i.url)) === false)
    assert.ok(i.asked.some((a) => a.path.endsWith('?wait=1'))) // not the last: a stream is tried for again soon
    await until('a longer one', () => i.asked.some((a) => a.path.endsWith('?wait=2')))
    await until('a stream is tried while it polls', () => i.asked.filter((a) => !a.path.includes('wait=')).length > 1)
    held = false
    await until('a stream that goes on', async () => {
      const n = i.asked.length
      await new Promise((resolve) => setTimeout(resolve, 100))
      return i.asked.length === n && !i.asked.at(-1).path.includes('wait=')
    })
    assert.equal(f.check(caller(i.url)), false)
  })

  test('what is no stream is not followed, and ends nothing', async (t) => {
    const whole = (res) => { say(res, ['reload', {}], ['ready', {}, 'A-1']); res.end() }
    for (const [what, script] of Object.entries({
      html: (res) => { begin(res, 'text/html'); whole(res) },
      'a line that is too long': (res) => { begin(res); say(res, ['reload', {}]); res.write('data: ' + 'x'.repeat(300_000)); say(res, ['ready', {}, 'A-1']); res.end() },
      'a redirect': (res) => res.writeHead(302, { location: '/elsewhere' }).end(),
      'ready at once': (res) => { begin(res); say(res, ['ready', {}, 'A-1']); res.end() },
      'a change before everything': (res) => { begin(res); say(res, ['status', {}], ['ready', {}, 'A-1']); res.end() },
      'no UTF-8': (res) => { begin(res); say(res, ['reload', {}]); res.write(Buffer.from([101, 58, 255, 10, 10])); say(res, ['ready', {}, 'A-1']); res.end() },
      'no time': (res) => { begin(res); say(res, ['reload', {}], ['ready', { time: null }, 'A-1']); res.end() },
      'a time as text': (res) => { begin(res); say(res, ['reload', { time: '1' }], ['ready', { time: '1' }, 'A-1']); res.end() },
      'compressed, which nobody asked for': (res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' })
        res.end(gzipSync('event: reload\ndata: {"time":1}\n\nevent: ready\nid: A-1\ndata: {"time":1}\n\n'))
      },
      'no JSON': (res) => { begin(res); say(res, ['reload', {}]); res.write('event: status\ndata: ' + '['.repeat(60_000) + '\n\n'); say(res, ['ready', {}, 'A-1']); res.end() },
      'an id that is none': (res) => { begin(res); say(res, ['reload', {}], ['ready', {}, 'a b']); res.end() },
      401: (res) => res.writeHead(401).end(),
      429: (res) => res.writeHead(429).end()
    })) {
      await t.test(what, async (t) => {
        const i = await Issuer.start(t)
        i.script = script
        const f = follower(t, i)
        await until('three tries', () => i.asked.length > 2)
        assert.equal(f.age(), null)
        assert.ok(!i.asked.some((a) => a.path.includes('elsewhere')))
      })
    }
  })

  test('what comes late makes nothing known: a new stream does', async (t) => {
    const i = await Issuer.start(t)
    const now = Date.now()
    let later
    i.script = (res) => {
      if (i.asked.length > 1) return
      begin(res)
      say(res, ['reload', { time: now }], ['ready', { time: now }, 'A-1'])
      later = () => rest(res, ['ready', { time: now + 2000 }, 'A-1']) // a kernel kept it while the machine slept, or a proxy held it back
    }
    let by = 0
    const f = follower(t, i, { clock: { now: () => [performance.now() + by, Date.now() + by] } })
    await until('a view', () => f.check(caller(i.url)) === false)
    by = 3600e3
    assert.equal(f.check(caller(i.url)), null)
    later()
    await until('another stream', () => i.asked.length > 1)
    assert.equal(f.check(caller(i.url)), null)
    assert.ok(f.age() > 3590)
  })

  test('an issuer whose clock runs ahead is asked anew', async (t) => {
    const i = await Issuer.start(t)
    const now = Date.now()
    i.script = (res) => {
      begin(res)
      say(res, ['reload', { time: now }], ['ready', { time: now }, 'A-1'])
      rest(res, ['ready', { time: now + 3000 }, 'A-1'])
    }
    const f = follower(t, i)
    await until('another stream', () => i.asked.length > 1)
    assert.equal(f.check(caller(i.url)), false)
  })

  test('a line that begins with a colon may be of anybody on the way, and is no sign of life', async (t) => {
    const i = await Issuer.start(t)
    i.script = (res) => {
      begin(res)
      say(res, ['reload', {}], ['ready', {}, 'A-1'])
      const timer = setInterval(() => res.write(':\n'), 20)
      res.on('close', () => clearInterval(timer))
    }
    follower(t, i, { quiet: 200 })
    await until('another stream', () => i.asked.length > 1)
  })

  test('a line that never ends is no sign of life', async (t) => {
    const i = await Issuer.start(t)
    i.script = (res) => {
      begin(res)
      const timer = setInterval(() => res.write('x'), 20)
      res.on('close', () => clearInterval(timer))
    }
    follower(t, i, { quiet: 200 })
    await until('another try', () => i.asked.length > 1)
  })

  test('pauses grow', async (t) => {
    const i = await Issuer.start(t)
    const at = []
    i.script = (res) => { at.push(performance.now()); res.writeHead(503).end() }
    follower(t, i, { pause: 20, longest: 160 })
    await until('six tries', () => at.length > 5)
    assert.ok(at[5] - at[4] > 60 && at[1] - at[0] < at[5] - at[4], at.join())
    assert.deepEqual([DEFAULTS.pause, DEFAULTS.longest, DEFAULTS.quiet], [200, 30_000, 6000])
  })
})

describe('status lists', () => {
  const place = (i, idx, n = 7) => ({ status: { status_list: { uri: `${i.url}/status/${n}`, idx } } })

  /** Lists of an issuer, and what they say of a place: with (have) or without waiting for it. */
  function listsOf (t, i, more = {}) {
    const l = new Lists({ url: new URL(i.url + '/status/'), verifier: new Verifier(i.url, i.url, new Keys(new URL(i.url + '/.well-known/jwks.json'), undefined, () => {}), 'at+jwt'), log: () => {}, ...more })
    t.after(() => l.close())
    const at = (idx, n = 7) => ({ place: { uri: `${i.url}/status/${n}`, idx } })
    return { l, known: (...p) => l.check(at(...p)), have: async (...p) => { await l.have(at(...p)); return l.check(at(...p)) } }
  }

  test('with a stream that cannot be had, or without any, they decide; a token that is on none is let in', async (t) => {
    const i = await Issuer.start(t)
    await i.list([3])
    i.script = (res) => res.writeHead(503).end()
    const [ended, good, none] = await Promise.all([place(i, 3), place(i, 4), { status: undefined }].map(async (c) => request('Bearer ' + await i.token(c))))
    for (const key of ['the-key', undefined]) {
      const g = guardOf(t, i, { key, readLists: true })
      const read = i.read
      const caller = await g.check(good)
      assert.deepEqual([await status(g.check(ended)), await status(g.check(none)), i.read - read, g.age()], [401, 200, 1, null])
      g.again(caller)
      g.close()
      assert.throws(() => g.again(caller), { status: 503 })
      assert.equal(await status(g.check(good)), 503)
    }
    assert.equal(await status(guardOf(t, i).check(good)), 503, 'who was not told to reads none')
    assert.equal(i.read, 2)
  })

  test('who follows reads none; past the bound what was told stays so', async (t) => {
    const i = await Issuer.start(t)
    await i.list([3])
    let stream
    i.script = (res) => { begin(stream = res); say(res, ['reload', {}], ['cutoff', { kind: 'subject', id: 'usr_b', before: FOREVER * 1000 }], ['ready', {}, 'A-1']) }
    const [ended, good, cut] = await Promise.all([place(i, 3), place(i, 4), { ...place(i, 4), sub: 'usr_b' }].map(async (c) => request('Bearer ' + await i.token(c))))
    const g = guardOf(t, i, { maxStaleness: 3, readLists: true })
    const all = async () => [await status(g.check(good)), await status(g.check(ended)), await status(g.check(cut))]
    assert.deepEqual([await all(), i.read], [[200, 200, 401], 0])
    i.script = (res) => res.writeHead(503).end()
    stream.destroy()
    await until('the lists', () => g.age() > 3)
    assert.deepEqual([await all(), i.read], [[200, 401, 401], 1])
  })

  test('what is no list lets nobody in', async (t) => {
    const i = await Issuer.start(t)
    const now = Math.floor(Date.now() / 1000)
    const bits = Buffer.alloc(MAX_PLACE / 8)
    const whole = deflateSync(bits)
    const packed = (raw) => ({ lst: raw.toString('base64url') })
    for (const [what, change] of Object.entries({
      'another list': { sub: i.url + '/status/8' }, 'no address': { sub: undefined }, 'another issuer': { iss: i.url + '/' }, 'another key': { key: keys.other.privateKey },
      'an access token': { header: { typ: 'at+jwt' } }, 'no type': { header: { typ: undefined } }, 'an unknown key': { header: { kid: 'x' } },
      expired: { exp: now - 1 }, 'no end': { exp: undefined }, 'end as text': { exp: String(now + 60) }, 'from the future': { iat: now + 60 }, 'no issue': { iat: undefined },
      'no ttl': { ttl: undefined }, 'ttl of nothing': { ttl: 0 }, 'ttl for ever': { ttl: 86401 }, 'ttl as text': { ttl: '30' }, 'two bits': { bits: 2 }, 'no list': { status_list: undefined },
      'a list of a number': { lst: 7 }, 'no base64url': { lst: '+' + whole.toString('base64url') }, 'a line break': { lst: whole.toString('base64url') + '\n' }, 'cut off': packed(whole.subarray(0, -4)),
      'something behind it': packed(Buffer.concat([whole, Buffer.from('x')])), 'not packed': packed(Buffer.alloc(100, 'x')), nothing: { lst: '' },
      'one byte too many': packed(deflateSync(Buffer.alloc(MAX_PLACE / 8 + 1))), 'a bomb': packed(deflateSync(Buffer.alloc(64 << 20), { level: 9 })), 'too long': { lst: 'A'.repeat(256 << 10) },
      404: 404, 'a redirect': 302, 'no token': 'x'.repeat(100)
    })) {
      if (typeof change === 'object') await i.list([], change)
      else i.lists[7] = change
      const { have } = listsOf(t, i)
      const read = i.read
      assert.deepEqual([await have(4), await have(4), i.read - read], [null, null, 1], what)
    }
    await i.list([], packed(deflateSync(Buffer.from([0x10])))) // a short one
    assert.equal(await listsOf(t, i).have(4), true)
  })

  test('one is fetched again when it is old, counts until it expires, and is not replaced by an older one', async (t) => {
    const i = await Issuer.start(t)
    await i.list([3])
    let by = 0
    const { have, known } = listsOf(t, i, { cooldown: 0, clock: { now: () => [performance.now() + by, Date.now() + by] } })
    assert.equal(await have(4), false)
    by = 29e3
    assert.deepEqual([known(4), i.read], [false, 1])
    by = 31e3
    await i.list([3, 4], { iat: Math.floor(Date.now() / 1000) - 10 })
    assert.equal(known(4), false)
    await until('a third reading', () => known(4) === false && i.read > 2)
    await i.list([3, 4])
    await until('what ended meanwhile', () => known(4))
    i.lists = {}
    by += 70e3
    assert.equal(await have(4), null)
  })

  test('many who need one cause one fetch; those that nobody asks for are forgotten', async (t) => {
    const i = await Issuer.start(t)
    for (const n of [1, 2, 3]) await i.list([n], { n })
    const { l, have, known } = listsOf(t, i, { most: 2 })
    assert.deepEqual([await Promise.all(Array.from({ length: 20 }, () => have(4, 1))), i.read], [Array(20).fill(false), 1])
    for (const n of [2, 3]) assert.equal(await have(n, n), true)
    assert.deepEqual([known(3, 3), known(2, 2), known(1, 1)], [true, true, null])
    l.close()
    assert.equal(await have(3, 3), null)
  })
})

describe('middleware', () => {
  /** An API with node:http alone, and what it answers. */
  async function api (t, i, handler) {
    const server = http.createServer(handler).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => { server.closeAllConnections(); server.close() })
    return async (path, ...lines) => {
      const req = http.get({ port: server.address().port, host: '127.0.0.1', path, agent: false, headers: lines.length ? { authorization: lines.length > 1 ? lines : lines[0] } : {} })
      const [res] = await once(req, 'response')
      let body = ''
      for await (const part of res) body += part
      return { status: res.statusCode, body, challenge: res.headers['www-authenticate'], type: res.headers['content-type'], cache: res.headers['cache-control'] }
    }
  }

  test('node:http', async (t) => {
    const i = await Issuer.start(t)
    const g = guardOf(t, i)
    const [protect, needs] = [g.protect({ open: ['/public'] }), g.needs('notes:read', 'notes:list')]
    const get = await api(t, i, (req, res) => protect(req, res, () => {
      if (!req.url.startsWith('/notes')) return res.end(req.caller?.subject ?? 'nobody')
      needs(req, res, () => res.end('in'))
    }))
    const token = 'Bearer ' + await i.token()
    const rich = 'Bearer ' + await i.token({ scope: 'notes:read notes:list' })
    for (const [path, lines, want, body] of [['/public', [], 200, 'nobody'], ['/public?x=1', [token], 200, 'nobody'], ['/any', [token], 200, 'usr_a'], ['/notes', [rich], 200, 'in']]) {
      const a = await get(path, ...lines)
      assert.deepEqual([a.status, a.body, a.challenge], [want, body, undefined], path)
    }
    for (const [path, lines, want, error] of [['/public/', [], 401, ''], ['/PUBLIC', [], 401, ''], ['/%70ublic', [], 401, ''], ['//public', [], 401, ''], ['/any', [], 401, ''],
      ['/any?access_token=' + token.slice(7), [], 401, ''], ['/any', ['Bearer x'], 401, ', error="invalid_token"'], ['/any', [token, token], 400, ', error="invalid_request"'],
      ['/notes', [token], 403, ', error="insufficient_scope", scope="notes:read notes:list"']]) {
      const a = await get(path, ...lines)
      assert.deepEqual([a.status, a.challenge, a.type, a.cache, JSON.parse(a.body).status], [want, `Bearer realm="${i.url}"${error}`, 'application/problem+json', 'no-store', want], path)
    }
  })

  test('a guard that fails denies, and scopes are asked behind it alone', async (t) => {
    const i = await Issuer.start(t)
    const g = guardOf(t, i)
    g.check = () => Promise.reject(new Error('broken'))
    const get = await api(t, i, (req, res) => g.protect()(req, res, () => res.end('in')))
    assert.equal((await get('/')).status, 503)
    assert.throws(() => g.needs('a')({}, {}, () => {}), /first/)
    assert.throws(() => g.needs('*'), TypeError)
  })
})

