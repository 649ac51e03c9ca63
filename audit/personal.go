package audit

import (
	"cmp"
	"context"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/personal"
)

// Persons gives the key under which what an event tells of a person is sealed, by the realm of the event and the id
// of the person. Nil: there is no such account, or its key cannot be had; what would be sealed is then left out of
// the event, because in clear it could never be taken back. See docs/adr/0011-personal-data-sealed.md.
type Persons func(realm, subject string) *personal.Key

// PersonKeys gives the key of a person to whoever reads events; nil when it is gone.
type PersonKeys interface {
	Key(ctx context.Context, subject string) (*personal.Key, error)
}

// The members that tell of a person, as they are bound to what is sealed of them. What else is sealed stands in Detail.
const (
	memberName    = "actor.name"
	memberAddress = "address"
	memberDetail  = "detail."
)

// isPerson tells whether an id is that of a person with an account here. Services are no persons, and callers of
// foreign issuers have no account that somebody could delete.
func isPerson(id string) bool { return strings.HasPrefix(id, "usr_") }

// whom returns the person whom e is about, beside who did it: of a user it is the target, of what somebody has its
// owner. "" when there is none.
func whom(e *gatehouse.Event) string {
	for _, id := range [...]string{e.Target.ID, e.Detail["owner"], e.Detail["subject"]} {
		if isPerson(id) {
			return id
		}
	}
	return ""
}

// addressOf returns the person whose address e has: who did it, or, when that is not known, whose account was tried.
func addressOf(e *gatehouse.Event) string { return cmp.Or(e.Actor.ID, whom(e)) }

// tellsOfPerson tells whether a detail of a kind is personal: names, names that people give to their devices, networks.
func tellsOfPerson(kind, detail string) bool {
	switch detail {
	case "username", "allowed_nets":
		return true
	case "name":
		return strings.HasPrefix(kind, "factor.") || strings.HasPrefix(kind, "passkey.")
	}
	return false
}

// OpenPersonal puts what is sealed in events in clear. What was sealed under a key that is gone is taken out, and the
// entry says so. Events of before anything was sealed stay as they are.
func OpenPersonal(ctx context.Context, entries []Entry, keys PersonKeys) error {
	known := map[string]*personal.Key{} // the keys that are gone, too
	for i := range entries {
		e := &entries[i]
		open := func(member, subject, text string) (string, error) {
			if !isPerson(subject) || !personal.Sealed(text) {
				return text, nil
			}
			key, ok := known[subject]
			if !ok {
				var err error
				if key, err = keys.Key(ctx, subject); err != nil {
					return "", err
				}
				known[subject] = key
			}
			if key != nil {
				if clear, err := key.Open(member, text); err == nil {
					return clear, nil
				}
			}
			e.Erased = true
			return "", nil
		}
		if err := e.open(open); err != nil {
			return err
		}
	}
	return nil
}

func (e *Entry) open(open func(member, subject, text string) (string, error)) (err error) {
	if e.Actor.Name, err = open(memberName, e.Actor.ID, e.Actor.Name); err != nil {
		return err
	}
	about := whom(&e.Event)
	if e.Address, err = open(memberAddress, addressOf(&e.Event), e.Address); err != nil {
		return err
	}
	for name, text := range e.Detail {
		if !tellsOfPerson(e.Kind, name) {
			continue
		}
		if e.Detail[name], err = open(memberDetail+name, about, text); err != nil {
			return err
		}
		if e.Detail[name] == "" {
			delete(e.Detail, name)
		}
	}
	return nil
}
