// Package peers says what is known of the processes that share a database: who they are,
// and how far each has applied what the others changed.
//
// It must never import anything but the standard library.
package peers

import "time"

// About is what a process tells of itself.
type About struct {
	Host    string // of the machine
	Version string // of the program
	// Addresses are where it can be reached, by the names of its listeners.
	Addresses map[string]string
	StartedAt time.Time
	// MaxStaleness is how old its view may get before it answers no more by it. 0: it goes
	// on, however old the view is.
	MaxStaleness time.Duration
}

// Node is a process that works on the database.
type Node struct {
	ID string // "node_…", unlike every other start
	About
	Self     bool          // the process that answers
	SeenAt   time.Time     // when it said so, by the database's clock
	Silent   time.Duration // how long ago that was
	Alive    bool          // it was a moment ago
	Position string        // how far it has applied the feed of changes; "" where there is none
	Age      time.Duration // how old its view was then at most
	Leases   []string      // the background work that it holds, by name
}
