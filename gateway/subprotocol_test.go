package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/websocket"

	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/limit"
)

// TestSubprotocolCredential: a page's WebSocket brings its credential among the
// subprotocols. The API never sees it, what the API selects is answered as it is, and
// where it selects nothing the answer names what a browser needs to keep the connection.
func TestSubprotocolCredential(t *testing.T) {
	minted, _, _ := credential.MintKey("ghk", "live")
	key := "gatehouse.bearer." + minted.Reveal()
	saw := make(chan []string, 1)
	api := httptest.NewServer(websocket.Server{
		Handshake: func(c *websocket.Config, r *http.Request) error {
			saw <- r.Header["Sec-Websocket-Protocol"]
			if i := slices.Index(c.Protocol, "chat"); i >= 0 {
				c.Protocol = c.Protocol[i : i+1]
			} else {
				c.Protocol = nil
			}
			return nil
		},
		Handler: func(c *websocket.Conn) {
			var text string
			_ = websocket.Message.Receive(c, &text)
			_ = websocket.Message.Send(c, text)
		},
	})
	defer api.Close()
	ups, err := gateway.NewUpstreams([]gateway.Upstream{{Name: "api", URL: api.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer ups.Close()
	log := &tape{}
	p, err := enforce.New(enforce.Config{Authenticator: keyed{world}, Decider: noDecider{}, Recorder: log, Limiter: limit.New(limit.Config{})})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetRoutes([]enforce.Route{
		{Pattern: "/live", Authenticated: true, Upstream: "api", Subprotocol: "gatehouse.bearer"},
		{Pattern: "/other", Authenticated: true, Upstream: "api"},
	}); err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Config{Enforcer: gateway.Pipeline(p), Upstreams: ups, Asserter: newAsserter(t)})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(g)
	defer srv.Close()
	for _, c := range []struct {
		name           string
		offers         []string
		api            []string // what it saw
		selected, more string
		status         string // of a refusal
	}{
		{name: "beside the API's own", offers: []string{"chat", key}, api: []string{"chat"}, selected: "chat"},
		{name: "before the API's own", offers: []string{key, "soap", "chat"}, api: []string{"soap, chat"}, selected: "chat"},
		{name: "beside one that the API does not know", offers: []string{key, "soap"}, api: []string{"soap"}},
		{name: "beside the bare name", offers: []string{"gatehouse.bearer", key}, selected: "gatehouse.bearer"},
		{name: "beside both", offers: []string{"gatehouse.bearer", "chat", key}, api: []string{"chat"}, selected: "chat"},
		{name: "beside the bare name and an unknown one", offers: []string{"gatehouse.bearer", "soap", key}, api: []string{"soap"}, selected: "gatehouse.bearer"},
		{name: "alone", offers: []string{key}, selected: key},
		{name: "in other letters", offers: []string{"Gatehouse.Bearer." + minted.Reveal(), "chat"}, api: []string{"chat"}, selected: "chat"},
		{name: "no credential", offers: []string{"chat"}, status: "401"},
		{name: "the bare name alone", offers: []string{"gatehouse.bearer"}, status: "401"},
		{name: "an empty one", offers: []string{"gatehouse.bearer.", "chat"}, status: "401"},
		{name: "a wrong one", offers: []string{"gatehouse.bearer.abc", "chat"}, status: "401"},
		{name: "two", offers: []string{key, "gatehouse.bearer.abc", "chat"}, status: "400"},
		{name: "beside Authorization", offers: []string{key}, more: "Bearer " + minted.Reveal(), status: "400"},
	} {
		cfg, err := websocket.NewConfig(strings.Replace(srv.URL, "http", "ws", 1)+"/live", "https://app.example")
		if err != nil {
			t.Fatal(err)
		}
		cfg.Protocol = c.offers
		cfg.Header = http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"websocket"}}
		if c.more != "" {
			cfg.Header.Set("Authorization", c.more)
		}
		if c.status != "" {
			req, _ := http.NewRequest("GET", srv.URL+"/live", nil)
			req.Header = cfg.Header
			req.Header["Sec-Websocket-Protocol"] = c.offers // in several lines
			if res, body := do(t, req); !strings.HasPrefix(res.Status, c.status) {
				t.Errorf("%s: %s %s", c.name, res.Status, body)
			}
			continue
		}
		conn, err := websocket.DialConfig(cfg)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := <-saw; !slices.Equal(got, c.api) {
			t.Errorf("%s: the API was offered %q", c.name, got)
		}
		selected := ""
		if p := conn.Config().Protocol; len(p) == 1 { // what was offered, when nothing was selected
			selected = p[0]
		}
		if selected != c.selected && !(c.selected == "" && slices.Equal(conn.Config().Protocol, c.offers)) {
			t.Errorf("%s: selected %q", c.name, conn.Config().Protocol)
		}
		var text string
		if err := websocket.Message.Send(conn, "hello"); err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if err := websocket.Message.Receive(conn, &text); err != nil || text != "hello" {
			t.Errorf("%s: %q %v", c.name, text, err)
		}
		_ = conn.Close()
	}
	cfg, _ := websocket.NewConfig(strings.Replace(srv.URL, "http", "ws", 1)+"/other", "https://app.example")
	cfg.Protocol = []string{"chat", key}
	if _, err := websocket.DialConfig(cfg); err == nil {
		t.Error("a route that says nothing of subprotocols reads them")
	}
	if text := log.text(); strings.Contains(text, minted.Reveal()) {
		t.Errorf("the key is in the record: %s", text)
	}
	if enforce.CheckRoutes([]enforce.Route{{Pattern: "/x", Authenticated: true, Subprotocol: "a, b"}}) == nil {
		t.Error("a name with a comma is accepted")
	}
}
