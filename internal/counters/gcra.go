package counters

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

// gcra counts one event if that leaves no more owed than the tolerance, and returns whether
// it did and what is owed then, in nanoseconds. A count is two numbers: a time of this server
// in microseconds, and what was owed at it. It ends by itself once nothing is owed. Numbers
// are written with all their digits: Lua writes fourteen.
//
// What is owed after a time of the future counts from now on: the clock was set back. More
// than the tolerance was owed by another rate; by this one nobody can owe it.
const gcra = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local owed, write = 0, false
local held = redis.call('GET', KEYS[1])
if held then
  local at, was = string.match(held, '^(%d+) (%d+)$')
  if at then
    local gone = now - at
    if gone < 0 then gone, write = 0, true end
    owed = math.max(0, was - gone * 1000)
    if owed > tolerance then owed, write = tolerance, true end
  end
end
local allowed = owed + interval <= tolerance
if allowed then owed, write = owed + interval, true end
if write then
  redis.call('SET', KEYS[1], string.format('%.0f %.0f', now, owed), 'PX', string.format('%.0f', math.ceil(owed / 1000000) + 1))
end
return {allowed and 1 or 0, owed}
`

// script is a script with the name that a server has for it.
type script struct{ text, hash string }

func newScript(text string) script { return script{text, redis.NewScript(1, text).Hash()} }

// GCRA asks whether one more event of id may happen now within scope, where each costs
// interval and at most tolerance may be owed, and counts it if so. A refused event costs
// nothing. owed is what is owed then. Without known the server is away, or did not answer in
// time: nothing is known but that.
func (s *Server) GCRA(scope, id string, interval, tolerance time.Duration) (owed time.Duration, allowed, known bool) {
	p := s.current.Load()
	if p == nil {
		return 0, false, false
	}
	answer, err := s.answer(p, s.name(scope, id), interval, tolerance)
	if err == nil && (len(answer) != 2 || answer[1] < 0 || time.Duration(answer[1]) > tolerance) {
		err = errors.New("counters: an answer that makes no sense")
	}
	if err != nil {
		s.fail(p, err)
		return 0, false, false
	}
	return time.Duration(answer[1]), answer[0] == 1, true
}

func (s *Server) answer(p *pool, name string, interval, tolerance time.Duration) ([]int64, error) {
	until := time.Now().Add(s.cfg.Timeout)
	conn, err := p.get(until)
	if err != nil {
		return nil, err
	}
	answer, err := ask(conn, time.Until(until), s.gcra, name, int64(interval), int64(tolerance))
	if conn.Err() != nil {
		p.drop(conn)
	} else {
		p.put(conn)
	}
	return answer, err
}

// ask runs a script by its hash, and with its text where the server does not know it.
func ask(conn redis.Conn, within time.Duration, s script, name string, args ...int64) ([]int64, error) {
	text := make([]any, 3, 3+len(args))
	text[0], text[1], text[2] = s.hash, 1, name
	for _, a := range args {
		text = append(text, a)
	}
	within = max(within, time.Millisecond) // 0 would be without end
	answer, err := redis.Int64s(redis.DoWithTimeout(conn, within, "EVALSHA", text...))
	var said redis.Error
	if errors.As(err, &said) && strings.HasPrefix(string(said), "NOSCRIPT") {
		text[0] = s.text
		answer, err = redis.Int64s(redis.DoWithTimeout(conn, within, "EVAL", text...))
	}
	return answer, err
}

// name of a count: the scope as it is, so that an operator can tell what is counted, and a
// keyed hash that tells nobody else whom.
func (s *Server) name(scope, id string) string {
	mac := hmac.New(sha256.New, s.cfg.Secret)
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(scope))) // no scope can lend its end to the id
	mac.Write(length[:])
	mac.Write([]byte(scope))
	mac.Write([]byte(id))
	if len(scope) > maxScope {
		scope = scope[:maxScope]
	}
	return s.cfg.Prefix + strings.ReplaceAll(scope, "\x00", ":") + ":" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// maxScope bounds what of a scope is written out in the name of a count.
const maxScope = 128
