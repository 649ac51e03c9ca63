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
	// Verdicts are what its checker says, in the order of the questions; nil: it has not said.
	Verdicts []Verdict
}

// MaxQuestions is how many questions go with one proof.
const MaxQuestions = 32

// Question asks a process what a request would get, at this moment, with a credential that
// is only named: an API key by its id, a token by what revocation knows of it.
type Question struct {
	Realm string `json:"realm"`
	// Kind and ID say for people what is asked about: "key", "grant", "user", "client" or
	// "realm", and its id or name. The id of a key is all that names it.
	Kind string `json:"kind"`
	ID   string `json:"id,omitempty"`
	// Of a token: whose, of which client, and its place in the status lists, where it has one.
	Subject   string `json:"subject,omitempty"`
	Client    string `json:"client,omitempty"`
	HasStatus bool   `json:"has_status,omitempty"`
	List      int64  `json:"list,omitempty"`
	Index     int64  `json:"index,omitempty"`
	// Issued is when at the latest, in milliseconds since 1970.
	Issued int64 `json:"issued,omitempty"`
}

// KindKey is the Kind of a question about an API key.
const KindKey = "key"

// Verdict answers a question. The zero Verdict says that the credential is let in.
type Verdict struct {
	Refused bool   `json:"refused,omitempty"`
	Reason  string `json:"reason,omitempty"` // the code of the rule that refuses it
}

// Proof says which processes know of a change.
type Proof struct {
	// Failed says why nothing can be said; "" when all is said in Nodes.
	Failed string
	Nodes  []Told // that may have answered without the change, by id
	Took   time.Duration
}

// Proven reports that nobody answers without the change any more. Whoever says that he
// would let in what was ended disproves it.
func (p Proof) Proven() bool {
	for _, n := range p.Nodes {
		for _, v := range n.Verdicts {
			if !v.Refused {
				return false
			}
		}
		if n.State != Confirmed && n.State != Silent && n.State != Left {
			return false
		}
	}
	return p.Failed == "" && len(p.Nodes) > 0
}
