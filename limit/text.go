package limit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/duration"
)

// parseRate reads the written form of a rate, so many events in so long:
// "100/1m", "5/s". The empty text is the zero Rate, which does not limit.
func parseRate(s string) (Rate, error) {
	if s == "" {
		return Rate{}, nil
	}
	count, window, ok := strings.Cut(s, "/")
	n, err := strconv.Atoi(strings.TrimSpace(count))
	w := strings.TrimSpace(window)
	if w == "s" || w == "m" || w == "h" {
		w = "1" + w
	}
	d, err2 := time.ParseDuration(w)
	if !ok || err != nil || err2 != nil || n <= 0 || d <= 0 {
		return Rate{}, errors.New("so many in so long, such as 100/1m")
	}
	r := Rate{Limit: n, Window: d}
	return r, r.Validate()
}

// UnmarshalText reads what [ParseRate] reads.
func (r *Rate) UnmarshalText(b []byte) (err error) {
	*r, err = parseRate(string(b))
	return err
}

// MarshalText writes what [ParseRate] reads. A burst other than the limit has no
// written form, and is an error.
func (r Rate) MarshalText() ([]byte, error) {
	switch {
	case r.IsZero():
		return nil, nil
	case r.Burst != 0 && r.Burst != r.Limit:
		return nil, errors.New("limit: a burst cannot be written")
	}
	return fmt.Appendf(nil, "%d/%s", r.Limit, duration.Format(r.Window)), nil
}
