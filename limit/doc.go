// Package limit bounds how often something may happen: a generic cell rate
// algorithm (GCRA) over one integer for each key, held in memory, and the
// RateLimit fields that tell callers about it.
//
// Threats it stands against: guessing and flooding by one source; a caller that
// escapes its limit by changing something it controls (keys are client
// addresses, IPv6 by /64, and principals, never a header); and the limiter
// itself as a target: the number of keys is bounded, keys are hashed with a
// random seed of the process so that nobody can aim at collisions, and when the
// table is full new keys share a few buckets, so they are limited more strictly
// and never not at all.
//
// It must never import a package of level 3 or above.
package limit
