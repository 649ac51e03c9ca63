package token

import (
	"cmp"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/sorted"
)

// Schedule are the times that govern the life of signing keys.
type Schedule struct {
	Algorithm Algorithm // of new keys
	// Rotate is how long a key signs; negative or zero: until told otherwise.
	Rotate time.Duration
	// Propagate is how long a key is published before it signs, so that every
	// cached copy of the key set has it: at least the max-age of the key set.
	Propagate time.Duration
	// TokenTTL is the longest life of a token; a retired key stays that long,
	// plus [MaxLeeway].
	TokenTTL time.Duration
}

// KeyAction is one thing to do to a realm's keys.
type KeyAction string

const (
	// ActionGenerate makes a new key, published and not yet signing.
	ActionGenerate KeyAction = "generate"
	// ActionGenerateActive makes a new key that signs at once, because nothing
	// else can.
	ActionGenerateActive KeyAction = "generate_active"
	ActionActivate       KeyAction = "activate"
	ActionRetire         KeyAction = "retire"
	ActionRemove         KeyAction = "remove"
)

// KeyStep is an action on one key. KID is "" for the generating actions, which make a key of an algorithm for a use.
type KeyStep struct {
	Action    KeyAction
	KID       string
	Algorithm Algorithm
	Use       KeyUse
}

// PlanKeys says what is due at now for the keys of one realm, in the order in
// which to do it. It depends on its arguments alone, so any node may run it any
// number of times. After the steps there is exactly one active key that signs all,
// and one of each algorithm that signs ID tokens ([UseID]).
//
// A key published for Propagate replaces the active one. Publishing a key is
// therefore all that a rotation by hand has to do.
func PlanKeys(keys []StoredKey, now time.Time, s Schedule) []KeyStep {
	ofUse := func(use KeyUse, alg Algorithm) (out []StoredKey) {
		for _, k := range keys {
			if k.Use == use && (use == UseAll || k.Algorithm == string(alg)) {
				out = append(out, k)
			}
		}
		return out
	}
	plan := planUse(ofUse(UseAll, ""), now, s)
	for _, alg := range IDAlgorithms() {
		if of := ofUse(UseID, alg); len(of) > 0 { // never at first: who needs one makes it
			s.Algorithm = alg
			for _, step := range planUse(of, now, s) {
				step.Use = UseID
				plan = append(plan, step)
			}
		}
	}
	return plan
}

// planUse is [PlanKeys] for keys that sign the same.
func planUse(keys []StoredKey, now time.Time, s Schedule) []KeyStep {
	var active, published []StoredKey
	var plan []KeyStep
	do := func(action KeyAction, kid string) {
		plan = append(plan, KeyStep{Action: action, KID: kid, Algorithm: s.Algorithm})
	}
	for _, k := range keys {
		switch k.State {
		case KeyActive:
			active = append(active, k)
		case KeyPublished:
			if k.Algorithm == string(s.Algorithm) {
				published = append(published, k)
			} else { // made before the realm's algorithm changed; it never signed
				do(ActionRemove, k.KID)
			}
		case KeyRetired:
			if !now.Before(k.RetiredAt.Add(s.TokenTTL + MaxLeeway)) {
				do(ActionRemove, k.KID)
			}
		}
	}
	byAge := func(a, b StoredKey) int {
		return cmp.Or(a.ActivatedAt.Compare(b.ActivatedAt), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.KID, b.KID))
	}
	sorted.Slice(active, byAge)
	sorted.Slice(published, byAge)

	if len(active) == 0 {
		if len(published) > 0 {
			do(ActionActivate, published[0].KID)
		} else {
			do(ActionGenerateActive, "")
		}
		return plan
	}
	current := active[len(active)-1]
	for _, k := range active[:len(active)-1] {
		do(ActionRetire, k.KID)
	}
	if len(published) > 0 {
		if next := published[0]; !now.Before(next.CreatedAt.Add(s.Propagate)) {
			do(ActionActivate, next.KID)
			do(ActionRetire, current.KID)
		}
		return plan
	}
	due := s.Rotate > 0 && !now.Before(current.ActivatedAt.Add(s.Rotate-s.Propagate))
	if due || current.Algorithm != string(s.Algorithm) {
		do(ActionGenerate, "")
	}
	return plan
}
