package enforce

import "testing"

// TestCrossSite: which requests a page of another site may have made that change
// something. Browsers say it in Sec-Fetch-Site; those that do not, send Origin.
func TestCrossSite(t *testing.T) {
	p := newFakes().pipeline(t)
	socket := []string{"Sec-Websocket-Version", "13"}
	for _, tt := range []struct {
		name, method string
		header       []string
		gives        bool // where tickets are given, which changes something whatever the method
		want         bool
	}{
		{"a program", "POST", nil, false, false},
		{"another site", "POST", []string{"Sec-Fetch-Site", "cross-site"}, false, true},
		{"the same site", "POST", []string{"Sec-Fetch-Site", "same-site"}, false, true},
		{"the same origin", "POST", []string{"Sec-Fetch-Site", "same-origin"}, false, false},
		{"typed by the user", "POST", []string{"Sec-Fetch-Site", "none"}, false, false},
		{"another origin of an old browser", "POST", []string{"Origin", "https://evil.example"}, false, true},
		{"its own origin of an old browser", "POST", []string{"Origin", "https://example.com"}, false, false},
		{"reading", "GET", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, false, false},

		{"a socket of a program", "GET", socket, false, false},
		{"a socket of another site", "GET", append([]string{"Sec-Fetch-Site", "cross-site"}, socket...), false, true},
		{"a socket of the same site", "GET", append([]string{"Sec-Fetch-Site", "same-site"}, socket...), false, true},
		{"a socket of the same origin", "GET", append([]string{"Sec-Fetch-Site", "same-origin"}, socket...), false, false},
		{"a socket of the same origin, as Sec-Fetch-Site says", "GET", append([]string{"Sec-Fetch-Site", "same-origin", "Origin", "https://evil.example"}, socket...), false, false},
		{"a socket of an extension or a bookmark", "GET", append([]string{"Sec-Fetch-Site", "none"}, socket...), false, false},
		{"a socket of its own origin, old browser", "GET", append([]string{"Origin", "https://Example.com"}, socket...), false, false},
		{"a socket of another origin, old browser", "GET", append([]string{"Origin", "https://evil.example"}, socket...), false, true},
		{"a socket of another port, old browser", "GET", append([]string{"Origin", "https://example.com:8443"}, socket...), false, true},
		{"a socket of a frame without origin", "GET", append([]string{"Origin", "null"}, socket...), false, true},
		{"a socket of an origin that cannot be read", "GET", append([]string{"Origin", "https://example.com:x"}, socket...), false, true},

		{"a ticket for a program", "GET", nil, true, false},
		{"a ticket for another site", "GET", []string{"Sec-Fetch-Site", "cross-site"}, true, true},
		{"a ticket for another origin, old browser", "POST", []string{"Origin", "https://evil.example"}, true, true},
		{"a ticket for its own origin", "GET", []string{"Sec-Fetch-Site", "same-origin"}, true, false},
	} {
		if got := p.crossSite(request(tt.method, "/x", "", tt.header...), tt.gives); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestWebSocketsAreKnown: by each line that only their handshake has, since a proxy
// that asks about one has taken some of them away.
func TestWebSocketsAreKnown(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		want        bool
	}{
		{"Upgrade", "websocket", true}, {"Upgrade", "WebSocket", true}, {"Upgrade", "h2c, websocket/13", true}, {"Upgrade", "h2c", false},
		{"Sec-Websocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==", true}, {"Sec-Websocket-Version", "13", true},
		{"Sec-Fetch-Mode", "websocket", true}, {"Sec-Fetch-Mode", "cors", false}, {"Sec-Websocket-Protocol", "chat", false},
	} {
		if got := opensWebSocket(request("GET", "/", "", tt.name, tt.value)); got != tt.want {
			t.Errorf("%s: %s: %v", tt.name, tt.value, got)
		}
	}
	if !opensWebSocket(request("GET", "/", "", "Upgrade", "h2c", "Upgrade", "websocket")) {
		t.Error("the second line is not looked at")
	}
}

// TestTrustedOrigins: an origin may act with the user's credentials only where the
// route's rule names it with credentials, and only when the request has no other.
func TestTrustedOrigins(t *testing.T) {
	app := "https://app.example"
	rule := func(credentials bool, origins ...string) *CORS {
		return &CORS{Origins: origins, Credentials: credentials}
	}
	for _, tt := range []struct {
		name   string
		rule   *CORS
		origin []string
		want   bool
	}{
		{"named with credentials", rule(true, "https://other.example", app), []string{app}, true},
		{"no rule", nil, []string{app}, false},
		{"without credentials", rule(false, app), []string{app}, false},
		{"not named", rule(true, "https://other.example"), []string{app}, false},
		{"no origin", rule(true, app), nil, false},
		{"the origin twice", rule(true, app), []string{app, app}, false},
		{"a frame without origin", rule(true, "null"), []string{"null"}, false},
		{"a star", rule(true, "*"), []string{"*"}, false},
		{"a star in the rule", rule(true, "*"), []string{app}, false},
	} {
		if got := trustsOrigin(tt.rule, tt.origin); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// TestSavedPasswords: only what browsers add unasked can be misused by another site,
// and a request with it is refused before the password is looked at.
func TestSavedPasswords(t *testing.T) {
	const saved = "Basic YWxpY2U6cHc="
	cross := []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}
	for _, tt := range []struct {
		name, credential string
		at               Point
		method           string
		refused          bool
	}{
		{"a saved password", saved, AtGateway, "POST", true},
		{"a saved password where tickets are given", saved, AtTickets, "GET", true},
		{"a saved password that reads", saved, AtGateway, "GET", false},
		{"a key, which the page must know", bearer, AtGateway, "POST", false},
		{"nothing", "", AtGateway, "POST", false},
	} {
		f := newFakes()
		p := f.pipeline(t, Route{Pattern: "/x", Authenticated: true, Ticket: "ticket"})
		r := request(tt.method, "/x", "", cross...)
		if tt.credential != "" {
			r.Header.Set("Authorization", tt.credential)
		}
		v := p.Begin(tt.at, r).Check(r)
		if refused := v.Err != nil && v.Err.Code == "cross_origin_refused"; refused != tt.refused || refused && f.authCalls > 0 {
			t.Errorf("%s: %+v; verified %d times", tt.name, v.Err, f.authCalls)
		}
	}
}
