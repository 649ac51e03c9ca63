package grant

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// Consent is what a person lets a client have (RFC 6749 §1). It stands until somebody takes it back: a code, and what is
// remembered of an answer, counts only while it does.
type Consent struct {
	ID        string // "con_…"; another one each time that it begins anew
	Realm     string
	User      string
	Client    string
	Print     []byte // of what the person was shown of the client
	Allowed   []Allowed
	CreatedAt time.Time
	// CutOff is the latest cut-off that is set for the person or the client, or for the realm; zero for none. It is not stored here.
	CutOff time.Time
}

// Allowed is what a person let a client have of one resource, when it asked for that last.
type Allowed struct {
	Resource string   `json:"r"`
	Scopes   []string `json:"s"`
	// Details are those for which the answer counts again, exactly as they are (RFC 9396).
	Details gatehouse.Details `json:"d,omitempty"`
	At      time.Time         `json:"t"`
}

// Consents reads and writes what people let clients have.
type Consents interface {
	// Consent returns what a user lets a client have, with its CutOff. Nobody takes it back before the transaction ends.
	Consent(ctx context.Context, realm, user, client string) (Consent, error)
	// InsertConsent adds one; where there is one, it is Conflict.
	InsertConsent(ctx context.Context, c Consent) error
	// UpdateConsent stores Print and Allowed of one that there is.
	UpdateConsent(ctx context.Context, c Consent) error
}

// Asking says how it comes that a client is given something.
type Asking int

// The zero value is the one that takes most: an answer from before.
const (
	Remembered Asking = iota // the person said so before, and is not asked
	Asked                    // the person says so now
	Spared                   // nobody is asked: the client is the realm's own
)

var askings = [...]string{Remembered: "remembered", Asked: "asked", Spared: "first_party"}

// Wish is a client's, as far as it matters whether a person allowed it before.
type Wish struct {
	Print     []byte // of the client, as the person would be shown it
	Scopes    []string
	Details   gatehouse.Details // beyond scopes
	Keep      gatehouse.Details // of them, for which an answer counts again
	Allowed   []string          // of them, where the person is asked now
	Resources []string          // one or more
	For       time.Duration     // how long an answer counts
}

// Covers reports whether c allows all of w at now, without a question.
func (c Consent) Covers(w Wish, now time.Time) bool {
	if c.ID == "" || len(w.Resources) == 0 || !bytes.Equal(c.Print, w.Print) || len(w.Print) == 0 {
		return false
	}
	for _, resource := range w.Resources { // of each one, and not of all together: what is allowed of one is not of another
		i := slices.IndexFunc(c.Allowed, func(a Allowed) bool { return a.Resource == resource })
		if i < 0 {
			return false
		}
		a := c.Allowed[i]
		// What was remembered counts while it may be: an administrator who wants people to be asked each time means from now on.
		if slices.ContainsFunc(w.Details, func(d string) bool { return !slices.Contains(a.Details, d) || !slices.Contains(w.Keep, d) }) {
			return false
		}
		if !c.counts(a, w, now) || slices.ContainsFunc(w.Scopes, func(s string) bool { return !slices.Contains(a.Scopes, s) }) {
			return false
		}
	}
	return true
}

// Standing are the answers of c that count at now, where one counts for so long.
func (c Consent) Standing(long time.Duration, now time.Time) []Allowed {
	return slices.DeleteFunc(slices.Clone(c.Allowed), func(a Allowed) bool { return !c.counts(a, Wish{For: long}, now) })
}

// counts reports whether an answer is young enough, and later than all that ended something: whoever had the account then may have
// given it.
func (c Consent) counts(a Allowed, w Wish, now time.Time) bool {
	return now.Before(a.At.Add(w.For)) && (c.CutOff.IsZero() || a.At.UnixMilli() > c.CutOff.UnixMilli())
}

// maxRemembered bounds how many details are remembered of a client for one API.
const maxRemembered = 50

// answered is c after the person was asked for what asked says, and what was allowed of it. What was not asked for now stays; what
// was, and is not allowed now, is not allowed any more. An answer about a client that looked otherwise is none.
func (c Consent) answered(asked Wish, now time.Time) Consent {
	if !bytes.Equal(c.Print, asked.Print) {
		c.Print, c.Allowed = asked.Print, nil
	}
	c.Allowed = slices.Clone(c.Allowed)
	for _, resource := range asked.Resources {
		a := Allowed{Resource: resource, Scopes: slices.Clone(asked.Allowed), Details: slices.Clone(asked.Keep), At: now}
		i := slices.IndexFunc(c.Allowed, func(a Allowed) bool { return a.Resource == resource })
		if i < 0 {
			c.Allowed = append(c.Allowed, a)
			continue
		}
		old := c.Allowed[i]
		for _, s := range old.Scopes {
			if c.counts(old, asked, now) && !slices.Contains(asked.Scopes, s) {
				a.Scopes, a.At = append(a.Scopes, s), old.At // the older of the two answers is the one that ends
			}
		}
		for _, d := range old.Details {
			if c.counts(old, asked, now) && !slices.Contains(a.Details, d) && len(a.Details) < maxRemembered {
				a.Details, a.At = append(a.Details, d), old.At
			}
		}
		c.Allowed[i] = a
	}
	return c
}

// Consent returns what a user lets a client have; where that is nothing, it is zero, and covers nothing.
func (s *Service) Consent(ctx context.Context, realm, user, client string) (Consent, error) {
	c, err := s.c.Consent(ctx, realm, user, client)
	if errors.Is(err, gatehouse.NotFound) {
		return Consent{}, nil
	}
	return c, err
}

// errAskAgain says that what a person allowed before was taken back a moment ago.
var errAskAgain = gatehouse.E(gatehouse.Conflict, "consent_gone", "What you allowed this program before has been taken back a moment ago. Open the page again.")

// consents has the consent stand by which c is given, and returns its id. Whoever takes it back comes before or after this transaction.
func (c Code) consents(ctx context.Context, tx Tx, w Wish, how Asking, now time.Time) (id string, err error) {
	had, err := tx.Consent(ctx, c.Realm, c.User, c.Client)
	there := err == nil
	if err != nil && !errors.Is(err, gatehouse.NotFound) {
		return "", err
	}
	if !there {
		had = Consent{ID: gatehouse.NewID("con", now), Realm: c.Realm, User: c.User, Client: c.Client, CreatedAt: now}
	}
	switch {
	case how == Asked:
		had = had.answered(w, now)
	case how == Spared && there:
		return had.ID, nil
	case how == Spared: // nobody answered, so nothing is remembered: it only says that the client has something
	case there && had.Covers(w, now):
		return had.ID, nil
	default:
		return "", errAskAgain
	}
	if there {
		return had.ID, tx.UpdateConsent(ctx, had)
	}
	err = tx.InsertConsent(ctx, had)
	if errors.Is(err, gatehouse.Conflict) { // the same person, in another browser at once
		return c.consents(ctx, tx, w, how, now)
	}
	return had.ID, err
}
