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

// State is what is known of a process about a change.
type State string

const (
	// Pending: nothing is proven. What a zero Told means.
	Pending State = "pending"
	// Confirmed: it has said that it has applied the change.
	Confirmed State = "confirmed"
	// Silent: it has not said so for longer than its MaxStaleness, and so answers no more by
	// what it knows, until it has applied the change.
	Silent State = "silent"
	// Left: it has stopped, or somebody has said so.
	Left State = "left"
)

// Told is what is known of one process about a change.
type Told struct {
	ID string
	About
	Self  bool
	State State
	After time.Duration // how long it took until that was known
}

// Proof says which processes know of a change.
type Proof struct {
	// Failed says why nothing can be said; "" when all is said in Nodes.
	Failed string
	Nodes  []Told // that may have answered without the change, by id
	Took   time.Duration
}

// Proven reports that nobody answers without the change any more.
func (p Proof) Proven() bool {
	for _, n := range p.Nodes {
		if n.State != Confirmed && n.State != Silent && n.State != Left {
			return false
		}
	}
	return p.Failed == "" && len(p.Nodes) > 0
}
