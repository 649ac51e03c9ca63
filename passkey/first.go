package passkey

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/once"
)

// FirstWriter is what a passkey that comes with its account writes, in the transaction that makes the account.
type FirstWriter interface {
	InsertPasskey(ctx context.Context, p Passkey) error
	PutOnce(ctx context.Context, v once.Record) error
}

// First is a passkey that is stored with something else or not at all: with the account that is made together with it, which could
// be left without its only way in; or with the end of the lost ones in whose place it comes.
type First struct {
	s         *Service
	who       *gatehouse.Principal
	p         Passkey
	challenge []byte
}

// OfferFirst is the offer to make a passkey for who, whose account is not there yet; title is what the realm is known by.
// What answers it counts for [Service.First] and for nothing else.
func (s *Service) OfferFirst(who *gatehouse.Principal, title string, browser []byte) (Offer, error) {
	return s.offerAlone(asked{toBegin, who.Realm, who.ID, browser}, who.Name, title)
}

// OfferInstead is the offer to make a passkey in the place of lost factors of who. What answers it counts for [Service.Instead] and
// for nothing else.
func (s *Service) OfferInstead(who *gatehouse.Principal, title string, browser []byte) (Offer, error) {
	return s.offerAlone(asked{toStead, who.Realm, who.ID, browser}, who.Name, title)
}

func (s *Service) offerAlone(to asked, name, title string) (Offer, error) {
	if !s.On(to.realm) {
		return Offer{}, ErrRefused
	}
	return s.offer(to, name, title), nil
}

// First is the passkey that answers an offer of [Service.OfferFirst] to who, which [First.Store] stores, under a name of at
// most [MaxName] characters.
//
// Errors: passkey_name_invalid, passkey_refused.
func (s *Service) First(ctx context.Context, who *gatehouse.Principal, name string, browser, answer []byte) (*First, error) {
	return s.alone(ctx, who, asked{toBegin, who.Realm, who.ID, browser}, name, answer)
}

// Instead is the passkey that answers an offer of [Service.OfferInstead] to who, as [Service.First] returns it.
func (s *Service) Instead(ctx context.Context, who *gatehouse.Principal, name string, browser, answer []byte) (*First, error) {
	return s.alone(ctx, who, asked{toStead, who.Realm, who.ID, browser}, name, answer)
}

func (s *Service) alone(ctx context.Context, who *gatehouse.Principal, to asked, name string, answer []byte) (*First, error) {
	name, ok := validName(name)
	if !ok {
		return nil, errName
	}
	if !s.On(to.realm) {
		return nil, ErrRefused
	}
	p, challenge, err := s.made(to, name, answer)
	if err != nil {
		return nil, s.refused(ctx, who.Realm, "", err)
	}
	return &First{s, who, p, challenge}, nil
}

// Store stores the passkey, and returns the event of that, for the same transaction.
//
// Errors: passkey_refused where the offer was answered before, passkey_exists.
func (f *First) Store(ctx context.Context, tx FirstWriter) (gatehouse.Event, error) {
	if err := f.s.spend(ctx, tx, f.challenge); err != nil {
		return gatehouse.Event{}, err
	}
	if err := tx.InsertPasskey(ctx, f.p); errors.Is(err, gatehouse.Conflict) {
		return gatehouse.Event{}, errExists
	} else if err != nil {
		return gatehouse.Event{}, err
	}
	return f.s.event(ctx, f.p, audit.KindPasskeyAdd, f.who), nil
}
