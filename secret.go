package gatehouse

import "log/slog"

const redacted = "[redacted]"

// Secret is text that must never be printed. Every way of formatting it (fmt,
// JSON, slog, text) gives "[redacted]"; Reveal is the one way to the value, so
// that a reader finds all uses by its name.
type Secret string

func (Secret) String() string                  { return redacted }
func (Secret) GoString() string                { return redacted }
func (Secret) LogValue() slog.Value            { return slog.StringValue(redacted) }
func (Secret) MarshalText() ([]byte, error)    { return []byte(redacted), nil }
func (s *Secret) UnmarshalText(b []byte) error { *s = Secret(b); return nil }

// Reveal returns the value.
func (s Secret) Reveal() string { return string(s) }
