package limit

import (
	"net/http"
	"strconv"
	"time"
)

// Item is one policy for the RateLimit fields. Name is a constant of ours, in
// printable ASCII without quotes; it ties the two fields together.
type Item struct {
	Name   string
	Rate   Rate
	Result Result
}

// SetHeader writes RateLimit-Policy and RateLimit as structured fields
// (draft-ietf-httpapi-ratelimit-headers-11), one list member for each item that
// limits. They must not be sent where they would tell a guesser how many tries
// are left, such as a login.
func SetHeader(h http.Header, items ...Item) {
	var policyBuf, stateBuf [128]byte
	policy, state := policyBuf[:0], stateBuf[:0]
	for _, it := range items {
		if it.Rate.IsZero() {
			continue
		}
		if len(policy) > 0 {
			policy, state = append(policy, ", "...), append(state, ", "...)
		}
		policy = strconv.AppendQuote(policy, it.Name)
		policy = strconv.AppendInt(append(policy, ";q="...), int64(it.Rate.Limit), 10)
		policy = appendSeconds(append(policy, ";w="...), it.Rate.Window)
		t := it.Result.Reset
		if it.Result.Remaining == 0 {
			t = it.Result.RetryAfter
		}
		state = strconv.AppendQuote(state, it.Name)
		state = strconv.AppendInt(append(state, ";r="...), int64(it.Result.Remaining), 10)
		state = appendSeconds(append(state, ";t="...), t)
	}
	if len(policy) > 0 {
		both := string(append(policy, state...))
		lines := []string{both[:len(policy)], both[len(policy):]}
		h["Ratelimit-Policy"], h["Ratelimit"] = lines[:1:1], lines[1:]
	}
}

// appendSeconds rounds up: whoever waits that long is not refused for the rest.
func appendSeconds(dst []byte, d time.Duration) []byte {
	return strconv.AppendInt(dst, int64((max(d, 0)+time.Second-1)/time.Second), 10)
}
