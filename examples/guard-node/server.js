// An API with Express behind the guard.
import express from 'express'
import { Guard } from './lib/guard.js'

const { ISSUER, AUDIENCE = ISSUER, GATEHOUSE_KEY, EVENTS_URL, MAX_STALENESS = '10', READ_LISTS, PORT = '3000' } = process.env
const guard = new Guard({
  issuer: ISSUER, audience: AUDIENCE, key: GATEHOUSE_KEY, eventsURL: EVENTS_URL, maxStaleness: Number(MAX_STALENESS), readLists: READ_LISTS === '1'
})

const app = express()
app.disable('x-powered-by')
app.use(guard.protect({ open: ['/public'] }))

app.get('/public', (req, res) => res.json({ message: 'Hello, world!' }))

app.get('/private', (req, res) => { // for whoever has a token
  res.json({ message: 'This is the private page', subject: req.caller.subject, age: guard.age() })
})

app.get('/notes', guard.needs('notes:read'), (req, res) => res.json({ notes: [], subject: req.caller.subject }))

app.listen(Number(PORT), '127.0.0.1', (error) => { if (error) throw error })
