package server_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// TestConsentMemory: a person is asked once, and again where more is wanted, the program looks otherwise, or everything was ended; what
// was not ticked is not given.
func TestConsentMemory(t *testing.T) { onBoth(t, consentMemory) }

func consentMemory(t *testing.T, d *server.Demo) {
	admin := func(method, path, body string) {
		t.Helper()
		if a := call(t, method, d.Issuer+"/admin/v1/realms/main"+path, "bearer", d.AdminToken, "body", body); a.status > 299 {
			t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
		}
	}
	p := registers(t, d, "")
	v := signedIn(t, d)
	silent := func(query string) url.Values {
		t.Helper()
		status, to := v.get(d.Issuer + "/authorize?" + query + "&prompt=none")
		return p.answers(status, to)
	}
	all := p.query("scope", "documents:read documents:write")
	if q := silent(all); q.Get("error") != "consent_required" {
		t.Fatalf("nobody was asked: %v", q)
	}
	tokens := p.redeems(d.Issuer, p.allows(v, d.Issuer, all, "documents:write")).want(t, "a part", 200)
	if got := tokens.text("scope"); got != "documents:read" {
		t.Errorf("allowed, but not the other: %q", got)
	}
	if q := silent(all); q.Get("error") != "consent_required" {
		t.Errorf("what was not allowed: %v", q)
	}
	again := p.redeems(d.Issuer, silent(p.query("scope", "documents:read")).Get("code")).want(t, "remembered", 200)
	if got := again.text("scope"); got != "documents:read" {
		t.Errorf("%q", got)
	}
	asked := func(what string) {
		t.Helper()
		testwait.Until(t, 5*time.Second, what, func() bool { // clients and realms are answered from memory
			return silent(p.query("scope", "documents:read")).Get("error") == "consent_required"
		})
	}
	allowed := func() {
		t.Helper()
		p.allows(v, d.Issuer, p.query("scope", "documents:read"))
		if q := silent(p.query("scope", "documents:read")); q.Get("code") == "" {
			t.Fatalf("not remembered: %v", q)
		}
	}
	admin("PATCH", "/clients/"+p.id, `{"client_name":"Another"}`)
	asked("another name")
	allowed()
	admin("PATCH", "/clients/"+p.id, `{"redirect_uris":["`+back+`","https://evil.example"]}`)
	asked("another address")
	allowed()
	admin("PATCH", "", `{"settings":{"consent_ttl":"-1s"}}`)
	asked("never remembered")
	if _, page := v.get(d.Issuer + "/authorize?" + all); !strings.Contains(page, "You are asked each time.") {
		t.Errorf("%s", page)
	}
	admin("PATCH", "", `{"settings":{"consent_ttl":null}}`)
	testwait.Until(t, 5*time.Second, "remembered again", func() bool { return silent(p.query("scope", "documents:read")).Get("code") != "" })
	admin("POST", "/revocations", `{"kind":"client","id":"`+p.id+`"}`)
	asked("all of the client was ended")
	log := call(t, "GET", d.Issuer+"/admin/v1/realms/main/audit/events?kind=authorization.grant", "bearer", d.AdminToken).body
	for _, want := range []string{`"consent":"asked"`, `"consent":"remembered"`} {
		if !strings.Contains(log, want) {
			t.Errorf("%s is not in the record: %s", want, log)
		}
	}

	// A program that anybody on the device can say to be is asked for each time.
	p = registers(t, d, "")
	admin("PATCH", "/clients/"+p.id, `{"redirect_uris":["http://127.0.0.1/back"]}`)
	p.redirect = "http://127.0.0.1:1234/back"
	testwait.Until(t, 5*time.Second, "the address", func() bool { status, _ := v.get(d.Issuer + "/authorize?" + p.query()); return status == 200 })
	_, page := v.get(d.Issuer + "/authorize?" + p.query())
	if !strings.Contains(page, `id="unproved"`) {
		t.Errorf("nothing proves what it is, and nobody is told: %s", page)
	}
	p.allows(v, d.Issuer, p.query())
	if q := silent(p.query()); q.Get("error") != "consent_required" {
		t.Errorf("remembered: %v", q)
	}
}
