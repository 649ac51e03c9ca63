// Package telemetry is how operators see the program at work: log lines
// ([NewLogger]), Prometheus metrics on a registry of their own ([Metrics]) and
// the W3C trace context that joins our lines to those of others ([Trace]).
//
// # Threat model
//
// Logs and metrics are read by more people than the database, and are shipped to
// places that we do not know. So secrets never get there: secret types redact
// themselves, and the logger has a second net that redacts by the name of an
// attribute and by the look of a value. Callers cannot fill the memory of the
// metrics: every label has a closed set of values, and what is not in it counts
// as "other". A traceparent from outside is only ever a hint for finding lines; it
// never becomes the request id.
//
// Spans are not exported (OpenTelemetry) by this package; the trace context is
// parsed and passed on.
//
// It must never import database/sql or a package of level 2 or above.
package telemetry
