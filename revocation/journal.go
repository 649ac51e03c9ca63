package revocation

import (
	"crypto/rand"
	"strconv"
	"strings"
	"sync"

	"github.com/gatehouse-auth/gatehouse"
)

// journalSize is how many entries a journal keeps.
const journalSize = 1 << 14

// EntryKind is what an [Entry] tells.
type EntryKind uint8

const (
	EntryBit    EntryKind = iota + 1 // Bit was set
	EntryCutoff                      // Cutoff was set
	EntryKeys                        // the signing keys of the realm changed
	// entryReload: the view was loaded anew, and may know more than the entries before.
	entryReload
)

// Entry is one change of what tokens of a realm are worth.
type Entry struct {
	Kind   EntryKind
	Realm  string // "": every realm
	Bit    StatusBit
	Cutoff Cutoff
}

// Position is a place between two entries of one journal. The zero Position is none.
type Position struct {
	journal string
	next    uint64
}

const (
	journalName  = 16                   // letters in the name of a journal
	positionSize = journalName + 1 + 20 // letters in a position at most
)

// String is the position as [ParsePosition] reads it, 37 letters at most.
func (p Position) String() string { return p.journal + "-" + strconv.FormatUint(p.next, 10) }

// ParsePosition reads a position. What is none, also in another spelling, gives the
// zero Position, from which no journal can go on.
func ParsePosition(text string) Position {
	name, number, found := strings.Cut(text, "-")
	n, err := strconv.ParseUint(number, 10, 64)
	if !found || len(text) > positionSize || len(name) != journalName || err != nil || strconv.FormatUint(n, 10) != number {
		return Position{}
	}
	return Position{name, n}
}

// Journal keeps the last changes of a [View] in the order in which this process
// learned of them, for those who follow from outside. It is no order that all nodes
// share: a commit may reach them in different ones. So a position is worth something
// only to the journal that gave it; every process has its own, with a random name,
// and whoever comes with another's begins with a snapshot of the view.
type Journal struct {
	view *View
	name string

	mu      sync.Mutex
	entries []Entry // a ring: entry n is at n%journalSize
	next    uint64  // the number of the next entry
	wake    chan struct{}
}

// NewJournal makes a journal of v, and has v tell it when it was loaded anew. Subscribe
// [Journal.Apply] after [View.Apply]: what the journal has, the view must have.
func NewJournal(v *View) *Journal {
	j := &Journal{view: v, name: rand.Text()[:journalName], wake: make(chan struct{})}
	v.loadedAnew.Store(new(func() { j.add(Entry{Kind: entryReload}) }))
	return j
}

// Apply takes a committed change in. One without a value tells nothing yet: what it
// stands for is known when the view has been loaded anew.
func (j *Journal) Apply(c gatehouse.Change) {
	switch c.Topic {
	case gatehouse.TopicSigningKey:
		j.add(Entry{Kind: EntryKeys, Realm: c.Realm})
	case gatehouse.TopicRevocation:
		switch r := c.Value.(type) {
		case StatusBit:
			j.add(Entry{Kind: EntryBit, Realm: r.Realm, Bit: r})
		case *StatusBit:
			j.add(Entry{Kind: EntryBit, Realm: r.Realm, Bit: *r})
		case Cutoff:
			j.add(Entry{Kind: EntryCutoff, Realm: r.Realm, Cutoff: r})
		case *Cutoff:
			j.add(Entry{Kind: EntryCutoff, Realm: r.Realm, Cutoff: *r})
		}
	}
}

func (j *Journal) add(e Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.next < journalSize { // the ring grows as it is needed, once
		j.entries = append(j.entries, e)
	} else {
		j.entries[j.next%journalSize] = e
	}
	j.next++
	close(j.wake)
	j.wake = make(chan struct{})
}

// Since returns what changed for a realm after at, and the position behind it. It
// reports false when that cannot be said without a gap: at is of another journal, of
// none, or before what is kept, or the view was loaded anew since.
func (j *Journal) Since(at Position, realm string) (changes []Entry, now Position, whole bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now = Position{j.name, j.next}
	if at.journal != j.name || at.next > j.next || j.next-at.next > journalSize {
		return nil, now, false
	}
	for n := at.next; n < j.next; n++ {
		e := &j.entries[n%journalSize]
		switch {
		case e.Kind == entryReload:
			return nil, now, false
		case e.Realm == "" || e.Realm == realm:
			changes = append(changes, *e)
		}
	}
	return changes, now, true
}

// After returns a channel that is closed when there is an entry, of any realm, after at.
func (j *Journal) After(at Position) <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	if at.journal == j.name && at.next == j.next {
		return j.wake
	}
	behind := make(chan struct{})
	close(behind)
	return behind
}

// Whole reports whether the view knows everything that this process was told.
func (j *Journal) Whole() bool { return j.view.Loaded() }

// Snapshot gives everything that the view knows of a realm: places list by list, a
// part of a list at a time, then the cut-offs. Ask for the position before: whatever
// comes after it is in the snapshot, in [Journal.Since], or in both. An error of a
// function ends it and is returned.
func (j *Journal) Snapshot(realm string, places func(list int64, indexes []int64) error, cutoff func(Cutoff) error) error {
	return j.view.each(realm, places, cutoff)
}
