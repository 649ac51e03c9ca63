// Requests to the issuer: no redirects, no proxies of the environment, and nothing in clear but on this machine.
import http from 'node:http'
import https from 'node:https'
import { isIPv4 } from 'node:net'

/** Something took too long. */
export class Timeout extends Error {}

/** Checks an address of the issuer, and returns it. */
export function address (text) {
  const url = new URL(text)
  if (!['https:', 'http:'].includes(url.protocol) || url.username || url.password || url.search || url.hash) throw new TypeError(`${text} is no plain address`)
  const host = url.hostname
  if (url.protocol === 'http:' && !(host === 'localhost' || host === '[::1]' || isIPv4(host) && host.startsWith('127.'))) {
    throw new TypeError(`${text}: without TLS only on this machine`)
  }
  return url
}

/** Sends a GET and resolves with the answer, which is a 200. begun gets the request, so that others can end it. */
export function open (url, headers, ca, begun = () => {}) {
  return new Promise((resolve, reject) => {
    // A connection of its own: one that others share could hold back what must come at once.
    const req = (url.protocol === 'https:' ? https : http).get(url, { headers: { ...headers, 'accept-encoding': 'identity' }, agent: false, ca })
    begun(req)
    req.on('error', reject)
    req.on('response', (res) => {
      if (res.statusCode === 200) return resolve(res)
      reject(new Error(`status ${res.statusCode}`)) // a redirect, too: it would take the key elsewhere
      req.destroy()
    })
  })
}

/** Resolves with a body of at most so many bytes. */
export async function get (url, most, accept, ca, timeout = 5000) {
  let req
  const timer = setTimeout(() => req.destroy(new Timeout('no answer')), timeout)
  try {
    const res = await open(url, { accept }, ca, (r) => { req = r })
    const parts = []
    let size = 0
    for await (const part of res) {
      parts.push(part)
      if ((size += part.length) > most) throw new Error('the answer is too long')
    }
    return Buffer.concat(parts)
  } finally {
    clearTimeout(timer)
    req.destroy()
  }
}
