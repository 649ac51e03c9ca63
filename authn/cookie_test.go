package authn

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

const appHost = "app.example"

// atHost opens a session of alice with a secret for a host of the gateway.
func (w *world) atHost(change func(*gatehouse.Session)) gatehouse.Secret {
	return w.signIn(func(s *gatehouse.Session) {
		s.Host, s.DeviceHash = appHost, nil
		if change != nil {
			change(s)
		}
	})
}

func cookieReader(t *testing.T) *Reader {
	t.Helper()
	rd, err := NewReader(ReaderConfig{Cookie: "main"})
	if err != nil {
		t.Fatal(err)
	}
	return rd
}

// TestHostCookie: the cookie of a gateway host is read over TLS under the name that no other host
// can plant, and is the only credential of its request, once.
func TestHostCookie(t *testing.T) {
	text, _, _ := credential.MintSession()
	key, _, _ := credential.MintKey(credential.PrefixKey, gatehouse.EnvironmentLive)
	ours := "__Host-gatehouse-gate-main=" + text.Reveal()
	for name, c := range map[string]struct {
		lines []string // of Cookie
		more  []string // name and value of a line
		plain bool     // without TLS
		code  string   // "none": nothing was presented
	}{
		"alone":                        {lines: []string{ours}},
		"among others":                 {lines: []string{"a=b;" + ours + " ;c=d", "e=f"}},
		"of two lines":                 {lines: []string{"a=b", ours}},
		"none":                         {code: "none"},
		"others":                       {lines: []string{"session=x; __Host-gatehouse-gate-other=" + text.Reveal()}, code: "none"},
		"a name that begins so":        {lines: []string{"__Host-gatehouse-gate-mainx=" + text.Reveal() + "; x__Host-gatehouse-gate-main=y"}, code: "none"},
		"planted without the prefix":   {lines: []string{"gatehouse-gate-main=" + text.Reveal()}, code: "none"},
		"with the prefix, without TLS": {lines: []string{ours}, plain: true, code: "none"},
		"without TLS":                  {lines: []string{"gatehouse-gate-main=" + text.Reveal()}, plain: true},
		"that of the pages":            {lines: []string{"__Host-gatehouse-session-main=" + text.Reveal()}, code: "none"},
		"twice":                        {lines: []string{ours + "; " + ours}, code: "credentials_conflict"},
		"twice, in two lines":          {lines: []string{ours, "__Host-gatehouse-gate-main=x"}, code: "credentials_conflict"},
		"beside Authorization":         {lines: []string{ours}, more: []string{"Authorization", "Bearer " + key.Reveal()}, code: "credentials_conflict"},
		"beside a key":                 {lines: []string{ours}, more: []string{"X-Api-Key", key.Reveal()}, code: "credentials_conflict"},
		"empty":                        {lines: []string{"__Host-gatehouse-gate-main="}, code: "session_malformed"},
		"mistyped":                     {lines: []string{ours[:len(ours)-1] + "-"}, code: "session_malformed"},
		"quoted":                       {lines: []string{`__Host-gatehouse-gate-main="` + text.Reveal() + `"`}, code: "session_malformed"},
		"a key":                        {lines: []string{"__Host-gatehouse-gate-main=" + key.Reveal()}, code: "session_malformed"},
		"too long":                     {lines: []string{"__Host-gatehouse-gate-main=" + strings.Repeat("a", 20000)}, code: "session_malformed"},
	} {
		r := &http.Request{Method: "GET", Host: "App.example:8443", URL: &url.URL{Path: "/x"}, Header: http.Header{"Cookie": c.lines}}
		if c.more != nil {
			r.Header.Set(c.more[0], c.more[1])
		}
		p, err := cookieReader(t).Read(r, !c.plain)
		switch {
		case c.code == "none":
			if !p.None() || err != nil {
				t.Errorf("%s: %+v, %v", name, p, err)
			}
		case (err != nil || c.code != "") && gatehouse.CodeOf(err) != c.code:
			t.Errorf("%s: %v, want %q", name, err, c.code)
		case err == nil && (p.Scheme != gatehouse.SchemeSession || p.Secret != text || p.host != appHost || !p.Ambient()):
			t.Errorf("%s: %+v", name, p)
		case err != nil && p.Secret != "":
			t.Errorf("%s: the secret is kept", name)
		}
		if c.code == "" {
			if p, err := standard.Read(r, !c.plain); !p.None() || err != nil {
				t.Errorf("%s: where no session is accepted: %+v, %v", name, p, err)
			}
		}
	}
	p, err := standard.Read(&http.Request{URL: &url.URL{Path: "/"}, Header: http.Header{"Authorization": {"Bearer " + text.Reveal()}}}, true)
	if err == nil && p.Scheme == gatehouse.SchemeSession {
		t.Errorf("a session in Authorization: %+v", p)
	}
}

// TestSessionAtHost: the secret of a host speaks for the person of the session at that host, where
// a rule names sessions, and nowhere else.
//
// ASVS: 7.2.1, 7.2.2
func TestSessionAtHost(t *testing.T) {
	rule := Rule{Secure: true, Address: netip.MustParseAddr("192.0.2.1"), Schemes: []gatehouse.Scheme{gatehouse.SchemeAPIKey, gatehouse.SchemeSession}}
	for name, c := range map[string]struct {
		host   string
		change func(*gatehouse.Session)
		rule   func(*Rule)
		later  time.Duration
		code   string
	}{
		"its host":              {},
		"another host":          {host: "evil.example", code: "session_of_another_host"},
		"a part of it":          {host: "example", code: "session_of_another_host"},
		"that of the pages":     {change: func(s *gatehouse.Session) { s.Host = "" }, code: "session_of_another_host"},
		"another realm's":       {change: func(s *gatehouse.Session) { s.Realm = "other" }, code: "session_unknown"},
		"ended":                 {change: func(s *gatehouse.Session) { s.EndedAt = s.CreatedAt }, code: "session_ended"},
		"unused":                {later: 30 * time.Minute, code: "session_idle"},
		"over":                  {change: func(s *gatehouse.Session) { s.ExpiresAt = s.CreatedAt }, code: "session_expired"},
		"a disabled account":    {change: func(s *gatehouse.Session) { s.UserID = "usr_gone" }, code: "subject_disabled"},
		"without TLS":           {rule: func(r *Rule) { r.Secure = false }, code: "https_required"},
		"where none is named":   {rule: func(r *Rule) { r.Schemes = nil }, code: "scheme_not_accepted"},
		"where others are":      {rule: func(r *Rule) { r.Schemes = r.Schemes[:1] }, code: "scheme_not_accepted"},
		"judged again":          {rule: func(r *Rule) { r.Uncounted = true }},
		"of a test environment": {rule: func(r *Rule) { r.Environment = gatehouse.EnvironmentTest }},
	} {
		w, host := newWorld(t), appHost
		if c.host != "" {
			host = c.host
		}
		text := w.atHost(c.change)
		r := &http.Request{Host: host, URL: &url.URL{Path: "/"}, Header: http.Header{"Cookie": {HostCookie("main", true) + "=" + text.Reveal()}}}
		presented, err := cookieReader(t).Read(r, true)
		if err != nil {
			t.Fatal(err)
		}
		rule := rule
		if c.rule != nil {
			c.rule(&rule)
		}
		w.now = w.now.Add(c.later)
		for range 2 {
			p, err := w.a.Authenticate(context.Background(), "main", presented, rule)
			switch {
			case c.code == "" && (err != nil || p.ID != "usr_alice" || p.Scheme != gatehouse.SchemeSession || p.ACR != "aal1"):
				t.Errorf("%s: %+v, %v", name, p, err)
			case c.code != "" && (err == nil || Reason(err) != c.code):
				t.Errorf("%s: %+v, %v; want %s", name, p, err, c.code)
			}
		}
		if n := w.lookups.Load(); c.later == 0 && n > 1 {
			t.Errorf("%s: %d look-ups for two requests", name, n)
		}
		if c.code == "" { // and not at the pages
			if p, err := w.session(text, device); err == nil || Reason(err) != "session_of_another_host" {
				t.Errorf("%s, at the pages: %+v, %v", name, p, err)
			}
		}
	}
	w := newWorld(t)
	if _, _, err := w.a.IssueTicket(t.Context(), "main", Presented{Scheme: gatehouse.SchemeSession, By: ByCookie, Secret: w.atHost(nil)}, "GET app.example/"); gatehouse.CodeOf(err) != "scheme_not_accepted" {
		t.Errorf("a ticket for a session: %v", err)
	}
	k, err := credential.ParseKey(w.atHost(nil).Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if p, err := w.a.Authenticate(t.Context(), "main", Presented{Scheme: gatehouse.SchemeSession, By: ByBearer, Key: k, host: appHost}, rule); err == nil {
		t.Errorf("from elsewhere than a cookie: %+v", p)
	}
}

// BenchmarkSessionAgainstKey: what a session in a cookie costs beside an API key, from the header to
// the principal, in one run.
func BenchmarkSessionAgainstKey(b *testing.B) {
	w := newWorld(b)
	rd, err := NewReader(ReaderConfig{Cookie: "main"})
	if err != nil {
		b.Fatal(err)
	}
	rule := Rule{Secure: true, Address: netip.MustParseAddr("192.0.2.1"), Schemes: []gatehouse.Scheme{gatehouse.SchemeAPIKey, gatehouse.SchemeSession}}
	key := &http.Request{Host: appHost, URL: &url.URL{Path: "/"}, Header: http.Header{"X-Api-Key": {w.addKey(nil).Secret.Reveal()}}}
	cookie := &http.Request{Host: appHost, URL: &url.URL{Path: "/"}, Header: http.Header{"Cookie": {HostCookie("main", true) + "=" + w.atHost(nil).Reveal()}}}
	took := map[*http.Request]time.Duration{}
	one := func(r *http.Request, n int) {
		began := time.Now()
		for range n {
			p, err := rd.Read(r, true)
			if err == nil {
				_, err = w.a.Authenticate(b.Context(), "main", p, rule)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		if d := time.Since(began); took[r] == 0 || d < took[r] { // the least is what it costs; the rest is others' work
			took[r] = d
		}
	}
	one(key, 1000)
	one(cookie, 1000)
	clear(took)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ { // in turns, so that both see the same machine
		one(key, 50)
		one(cookie, 50)
	}
	b.ReportMetric(float64(took[cookie])/float64(took[key]), "session/key")
}
