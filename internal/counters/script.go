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

// script is a script with the name that a server has for it.
type script struct{ text, hash string }

func newScript(text string) script { return script{text, redis.NewScript(-1, text).Hash()} }

var errNonsense = errors.New("counters: an answer that makes no sense")

// ask runs a script on counts. Without known the server is away, did not answer in time, or
// answered what makes no sense.
func (s *Server) ask(of script, names []string, sense func([]int64) bool, args ...int64) (answer []int64, known bool) {
	p := s.current.Load()
	if p == nil {
		return nil, false
	}
	answer, err := s.answer(p, of, names, args)
	if err == nil && !sense(answer) {
		err = errNonsense
	}
	if err != nil {
		s.fail(p, err)
		return nil, false
	}
	return answer, true
}

func (s *Server) answer(p *pool, of script, names []string, args []int64) ([]int64, error) {
	until := time.Now().Add(s.cfg.Timeout)
	conn, err := p.get(until)
	if err != nil {
		return nil, err
	}
	answer, err := run(conn, time.Until(until), of, names, args...)
	if conn.Err() != nil {
		p.drop(conn)
	} else {
		p.put(conn)
	}
	return answer, err
}

// run runs a script by its hash, and with its text where the server does not know it.
func run(conn redis.Conn, within time.Duration, s script, names []string, args ...int64) ([]int64, error) {
	text := make([]any, 2, 2+len(names)+len(args))
	text[0], text[1] = s.hash, len(names)
	for _, name := range names {
		text = append(text, name)
	}
	for _, a := range args {
		text = append(text, a)
	}
	until := time.Now().Add(within)
	answer, err := redis.Int64s(redis.DoWithTimeout(conn, max(within, time.Millisecond), "EVALSHA", text...)) // 0 would be without end
	var said redis.Error
	if errors.As(err, &said) && strings.HasPrefix(string(said), "NOSCRIPT") {
		text[0] = s.text
		answer, err = redis.Int64s(redis.DoWithTimeout(conn, max(time.Until(until), time.Millisecond), "EVAL", text...))
	}
	return answer, err
}

// name of a count: the scope as it is, so that an operator can tell what is counted, and a
// keyed hash that tells nobody else whom. What stands around the hash: braces have a server that
// spreads counts over several keep those of one id together.
func (s *Server) name(scope, before, id, behind string) string {
	mac := hmac.New(sha256.New, s.cfg.Secret)
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(scope))) // no scope can lend its end to the id
	mac.Write(length[:])
	mac.Write([]byte(scope))
	mac.Write([]byte(id))
	if len(scope) > maxScope {
		scope = scope[:maxScope]
	}
	return s.cfg.Prefix + strings.ReplaceAll(scope, "\x00", ":") + ":" + before + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16]) + behind
}

// maxScope bounds what of a scope is written out in the name of a count.
const maxScope = 128
