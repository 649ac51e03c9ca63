package follow

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

const (
	// heartbeat is how often a stream speaks and is judged again.
	heartbeat = 2 * time.Second
	// gather is how long changes are gathered that come one after the other.
	gather = 20 * time.Millisecond
	// writeTime is what a reader gets to take what is written.
	writeTime = 10 * time.Second
	// partSize is how many bytes of a snapshot are written at a time.
	partSize   = 32 << 10
	retryAfter = 5 * time.Second
)

// stream is one answer. Its places are its client's until serve returns.
type stream struct {
	s     *Service
	who   account
	realm string
	at    revocation.Position
	read  time.Time     // when at was read
	wait  time.Duration // 0: without end

	w   http.ResponseWriter
	c   *http.ResponseController
	out bytes.Buffer
}

// What the events hold.
type (
	// statusEvent says that the tokens at these places are no longer valid.
	statusEvent struct {
		URI string  `json:"uri"` // status.status_list.uri of the tokens
		Idx []int64 `json:"idx"`
		Exp int64   `json:"exp"` // Unix seconds: from then on no token of the list is valid
	}
	// cutoffEvent says that nothing issued until then is valid.
	cutoffEvent struct {
		Kind    revocation.CutoffKind `json:"kind"`
		ID      string                `json:"id,omitempty"`
		Before  int64                 `json:"before"`            // Unix milliseconds, included
		Expires int64                 `json:"expires,omitempty"` // Unix milliseconds; from then on it can be forgotten
	}
	// realmEvent names the realm that the stream is about, and tells as of when it speaks: a reader that gets it long after
	// must not take it for news.
	realmEvent struct {
		Realm string `json:"realm"`
		Time  int64  `json:"time"` // Unix milliseconds
	}
)

// serve writes the stream until the client leaves, somebody ends it, or a poll is over.
func (t *stream) serve(w http.ResponseWriter, r *http.Request, again func() (*gatehouse.Principal, error)) {
	defer t.s.end(t.who)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store, no-transform") // nobody on the way compresses it, which would hold it back
	h.Set("X-Accel-Buffering", "no")                 // nginx and others like it pass on what comes
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	t.w, t.c = w, http.NewResponseController(w)
	defer func() { _ = t.c.SetWriteDeadline(time.Time{}) }() // the next answer on this connection has others
	if t.c.Flush() != nil {                                  // now: whoever waits for news knows that it is waiting
		return
	}
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	var over <-chan time.Time
	if t.wait > 0 {
		timer := time.NewTimer(t.wait)
		defer timer.Stop()
		over = timer.C
	} else {
		t.out.WriteString("retry: 1000\n\n")
	}
	speak := t.wait == 0 // who goes on from a position, and missed nothing, is told that at once
	for {
		told, err := t.news()
		if err != nil || t.wait > 0 && told {
			return
		}
		if speak && !told && t.ready() != nil {
			return
		}
		speak = false
		select {
		case <-t.s.c.Journal.After(t.at):
			// A writer of many changes must not cost a packet for each of them.
			if !pause(r, gather) {
				return
			}
		case <-tick.C:
			if !t.goesOn(r, again) {
				return
			}
			speak = t.wait == 0
		case <-over:
			if !t.goesOn(r, again) {
				return
			}
			if told, err := t.news(); err == nil && !told { // an answer says that nothing was revoked until now
				_ = t.ready()
			}
			return
		case <-r.Context().Done():
			return
		}
	}
}

func pause(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// goesOn judges the stream again: by the node that it is on, and by the credential and the roles of now.
func (t *stream) goesOn(r *http.Request, again func() (*gatehouse.Principal, error)) bool {
	if t.s.c.Current() != nil {
		return false
	}
	actor, err := again()
	return err == nil && (account{actor.Realm, actor.ID}) == t.who && t.s.may(r.Context(), actor, t.realm) == nil
}

// news writes what changed since at, or everything where that is not known, and moves at behind it. It reports whether
// there was something to tell.
func (t *stream) news() (told bool, err error) {
	t.read = t.s.k.Now() // before: what it is compared with must not be younger than what is told
	changes, now, whole := t.s.c.Journal.Since(t.at, t.realm)
	if !whole {
		// The position is older than the view that is read now.
		t.event("reload", t.asOf(), "")
		if err := t.s.c.Journal.Snapshot(t.realm, t.places, t.cutoff); err != nil {
			return true, err
		}
		// A view that was not sure by then has not told everything.
		if err := t.s.c.Current(); err != nil {
			return true, err
		}
	}
	for i := 0; i < len(changes); {
		n := t.change(changes[i:])
		if err := t.part(); err != nil {
			return true, err
		}
		i += n
	}
	told = !whole || len(changes) > 0
	t.at = now
	if told {
		return true, t.ready()
	}
	return false, t.flush()
}

// change writes the first of changes, with those that go with it, and returns how many that were.
func (t *stream) change(changes []revocation.Entry) int {
	switch e := changes[0]; e.Kind {
	case revocation.EntryBit:
		places := []int64{e.Bit.Index}
		for _, next := range changes[1:] {
			if next.Kind != revocation.EntryBit || next.Bit.List != e.Bit.List || len(places) == maxPlaces {
				break
			}
			places = append(places, next.Bit.Index)
		}
		_ = t.places(e.Bit.List, places)
		return len(places)
	case revocation.EntryCutoff:
		_ = t.cutoff(e.Cutoff)
	case revocation.EntryKeys:
		t.event("keys", t.asOf(), "")
	}
	return 1
}

// maxPlaces is how many places one event names.
const maxPlaces = 1000

func (t *stream) places(list int64, indexes []int64) error {
	t.event("status", statusEvent{URI: t.s.c.Issuer(t.realm) + "/status/" + strconv.FormatInt(list, 10), Idx: indexes, Exp: revocation.ListExpires(list).Unix()}, "")
	return t.part()
}

func (t *stream) cutoff(c revocation.Cutoff) error {
	e := cutoffEvent{Kind: c.Kind, ID: c.ID, Before: c.Before.UnixMilli()}
	if !c.ExpiresAt.IsZero() {
		e.Expires = c.ExpiresAt.UnixMilli()
	}
	t.event("cutoff", e, "")
	return t.part()
}

// asOf is what an event says that tells nothing but the state of the stream.
func (t *stream) asOf() realmEvent { return realmEvent{t.realm, t.read.UnixMilli()} }

// ready tells the client that it knows everything, as of when, and from where to go on.
func (t *stream) ready() error {
	t.event("ready", t.asOf(), idOf(t.at, t.realm))
	return t.flush()
}

// event adds one event to what is written next.
func (t *stream) event(name string, data any, id string) {
	t.out.WriteString("event: " + name + "\n")
	if id != "" {
		t.out.WriteString("id: " + id + "\n")
	}
	text, _ := json.Marshal(data) // of types that always can be
	t.out.WriteString("data: ")
	t.out.Write(text)
	t.out.WriteString("\n\n")
}

// part writes what there is when it has grown large.
func (t *stream) part() error {
	if t.out.Len() < partSize {
		return nil
	}
	return t.flush()
}

// flush writes what there is. A reader that takes nothing for long is left.
func (t *stream) flush() error {
	if t.out.Len() == 0 {
		return nil
	}
	_ = t.c.SetWriteDeadline(time.Now().Add(writeTime)) // a writer without deadlines has others around it
	_, err := t.w.Write(t.out.Bytes())
	t.out.Reset()
	if err == nil {
		err = t.c.Flush()
	}
	return err
}
