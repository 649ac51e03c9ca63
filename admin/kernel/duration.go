package kernel

import (
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/duration"
)

// Duration goes over the wire as [duration.Parse] reads it: "10m", "720h", "90d". It
// is written as Go writes durations: "10m0s".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := duration.Parse(string(b))
	if err != nil {
		return errDuration
	}
	*d = Duration(v)
	return nil
}

var errDuration = gatehouse.E(gatehouse.Unprocessable, "duration_invalid", "must be written otherwise: "+duration.Form)
