package server_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// statusOf is the path of an access token's list, and its place.
func statusOf(t *testing.T, issuer, access string) (path string, index int) {
	t.Helper()
	var claims struct {
		Status struct {
			List struct {
				URI string `json:"uri"`
				Idx int    `json:"idx"`
			} `json:"status_list"`
		} `json:"status"`
	}
	payloadOf(t, access, &claims)
	path, ok := strings.CutPrefix(claims.Status.List.URI, issuer)
	if !ok {
		t.Fatalf("%+v", claims)
	}
	return path, claims.Status.List.Idx
}

func payloadOf(t *testing.T, compact string, claims any) {
	t.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		t.Fatalf("%q", compact)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(raw, claims)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func revokedIn(t *testing.T, a answer, index int) bool {
	t.Helper()
	var claims struct {
		List struct {
			Lst string `json:"lst"`
		} `json:"status_list"`
	}
	payloadOf(t, a.want(t, "a status list", 200).body, &claims)
	raw, err := revocation.Decode(claims.List.Lst)
	if err != nil {
		t.Fatal(err)
	}
	return raw[index/8]>>(index%8)&1 == 1
}

// TestOneStatusList: both nodes give out the same bytes of a status list under the same entity tag,
// with what was ended at either of them a moment before; and when one of them ends, the other one
// goes on.
func TestOneStatusList(t *testing.T) {
	a, b, _ := twoNodes(t, nil)
	for _, user := range []string{"bob", "alice"} {
		access, _ := login(t, a, user)
		path, index := statusOf(t, a.Issuer, access)
		var first, second answer
		same := func(what string, urls ...string) {
			t.Helper()
			testwait.Until(t, soon, what, func() bool { // a list may get old between the two questions
				first, second = call(t, "GET", urls[0]+path), call(t, "GET", urls[1]+path)
				return first.body == second.body && first.header.Get("ETag") == second.header.Get("ETag") && first.header.Get("ETag") != ""
			})
		}
		same("the same list before anything was revoked", a.Issuer, b.AuthURL())
		if revokedIn(t, first, index) {
			t.Error("revoked, and nobody did")
		}
		call(t, "DELETE", a.Issuer+"/tokens", "bearer", access).want(t, "the end of a token", 204)
		if !revokedIn(t, call(t, "GET", b.AuthURL()+path), index) {
			t.Error("the other node's list lacks what was acknowledged")
		}
		same("the same list after it", a.Issuer, b.AuthURL())
		call(t, "GET", b.AuthURL()+path, "If-None-Match", first.header.Get("ETag")).want(t, "unchanged", 304)
	}
	access, _ := login(t, a, "bob")
	path, index := statusOf(t, a.Issuer, access)
	call(t, "DELETE", a.Issuer+"/tokens", "bearer", access).want(t, "the end of a token", 204)
	last := call(t, "GET", a.Issuer+path)
	over, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	a.StopServer(over)
	if now := call(t, "GET", b.AuthURL()+path); !revokedIn(t, last, index) || !revokedIn(t, now, index) {
		t.Error("the list of a node that has ended is gone")
	}
}
