package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// stepped is a clock whose wall time can be set, as the operating system's can:
// the monotonic reading inside a time.Time goes on as if nothing had happened.
type stepped struct{ seconds atomic.Int64 }

func (c *stepped) now() time.Time {
	t := time.Now()
	// The layout of time.Time: 30 bits of nanoseconds, above them the seconds, above
	// them the mark that ext is a monotonic reading. TestSteppedClock checks it.
	(*struct {
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&t)).wall += uint64(c.seconds.Load()) << 30
	return t
}

func (c *stepped) step(d time.Duration) { c.seconds.Add(int64(d / time.Second)) }

func TestSteppedClock(t *testing.T) {
	for _, step := range []time.Duration{-24 * time.Hour, 0, time.Hour} {
		c := new(stepped)
		before := c.now()
		c.step(step)
		after := c.now()
		if mono := after.Sub(before); mono < 0 || mono > time.Second {
			t.Errorf("the monotonic reading moved by %v", mono)
		}
		if wall := after.Round(0).Sub(before.Round(0)) - step; wall < 0 || wall > time.Second {
			t.Errorf("the wall clock moved by %v instead of %v", wall+step, step)
		}
	}
}

// verified asks for the proof of the whole log.
func verified(t *testing.T, d *server.Demo, saved string) (checkpoint string) {
	t.Helper()
	admin := d.Issuer + "/admin/v1/realms/main"
	body, _ := json.Marshal(map[string][]string{"checkpoints": {saved}})
	if saved == "" {
		body = []byte("{}")
	}
	if a := call(t, "POST", admin+"/audit/verify", "bearer", d.AdminToken, "body", string(body)).want(t, "verify", 200); a.json["ok"] != true {
		t.Errorf("the log does not verify: %s", a.body)
	}
	var note string
	testwait.For(5*time.Second, func() bool {
		note, _ = call(t, "GET", admin+"/audit/checkpoint", "bearer", d.AdminToken).json["note"].(string)
		return note != ""
	})
	return note
}

// TestClockStepsBack sets the clock back under a running server, and forward
// again. Nothing is let in for longer than the step, what was revoked stays so on
// both sides of it, and the log keeps its order.
func TestClockStepsBack(t *testing.T) {
	for _, step := range []time.Duration{10 * time.Minute, 24 * time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			t.Parallel()
			clock := new(stepped)
			d, err := server.StartDemo(t.Context(), server.DemoConfig{Data: filepath.Join(t.TempDir(), "demo"), Listen: "127.0.0.1:0",
				Gateway: "127.0.0.1:0", Log: server.LogConfig{Level: "error", Format: "text"}}.WithClock(clock.now))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { d.Close(context.Background()) })
			stepBack(t, d, clock, step)
		})
	}
}

func stepBack(t *testing.T, d *server.Demo, clock *stepped, step time.Duration) {
	private, admin := d.Gateway+"/private", d.Issuer+"/admin/v1/realms/main"
	as := []string{"bearer", d.AdminToken}
	get := func(token, what string, status int) {
		t.Helper()
		call(t, "GET", private, "bearer", token).want(t, what, status)
	}
	renew := func(refresh string) answer {
		t.Helper()
		return call(t, "POST", d.Issuer+"/tokens/refresh", "body", `{"refresh_token":"`+refresh+`"}`)
	}
	clock.step(48 * time.Hour) // nobody's password was set a moment ago: that would end logins of before
	before, refreshBefore := login(t, d, "bob")
	ended, _ := login(t, d, "bob")
	carol, refreshCarol := login(t, d, "carol")
	get(before, "a token", 200)
	get(carol, "carol's token", 200)
	call(t, "DELETE", d.Issuer+"/tokens", "bearer", ended).want(t, "end", 204)
	saved := verified(t, d, "")

	clock.step(-step)
	get(ended, "a token ended before the step", 401)
	get(d.Users["bob"].APIKey, "an API key", 200)
	get(before, "a token from before the step, not longer than the step", 200)
	during, refreshDuring := login(t, d, "bob")
	get(during, "a token issued after the step", 200)
	renewed := renew(refreshDuring).want(t, "refresh", 200)
	access, _ := renewed.json["access_token"].(string)
	get(access, "a renewed token", 200)
	renew(refreshDuring) // reuse, or a lost answer: never a second family

	// Revoking somebody after the step takes in what was issued before it.
	call(t, "POST", admin+"/users/carol/revoke", as...).want(t, "revoke carol", 204)
	get(carol, "carol's token from before the step", 401)
	renew(refreshCarol).want(t, "carol's refresh token from before the step", 400)
	created := call(t, "POST", admin+"/users", append(as, "body", `{"username":"new","kind":"service"}`)...).want(t, "create", 201)
	_ = created
	for i := range 40 { // limits do not stand still for as long as the step
		call(t, "GET", d.Gateway+"/public").want(t, fmt.Sprintf("request %d", i), 200)
	}
	now := verified(t, d, saved)

	clock.step(step)
	get(ended, "the ended token, with the clock right again", 401)
	get(carol, "carol's token, with the clock right again", 401)
	renew(refreshCarol).want(t, "carol's refresh token, with the clock right again", 400)
	if step > time.Hour {
		get(during, "a token issued while the clock was back", 401) // it has expired
	}
	renew(refreshBefore).want(t, "bob's refresh token", 200)
	again, _ := login(t, d, "carol")
	get(again, "carol's new login", 200)
	verified(t, d, now)
	uniqueEvents(t, d)
}

// uniqueEvents reads the whole log: every event once.
func uniqueEvents(t *testing.T, d *server.Demo) {
	t.Helper()
	a := call(t, "GET", d.Issuer+"/admin/v1/realms/main/audit/events?limit=1000", "bearer", d.AdminToken).want(t, "events", 200)
	seen := map[string]bool{}
	items, _ := a.json["items"].([]any)
	for _, raw := range items {
		id, _ := raw.(map[string]any)["id"].(string)
		if seen[id] || !strings.Contains(id, "_") {
			t.Errorf("event id %q twice, or none", id)
		}
		seen[id] = true
	}
	if len(seen) < 30 {
		t.Errorf("only %d events", len(seen))
	}
}
