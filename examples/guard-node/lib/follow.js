// Follows the issuer's stream of revocations (docs/revocation-stream.md).
import { open, Timeout } from './fetch.js'
import { View } from './revocations.js'
import { within } from './tokens.js'

// Milliseconds and bytes; tests have shorter ones.
export const DEFAULTS = {
  quiet: 6000, // for which a stream may say nothing; it speaks every two seconds
  trial: 2500, // the same, of a stream that is tried while it polls
  pause: 200, // before the next try: the first
  longest: 30_000, // and the most
  ahead: 1000, // that the issuer's clock may gain on ours while a stream is open
  again: 300_000, // after which somebody who polls tries a stream again
  line: 128 << 10 // of a line; a thousand places and their list are a tenth of it
}

/** Time that passes, in milliseconds. It goes on while the machine sleeps, and does not go back when the time of day is set. */
export const clock = { now: () => [performance.now(), Date.now()] }
export const since = (then, now) => Math.max(now[0] - then[0], now[1] - then[1])

/** Knows what its issuer has ended, for as long as it is told. */
export class Follower {
  #c; #wait
  #view = null // null: nothing was told to the end yet
  #heard = null // of the clock: as of when, at least, it is known what has ended
  #started = null; #known; #tell
  #stopped = false; #stop; #wake = () => {}; #request = null
  #id = ''; #loading = null; #ready = false
  #poll = false; #tried = 0; #purged = 0

  /** c: url, key, issuer, bound (seconds), changed (a function), log, ca; and what DEFAULTS has. */
  constructor (c) {
    this.#c = { clock, ...DEFAULTS, ...c }
    this.#wait = Math.max(1, Math.min(60, Math.floor(c.bound / 2))) // of a poll
    this.#known = new Promise((resolve) => { this.#tell = resolve })
    this.#stop = new Promise((resolve) => { this.#wake = resolve })
  }

  /** Begins to follow, once. */
  start () {
    if (this.#started !== null || this.#stopped) return
    this.#started = performance.now()
    this.#run()
  }

  /** Ends it. Nothing is known from then on. */
  close () {
    this.#stopped = true
    this.#view = null
    this.#wake()
    this.#request?.destroy()
  }

  /** Waits for the first view, no longer than so many milliseconds after the start. */
  async first (ms) {
    const left = this.#started + ms - performance.now()
    if (this.#heard === null && left > 0) await within(this.#known, left)
  }

  /** For how many seconds nothing was heard; null before everything was told once. */
  age () {
    return this.#view && this.#heard ? Math.max(0, since(this.#heard, this.#c.clock.now()) / 1000) : null
  }

  /** Whether a caller's token was ended (true), was not (false), or that nobody knows (null). */
  check (caller) {
    if (!this.#view) return null
    if (this.#view.revoked(caller)) return true // what has ended stays so, however old the view
    const age = this.age()
    return age !== null && age < this.#c.bound ? false : null
  }

  async #run () {
    const c = this.#c
    let [pause, told] = [c.pause, false]
    while (!this.#stopped) {
      const settled = this.#poll && this.#ready
      const trial = settled && performance.now() - this.#tried > c.again
      const poll = this.#poll && !trial
      if (!poll) this.#tried = performance.now()
      this.#ready = false
      this.#loading = null
      let problem
      try {
        // A trial has to speak at once, and the first poll is a short one: meanwhile nothing is heard.
        if (trial) await this.#read(0, Math.min(2000, (c.bound - this.#wait) * 250), c.trial)
        else await this.#read(poll ? (settled ? this.#wait : 1) : 0, c.quiet, c.quiet)
      } catch (e) { // whatever comes is a reason to try again, and none to stop
        problem = e
      }
      if (this.#stopped) return
      if (this.#ready) {
        if (told) c.log('revocations are followed again')
        ;[pause, told, this.#poll] = [c.pause, false, poll]
        if (poll && !problem) continue // an answer is over: the next one
      } else {
        if (!problem || problem instanceof Timeout) this.#poll = !poll // what comes through, if anything, does not come this way
        if (trial) {
          this.#poll = true
          continue
        }
        if (!told) c.log('revocations cannot be followed: ' + (problem?.message ?? 'the answer ended before it was whole'))
        told = true
      }
      await within(this.#stop, pause / 2 + Math.random() * pause)
      pause = this.#ready ? c.pause : Math.min(2 * pause, c.longest)
    }
  }

  /** Reads one answer to its end, of a poll where there is a wait. first is the patience with its beginning, quiet that until ready. */
  async #read (wait, first, quiet) {
    const { url, key, ca } = this.#c
    const headers = { accept: 'text/event-stream', authorization: 'Bearer ' + key }
    if (this.#id && this.#view) headers['last-event-id'] = this.#id
    const to = new URL(url)
    if (wait) to.search = '?wait=' + wait
    let patience = first + wait * 1000
    const asked = this.#c.clock.now()
    let timer
    const alive = () => {
      clearTimeout(timer)
      timer = setTimeout(() => this.#request.destroy(new Timeout('nothing comes')), patience)
    }
    try {
      const answer = open(to, headers, ca, (req) => { this.#request = req; alive() })
      const res = await answer
      if (!/^text\/event-stream\s*(;|$)/i.test(res.headers['content-type'] ?? '')) throw new Error('the answer is no stream of events')
      let rest = Buffer.alloc(0)
      let event = {}
      let began = 0 // when the issuer began to speak, by its own clock
      for await (const part of res) {
        patience = (this.#ready ? this.#c.quiet : quiet) + wait * 1000
        const all = Buffer.concat([rest, part])
        let from = 0
        let said = false
        for (let end; (end = all.indexOf(10, from)) >= 0; from = end + 1) {
          const line = utf8.decode(all.subarray(from, end)).replace(/\r$/, '')
          if (line[0] === ':') continue // it says nothing, and anybody on the way may have put it there
          said = true
          const at = line.indexOf(':')
          if (at > 0 && at < 6) event[line.slice(0, at)] = line.slice(at + 1).replace(/^ /, '') // event, data, id
          if (line !== '') continue
          const time = this.#take(event)
          began ||= time
          if (event.event === 'ready' && !this.#hear(asked, time - began) && !wait) throw new Error('what comes is old')
          event = {}
        }
        if (said) alive() // a line that does not end is no sign of life
        rest = all.subarray(from)
        if (rest.length > this.#c.line) throw new Error('a line is too long')
      }
    } finally {
      clearTimeout(timer)
      this.#request.destroy()
    }
  }

  /**
   * Takes in as of when it is known what has ended, and says whether that is not long ago. It is the time of the question,
   * and what has passed since the beginning of the answer by one clock, the issuer's. So nothing becomes younger by what
   * holds it on its way, or in the kernel of a machine that sleeps; and the clocks need not agree.
   */
  #hear (asked, ms) {
    const { clock, ahead, quiet, bound } = this.#c
    const now = clock.now()
    const late = since(asked, now) - ms
    const heard = late > 0 ? asked.map((t) => t + ms) : now
    if (!this.#heard || since(heard, now) < since(this.#heard, now)) this.#heard = heard
    this.#tell()
    return late >= -ahead && late <= Math.min(quiet, bound * 500)
  }

  /**
   * Applies an event. After one that is not understood everything is asked for anew. The first and the last of what belongs
   * together say as of when, in Unix milliseconds; for others 0 is returned.
   */
  #take ({ event, data, id }) {
    let at = 0
    try {
      if (event === 'reload' || event === 'ready') {
        at = JSON.parse(data).time
        if (!Number.isSafeInteger(at) || at <= 0) throw new Error('an event that does not say as of when')
      }
      if (event === 'reload') this.#loading = new View(this.#c.issuer, this.#view?.floor)
      else if (event === 'status') (this.#loading ?? this.#view).status(JSON.parse(data))
      else if (event === 'cutoff') (this.#loading ?? this.#view).cutoff(JSON.parse(data))
      else if (event === 'keys') this.#c.changed()
      else if (event === 'ready') this.#whole(id)
    } catch (e) {
      this.#id = ''
      if (!this.#loading) this.#view = null // it may have been an end: nobody is let in by what is known without it
      throw e
    }
    return at
  }

  /** Everything up to a position has come. */
  #whole (position) {
    if (!/^[!-~]{1,64}$/.test(position)) throw new Error('an id that is none')
    const now = Date.now()
    if (this.#loading && !this.#stopped) [this.#view, this.#loading, this.#purged] = [this.#loading, null, now]
    if (!this.#view) throw new Error('ready before everything was told')
    if (!(now - this.#purged >= 0 && now - this.#purged < 3600e3)) {
      this.#view.purge(now / 1000)
      this.#purged = now
    }
    this.#id = position
    this.#ready = true
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
