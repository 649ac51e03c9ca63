package logout

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/token"
)

const (
	// look is how often it is looked who is to be told.
	look = time.Second
	// atOnce is how many records are read in one round, and beside how many clients are told beside each other.
	atOnce = 200
	beside = 8
	// firstWait is what a client waits for after a first try that failed, maxWait after many; each wait is twice the one before.
	firstWait, maxWait = 10 * time.Second, time.Hour
)

// Why a client was not told, where nobody answered that.
const (
	reasonTooOld  = "too_old"
	reasonAddress = "no_address"
	reasonFrame   = "frame" // it is told in the browser alone, and there is nothing to send
)

// Work tells until ctx ends.
func (s *Sender) Work(ctx context.Context) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.round(ctx); err != nil && ctx.Err() == nil {
			s.c.Logger.Error("clients could not be told of sign-ins that ended; trying again", "error", err)
		}
	}
}

// round tells all that are due. The records of one client are taken one after the other, and left when one fails.
func (s *Sender) round(ctx context.Context) error {
	due, err := s.c.Store.DueLogouts(ctx, s.c.Now(), atOnce)
	if err != nil {
		return err
	}
	type name struct{ realm, client string }
	of := map[name][]Record{}
	for _, r := range due {
		n := name{r.Realm, r.Client}
		of[n] = append(of[n], r)
	}
	var running sync.WaitGroup
	free, failed := make(chan struct{}, beside), make(chan error, len(of))
	for _, records := range of {
		free <- struct{}{}
		running.Go(func() {
			defer func() { <-free }()
			for _, r := range records {
				told, err := s.one(ctx, r)
				if err != nil {
					failed <- err
				}
				if !told {
					return
				}
			}
		})
	}
	running.Wait()
	close(failed)
	return <-failed // nil where none did
}

// one tells one client, and notes what came of it.
func (s *Sender) one(ctx context.Context, r Record) (told bool, err error) {
	if ctx.Err() != nil {
		return false, nil
	}
	reason, err := s.send(ctx, r)
	if err != nil || ctx.Err() != nil { // whoever sends next finds it as it was
		return false, err
	}
	now := s.c.Now()
	final := reason == "" || reason == reasonAddress || reason == reasonFrame
	if !final && !now.Before(r.EndsAt) {
		reason, final = reasonTooOld, true
	}
	err = s.c.Run(ctx, func(ctx context.Context, tx Settling) error {
		if !final {
			return tx.DelayLogout(ctx, r, now.Add(min(firstWait<<min(r.Tries, 20), maxWait)))
		}
		if err := tx.EndLogout(ctx, r); err != nil || reason == reasonFrame {
			return err
		}
		e := gatehouse.Event{Time: now, Realm: r.Realm, Kind: audit.KindLogoutTold, Outcome: gatehouse.OutcomeSuccess, Target: gatehouse.Target{Type: "session", ID: r.Session},
			Detail: map[string]string{"client_id": r.Client, "subject": r.User}}
		if reason != "" {
			e.Kind, e.Outcome, e.Reason = audit.KindLogoutFailed, gatehouse.OutcomeError, reason
		}
		return tx.AppendEvents(ctx, e)
	})
	if errors.Is(err, gatehouse.Conflict) { // it has gone, or the lease has: somebody else knows better
		return false, nil
	}
	if reason != "" && reason != reasonFrame {
		s.c.Logger.Warn("a client was not told that a sign-in has ended", "realm", r.Realm, "client", r.Client, "session", r.Session, "tries", r.Tries+1, "reason", reason, "given_up", final)
	}
	return err == nil && (reason == "" || reason == reasonFrame), err
}

// send tells one client, and returns why it was not told: "" when it was. An error is one of this server.
func (s *Sender) send(ctx context.Context, r Record) (reason string, err error) {
	c, err := s.c.Client(ctx, r.Realm, r.Client)
	switch {
	case err == nil && c.Metadata.BackchannelURI == "" && c.Metadata.FrontchannelURI != "":
		return reasonFrame, nil
	case errors.Is(err, gatehouse.NotFound), err == nil && c.Metadata.BackchannelURI == "":
		return reasonAddress, nil // it was taken away
	case err != nil && client.IsDocument(r.Client): // it is fetched, and may be away as its address may
		return gatehouse.CodeOf(err), nil
	case err != nil:
		return "", err
	}
	key, err := s.c.Signer(ctx, r.Realm, c.Metadata.SignsID()) // Back-Channel Logout §2.6: as its ID tokens are
	if err != nil {
		return "", err
	}
	now := s.c.Now()
	text, err := key.SignLogout(&token.Logout{Issuer: s.c.Issuer(r.Realm), Subject: r.User, SessionID: r.Session, Audience: r.Client,
		ID: gatehouse.NewID("tok", now), IssuedAt: now, ExpiresAt: now.Add(token.LogoutLife)})
	if err != nil {
		return "", err
	}
	status, err := s.c.Post(ctx, c, c.Metadata.BackchannelURI, url.Values{"logout_token": {text}}) // §2.5
	switch {
	case err != nil:
		return gatehouse.CodeOf(err), nil
	case status == http.StatusOK || status == http.StatusNoContent: // §2.8
		return "", nil
	}
	return "status_" + strconv.Itoa(status), nil
}
