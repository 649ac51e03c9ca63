package limit

import (
	"net/http"
	"strconv"
	"strings"
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
	var policy, state strings.Builder
	for _, it := range items {
		if it.Rate.IsZero() {
			continue
		}
		if policy.Len() > 0 {
			policy.WriteString(", ")
			state.WriteString(", ")
		}
		policy.WriteString(strconv.Quote(it.Name))
		policy.WriteString(";q=" + strconv.Itoa(it.Rate.Limit) + ";w=" + seconds(it.Rate.Window))
		t := it.Result.Reset
		if it.Result.Remaining == 0 {
			t = it.Result.RetryAfter
		}
		state.WriteString(strconv.Quote(it.Name))
		state.WriteString(";r=" + strconv.Itoa(it.Result.Remaining) + ";t=" + seconds(t))
	}
	if policy.Len() > 0 {
		h["Ratelimit-Policy"] = []string{policy.String()}
		h["Ratelimit"] = []string{state.String()}
	}
}

// seconds rounds up: whoever waits that long is not refused for the rest.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((max(d, 0)+time.Second-1)/time.Second), 10)
}
