package authorize

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// KeySize is the length of [Config].Key in bytes.
const KeySize = 32

// paramAfter is ours, and only in addresses of our own: a sign-in at that time or later is one that the request asked for. It is
// bound to every other parameter by a key: else whoever is at a browser that somebody left signed in would add it, and
// be asked nothing. Who takes it away is asked once more.
const paramAfter = "gatehouse_after"

// Again is the query of r for whoever is sent to sign in now, and comes back with it.
func (r *Request) Again(now time.Time) string {
	v := maps.Clone(r.query)
	v.Set(paramAfter, r.mark(strconv.FormatInt(now.UnixMilli(), 10)))
	return v.Encode()
}

// mark is a time in milliseconds, with what binds it to r.
func (r *Request) mark(millis string) string {
	others := url.Values{}
	for name, values := range r.query {
		if !slices.Contains([]string{paramAfter, "lang", "theme"}, name) { // how the pages look, people may change on the way
			others[name] = values
		}
	}
	mac := hmac.New(sha256.New, r.key)
	mac.Write([]byte(strings.Join([]string{"gatehouse authorize after", r.realm.Name, millis, others.Encode()}, "\x00"))) // none of them holds a NUL
	return millis + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// marked is the time of r's mark; zero where it has none that is ours.
func (r *Request) marked() time.Time {
	given := r.query.Get(paramAfter)
	millis, _, _ := strings.Cut(given, ".")
	n, err := strconv.ParseInt(millis, 10, 64)
	if err != nil || !hmac.Equal([]byte(given), []byte(r.mark(millis))) {
		return time.Time{}
	}
	return time.UnixMilli(n)
}
