package pages

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/oauth/authorize"
	"github.com/gatehouse-auth/gatehouse/session"
)

const (
	rightPassword = "seven owls over a wet harbour"
	rightCode     = "123456"
)

// house is a server of pages with what it stands on made up.
type house struct {
	pages      *Handler
	keyring    keyring
	connected  connected
	belongings belongings
	profile    profile
	deeds      deeds
	t          *testing.T
	url        string

	mu       sync.Mutex
	refuse   error // what the next password gets, whatever it is
	tried    []identity.Attempt
	signedIn []string                        // user and device cookie
	sessions map[string]*gatehouse.Principal // by the text of the cookie
	device   map[string]gatehouse.Secret
	ended    map[string]bool   // sessions that ended with others
	disowned []string          // user and session
	odd      []session.Browser // from where sessions were opened
	broken   error             // what a look at a session gets
	limited  bool
	over     handOvers

	halves      map[string]half // by the text of the cookie
	wrongCode   error           // what the next code gets, whatever it is
	apps        apps
	resets      resets
	lost        replacements
	addresses   addresses
	invitations invitations
	providers   elsewhere
	first       firsts
	codes       codes
	devices     devices
	asked       questions
	pushed      pushed
	requests    *authorize.Service
	settings    gatehouse.RealmSettings // of main
	demands     bool                    // amy has no second factor, and must have one
}

// half is a sign-in that waits for a code.
type half struct {
	who    gatehouse.Principal
	device gatehouse.Secret
	enrols bool
}

func newHouse(t *testing.T, tls bool) *house {
	t.Helper()
	h := &house{t: t, sessions: map[string]*gatehouse.Principal{}, device: map[string]gatehouse.Secret{}, ended: map[string]bool{}, halves: map[string]half{}}
	s := httptest.NewUnstartedServer(h.handler(nil))
	if tls {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

// handler is the pages with the chain that the auth listener has around them.
func (h *house) handler(proxies *web.Proxies) http.Handler {
	h.t.Helper()
	p, err := New(Config{Passwords: h, Users: h, Sessions: h, HalfDone: h, Factors: &h.apps, Own: h, Profile: &h.profile, Activity: h, Data: &h.belongings, Keys: &h.keyring, Connected: &h.connected, Resets: &h.resets, Replacements: &h.lost, Providers: &h.providers, First: &h.first, Authorizations: h.authorizations(), Frames: h.authorizations().Frames, Devices: h.authorizations(), Questions: &h.asked, AllowUserCode: h.devices.allow, Addresses: &h.addresses, Invitations: &h.invitations, Mail: func() bool { return !h.resets.off }, HandOvers: &h.over, Session: h.session, Realm: h.realm, Now: time.Now,
		Allow:             func(context.Context, string) (time.Duration, bool) { return 7 * time.Second, !h.limited },
		AllowRegistration: func(context.Context, string) (time.Duration, bool) { return time.Hour, !h.invitations.limited },
		Proxies:           func() *web.Proxies { return proxies }, Issuer: h.issuer, Problems: &web.Problems{}})
	if err != nil {
		h.t.Fatal(err)
	}
	h.pages = p
	mux := http.NewServeMux()
	p.Register(mux)
	return web.Identify(proxies, time.Now, web.SecurityHeaders(proxies, (&web.Problems{}).Mux(mux)))
}

func (h *house) issuer(realm string) string {
	if realm == gatehouse.MainRealm {
		return "https://id.example"
	}
	return "https://id.example/realms/" + realm
}

func (h *house) realm(_ context.Context, name string) (gatehouse.Realm, error) {
	switch name {
	case "main":
		return gatehouse.Realm{Name: name, Settings: h.settings}, nil
	case "shop":
		return gatehouse.Realm{Name: name, Title: "Shop <& Sons>"}, nil
	case "shut":
		return gatehouse.Realm{Name: name, Disabled: true}, nil
	}
	return gatehouse.Realm{}, gatehouse.ErrRealmNotFound
}

func (h *house) VerifyPassword(_ context.Context, a identity.Attempt) (identity.User, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tried = append(h.tried, a)
	switch {
	case h.refuse != nil:
		return identity.User{}, h.refuse
	case a.Username == "bob" && a.Password == cmp.Or(h.profile.password, rightPassword):
		return identity.User{ID: "usr_bob", Realm: a.Realm, Kind: gatehouse.KindUser, Username: "bob"}, nil
	case a.Username == "newcomer" && a.Password == rightPassword:
		at := time.Now()
		return identity.User{ID: "usr_newcomer", Realm: a.Realm, Kind: gatehouse.KindUser, Username: "newcomer", PasswordHash: "$made up", PasswordAt: at, InitialAt: at}, nil
	case a.Username == "carl" && a.Password == rightPassword:
		return identity.User{ID: "usr_carl", Realm: a.Realm, Kind: gatehouse.KindUser, Username: "carl"}, nil
	case a.Username == "amy" && a.Password == rightPassword:
		return identity.User{ID: "usr_amy", Realm: a.Realm, Kind: gatehouse.KindUser, Username: "amy"}, nil
	}
	return identity.User{}, credential.ErrInvalidCredentials
}

func (h *house) SignedIn(_ context.Context, p *gatehouse.Principal, device gatehouse.Secret) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.signedIn = append(h.signedIn, p.ID+" "+device.Reveal())
}

func (h *house) KnowsDevice(_ context.Context, u *identity.User, device gatehouse.Secret) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.signedIn, u.ID+" "+device.Reveal())
}

func (h *house) Odd(ctx context.Context, p *gatehouse.Principal, device gatehouse.Secret) identity.Odd {
	return identity.Odd{Unknown: !h.KnowsDevice(ctx, &identity.User{ID: p.ID}, device)}
}

func (h *house) Session(ctx context.Context, who *gatehouse.Principal, id string) (gatehouse.Session, bool, error) {
	open, err := h.OpenSessions(ctx, who)
	for _, s := range open {
		if s.ID == id {
			return s, true, err
		}
	}
	return gatehouse.Session{}, false, gatehouse.ErrNotFound
}

func (h *house) Disown(ctx context.Context, who *gatehouse.Principal, id string) error {
	if err := h.EndSession(ctx, who, id); err != nil && !errors.Is(err, gatehouse.NotFound) {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.disowned = append(h.disowned, who.ID+" "+id)
	return nil
}

func (h *house) User(_ context.Context, realm, id string) (*identity.User, error) {
	u := identity.User{ID: id, Realm: realm, Kind: gatehouse.KindUser, Username: "bob", DisplayName: "Bob <b>Builder</b>", Email: "bob@example.org", PasswordHash: "$made up"}
	u.TermsVersion = h.profile.terms
	if h.profile.name != nil {
		u.DisplayName = *h.profile.name
	}
	if h.profile.noPassword {
		u.PasswordHash = ""
	}
	return &u, nil
}

func (h *house) Open(_ context.Context, p *gatehouse.Principal, from session.Browser) (gatehouse.Secret, gatehouse.Session, error) {
	if mfa := slices.Contains(p.AMR, gatehouse.AMRMultiFactor); p.ID == "usr_amy" && !mfa { // session TestSecondFactor
		if h.demands {
			return "", gatehouse.Session{}, gatehouse.ErrNoSecondFactor
		}
		return "", gatehouse.Session{}, gatehouse.ErrSecondFactor
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	text, id := gatehouse.NewID("ghs", now), gatehouse.NewID("ses", now)
	who := *p
	who.SessionID, who.Scheme = id, gatehouse.SchemeSession
	h.odd = append(h.odd, from)
	h.sessions[text], h.device[text] = &who, from.Device
	return gatehouse.Secret(text), gatehouse.Session{ID: id, ExpiresAt: now.Add(time.Hour)}, nil
}

func (h *house) Rotate(_ context.Context, p *gatehouse.Principal, from session.Browser) (gatehouse.Secret, gatehouse.Session, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	for text, was := range h.sessions {
		if was.SessionID == p.SessionID && was.ID == p.ID {
			delete(h.sessions, text)
			who, next := *p, gatehouse.NewID("ghs", now)
			who.Scheme = gatehouse.SchemeSession
			h.sessions[next], h.device[next] = &who, from.Device
			return gatehouse.Secret(next), gatehouse.Session{ID: p.SessionID, ExpiresAt: now.Add(time.Hour)}, nil
		}
	}
	return "", gatehouse.Session{}, gatehouse.ErrNotFound
}

func (h *house) Begin(_ context.Context, p *gatehouse.Principal, device gatehouse.Secret, enrols bool) (gatehouse.Secret, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	text := gatehouse.NewID("half", time.Now())
	h.halves[text] = half{*p, device, enrols}
	return gatehouse.Secret(text), nil
}

func (h *house) Waits(_ context.Context, realm string, text, device gatehouse.Secret) (string, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	found, ok := h.halves[text.Reveal()]
	if !ok || found.who.Realm != realm || found.device != device {
		return "", false, factor.ErrCode
	}
	return found.who.ID, found.enrols, nil
}

func (h *house) Enrolling(ctx context.Context, realm string, text, device gatehouse.Secret) (*gatehouse.Principal, error) {
	_, enrols, err := h.Waits(ctx, realm, text, device)
	if err == nil && !enrols {
		err = factor.ErrCode
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.halves[text.Reveal()].who
	return &p, err
}

func (h *house) Enrolled(ctx context.Context, realm string, text, device gatehouse.Secret, methods ...string) (*gatehouse.Principal, error) {
	p, err := h.Enrolling(ctx, realm, text, device)
	if err == nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.halves, text.Reveal())
		p.AMR, p.ACR = append(append(p.AMR, methods...), gatehouse.AMRMultiFactor), gatehouse.AAL2
	}
	return p, err
}

func (h *house) Finish(ctx context.Context, realm string, text, device, code gatehouse.Secret) (*gatehouse.Principal, error) {
	return h.FinishBy(ctx, realm, text, device, func(_ context.Context, p *gatehouse.Principal) (*gatehouse.Principal, error) {
		switch {
		case h.wrongCode != nil:
			return nil, h.wrongCode
		case code != rightCode:
			return nil, factor.ErrCode
		}
		p.AMR, p.ACR = []string{"pwd", "otp", gatehouse.AMRMultiFactor}, gatehouse.AAL2
		return p, nil
	})
}

func (h *house) FinishBy(ctx context.Context, realm string, text, device gatehouse.Secret, prove func(context.Context, *gatehouse.Principal) (*gatehouse.Principal, error)) (*gatehouse.Principal, error) {
	_, _, err := h.Waits(ctx, realm, text, device)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		return nil, err
	}
	p := h.halves[text.Reveal()].who
	done, err := prove(ctx, &p)
	if err == nil {
		delete(h.halves, text.Reveal())
	}
	return done, err
}

func (h *house) End(_ context.Context, realm, user, id, reason string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for text, p := range h.sessions {
		if p.Realm == realm && p.ID == user && p.SessionID == id {
			delete(h.sessions, text)
			return nil
		}
	}
	if h.ended[id] {
		return nil
	}
	return gatehouse.ErrNotFound
}

func (h *house) OpenSessions(_ context.Context, who *gatehouse.Principal) (open []gatehouse.Session, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.sessions {
		if p.Realm == who.Realm && p.ID == who.ID {
			open = append(open, gatehouse.Session{ID: p.SessionID, Address: "192.0.2.7", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", LastUsedAt: p.AuthTime})
		}
	}
	return open, nil
}

func (h *house) EndSession(ctx context.Context, who *gatehouse.Principal, id string) error {
	return h.End(ctx, who.Realm, who.ID, id, session.ReasonOwner)
}

func (h *house) EndOthers(_ context.Context, who *gatehouse.Principal) (n int, err error) {
	return h.endBut(who, who.SessionID), nil
}

func (h *house) SignOutEverywhere(_ context.Context, who *gatehouse.Principal) error {
	h.endBut(who, "")
	return nil
}

func (h *house) endBut(who *gatehouse.Principal, except string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for text, p := range h.sessions {
		if p.Realm == who.Realm && p.ID == who.ID && p.SessionID != except {
			delete(h.sessions, text)
			h.ended[p.SessionID] = true
			n++
		}
	}
	return n
}

func (h *house) session(_ *http.Request, realm string, text, device gatehouse.Secret) (*gatehouse.Principal, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken != nil {
		return nil, h.broken
	}
	if p := h.sessions[text.Reveal()]; p != nil && p.Realm == realm && h.device[text.Reveal()] == device {
		return p, nil
	}
	return nil, gatehouse.E(gatehouse.Unauthenticated, "invalid_token", "")
}

func (h *house) Deeds(ctx context.Context, who *gatehouse.Principal, after string) ([]Deed, string, error) {
	return h.deeds.Deeds(ctx, who, after)
}

// open is how many sessions there are.
func (h *house) open() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sessions)
}

// browser goes through pages as one does: it keeps cookies, follows nothing by itself, and
// says of each form where that comes from.
type browser struct {
	h      *house
	client *http.Client
	header http.Header // beside what browsers send
}

func (h *house) browser() *browser {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.TLSClientConfig.InsecureSkipVerify = true // the server is this test's
	h.t.Cleanup(tr.CloseIdleConnections)
	return &browser{h: h, header: http.Header{}, client: &http.Client{Jar: jar, Transport: tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

type page struct {
	status int
	header http.Header
	body   string
}

func (b *browser) do(method, path string, body io.Reader, header http.Header) page {
	b.h.t.Helper()
	r, err := http.NewRequestWithContext(b.h.t.Context(), method, b.h.url+path, body)
	if err != nil {
		b.h.t.Fatal(err)
	}
	r.Header = header
	res, err := b.client.Do(r)
	if err != nil {
		b.h.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.h.t.Fatal(err)
	}
	return page{res.StatusCode, res.Header, strings.ReplaceAll(string(text), "<wbr>", "")} // as it is read and copied
}

func (b *browser) get(path string) page {
	b.h.t.Helper()
	return b.do("GET", path, nil, b.header.Clone())
}

// send sends a form as a page of this server does; other changes the header.
func (b *browser) send(path, body string, other ...string) page {
	b.h.t.Helper()
	header := b.header.Clone()
	for name, value := range map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Origin": b.h.url, "Sec-Fetch-Site": "same-origin"} {
		header.Set(name, value)
	}
	for i := 0; i+1 < len(other); i += 2 {
		if header.Del(other[i]); other[i+1] != "" {
			header.Set(other[i], other[i+1])
		}
	}
	return b.do("POST", path, strings.NewReader(body), header)
}

var hidden = regexp.MustCompile(`<input (?:type="hidden"|class="sr") name="([a-z]+)"(?: id="[a-z]+" type="text")? value="([^"]*)"`)

// fields are the hidden fields of a page with others, as a form.
func (p page) fields(pairs ...string) url.Values {
	out := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(p.body, -1) {
		out.Set(m[1], strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">", "&#34;", `"`, "&#39;", "'").Replace(m[2]))
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		out.Set(pairs[i], pairs[i+1])
	}
	return out
}

// signIn signs bob in at a realm's pages, and returns the last answer.
func (b *browser) signIn(prefix string) page {
	b.h.t.Helper()
	first := b.get(prefix + "/signin")
	second := b.send(prefix+"/signin", first.fields("identifier", "bob", "step", "identifier").Encode())
	if second.status != 200 || !strings.Contains(second.body, `name="password"`) {
		b.h.t.Fatalf("after the name: %d %s", second.status, second.body)
	}
	return b.send(prefix+"/signin", second.fields("password", rightPassword, "step", "password").Encode())
}

// cookieOf is a Set-Cookie line of an answer.
func (p page) cookieOf(name string) string {
	for _, line := range p.header["Set-Cookie"] {
		if strings.HasPrefix(line, name+"=") {
			return line
		}
	}
	return ""
}

// code is the error code on a page.
func (p page) code() string {
	m := regexp.MustCompile(`<code id="code">([a-z_]+)</code>`).FindStringSubmatch(p.body)
	if m == nil {
		return ""
	}
	return m[1]
}

func (p page) want(t *testing.T, what string, status int, parts ...string) {
	t.Helper()
	if p.status != status {
		t.Errorf("%s: %d %s, want %d", what, p.status, cmp.Or(p.code(), p.header.Get("Location"), p.body), status)
	}
	for _, s := range parts {
		if !strings.Contains(p.body+p.header.Get("Location"), s) {
			t.Errorf("%s: %q is not in %s", what, s, p.body)
		}
	}
}
