package guard

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/internal/egress"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

// Follow has a remote guard follow the issuer's stream of revocations, so that it
// refuses what was ended a moment ago, by a cut-off too (docs/revocation-stream.md).
type Follow struct {
	// Key is an API key of the issuer's realm, with the scope admin:revocations, of an
	// account with the role gatehouse-guard.
	Key gatehouse.Secret
	// URL is the address of the stream; when empty it follows from the issuer.
	URL string
	// MaxStaleness is how long the guard goes on by what it knows when nothing comes:
	// 10 seconds when zero, 3 at least. Past it tokens are refused (503).
	MaxStaleness time.Duration
	// ReadLists has the guard read the status lists past MaxStaleness, in place of
	// refusing. They are up to a minute old, and know no cut-off.
	ReadLists bool
}

const (
	// FollowBound is Follow.MaxStaleness where none is given.
	FollowBound = 10 * time.Second
	// followQuiet is how long a stream may say nothing; it speaks every two seconds.
	followQuiet = 6 * time.Second
	followTrial = 2500 * time.Millisecond
	// followAhead is how far the issuer's clock may gain on ours while a stream is open.
	followAhead = time.Second
	// followLine bounds a line: a thousand places and their list are a tenth of it.
	followLine    = 128 << 10
	followPause   = 200 * time.Millisecond
	followLongest = 30 * time.Second
	// followAgain is how long a way that holds back streams is taken to stay one.
	followAgain = 5 * time.Minute
	// followRealm stands for the issuer's realm in the guard's own view.
	followRealm = "realm"
)

// follower knows what its issuer has ended, for as long as it is told.
type follower struct {
	cfg     Follow
	issuer  string
	open    func(ctx context.Context, address string, lines http.Header) (io.ReadCloser, error)
	changed func() // the signing keys
	log     *slog.Logger
	now     func() time.Time

	view  atomic.Pointer[revocation.View] // nil: nothing was told to the end yet
	heard atomic.Int64                    // Unix nanoseconds as of which it is known, at least, what has ended

	// Of run alone.
	id      string
	loading *collected // not nil between reload and ready
	ready   bool       // since the stream began
	poll    bool       // streams do not get through: ask again and again
	tried   time.Time  // when a stream was asked for
	purged  time.Time

	stop  context.CancelFunc
	ended chan struct{}
}

// collected is what came since reload.
type collected struct {
	bits    []revocation.StatusBit
	cutoffs []revocation.Cutoff
}

func (c *collected) EachStatusBit(_ context.Context, take func(revocation.StatusBit) error) error {
	for _, b := range c.bits {
		if err := take(b); err != nil {
			return err
		}
	}
	return nil
}

func (c *collected) EachCutoff(_ context.Context, take func(revocation.Cutoff) error) error {
	for _, cut := range c.cutoffs {
		if err := take(cut); err != nil {
			return err
		}
	}
	return nil
}

func newFollower(cfg RemoteConfig, client *egress.Client) (*follower, error) {
	f := *cfg.Follow
	f.MaxStaleness = cmp.Or(f.MaxStaleness, FollowBound)
	if f.URL == "" {
		base, realm, found := strings.Cut(strings.TrimRight(cfg.Issuer, "/"), "/realms/")
		if !found {
			realm = gatehouse.MainRealm
		}
		f.URL = base + "/admin/v1/realms/" + realm + "/revocations/events"
	}
	switch {
	case cfg.Assertions:
		return nil, errors.New("guard: Follow is not for assertions, which live for less than a minute")
	case f.Key.Reveal() == "":
		return nil, errors.New("guard: Follow needs a Key")
	case f.MaxStaleness < 3*time.Second:
		return nil, errors.New("guard: Follow.MaxStaleness is 3 seconds at least: the stream speaks every two")
	}
	if err := checkURL(client, f.URL); err != nil {
		return nil, fmt.Errorf("guard: the address of the revocations: %w", err)
	}
	return &follower{cfg: f, issuer: cfg.Issuer, open: client.Stream, log: cfg.Logger, now: cfg.Now, ended: make(chan struct{})}, nil
}

// start begins to follow; changed is called when the issuer's keys have changed.
func (f *follower) start(changed func()) {
	ctx, cancel := context.WithCancel(context.Background())
	f.stop, f.changed = cancel, changed
	go func() {
		defer close(f.ended)
		f.run(ctx)
	}()
}

func (f *follower) close() {
	if f.stop != nil {
		f.stop()
		<-f.ended
	}
}

// check returns nil for a token that is not revoked, as far as is known. sure is false
// when that was told too long ago.
func (f *follower) check(r revocation.Ref) (sure bool, err error) {
	v := f.view.Load()
	if v == nil {
		return false, nil
	}
	if revoked, reason := v.Revoked(r); revoked {
		return true, authn.ErrInvalidToken.With(errors.New(reason)) // what has ended stays so
	}
	// The time of day alone: while a machine sleeps, the time that passes for others counts. A
	// clock that was set back makes nothing younger.
	age := f.now().Round(0).Sub(time.Unix(0, f.heard.Load()))
	return age >= -leeway && age < f.cfg.MaxStaleness, nil
}

// refOf is what a token tells the view about itself.
func refOf(c *token.Claims) revocation.Ref {
	r := revocation.Ref{Realm: followRealm, Subject: c.Subject, Client: c.ClientID, Session: c.SessionID, KeyID: c.KeyID, IssuedAt: c.IssuedAt,
		HasStatus: c.HasStatus, List: c.StatusList, Index: c.StatusIndex}
	if at, ok := gatehouse.IDTime(c.ID); ok {
		r.IssuedAt = at
	}
	return r
}

// run follows until ctx is done.
func (f *follower) run(ctx context.Context) {
	pause := followPause
	told := false
	for ctx.Err() == nil {
		// Who polls tries a stream now and then, right after an answer: it leaves time for that.
		settled := f.poll && f.ready
		trial := settled && f.now().Sub(f.tried) >= followAgain
		if trial {
			f.poll, settled = false, false
		}
		if !f.poll {
			f.tried = f.now()
		}
		f.ready, f.loading = false, nil
		err := f.read(ctx, trial, settled)
		if ctx.Err() != nil {
			return
		}
		switch {
		case f.ready:
		case trial:
			f.poll = true
			continue
		case err == nil || errors.Is(err, errHeld):
			f.poll = !f.poll // what comes through, if anything, does not come this way
		}
		if f.ready {
			if told {
				f.log.Info("revocations are followed again", slog.String("issuer", f.issuer))
			}
			pause, told = followPause, false
			if f.poll && err == nil {
				continue // an answer is over: the next one
			}
		} else if !told {
			told = true
			f.log.Warn("revocations cannot be followed", slog.String("issuer", f.issuer), slog.Any("error", err))
		}
		wait := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return
		}
		if pause = min(2*pause, followLongest); f.ready {
			pause = followPause
		}
	}
}

// errHeld: nothing came for longer than the other side is ever silent. errLate: what comes was said long ago.
var (
	errHeld = errors.New("nothing comes")
	errLate = errors.New("what comes is old")
)

// read reads one answer to its end. A trial has to speak at once, as a stream does that comes
// through, and goes on speaking: meanwhile nothing is heard. The first poll is a short one for
// the same reason, until polling is settled.
func (f *follower) read(ctx context.Context, trial, settled bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	address, quiet := f.cfg.URL, followQuiet
	wait, first := min(max(1, int(f.cfg.MaxStaleness/time.Second)/2), 60), quiet
	switch {
	case f.poll:
		if !settled {
			wait = 1
		}
		address += "?wait=" + strconv.Itoa(wait)
		quiet += time.Duration(wait) * time.Second
		first = quiet
	case trial:
		first = min(2*time.Second, (f.cfg.MaxStaleness-time.Duration(wait)*time.Second)/4)
		quiet = followTrial
	}
	dead := time.AfterFunc(first, func() { cancel(errHeld) })
	defer dead.Stop()
	lines := http.Header{"Accept": {"text/event-stream"}, "Accept-Encoding": {"identity"}, "Authorization": {"Bearer " + f.cfg.Key.Reveal()}}
	if f.id != "" && f.view.Load() != nil {
		lines.Set("Last-Event-ID", f.id)
	}
	asked := f.now().Round(0)
	body, err := f.open(ctx, address, lines)
	if err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	defer body.Close()
	s := bufio.NewScanner(body)
	s.Buffer(make([]byte, 0, 4096), followLine)
	var e sse
	var began int64 // when the issuer began to speak, by its own clock
	for s.Scan() {
		line := s.Text()
		if strings.HasPrefix(line, ":") {
			continue // it says nothing, and anybody on the way may have put it there
		}
		dead.Reset(quiet)
		if f.ready && trial {
			quiet = followQuiet
		}
		if line != "" {
			e.line(line)
			continue
		}
		at, err := f.take(e)
		if err != nil {
			f.id = "" // begin anew: something may have been missed
			return err
		}
		began = cmp.Or(began, at)
		if e.name == "ready" && !f.hear(asked.Add(time.Duration(at-began)*time.Millisecond)) && !f.poll {
			return errLate
		}
		e = sse{}
	}
	if err := s.Err(); err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	return nil
}

// hear takes in as of when it is known what has ended, and reports whether that is not long ago. It is the time of the
// question, and what has passed since the beginning of the answer by one clock, the issuer's. So nothing becomes younger by
// what holds it on its way, or in the kernel of a machine that sleeps, and the two clocks need not agree.
func (f *follower) hear(as time.Time) bool {
	now := f.now().Round(0)
	late := now.Sub(as)
	if late < 0 {
		as = now
	}
	if old := f.heard.Load(); as.UnixNano() > old || old > now.UnixNano() {
		f.heard.Store(as.UnixNano())
	}
	return late <= min(followQuiet, f.cfg.MaxStaleness/2) && late >= -followAhead
}

// sse is one event.
type sse struct{ name, id, data string }

// line takes in a line of it.
func (e *sse) line(text string) {
	name, value, _ := strings.Cut(text, ":")
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "event":
		e.name = value
	case "id":
		e.id = value
	case "data":
		e.data = value
	}
}

// take applies an event. The first and the last of what belongs together say as of when, in Unix milliseconds by the
// issuer's clock; 0 is returned for the others.
func (f *follower) take(e sse) (at int64, err error) {
	switch e.name {
	case "reload", "ready":
		var d struct {
			Time int64 `json:"time"`
		}
		if err := exactjson.Unmarshal([]byte(e.data), &d); err != nil {
			return 0, err
		}
		if d.Time <= 0 {
			return 0, errors.New("an event that does not say as of when")
		}
		if e.name == "ready" {
			return d.Time, f.whole(e.id)
		}
		f.loading = &collected{}
		return d.Time, nil
	}
	return 0, f.change(e)
}

// change applies an event that tells of one.
func (f *follower) change(e sse) error {
	switch e.name {
	case "status":
		var d struct {
			URI string  `json:"uri"`
			Idx []int64 `json:"idx"`
		}
		if err := exactjson.Unmarshal([]byte(e.data), &d); err != nil {
			return err
		}
		number, ours := strings.CutPrefix(d.URI, f.issuer+statusPath)
		list, err := strconv.ParseInt(number, 10, 64)
		if !ours || err != nil {
			return errors.New("a status list of somebody else")
		}
		for _, index := range d.Idx {
			if !revocation.ValidPlace(list, index) {
				return errors.New("a place that cannot be")
			}
			if err := f.apply(revocation.NewStatusBit(followRealm, list, index)); err != nil {
				return err
			}
		}
	case "cutoff":
		var d struct {
			Kind    revocation.CutoffKind `json:"kind"`
			ID      string                `json:"id"`
			Before  int64                 `json:"before"`
			Expires int64                 `json:"expires"`
		}
		if err := exactjson.Unmarshal([]byte(e.data), &d); err != nil {
			return err
		}
		cut := revocation.Cutoff{Realm: followRealm, Kind: d.Kind, ID: d.ID, Before: time.UnixMilli(d.Before)}
		if d.Expires != 0 {
			cut.ExpiresAt = time.UnixMilli(d.Expires)
		}
		return f.apply(cut)
	case "keys":
		f.changed()
	}
	return nil
}

// apply takes a revocation in: aside while everything is being told, else at once.
func (f *follower) apply(r any) error {
	if f.loading != nil {
		switch r := r.(type) {
		case revocation.StatusBit:
			f.loading.bits = append(f.loading.bits, r)
		case revocation.Cutoff:
			f.loading.cutoffs = append(f.loading.cutoffs, r)
		}
		return nil
	}
	v := f.view.Load()
	if v == nil {
		return errors.New("a change before everything was told")
	}
	v.Apply(gatehouse.Change{Topic: gatehouse.TopicRevocation, Value: r})
	if !v.Loaded() {
		return errors.New("a change that is not understood") // the view refuses everything now
	}
	return nil
}

// whole is told that everything up to id has come.
func (f *follower) whole(id string) error {
	now := f.now()
	if f.loading != nil {
		v := revocation.NewView()
		if err := v.Load(context.Background(), f.loading); err != nil {
			return err
		}
		f.view.Store(v)
		f.loading, f.purged = nil, now
	}
	v := f.view.Load()
	if v == nil {
		return errors.New("ready before everything was told")
	}
	if now.Sub(f.purged) > time.Hour {
		v.Purge(now)
		f.purged = now
	}
	f.id, f.ready = id, true
	return nil
}
