package mail

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
)

const (
	// look is how often the queue is looked at.
	look = 2 * time.Second
	// round is how many messages are sent until it is looked again.
	round = 20
	// firstWait is what a message waits for after its first try, and maxWait after many;
	// each wait is twice the one before.
	firstWait, maxWait = time.Minute, time.Hour
	// maxPause is how long nothing is tried while the server cannot be reached.
	maxPause = time.Minute
	// purgeEvery is how often old records are removed, purgeAtOnce how many in one transaction.
	purgeEvery  = time.Hour
	purgeAtOnce = 1000
)

// Store is where messages wait.
type Store interface {
	// DueMails returns up to limit messages that wait and are due, the longest first.
	DueMails(ctx context.Context, now time.Time, limit int) ([]Record, error)
}

// Settling is the transaction that notes what came of a message.
type Settling interface {
	// SettleMail stores State, Tries, Error, DueAt, DoneAt and, unless it still waits,
	// wipes what was in the message. It is Conflict unless the message waits with one try
	// less: somebody else has sent it.
	SettleMail(ctx context.Context, r Record) error
	AppendEvents(ctx context.Context, events ...gatehouse.Event) error
	// PurgeMails removes up to limit messages that expired before the given time.
	PurgeMails(ctx context.Context, before time.Time, limit int) (int64, error)
}

// SenderConfig of a [Sender]. Every field is required.
type SenderConfig struct {
	Queue  *Queue
	Store  Store
	Run    gatehouse.Runner[Settling]
	Issuer func(realm string) string
}

// Sender sends what is queued. One process does at a time; see package lease.
type Sender struct {
	c                     SenderConfig
	log                   *slog.Logger
	now                   func() time.Time
	sent, retried, failed atomic.Int64

	purge time.Time // when old records are removed next
}

// NewSender makes a sender.
func NewSender(c SenderConfig) *Sender {
	return &Sender{c: c, log: c.Queue.c.Logger, now: c.Queue.c.Now}
}

// Sent, Retried and Failed are what came of the tries of this process: the server has it,
// it is tried again, it was given up.
func (s *Sender) Sent() int64    { return s.sent.Load() }
func (s *Sender) Retried() int64 { return s.retried.Load() }
func (s *Sender) Failed() int64  { return s.failed.Load() }

// Work sends until ctx ends.
func (s *Sender) Work(ctx context.Context) error {
	pause := look
	for {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		away, err := s.round(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.Error("mail could not be sent; trying again", "error", err)
		}
		if pause = min(2*pause, maxPause); !away && err == nil {
			pause = look
		}
	}
}

// round sends what is due and removes what is old. away: the server was not there, and what
// was not tried waits.
func (s *Sender) round(ctx context.Context) (away bool, err error) {
	if now := s.now(); !now.Before(s.purge) {
		if err := s.purgeOld(ctx); err != nil {
			return false, err
		}
		s.purge = now.Add(purgeEvery)
	}
	set := s.c.Queue.c.Settings()
	if !set.on() {
		return false, nil
	}
	due, err := s.c.Store.DueMails(ctx, s.now(), round)
	if err != nil {
		return false, err
	}
	for _, r := range due {
		if ctx.Err() != nil {
			return false, nil
		}
		if away, err = s.one(ctx, set, r); err != nil || away {
			return away, err
		}
	}
	return false, nil
}

func (s *Sender) purgeOld(ctx context.Context) error {
	for {
		var n int64
		err := s.c.Run(ctx, func(ctx context.Context, tx Settling) (err error) {
			n, err = tx.PurgeMails(ctx, s.now(), purgeAtOnce)
			return err
		})
		if err != nil || n < purgeAtOnce {
			return err
		}
	}
}

// one sends one message and notes what came of it.
func (s *Sender) one(ctx context.Context, set Settings, r Record) (away bool, err error) {
	to, err := s.c.Queue.To(r)
	var sending error
	switch {
	case err != nil:
		sending = &refusal{err: err} // sealed under a key that is gone, or spoiled
	case !s.now().Before(r.EndsAt):
		sending = errTooOld
	default:
		sending = s.send(ctx, set, r, to)
	}
	if ctx.Err() != nil {
		return false, nil // whoever sends next will find it waiting
	}
	r.Tries++
	r.DueAt, r.DoneAt = time.Time{}, s.now()
	var no *refusal
	switch {
	case sending == nil:
		r.State, r.Error = Sent, ""
	case errors.As(sending, &no) || errors.Is(sending, errTooOld):
		r.State = Failed
		if r.Error == "" || no != nil {
			r.Error = answer(sending, to)
		}
	default:
		wait := min(firstWait<<min(r.Tries-1, 10), maxWait)
		r.State, r.Error, r.DueAt, r.DoneAt = Waiting, answer(sending, to), s.now().Add(wait), time.Time{}
		away = !answered(sending)
	}
	if r.State == Failed || r.State == Waiting {
		s.log.Warn("a message was not sent", "mail", r.ID, "kind", r.Kind, "tries", r.Tries, "state", r.State, "server", set.String(), "error", r.Error)
	}
	err = s.c.Run(ctx, func(ctx context.Context, tx Settling) error {
		if err := tx.SettleMail(ctx, r); err != nil || r.State != Failed {
			return err
		}
		e := gatehouse.Event{Time: s.now(), Realm: r.Realm, Kind: audit.KindMailFailed, Outcome: gatehouse.OutcomeError, Reason: codeOf(sending),
			Target: gatehouse.Target{Type: "mail", ID: r.ID}, Detail: map[string]string{"message": string(r.Kind)}}
		if errors.Is(sending, errTooOld) {
			e.Reason = "too_old"
		}
		return tx.AppendEvents(ctx, e)
	})
	if errors.Is(err, gatehouse.Conflict) { // it has gone, or the lease has: somebody else knows better
		return away, nil
	}
	if err == nil {
		map[State]*atomic.Int64{Sent: &s.sent, Waiting: &s.retried, Failed: &s.failed}[r.State].Add(1)
	}
	return away, err
}

// errTooOld ends a message that was tried for long enough.
var errTooOld = errors.New("tried for too long")

// send opens a message, puts it into words and hands it over.
func (s *Sender) send(ctx context.Context, set Settings, r Record, to string) error {
	body, err := s.c.Queue.c.Box.Open(r.Sealed, place("mail", r))
	var in sealed
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	var w written
	if err == nil {
		w, err = write(r.Kind, in.Language, s.c.Issuer(r.Realm), in.Data)
	}
	if err != nil {
		return &refusal{err: err}
	}
	return set.send(ctx, letter{written: w, id: r.ID, to: to, date: r.CreatedAt})
}
