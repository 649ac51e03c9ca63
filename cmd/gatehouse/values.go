package main

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/duration"
)

// lifetime is a flag that takes a duration within bounds. What lies outside of them
// is refused, never taken for another value.
type lifetime struct {
	value, least, most time.Duration
}

// lifetimeVar adds a flag for a duration; v holds its default and bounds.
func lifetimeVar(c *cobra.Command, v *lifetime, name, usage string) { c.Flags().Var(v, name, usage) }

func (l *lifetime) String() string {
	if l.value == 0 {
		return ""
	}
	return l.value.String()
}

func (l *lifetime) Type() string { return "duration" }

// Set implements pflag.Value.
func (l *lifetime) Set(text string) error {
	d, err := duration.Parse(text)
	if err != nil {
		return err
	}
	if d < l.least || d > l.most {
		return errors.New("must be from " + short(l.least) + " to " + short(l.most))
	}
	l.value = d
	return nil
}

// short writes whole days as days.
func short(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return "0"
	case d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := d.String()
	for _, none := range []string{"m0s", "h0m"} { // "1m0s", "1h0m"
		text = strings.TrimSuffix(text, none) + map[bool]string{true: none[:1]}[strings.HasSuffix(text, none)]
	}
	return text
}
