package authn

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
)

// shelf keeps tickets in a map.
type shelf struct {
	kept map[string]once.Record
	fail map[string]error // by method
}

func (s *shelf) PutOnce(_ context.Context, r once.Record) error {
	s.kept[string(r.Key)] = r
	return s.fail["put"]
}

func (s *shelf) TakeOnce(_ context.Context, kind once.Kind, key []byte, now time.Time) (once.Record, error) {
	r, ok := s.kept[string(key)]
	if !ok || r.Kind != kind || !now.Before(r.ExpiresAt) {
		return once.Record{}, gatehouse.NotFound
	}
	delete(s.kept, string(key))
	return r, s.fail["take"]
}

// find reads a ticket without a transaction.
func (s *shelf) find(_ context.Context, kind once.Kind, key []byte) (once.Record, error) {
	r, ok := s.kept[string(key)]
	if !ok || r.Kind != kind {
		return once.Record{}, gatehouse.NotFound
	}
	return r, s.fail["find"]
}

func (s *shelf) run(ctx context.Context, fn func(context.Context, TicketTx) error) error {
	if _, bounded := ctx.Deadline(); !bounded {
		return errors.New("a request may wait for the store without end")
	}
	return fn(ctx, s)
}

// withTickets makes w's authenticator anew, with tickets.
func (w *world) withTickets(t *testing.T) *shelf {
	t.Helper()
	box, err := seal.NewBox(seal.GenerateMasterKey(w.now))
	if err != nil {
		t.Fatal(err)
	}
	s := &shelf{kept: map[string]once.Record{}, fail: map[string]error{}}
	cfg := w.config()
	cfg.Tickets = &TicketConfig{Run: s.run, Find: s.find, Box: box}
	if w.a, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return s
}

// bring reads the ticket out of a request for it.
func bring(t *testing.T, text gatehouse.Secret) Presented {
	t.Helper()
	rd, err := NewReader(ReaderConfig{Ticket: "ticket"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := rd.Read(httptest.NewRequest("GET", "/live?ticket="+text.Reveal(), nil), true)
	if err != nil || p.Scheme != gatehouse.SchemeTicket || p.Ambient() {
		t.Fatalf("%+v, %v", p, err)
	}
	return p
}

const live = "GET api.test/live"

// forLive is a rule for the request that the tickets of these tests are for.
var forLive = Rule{Secure: secure.Secure, Address: secure.Address, Target: live}

func (w *world) issue(t *testing.T, p Presented) gatehouse.Secret {
	t.Helper()
	text, id, err := w.a.IssueTicket(t.Context(), "main", p, live)
	if err != nil {
		t.Fatal(err)
	}
	if k, err := credential.ParseKey(text.Reveal()); err != nil || !k.IsTicket() || k.ID != id {
		t.Fatalf("%v, %v", k, err)
	}
	return text
}

// TestTicketsStandFor: a ticket is what each kind of credential would be, once, and the
// request that used it can be judged again as long as it lasts.
func TestTicketsStandFor(t *testing.T) {
	w := newWorld(t)
	s := w.withTickets(t)
	w.grants["grt_1"] = gatehouse.Grant{ClientID: "c", ExpiresAt: w.now.Add(time.Hour)}
	again := forLive
	again.Uncounted = true
	for name, p := range map[string]Presented{
		"key": w.addKey(nil), "signed token": w.access(nil), "opaque token": w.addOpaque(nil),
		"password":           {Scheme: gatehouse.SchemeBasic, User: "alice", Secret: "right"},
		"imported key":       w.addImported("key_1", "main", importedText),
		"imported, odd":      w.addImported("key_2", "main", importedText3),
		"imported, in parts": w.addImported("key_3", "main", importedParts),
	} {
		text := w.issue(t, p)
		first, second := bring(t, text), bring(t, text)
		w.check(t, first, again, "invalid_token", "ticket_unknown") // not used yet, so nothing to judge again
		who := w.check(t, first, forLive, "", "")
		if who.ID != "usr_alice" || who.Scheme != p.Scheme {
			t.Errorf("%s: %+v", name, who)
		}
		w.check(t, first, again, "", "")
		w.check(t, first, again, "", "")
		w.check(t, first, forLive, "invalid_token", "ticket_unknown")
		w.check(t, second, forLive, "invalid_token", "ticket_unknown")
		if len(s.kept) != 0 {
			t.Fatalf("%s: the ticket is still there", name)
		}
	}
}

// TestTicketsRefused: what a ticket is not good for, and what its credential is not good
// for, with the reason for the record.
func TestTicketsRefused(t *testing.T) {
	boom := errors.New("connection refused")
	tests := []struct {
		name         string
		between      func(w *world, s *shelf, r *Rule)
		code, reason string // "" is accepted
	}{
		{"a moment before its end", func(w *world, _ *shelf, _ *Rule) { w.advance(credential.TicketLife - time.Microsecond) }, "", ""},
		{"at its end", func(w *world, _ *shelf, _ *Rule) { w.advance(credential.TicketLife) }, "invalid_token", "ticket_expired"},
		{"another target", func(_ *world, _ *shelf, r *Rule) { r.Target = "GET api.test/other" }, "invalid_token", "ticket_for_another_request"},
		{"no target", func(_ *world, _ *shelf, r *Rule) { r.Target = "" }, "invalid_token", "ticket_for_another_request"},
		{"a kind that the route does not take", func(_ *world, _ *shelf, r *Rule) { r.Schemes = []gatehouse.Scheme{gatehouse.SchemeJWT} }, "scheme_not_accepted", "scheme_not_accepted"},
		{"a key that was revoked", func(w *world, _ *shelf, _ *Rule) {
			for id, k := range w.keys {
				k.RevokedAt = w.now
				w.keys[id] = k
			}
		}, "invalid_token", "key_revoked"},
		{"used by somebody meanwhile", func(_ *world, s *shelf, _ *Rule) { s.fail["take"] = gatehouse.NotFound }, "invalid_token", "ticket_unknown"},
		{"a store that cannot be read", func(_ *world, s *shelf, _ *Rule) { s.fail["find"] = boom }, "authentication_unavailable", "authentication_unavailable"},
		{"a store that cannot be written", func(_ *world, s *shelf, _ *Rule) { s.fail["take"] = boom }, "authentication_unavailable", "authentication_unavailable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			s := w.withTickets(t)
			p := bring(t, w.issue(t, w.addKey(nil)))
			rule := forLive
			tt.between(w, s, &rule)
			w.check(t, p, rule, tt.code, tt.reason)
			if want := int64(0); tt.reason == "ticket_unknown" {
				if want = 1; w.misses.Load() != want {
					t.Errorf("%d misses counted", w.misses.Load())
				}
			} else if w.misses.Load() != want {
				t.Errorf("%d misses counted for a ticket that was given", w.misses.Load())
			}
		})
	}
	t.Run("password without TLS", func(t *testing.T) {
		w := newWorld(t)
		w.withTickets(t)
		p := bring(t, w.issue(t, Presented{Scheme: gatehouse.SchemeBasic, User: "alice", Secret: "right"}))
		w.check(t, p, Rule{Target: live}, "https_required", "https_required")
	})
	t.Run("another realm", func(t *testing.T) {
		w := newWorld(t)
		w.withTickets(t)
		p := bring(t, w.issue(t, w.addKey(nil)))
		if _, err := w.a.Authenticate(t.Context(), "other", p, forLive); Reason(err) != "ticket_for_another_request" {
			t.Error(err)
		}
	})
	t.Run("where there are none", func(t *testing.T) {
		w := newWorld(t)
		s := w.withTickets(t)
		text := w.issue(t, w.addKey(nil))
		if !w.a.Supports(gatehouse.SchemeTicket) {
			t.Error("tickets are kept and not supported")
		}
		w.a, _ = New(w.config())
		if w.a.Supports(gatehouse.SchemeTicket) {
			t.Error("tickets are supported and not kept")
		}
		w.check(t, bring(t, text), forLive, "invalid_token", "ticket_unknown")
		if len(s.kept) != 1 {
			t.Error("the ticket was used")
		}
	})
	t.Run("one that no request brought", func(t *testing.T) {
		w := newWorld(t)
		w.withTickets(t)
		w.check(t, Presented{Scheme: gatehouse.SchemeTicket, Secret: w.issue(t, w.addKey(nil))}, forLive, "invalid_token", "ticket_unknown")
	})
}

// TestInventedTickets cost what invented keys cost: they are counted, and when an address
// has tried too many, they wait for their turn and are told to wait.
func TestInventedTickets(t *testing.T) {
	w := newWorld(t)
	w.withTickets(t)
	good := w.issue(t, w.addKey(nil))
	text, _, _ := credential.MintTicket()
	w.check(t, bring(t, text), forLive, "invalid_token", "ticket_unknown")
	if w.misses.Load() != 1 {
		t.Errorf("%d misses", w.misses.Load())
	}
	w.spent = true
	w.check(t, bring(t, text), forLive, "rate_limited", "rate_limited")
	w.check(t, bring(t, good), forLive, "", "")
	if len(w.a.suspects) != 0 {
		t.Error("a turn was taken and not given back")
	}
	for range suspectSlots {
		w.a.suspects <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.a.Authenticate(ctx, "main", bring(t, w.issue(t, w.addKey(nil))), forLive); !errors.Is(err, context.Canceled) {
		t.Errorf("it did not wait for its turn: %v", err)
	}
}

// TestIssueTicket: there is a ticket for what can be a caller, and none that was not stored.
func TestIssueTicket(t *testing.T) {
	w := newWorld(t)
	key := w.addKey(nil)
	refused := func(name string, p Presented, want gatehouse.Kind, code string) {
		t.Helper()
		text, id, err := w.a.IssueTicket(t.Context(), "main", p, live)
		if text != "" || id != "" || gatehouse.KindOf(err) != want || gatehouse.CodeOf(err) != code {
			t.Errorf("%s: %q %q %v", name, text.Reveal(), id, err)
		}
	}
	refused("no tickets", key, gatehouse.Unauthenticated, "scheme_not_accepted")
	s := w.withTickets(t)
	refused("nothing", Presented{}, gatehouse.Unauthenticated, "scheme_not_accepted")
	refused("an unknown kind", Presented{Scheme: "magic", Secret: "x"}, gatehouse.Unauthenticated, "scheme_not_accepted")
	refused("a ticket for a ticket", bring(t, w.issue(t, key)), gatehouse.Unauthenticated, "scheme_not_accepted")
	refused("what no record can hold", Presented{Scheme: gatehouse.SchemeBasic, User: "al\xffice", Secret: "x"}, gatehouse.Unavailable, "authentication_unavailable")
	s.fail = map[string]error{"put": errors.New("disk full")}
	refused("not stored", key, gatehouse.Unavailable, "authentication_unavailable")
}

// TestSealedCredentials: what was sealed is read by the same rules as a header line, and
// as the kind that it was.
func TestSealedCredentials(t *testing.T) {
	key, access, refresh := mint("ghk"), mint("ght"), mint("ghr")
	for _, tt := range []struct {
		scheme       gatehouse.Scheme
		secret, code string // "" is read
	}{
		{gatehouse.SchemeAPIKey, key, ""},
		{gatehouse.SchemeOpaque, access, ""},
		{gatehouse.SchemeJWT, sampleJWT, ""},
		{gatehouse.SchemeAPIKey, importedText, ""},
		{gatehouse.SchemeAPIKey, importedParts, ""},
		{gatehouse.SchemeAPIKey, importedText3, ""}, // signs that Bearer cannot carry
		{gatehouse.SchemeAPIKey, access, "ticket_unknown"},
		{gatehouse.SchemeOpaque, key, "ticket_unknown"},
		{gatehouse.SchemeJWT, key, "ticket_unknown"},
		{gatehouse.SchemeOpaque, sampleJWT, "ticket_unknown"},
		{gatehouse.SchemeOpaque, importedText, "ticket_unknown"},
		{gatehouse.SchemeOpaque, refresh, "ticket_unknown"},
		{gatehouse.SchemeAPIKey, flip(key), "key_checksum"},
		{gatehouse.SchemeTicket, mint("gho"), "ticket_unknown"},
		{"magic", key, "ticket_unknown"},
		{"", key, "ticket_unknown"},
	} {
		p, err := present(sealedCredential{Scheme: tt.scheme, Secret: tt.secret})
		if tt.code == "" && (err != nil || p.Scheme != tt.scheme || p.Secret.Reveal() != tt.secret || p.By != ByQuery) {
			t.Errorf("%s %s: %+v, %v", tt.scheme, tt.secret, p, err)
		}
		if tt.code != "" && gatehouse.CodeOf(err) != tt.code {
			t.Errorf("%s %s: %v, want %s", tt.scheme, tt.secret, err, tt.code)
		}
	}
	p, err := present(sealedCredential{Scheme: gatehouse.SchemeBasic, User: "alice", Secret: "pass:word"})
	if err != nil || p.Scheme != gatehouse.SchemeBasic || p.User != "alice" || p.Secret != "pass:word" || p.By != ByQuery {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestReadTicket: one ticket in the query, under its name however that is escaped, and
// nothing else in its place; and no other carrier beside it.
func TestReadTicket(t *testing.T) {
	rd, err := NewReader(ReaderConfig{Ticket: "ticket", Subprotocol: "gatehouse.bearer"})
	if err != nil {
		t.Fatal(err)
	}
	ticket, key := mint("gho"), mint("ghk")
	for _, tt := range []struct {
		query  string
		header http.Header
		scheme gatehouse.Scheme
		code   string
	}{
		{"", nil, "", ""},
		{"a=1&b", nil, "", ""},
		{"Ticket=1", nil, "", ""}, // a name of the API's own
		{"ticket=" + ticket, nil, "ticket", ""},
		{"a=1;ticket=" + ticket, nil, "ticket", ""},
		{"&ticket=" + ticket, nil, "ticket", ""},
		{"tick%65t=" + ticket, nil, "ticket", ""},
		{"ticket=" + ticket + "&ticket=" + ticket, nil, "", "credentials_conflict"},
		{"ticket=&tick%65t=" + ticket, nil, "", "credentials_conflict"},
		{"ticket=", nil, "ticket", "ticket_malformed"},
		{"ticket", nil, "ticket", "ticket_malformed"},
		{"ticket=abc", nil, "ticket", "ticket_malformed"},
		{"ticket=" + flip(ticket), nil, "ticket", "ticket_malformed"},
		{"ticket=" + key, nil, "ticket", "ticket_malformed"},
		{"ticket=" + sampleJWT, nil, "ticket", "ticket_malformed"},
		{"other=" + ticket, nil, "", "credential_in_url"},
		{"=" + ticket, nil, "", "credential_in_url"},
		{"ticket=" + ticket, http.Header{"Authorization": {"Bearer " + key}}, "ticket", "credentials_conflict"},
		{"ticket=" + ticket, http.Header{"X-Api-Key": {""}}, "ticket", "credentials_conflict"},
		{"ticket=" + ticket, http.Header{"Sec-Websocket-Protocol": {"gatehouse.bearer." + key}}, "ticket", "credentials_conflict"},
		{"ticket=" + ticket, http.Header{"Sec-Websocket-Protocol": {"chat"}}, "ticket", ""},
		{"ticket=abc", http.Header{"Sec-Websocket-Protocol": {"gatehouse.bearer." + key}}, "ticket", "ticket_malformed"},
	} {
		r := httptest.NewRequest("GET", "/live", nil)
		r.URL.RawQuery, r.Header = tt.query, tt.header
		p, err := rd.Read(r, true)
		if p.Scheme != tt.scheme || tt.code == "" && err != nil || tt.code != "" && gatehouse.CodeOf(err) != tt.code {
			t.Errorf("%q %v: scheme %q, %v; want %q, %q", tt.query, tt.header, p.Scheme, err, tt.scheme, tt.code)
		}
		if good := tt.code == "" && tt.scheme != ""; good != (p.Secret.Reveal() == ticket && p.standIn != nil) {
			t.Errorf("%q: %+v", tt.query, p)
		}
	}
}

// TestTakeTicket: of the query that others see, the ticket is gone and the rest as it was,
// byte for byte; and the URL of whoever holds the same one is not touched.
func TestTakeTicket(t *testing.T) {
	rd, err := NewReader(ReaderConfig{Ticket: "ticket"})
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"": "", "a=1": "a=1", "ticket=x": "", "ticket": "", "tick%65t=x": "", "Ticket=x": "Ticket=x", "a=1&ticket=x": "a=1", "ticket=x&a=1": "a=1",
		"a=1;ticket=x&b=%20&&c": "a=1;b=%20&&c", "&ticket=x": "", "&ticket=x&b": "&b", "ticket=x&ticket=y;c": "c", "a=ticket": "a=ticket", "a;b&c": "a;b&c",
	} {
		r := httptest.NewRequest("GET", "/live", nil)
		r.URL.RawQuery = query
		before := *r.URL
		shared := r.URL
		rd.TakeTicket(r)
		if r.URL.RawQuery != want || *shared != before {
			t.Errorf("%q became %q, and the shared one %q", query, r.URL.RawQuery, shared.RawQuery)
		}
		if query != "" && r.RequestURI != r.URL.RequestURI() {
			t.Errorf("%q: the request line says %q", query, r.RequestURI)
		}
	}
	for name, rd := range map[string]*Reader{"no reader": nil, "no tickets": standard} {
		r := httptest.NewRequest("GET", "/live?=x&ticket=y", nil)
		if rd.TakeTicket(r); r.URL.RawQuery != "=x&ticket=y" {
			t.Errorf("%s: %q", name, r.URL.RawQuery)
		}
	}
}

// TestTicketTarget: a ticket is for a method, a host in any case, and a path as it was sent.
func TestTicketTarget(t *testing.T) {
	seen := map[string]string{}
	for name, r := range map[string]*http.Request{
		"plain":     httptest.NewRequest("GET", "http://api.test/a/b?x=1", nil),
		"host":      httptest.NewRequest("GET", "http://API.test/a/b?y=2", nil),
		"escaped":   httptest.NewRequest("GET", "http://api.test/a%2Fb", nil),
		"elsewhere": httptest.NewRequest("GET", "http://other.test/a/b", nil),
		"deeper":    httptest.NewRequest("GET", "http://api.test/a/b/c", nil),
	} {
		seen[name] = TicketTarget("GET", r)
	}
	if seen["plain"] != "GET api.test/a/b" || seen["host"] != seen["plain"] || TicketTarget("POST", httptest.NewRequest("GET", "http://api.test/a/b", nil)) == seen["plain"] {
		t.Errorf("%v", seen)
	}
	delete(seen, "host")
	if all := slices.Sorted(maps.Values(seen)); len(slices.Compact(all)) != len(seen) {
		t.Errorf("two requests have one target: %v", seen)
	}
}
