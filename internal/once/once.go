// Package once is what can be used once: a key, an end, and one winner. Whoever needs
// that keeps no list of his own.
//
// There are two ways to use it, and both are decided by the database, in one statement,
// for all nodes:
//
//   - Put, then take: what is put (a one-time ticket) is a value under the hash of a
//     secret; of all that take it, one gets it.
//   - Claim: to put a key without a value says that it was used (a nonce, a step of a
//     clock). Of all that put the same key, one wins.
//
// What has to remember that it was taken, because a second use has consequences, claims a
// second key in the transaction in which it takes the first.
//
// # Threats
//
// Somebody who uses a thing twice at once, on two nodes, before and after a restart, or
// with a node whose clock is wrong: a key is kept for [Margin] longer than it counts, so
// that a fast clock does not forget what another node would still take. A stolen database
// gives nothing: it holds hashes, and values under the master key. A backup has none of
// it, so that nothing used comes back unused; for claims that means that what was issued
// before a restore must be refused by its age, as the cut-off of a restore does.
//
// It must never hold a key in memory, or answer from it.
package once

import (
	"context"
	"log/slog"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/piecewise"
)

// Kind is a use of this package. The same key of two kinds is two keys.
type Kind string

// KindTicket is for one-time tickets in URLs (package authn): the key is the hash of the
// text, the value the credential that the ticket stands for, sealed.
const KindTicket Kind = "ticket"

// KindSignIn is for sign-ins that wait for a code (package session): the key is the hash of
// what the browser has, the value whose sign-in it is, sealed.
const KindSignIn Kind = "signin"

// KindHandOver is for the tickets by which a browser brings a session to a host of the gateway
// (package session): the key is the hash of the text, the value whose session it is and where
// it goes, sealed.
const KindHandOver Kind = "hand-over"

// KindReset is for links by which a new password is set (admin/users): the key is the hash of
// what the link has, the value whose password it is, sealed.
const KindReset Kind = "reset"

// KindFactorsLink is for links by which lost second factors are replaced (admin/users): the key is the hash of
// what the link has, the value whose factors they are, sealed.
const KindFactorsLink Kind = "factors link"

// KindReplacing is for people who came by such a link and proved the password: the key is the hash of what the
// browser has, the value whose new factor it waits for, sealed.
const KindReplacing Kind = "replacing factors"

// KindAddress is for links by which an e-mail address is verified (admin/users): the key is the
// hash of what the link has, the value whose address it is, sealed.
const KindAddress Kind = "address"

// KindInvitation, with a realm behind it, is for invitations (admin/users): the key is the hash of
// its id, the value who was invited to what, sealed.
const KindInvitation Kind = "invitation"

// KindRegistration is for links by which whoever reads an address makes an account (admin/users): the key is
// the hash of what the link has, the value the address, sealed.
const KindRegistration Kind = "registration"

// KindRegistered claims an address when an account is made by such a link, so that two links do not make two.
const KindRegistered Kind = "registered"

// KindProof claims the proof that somebody has a key (package proof), so that it is good once: the key is a hash of
// that key's thumbprint and the proof's id.
const KindProof Kind = "proof"

// KindCode is for authorization codes (package grant): the key is the hash of the code, the value what it stands for, sealed.
const KindCode Kind = "code"

// KindSpentCode is for those that were redeemed: the value is the grant that came of it, sealed, which a second use ends.
const KindSpentCode Kind = "spent code"

// KindDevice is for devices that wait for a person (package grant): the key is the hash of the device's code, the value what it
// asks for and how often it may ask, sealed.
const KindDevice Kind = "device"

// KindUserCode is for what people type to let such a device go on: the key is a keyed hash of it, the value what the device
// asks for, sealed.
const KindUserCode Kind = "user code"

// KindDeviceAnswer is for what a person said: the key is that of the device, the value what it may have, sealed.
const KindDeviceAnswer Kind = "device answer"

// KindSpentDevice is for those that got their tokens: the value is the grant, sealed, which a second use ends.
const KindSpentDevice Kind = "spent device"

// KindBackchannel is for clients that ask a person without a browser of theirs, and wait (package grant): the key is the hash of the
// auth_req_id, the value whose it is and how often it may ask, sealed.
const KindBackchannel Kind = "backchannel"

// KindWaiting is for what waits for a person: the key is a hash of the person and of a stretch of time, the value all requests that came
// in it and wait, sealed.
const KindWaiting Kind = "waiting for a person"

// KindBackchannelAnswer is for what the person said: the key is that of the client's request, the value what it may have, sealed.
const KindBackchannelAnswer Kind = "backchannel answer"

// KindSpentBackchannel is for requests that were given their tokens.
const KindSpentBackchannel Kind = "spent backchannel"

// KindRequest is for authorization requests that clients pushed (package oauth/authorize): the key is the hash of the
// request_uri, the value what is asked for, sealed.
const KindRequest Kind = "authorization request"

// KeySize is the length of a key in bytes, that of SHA-256.
const KeySize = 32

// Record is a key that was put.
type Record struct {
	Kind Kind
	// Key is a SHA-256 of KeySize bytes: of a secret, or of a text of any length that
	// somebody sent.
	Key []byte
	// Sealed is a value under the master key, bound to Key by who sealed it. Empty for a
	// claim.
	Sealed []byte
	// ExpiresAt is when the value can be taken no more, to the microsecond. The key stays
	// in use until [Purge] removes it, [Margin] later or more: it can be put again only
	// after that.
	ExpiresAt time.Time
}

// Margin is how much longer than until its end a key is kept. Clocks of nodes may differ
// by less.
const Margin = 10 * time.Minute

// PurgeTx is the transaction of [Purge].
type PurgeTx interface {
	// PurgeOnce removes up to limit keys that ended before the given time, and returns
	// how many.
	PurgeOnce(ctx context.Context, before time.Time, limit int) (int64, error)
}

// Purge is the background job that forgets keys whose end is more than [Margin] ago.
type Purge struct {
	Run    gatehouse.Runner[PurgeTx]
	Every  time.Duration // 0 is 1 minute
	Logger *slog.Logger
	Now    func() time.Time
}

// Work purges at every interval until ctx ends. A round that fails is logged and tried
// again at the next: what stays too long is refused as it would be without its record.
func (p *Purge) Work(ctx context.Context) error {
	every := p.Every
	if every <= 0 {
		every = time.Minute
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, err := p.round(ctx); err != nil && ctx.Err() == nil {
			p.Logger.ErrorContext(ctx, "what can be used once and is over could not be purged", slog.Any("error", err))
		}
	}
}

// round purges once, in transactions that hold up nobody, and returns how many keys went.
func (p *Purge) round(ctx context.Context) (int64, error) {
	before := p.Now().Add(-Margin)
	return piecewise.Do(ctx, func(ctx context.Context, limit int) (n int64, err error) {
		err = p.Run(ctx, func(ctx context.Context, tx PurgeTx) error {
			n, err = tx.PurgeOnce(ctx, before, limit)
			return err
		})
		return n, err
	})
}
