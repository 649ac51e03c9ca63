package authn

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
)

// A ticket stands in a URL for a credential that cannot be sent otherwise: pages can
// set no header line on an EventSource, a link or a WebSocket. It is used once, within
// [credential.TicketLife], for the one request that it was given for. What is stored of
// it is the hash of its text and the credential that it stands for, sealed. So whatever
// ends, narrows or counts that credential does the same to its tickets, at their use
// and while the request that used one is being answered.

// TicketTx is what giving and using a ticket needs in its transaction.
type TicketTx interface {
	PutOnce(ctx context.Context, r once.Record) error
	// TakeOnce removes a ticket that has not ended: only one caller gets it, the others
	// gatehouse.NotFound.
	TakeOnce(ctx context.Context, kind once.Kind, key []byte, now time.Time) (once.Record, error)
}

// TicketConfig is where tickets are kept.
type TicketConfig struct {
	Run gatehouse.Runner[TicketTx]
	// Find reads a ticket without using it: invented ones must not cost a write.
	Find func(ctx context.Context, kind once.Kind, key []byte) (once.Record, error)
	Box  *seal.Box
}

var (
	errTicketUnknown  = gatehouse.E(gatehouse.Unauthenticated, "ticket_unknown", "")
	errTicketExpired  = gatehouse.E(gatehouse.Unauthenticated, "ticket_expired", "")
	errTicketMisplace = gatehouse.E(gatehouse.Unauthenticated, "ticket_for_another_request", "")
)

// standIn is what a ticket became at its use.
type standIn struct {
	used  bool
	inner Presented
}

// sealedCredential is the form of what is sealed.
type sealedCredential struct {
	Scheme gatehouse.Scheme `json:"s"`
	User   string           `json:"u,omitempty"`
	Secret string           `json:"t"`
}

func ticketPlace(realm, target string, hash []byte) seal.Place {
	return seal.Place{Purpose: "ticket", Realm: realm, ID: hex.EncodeToString(hash) + " " + target}
}

// TicketTarget names the request that a ticket is for: method, host and path.
func TicketTarget(method string, r *http.Request) string {
	return method + " " + strings.ToLower(r.Host) + r.URL.EscapedPath()
}

// IssueTicket gives a ticket that stands for p, which was accepted in realm, in the one
// request that target names ([TicketTarget]). id is its public part. Error:
// "scheme_not_accepted" for a p that is itself a ticket, or nothing, or a
// session, which browsers send with every request by themselves.
func (a *Authenticator) IssueTicket(ctx context.Context, realm string, p Presented, target string) (text gatehouse.Secret, id string, err error) {
	k, known := KindOf(p.Scheme)
	if a.cfg.Tickets == nil || !known || k.StandIn || k.Record == RecordSession {
		return "", "", ErrNotAccepted
	}
	plain, err := json.Marshal(sealedCredential{p.Scheme, p.User, p.Secret.Reveal()})
	if err != nil {
		return "", "", ErrUnavailable.With(err)
	}
	text, id, hash := credential.MintTicket()
	sealed, err := a.cfg.Tickets.Box.Seal(plain, ticketPlace(realm, target, hash))
	if err != nil {
		return "", "", ErrUnavailable.With(err)
	}
	now := a.cfg.Now()
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	err = a.cfg.Tickets.Run(ctx, func(ctx context.Context, tx TicketTx) error {
		return tx.PutOnce(ctx, once.Record{Kind: once.KindTicket, Key: hash, Sealed: sealed, ExpiresAt: now.Add(credential.TicketLife)})
	})
	if err != nil {
		return "", "", ErrUnavailable.With(err)
	}
	return text, id, nil
}

// standsFor uses a ticket up and returns the credential that it stands for, which is
// then judged by the same rule. Judged again (Rule.Uncounted), the ticket is used no
// second time.
func (a *Authenticator) standsFor(ctx context.Context, realm string, p Presented, rule Rule) (Presented, error) {
	s := p.standIn
	if a.cfg.Tickets == nil || s == nil || s.used != rule.Uncounted {
		return Presented{}, errTicketUnknown
	}
	if !s.used {
		inner, err := a.redeem(ctx, realm, p, rule)
		if err != nil {
			return Presented{}, err
		}
		s.inner, s.used = inner, true
	}
	return s.inner, nil
}

// redeem removes the ticket, so that nobody else can, and opens what it held.
func (a *Authenticator) redeem(ctx context.Context, realm string, p Presented, rule Rule) (Presented, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	if a.cfg.Misses.Spent(rule.Address) {
		if err := a.suspects.enter(ctx); err != nil {
			return Presented{}, err
		}
		defer a.suspects.leave()
	}
	hash := credential.HashKey(p.Secret.Reveal())
	now := a.cfg.Now()
	found, err := a.cfg.Tickets.Find(ctx, once.KindTicket, hash)
	if err == nil && !now.Before(found.ExpiresAt) {
		return Presented{}, errTicketExpired
	}
	if err == nil {
		err = a.cfg.Tickets.Run(ctx, func(ctx context.Context, tx TicketTx) (err error) {
			found, err = tx.TakeOnce(ctx, once.KindTicket, hash, now)
			return err
		})
	}
	switch {
	case errors.Is(err, gatehouse.NotFound):
		return Presented{}, a.missed(rule.Address, errTicketUnknown)
	case err != nil:
		return Presented{}, err
	}
	plain, err := a.cfg.Tickets.Box.Open(found.Sealed, ticketPlace(realm, rule.Target, hash))
	if err != nil {
		return Presented{}, errTicketMisplace
	}
	var c sealedCredential
	if err := json.Unmarshal(plain, &c); err != nil {
		return Presented{}, err
	}
	return present(c)
}

// present makes again what was presented when the ticket was given.
func present(c sealedCredential) (p Presented, err error) {
	k, known := KindOf(c.Scheme)
	if !known || k.StandIn {
		return p, errTicketUnknown
	}
	if k.Record == RecordNone { // a name and a password
		return Presented{Scheme: c.Scheme, By: ByQuery, User: c.User, Secret: gatehouse.Secret(c.Secret)}, nil
	}
	p, err = standard.parseBearer(c.Secret)
	switch {
	case c.Scheme == gatehouse.SchemeAPIKey && (p.None() || p.Scheme == gatehouse.SchemeJWT): // made by another system
		p, err = importedKey(c.Secret), nil
	case p.Scheme != c.Scheme:
		err = errTicketUnknown
	}
	p.By = ByQuery
	return p, err
}

// readTicket returns the ticket in the query, or none.
func (rd *Reader) readTicket(r *http.Request) (Presented, error) {
	var found []string
	for pair := range pairs(r.URL.RawQuery) {
		if name, value, _ := strings.Cut(pair, "="); unescape(name) == rd.ticket {
			found = append(found, unescape(value))
		}
	}
	switch len(found) {
	case 0:
		return Presented{}, nil
	case 1:
	default:
		return Presented{}, ErrConflict
	}
	p := Presented{Scheme: gatehouse.SchemeTicket, By: ByQuery}
	k, err := credential.ParseKey(found[0])
	if err != nil || !k.IsTicket() {
		return p, errTicketForm
	}
	p.ID, p.Secret, p.Key, p.standIn = k.ID, gatehouse.Secret(found[0]), k, &standIn{}
	return p, nil
}

// TakeTicket takes the ticket out of r's URL, so that nothing after it sees one; the
// URL that others may hold stays as it is. The rest of the query stays byte for byte.
func (rd *Reader) TakeTicket(r *http.Request) {
	rd = rd.orStandard()
	if rd.ticket == "" || r.URL.RawQuery == "" {
		return
	}
	u := *r.URL
	var rest strings.Builder
	separator := ""
	for pair, end := range pairs(u.RawQuery) {
		if name, _, _ := strings.Cut(pair, "="); unescape(name) != rd.ticket {
			rest.WriteString(separator)
			rest.WriteString(pair)
			separator = end
		}
	}
	u.RawQuery = rest.String()
	r.URL, r.RequestURI = &u, u.RequestURI()
}
