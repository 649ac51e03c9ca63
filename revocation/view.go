package revocation

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/gatehouse-auth/gatehouse"
)

// Reasons that [View.Revoked] gives.
const (
	ReasonToken   = "token_revoked"
	ReasonSubject = "subject_cutoff"
	ReasonClient  = "client_cutoff"
	ReasonSession = "session_cutoff"
	ReasonKey     = "key_cutoff"
	ReasonRealm   = "realm_cutoff"
	// ReasonUnknown: the view does not know, so it refuses.
	ReasonUnknown = "revocation_unknown"
	// ReasonStatus: the credential names a place that cannot exist, or one of a
	// list that was dropped because everything in it has expired.
	ReasonStatus = "status_invalid"
)

// Store is where a view is loaded from, record by record: there may be millions,
// and nobody needs them side by side. An error of the function ends the reading
// and is returned.
type Store interface {
	// EachStatusBit may leave out ExpiresAt: a bit stays as long as its list.
	EachStatusBit(ctx context.Context, take func(StatusBit) error) error
	EachCutoff(ctx context.Context, take func(Cutoff) error) error
}

// View answers whether a credential was revoked. Reading takes no lock. Make it
// with [NewView]; the zero View refuses everything.
type View struct {
	loaded atomic.Bool
	// behind wakes the job that loads again; it holds one.
	behind chan struct{}
	// dropped is the end (Unix seconds) up to which lists were purged.
	dropped atomic.Int64
	lists   *xsync.Map[listKey, *places]
	cutoffs *xsync.Map[cutoffsKey, *cutoffs]
	// latest is the latest cut-off (Unix milliseconds) of each kind. What was
	// issued after it needs no look-up, and soon after a cut-off that is nearly
	// every token.
	latest [cutoffKinds]atomic.Int64
	bits   atomic.Int64
	// loadedAnew is called after each Load that succeeded; nil: nobody asked.
	loadedAnew atomic.Pointer[func()]
}

type listKey struct {
	realm string
	list  int64
}

// cutoffsKey names the cut-offs of one kind in one realm. They have a map of their own,
// so that none of millions repeats both.
type cutoffsKey struct {
	realm string
	kind  uint8
}

type cutoffs = xsync.Map[string, cutoffValue] // by the id that each is for

// cutoffValue holds Unix milliseconds.
type cutoffValue struct{ before, expires int64 }

// Kinds as small numbers; the order is that of the checks.
const (
	kindRealm = iota
	kindSubject
	kindClient
	kindSession
	kindKey
	cutoffKinds
)

func kindOf(k CutoffKind) (uint8, bool) {
	switch k {
	case CutoffRealm:
		return kindRealm, true
	case CutoffSubject:
		return kindSubject, true
	case CutoffClient:
		return kindClient, true
	case CutoffSession:
		return kindSession, true
	case CutoffKey:
		return kindKey, true
	}
	return 0, false
}

// NewView returns an empty view, which refuses everything until [View.Load].
func NewView() *View {
	return &View{behind: make(chan struct{}, 1), lists: xsync.NewMap[listKey, *places](), cutoffs: xsync.NewMap[cutoffsKey, *cutoffs]()}
}

// Load adds everything that the store has. Subscribe [View.Apply] to changes
// before, so that nothing falls between. A view that was loaded once stays so
// when a later Load fails: it still has all changes.
func (v *View) Load(ctx context.Context, s Store) error {
	if err := s.EachStatusBit(ctx, v.addBit); err != nil {
		return fmt.Errorf("revocation: status bits: %w", err)
	}
	if err := s.EachCutoff(ctx, v.addCutoff); err != nil {
		return fmt.Errorf("revocation: cut-offs: %w", err)
	}
	v.loaded.Store(true)
	if tell := v.loadedAnew.Load(); tell != nil {
		(*tell)()
	}
	return nil
}

// Loaded reports whether the view knows everything; readiness depends on it.
func (v *View) Loaded() bool { return v.loaded.Load() }

// Apply takes a committed change into the view; the revocation is in effect when
// it returns. Other topics are ignored. A change without a value says that others
// may have written: [Purge.Work] then loads what they wrote, at once. A value that
// cannot be understood makes the view refuse everything until the next
// [View.Load]: it may be a revocation.
func (v *View) Apply(c gatehouse.Change) {
	if c.Topic != gatehouse.TopicRevocation {
		return
	}
	if c.Value == nil {
		v.lag()
		return
	}
	var err error
	switch r := c.Value.(type) {
	case StatusBit:
		err = v.addBit(r)
	case *StatusBit:
		err = v.addBit(*r)
	case Cutoff:
		err = v.addCutoff(r)
	case *Cutoff:
		err = v.addCutoff(*r)
	default:
		err = errors.New("revocation: unknown record")
	}
	if err != nil {
		v.loaded.Store(false)
		v.lag()
	}
}

// lag wakes the job that loads again.
func (v *View) lag() {
	select {
	case v.behind <- struct{}{}:
	default:
	}
}

func (v *View) addBit(b StatusBit) error {
	if !ValidPlace(b.List, b.Index) {
		return fmt.Errorf("revocation: status bit %d of list %d cannot exist", b.Index, b.List)
	}
	if ListExpires(b.List).Unix() <= v.dropped.Load() {
		return nil // the list was dropped; its places are refused as a whole
	}
	key := listKey{b.Realm, b.List}
	m, known := v.lists.Load(key) // takes no lock, and nearly always knows it
	if !known {
		m, _ = v.lists.LoadOrCompute(key, func() (*places, bool) { return new(places), false })
	}
	if m.add(b.Index) {
		v.bits.Add(1)
	}
	return nil
}

// raise sets a to at least to.
func raise(a *atomic.Int64, to int64) {
	for old := a.Load(); old < to && !a.CompareAndSwap(old, to); old = a.Load() {
	}
}

func (v *View) addCutoff(c Cutoff) error {
	kind, ok := kindOf(c.Kind)
	if !ok || (c.ID == "") != (c.Kind == CutoffRealm) || c.Realm == "" || c.Before.IsZero() {
		return fmt.Errorf("revocation: cut-off of kind %q is malformed", c.Kind)
	}
	of, known := v.cutoffs.Load(cutoffsKey{c.Realm, kind})
	if !known {
		of, _ = v.cutoffs.LoadOrCompute(cutoffsKey{strings.Clone(c.Realm), kind}, func() (*cutoffs, bool) { return xsync.NewMap[string, cutoffValue](), false })
	}
	// Before the entry, so that no reader passes by it.
	raise(&v.latest[kind], c.Before.UnixMilli())
	of.Compute(strings.Clone(c.ID), func(old cutoffValue, had bool) (cutoffValue, xsync.ComputeOp) {
		next := cutoffValue{before: c.Before.UnixMilli(), expires: math.MaxInt64}
		if !c.ExpiresAt.IsZero() { // without an end it stays, rather than go at once
			next.expires = c.ExpiresAt.UnixMilli()
		}
		if had {
			next.before, next.expires = max(next.before, old.before), max(next.expires, old.expires)
		}
		return next, xsync.UpdateOp
	})
	return nil
}

// Revoked reports whether the credential may no longer be used, and why, as one
// of the Reason constants. It neither locks nor allocates.
func (v *View) Revoked(r Ref) (revoked bool, reason string) {
	if v == nil || v.lists == nil || !v.loaded.Load() {
		return true, ReasonUnknown
	}
	if r.HasStatus {
		if !ValidPlace(r.List, r.Index) {
			return true, ReasonStatus
		}
		if m, ok := v.lists.Load(listKey{r.Realm, r.List}); ok && m.has(r.Index) {
			return true, ReasonToken
		}
		// After the look-up: a list that is dropped meanwhile is refused here.
		if ListExpires(r.List).Unix() <= v.dropped.Load() {
			return true, ReasonStatus
		}
	}
	issued := r.IssuedAt.UnixMilli()
	switch {
	case v.cut(kindRealm, r.Realm, "", issued):
		return true, ReasonRealm
	case r.Subject != "" && v.cut(kindSubject, r.Realm, r.Subject, issued):
		return true, ReasonSubject
	case r.Client != "" && v.cut(kindClient, r.Realm, r.Client, issued):
		return true, ReasonClient
	case r.Session != "" && v.cut(kindSession, r.Realm, r.Session, issued):
		return true, ReasonSession
	case r.KeyID != "" && v.cut(kindKey, r.Realm, r.KeyID, issued):
		return true, ReasonKey
	}
	return false, ""
}

func (v *View) cut(kind uint8, realm, id string, issued int64) bool {
	if issued > v.latest[kind].Load() {
		return false
	}
	of, ok := v.cutoffs.Load(cutoffsKey{realm, kind})
	if !ok {
		return false
	}
	c, ok := of.Load(id)
	return ok && issued <= c.before
}

// Purge drops lists and cut-offs that ended at or before now, and returns how
// many. Places of dropped lists are refused from then on.
func (v *View) Purge(now time.Time) int {
	n := 0
	raise(&v.dropped, now.Unix())
	v.lists.Range(func(k listKey, m *places) bool {
		if ListExpires(k.list).Unix() <= now.Unix() {
			v.lists.Delete(k)
			v.bits.Add(-m.count())
			n++
		}
		return true
	})
	v.cutoffs.Range(func(_ cutoffsKey, of *cutoffs) bool {
		of.Range(func(id string, _ cutoffValue) bool {
			// Decided again under the entry's lock: it may just have been renewed.
			of.Compute(id, func(c cutoffValue, had bool) (cutoffValue, xsync.ComputeOp) {
				if !had || c.expires > now.UnixMilli() {
					return c, xsync.CancelOp
				}
				n++
				return c, xsync.DeleteOp
			})
			return true
		})
		return true // an empty map stays: one for each realm and kind at most
	})
	return n
}

// Stats are sizes, for metrics.
type Stats struct {
	Loaded  bool
	Lists   int
	Bits    int64
	Cutoffs int
}

// Stats returns the sizes of the view.
func (v *View) Stats() Stats {
	n := 0
	v.cutoffs.Range(func(_ cutoffsKey, of *cutoffs) bool { n += of.Size(); return true })
	return Stats{Loaded: v.loaded.Load(), Lists: v.lists.Size(), Bits: v.bits.Load(), Cutoffs: n}
}

// Bits returns the list as bytes in the order of the standard: index i is bit
// i%8, counted from the least significant, of byte i/8
// (draft-ietf-oauth-status-list §4.1). See [Encode].
func (v *View) Bits(realm string, list int64) []byte {
	out := make([]byte, ListSize/8)
	if m, ok := v.lists.Load(listKey{realm, list}); ok {
		m.writeBits(out)
	}
	return out
}

// eachAtOnce is how many places of a list [View.each] gives at a time.
const eachAtOnce = 1000

// each gives everything that is known of a realm; see [Journal.Snapshot].
func (v *View) each(realm string, part func(list int64, indexes []int64) error, cutoff func(Cutoff) error) (err error) {
	v.lists.Range(func(k listKey, m *places) bool {
		if k.realm != realm {
			return true
		}
		indexes := make([]int64, 0, min(m.count(), eachAtOnce))
		give := func() {
			if err == nil && len(indexes) > 0 {
				err = part(k.list, indexes)
			}
			indexes = indexes[:0]
		}
		m.each(func(index int64) {
			if indexes = append(indexes, index); len(indexes) == eachAtOnce {
				give()
			}
		})
		give()
		return err == nil
	})
	if err != nil {
		return err
	}
	for kind, name := range [cutoffKinds]CutoffKind{CutoffRealm, CutoffSubject, CutoffClient, CutoffSession, CutoffKey} {
		of, known := v.cutoffs.Load(cutoffsKey{realm, uint8(kind)})
		if !known {
			continue
		}
		of.Range(func(id string, c cutoffValue) bool {
			out := Cutoff{Realm: realm, Kind: name, ID: id, Before: time.UnixMilli(c.before)}
			if c.expires != math.MaxInt64 {
				out.ExpiresAt = time.UnixMilli(c.expires)
			}
			err = cutoff(out)
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Version tells how many places of the list are revoked: it grows with each, and
// two equal answers mean that nothing changed in between. Ask before [View.Bits]:
// those then hold at least what the version counts.
func (v *View) Version(realm string, list int64) uint64 {
	if m, ok := v.lists.Load(listKey{realm, list}); ok {
		return m.version.Load()
	}
	return 0
}
