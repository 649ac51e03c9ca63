package server

import "time"

// WithClock gives the demo another clock.
func (c DemoConfig) WithClock(now func() time.Time) DemoConfig { c.clock = now; return c }
