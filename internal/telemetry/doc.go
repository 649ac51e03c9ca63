// Package telemetry is how operators see the program at work: log lines
// ([Log]), and metrics in the Prometheus text format ([Metrics]).
//
// # Threat model
//
// Logs and metrics are read by more people than the database, and are shipped to
// places that we do not know. So secrets never get there: secret types redact
// themselves, and the logger has a second net that redacts by the name of an
// attribute and by the look of a value. Callers cannot fill the memory of the
// metrics: every label has a closed set of values, and what is not in it counts
// as "other".
//
// Spans are not exported (OpenTelemetry) by this package; the gateway forwards the
// caller's trace context as it is.
//
// It must never import database/sql or a package of its own level or above.
package telemetry
