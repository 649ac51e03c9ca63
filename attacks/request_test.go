package attacks_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestTokenInURL: URLs end up in logs, histories and Referer lines.
//
// ASVS: 14.2.1
func TestTokenInURL(t *testing.T) {
	w := the(t)
	p := w.person(t, "main")
	access, refresh := w.login(t, p)
	call(t, "GET", w.Gateway+"/private?q=words&page=2", "bearer", access).want(t, "an ordinary query", 200)
	for _, secret := range []string{access, p.key, refresh} {
		escaped := url.QueryEscape(secret)
		for _, place := range []string{"?access_token=" + escaped, "?ACCESS_TOKEN=" + escaped, "?api_key=" + escaped, "?a=b&token=" + escaped, "?a=b;token=" + escaped,
			"?x=" + escaped, "?" + escaped, "?" + escaped + "=1", "?access%5ftoken=" + escaped, "?authorization=Bearer+" + escaped, "/" + secret, "/" + secret + "/x"} {
			for _, opts := range [][]string{nil, {"bearer", access}} {
				m := random()
				a := call(t, "GET", w.Gateway+"/private"+place, append(opts, mark, m)...)
				if a.status != 400 && a.status != 404 {
					t.Errorf("%.20s…: %d %s", place, a.status, a.body)
				}
				if len(w.api.marked(m)) > 0 {
					t.Errorf("%.20s…: reached the API", place)
				}
				if strings.Contains(a.body, secret) {
					t.Errorf("%.20s…: the refusal repeats the secret", place)
				}
			}
		}
		call(t, "POST", w.Issuer+"/tokens?access_token="+escaped, "basic", p.name+":"+p.password).want(t, "token endpoint", 400)
		call(t, "GET", w.Issuer+"/admin/v1/me?access_token="+escaped).want(t, "management API", 400, 401)
		call(t, "GET", w.Gateway+"/.gatehouse/auth/nginx", "X-Original-Method", "GET", "X-Original-Uri", "/private?access_token="+escaped,
			"X-Original-Host", "h").want(t, "forward-auth", 401, 403)
	}
	call(t, "GET", w.Gateway+"/.gatehouse/auth/nginx", "X-Original-Method", "GET", "X-Original-Uri", "/private", "X-Original-Host", "h",
		"bearer", access).want(t, "forward-auth", 200)
}

// TestTwoCredentials: two readers of the request must not see two callers.
func TestTwoCredentials(t *testing.T) {
	w := the(t)
	p, q := w.person(t, "main"), w.person(t, "main")
	bearer, other := "Authorization: Bearer "+p.key, "Authorization: Bearer "+q.key
	for name, tc := range map[string]struct {
		lines string
		want  string
	}{
		"one":                     {bearer, "200"},
		"one, lower case":         {"authorization: bearer " + p.key, "200"},
		"one key":                 {"X-API-Key: " + p.key, "200"},
		"two lines":               {bearer + "\r\n" + other, "400"},
		"the same twice":          {bearer + "\r\n" + bearer, "400"},
		"two spellings":           {bearer + "\r\nAUTHORIZATION: Bearer " + q.key, "400"},
		"Basic and Bearer":        {bearer + "\r\nAuthorization: Basic eDp5", "400"},
		"an empty one beside it":  {bearer + "\r\nAuthorization:", "400"},
		"joined by a comma":       {bearer + ", Bearer " + q.key, "400"},
		"joined, no blank":        {bearer + ",Bearer " + q.key, "400"},
		"joined keys":             {"X-API-Key: " + p.key + "," + q.key, "400"},
		"key beside token":        {bearer + "\r\nX-API-Key: " + q.key, "400"},
		"two keys":                {"X-API-Key: " + p.key + "\r\nX-API-Key: " + q.key, "400"},
		"blank before the colon":  {"Authorization : Bearer " + p.key, "400"},
		"folded":                  {"Authorization: Bearer\r\n " + p.key + "\r\nX-A: b\r\n " + other, "200"}, // one value after unfolding; X-A is another
		"bare CR":                 {"X-A: b\r" + bearer, "400"},
		"NUL":                     {"Authorization: Bearer " + p.key + "\x00", "400"},
		"underscore":              {"X_API_Key: " + p.key, "401"},
		"proxy credential":        {"Proxy-Authorization: Bearer " + p.key, "401"},
		"token in a cookie":       {"Cookie: access_token=" + p.key, "401"},
		"password in the request": {"X-Username: " + p.name + "\r\nX-Password: " + p.password, "401"},
	} {
		got := statuses(raw(t, w.Gateway, "GET /private HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"+tc.lines+"\r\n\r\n"))
		if len(got) != 1 || got[0] != tc.want {
			t.Errorf("%s: %v, want %s", name, got, tc.want)
		}
	}
}

// spoofed are lines by which a caller poses as somebody behind a proxy.
var spoofed = []string{"X-Gatehouse-Subject", "X-Gatehouse-Username", "X-Gatehouse-Roles", "X-Gatehouse-Scopes", "X-Gatehouse-Assertion", "X-Gatehouse-Anything",
	"x-gatehouse-subject", "X_Gatehouse_Subject", "X-Gatehouse_Roles", "X.Gatehouse.Subject", "X_GATEHOUSE_ASSERTION", "x-Gatehouse-Subject",
	"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Access-Token", "X_Forwarded_User", "X-Forwarded-Preferred-Username",
	"X-Remote-User", "Remote-User", "Remote_User", "X-Auth-Request-User", "X-User", "X-User-Id", "X-WEBAUTH-USER", "X-Authenticated-Userid", "X-Consumer-Username",
	"X-Goog-Authenticated-User-Email", "X-Ms-Client-Principal-Id", "X-Ssl-Client-Verify", "X-Client-Cert", "X-Original-Url", "X-Rewrite-Url", "X-Real-Ip", "Forwarded", "Proxy"}

// TestIdentityHeaders: the upstream believes only what the gateway says.
//
// ASVS: 8.3.1
func TestIdentityHeaders(t *testing.T) {
	w := the(t)
	p := w.person(t, "main", "user")
	var opts []string
	for _, name := range spoofed {
		opts = append(opts, name, "SPOOFED")
	}
	for _, tc := range []struct {
		what, path, subject string
		opts                []string
	}{{"known caller", "/private", p.id, []string{"bearer", p.key}}, {"anonymous caller", "/public", "", nil}} {
		m := random()
		call(t, "GET", w.Gateway+tc.path, append(append(opts, tc.opts...), mark, m)...).want(t, tc.what, 200)
		seen := w.api.marked(m)
		if len(seen) != 1 {
			t.Fatalf("%s: reached the API %d times", tc.what, len(seen))
		}
		for name, values := range seen[0].Header {
			if strings.Contains(strings.Join(values, " "), "SPOOFED") {
				t.Errorf("%s: %s passed: %q", tc.what, name, values)
			}
		}
		if got := seen[0].Header.Get("X-Gatehouse-Subject"); got != tc.subject {
			t.Errorf("%s: subject %q, want %q", tc.what, got, tc.subject)
		}
		if seen[0].Header.Get("Authorization") != "" {
			t.Errorf("%s: the API got the credential", tc.what)
		}
	}
	// In a trailer, which some servers merge into the header.
	m := random()
	got := raw(t, w.Gateway, "POST /documents HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer "+p.key+"\r\nContent-Type: application/json\r\n"+mark+": "+m+
		"\r\nTrailer: X-Gatehouse-Subject, X-Checksum\r\nTransfer-Encoding: chunked\r\n\r\na\r\n{\"title\":\"\r\n3\r\nt\"}\r\n0\r\nX-Gatehouse-Subject: SPOOFED\r\nX-Checksum: x\r\n\r\n")
	if s := statuses(got); len(s) != 1 || s[0] != "201" {
		t.Fatalf("with a trailer: %s", got)
	}
	if seen := w.api.marked(m); len(seen) != 1 || seen[0].Trailer.Get("X-Gatehouse-Subject") != "" {
		t.Errorf("the trailer passed: %v", seen)
	}
	// Nor can a proxy that nobody trusts say who called: see TestForwardAuthFromStranger.
	a := call(t, "GET", w.Gateway+"/.gatehouse/auth/nginx", "X-Original-Method", "GET", "X-Original-Uri", "/public", "X-Original-Host", "h", "X-Gatehouse-Subject", "SPOOFED").want(t, "forward-auth", 200)
	if a.header.Get("X-Gatehouse-Subject") != "" || len(a.header["X-Gatehouse-Subject"]) == 0 {
		t.Errorf("forward-auth must answer an empty subject for nobody: %v", a.header)
	}
}

// TestHopByHop: Connection names lines that a proxy must remove; it must not
// remove those that the gateway adds.
func TestHopByHop(t *testing.T) {
	w := the(t)
	p := w.person(t, "main")
	for _, connection := range []string{"keep-alive", "X-Gatehouse-Assertion", "close, X-Gatehouse-Assertion, X-Gatehouse-Subject, X-Gatehouse-Username, Authorization, X-Forwarded-For, X-Request-Id, Host",
		"x-gatehouse-assertion", "X_Gatehouse_Assertion", "X-Gatehouse-Subject\r\nConnection: X-Gatehouse-Assertion"} {
		m := random()
		got := raw(t, w.Gateway, "GET /private HTTP/1.1\r\nHost: h\r\nConnection: "+connection+"\r\nAuthorization: Bearer "+p.key+"\r\n"+mark+": "+m+"\r\n\r\n")
		if s := statuses(got); len(s) != 1 || s[0] != "200" {
			t.Errorf("%q: %v", connection, s)
			continue
		}
		seen := w.api.marked(m)
		if len(seen) != 1 {
			t.Fatalf("%q: reached the API %d times", connection, len(seen))
		}
		for _, name := range []string{"X-Gatehouse-Assertion", "X-Gatehouse-Subject", "X-Gatehouse-Username", "X-Forwarded-For", "X-Request-Id"} {
			if seen[0].Header.Get(name) == "" {
				t.Errorf("%q took away %s", connection, name)
			}
		}
	}
}

// TestUpgradeSmuggling: an upgrade to HTTP/2 opens a tunnel in which further
// requests would reach the API unjudged.
func TestUpgradeSmuggling(t *testing.T) {
	w := the(t)
	p := w.person(t, "main")
	for _, upgrade := range []string{"h2c", "H2C", "HTTP/2.0", "TLS/1.0", "websocket, h2c", "foo"} {
		m := random()
		got := raw(t, w.Gateway, "GET /private HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: "+upgrade+
			"\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nAuthorization: Bearer "+p.key+"\r\n"+mark+": "+m+"\r\n\r\n")
		s := statuses(got)
		if len(s) != 1 || s[0] == "101" {
			t.Errorf("%s: %v", upgrade, s)
		}
		for _, r := range w.api.marked(m) {
			if r.Header.Get("Upgrade") != "" || r.Header.Get("Http2-Settings") != "" {
				t.Errorf("%s: the upgrade was passed on: %v", upgrade, r.Header)
			}
		}
	}
	call(t, "GET", w.Gateway+"/private", "bearer", p.key).want(t, "without", 200)
}

// TestMethodOverride: the API must do what was judged.
func TestMethodOverride(t *testing.T) {
	w := the(t)
	bob, carol := w.person(t, "main", "user"), w.person(t, "main", "viewer")
	doc := w.document(t, bob, "public") // carol may read it, and no more
	call(t, "GET", w.Gateway+doc, "bearer", carol.key).want(t, "reading", 200)
	for _, opts := range [][]string{{"X-HTTP-Method-Override", "DELETE"}, {"X-Http-Method", "DELETE"}, {"X-Method-Override", "DELETE"}, {"x-http-method-override", "PUT"}} {
		m := random()
		call(t, "GET", w.Gateway+doc, append(opts, "bearer", carol.key, mark, m)...).want(t, opts[0], 400)
		if len(w.api.marked(m)) > 0 {
			t.Errorf("%s: reached the API", opts[0])
		}
	}
	for _, query := range []string{"?_method=DELETE", "?a=b&_method=DELETE", "?%5fmethod=DELETE", "?_METHOD=DELETE", "?a;_method=DELETE"} {
		call(t, "GET", w.Gateway+doc+query, "bearer", carol.key).want(t, query, 400)
	}
	for _, method := range []string{"TRACE", "CONNECT", "TRACK", "DEBUG", "delete", "PROPFIND", "GET\x00"} {
		got := raw(t, w.Gateway, method+" "+doc+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer "+carol.key+"\r\n\r\n")
		if s := statuses(got); len(s) != 1 || s[0][0] != '4' {
			t.Errorf("%q: %v", method, s)
		}
	}
	call(t, "GET", w.Gateway+doc, "bearer", bob.key).want(t, "it is still there", 200)
}

// TestPathTricks: a second reading of the path is a way around its rule.
func TestPathTricks(t *testing.T) {
	w := the(t)
	bob, carol := w.person(t, "main", "user"), w.person(t, "main", "viewer")
	secret, open := w.document(t, bob, "private"), w.document(t, bob, "public")
	id := strings.TrimPrefix(secret, "/documents/")
	call(t, "GET", w.Gateway+open, "bearer", carol.key).want(t, "a public document", 200)
	call(t, "GET", w.Gateway+secret, "bearer", bob.key).want(t, "its owner", 200)
	paths := []string{secret, secret + "/", "/documents%2f" + id, "/documents%2F" + id, "/documents%5c" + id, "/documents\\" + id, "//documents/" + id, "/documents//" + id,
		"/./documents/" + id, "/documents/./" + id, "/public/../documents/" + id, "/public/..%2fdocuments/" + id, "/public/%2e%2e/documents/" + id,
		"/public%2f..%2fdocuments%2f" + id, "/public/..;/documents/" + id, "/public;/../documents/" + id, "/documents;x=1/" + id, "/documents/" + id + ";x=1",
		"/documents/" + id + ";.json", "/documents/" + id + "%3b", "/documents/" + id + "%00", "/documents/" + id + "%0a", "/documents/" + id + "%20", "/documents/" + id + "/.",
		"/documents/" + id + "/%2e", "/documents/%2e/" + id, "/documents/" + id + "?", "/documents/" + id + "%3f", "/documents/" + id + "%23", "/documents/" + id + ".json",
		"/DOCUMENTS/" + id, "/Documents/" + id, "/documents/" + strings.ToUpper(id), "/%64ocuments/" + id, "/%2564ocuments/" + id, "/documents/%25" + id,
		"/documents%252f" + id, open + "/../" + id, open + "%2f..%2f" + id, open + "/..%5c" + id, open + "/%2e%2e/" + id, open + "/%252e%252e/" + id, "/documents/" + id + "%c0%af",
		"/documents/%c0%ae%c0%ae/" + id, "/internal", "/private/../internal", "/public/%2e%2e/internal", "/public/..%2finternal", "//internal", "/public//../internal",
		"/public/..;/internal", "/.%2e/internal", "/documents/..%2finternal", "/documents/%2e%2e%2finternal", "/documents/..%5cinternal", "/documents/%2e%2e",
		"http://api.internal" + secret, "http://" + strings.TrimPrefix(w.api.server.URL, "http://") + "/internal", "internal", "*", "?" + secret}
	for _, path := range paths {
		for _, method := range []string{"GET", "DELETE", "HEAD"} {
			m := random()
			got := raw(t, w.Gateway, method+" "+path+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer "+carol.key+"\r\n"+mark+": "+m+"\r\n\r\n")
			s := statuses(got)
			if len(s) != 1 || s[0][0] != '4' {
				t.Errorf("%s %s: %v", method, path, s)
			}
			if strings.Contains(got, "SECRET-") || strings.Contains(got, "INTERNAL") {
				t.Errorf("%s %s: told what it should not", method, path)
			}
			if len(w.api.marked(m)) > 0 {
				t.Errorf("%s %s: reached the API", method, path)
			}
		}
		// The same through another proxy's question. A target without a slash is
		// no URI that a proxy would report.
		if strings.HasPrefix(path, "/") {
			a, err := send("GET", w.Gateway+"/.gatehouse/auth/caddy", "bearer", carol.key, "X-Forwarded-Method", "GET", "X-Forwarded-Uri", path, "X-Forwarded-Host", "h")
			if err != nil || a.status < 400 {
				t.Errorf("forward-auth %s: %d %v", path, a.status, err)
			}
		}
	}
	call(t, "GET", w.Gateway+"/.gatehouse/auth/caddy", "bearer", carol.key, "X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/private", "X-Forwarded-Host", "h").want(t, "forward-auth", 200)
}

// TestUnknownRoute: what no rule names does not exist, for anybody.
func TestUnknownRoute(t *testing.T) {
	w := the(t)
	alice := w.Users["alice"] // role admin: everything with documents
	call(t, "GET", w.Gateway+"/private", "bearer", alice.APIKey).want(t, "a known route", 200)
	for _, tc := range [][2]string{{"GET", "/internal"}, {"GET", "/internal/x"}, {"GET", "/"}, {"GET", "/admin"}, {"GET", "/.env"}, {"GET", "/metrics"}, {"GET", "/admin/v1/me"}, {"GET", "/tokens"},
		{"POST", "/private"}, {"POST", "/public"}, {"PATCH", "/documents/x"}, {"DELETE", "/documents"}, {"OPTIONS", "/documents"}, {"PUT", "/private"}, {"GET", "/private/x"}} {
		m := random()
		a := call(t, tc[0], w.Gateway+tc[1], "bearer", alice.APIKey, mark, m).want(t, tc[0]+" "+tc[1], 404)
		if len(w.api.marked(m)) > 0 {
			t.Errorf("%v: reached the API", tc)
		}
		if b := call(t, tc[0], w.Gateway+tc[1]); b.status != 404 || b.code() != a.code() {
			t.Errorf("%v: nobody learns more than alice: %d %s", tc, b.status, b.body)
		}
	}
	for _, path := range []string{"/private", "/tokens/x", "/admin", "/admin/v2/me", "/.git/config", "/metrics", "/debug/pprof/", "/realms/none/tokens"} {
		call(t, "GET", w.Issuer+path, "bearer", w.AdminToken).want(t, "auth listener "+path, 404, 405)
	}
	call(t, "GET", w.Gateway+"/.gatehouse/auth/unknown", "bearer", alice.APIKey).want(t, "unknown dialect", 404)
}

// TestForwardAuthFromStranger: only a trusted proxy may describe a request.
func TestForwardAuthFromStranger(t *testing.T) {
	w := the(t)
	p := w.person(t, "main")
	ask := []string{"X-Original-Method", "GET", "X-Original-Uri", "/private", "X-Original-Host", "h"}
	path := w.Gateway + "/.gatehouse/auth/nginx"
	call(t, "GET", path, append(ask, "bearer", p.key)...).want(t, "all three lines", 200)
	call(t, "GET", path, ask...).want(t, "no credential", 401)
	for _, extra := range [][]string{{"X-Original-Uri", "/public"}, {"X-Original-Method", "POST"}, {"X-Original-Host", "other"}} {
		// The caller's line beside the proxy's.
		call(t, "GET", path, append(append(ask, extra...), "bearer", p.key)...).want(t, "twice "+extra[0], 403)
	}
	for i := 0; i < len(ask); i += 2 {
		rest := append(append([]string{}, ask[:i]...), ask[i+2:]...)
		call(t, "GET", path, append(rest, "bearer", p.key)...).want(t, "without "+ask[i], 403)
	}
	for _, uri := range []string{"private", "http://h/private", "//private", "/private\x7f", "/public/../private", "/public/%2e%2e/private", "*", ""} {
		a, err := send("GET", path, "X-Original-Method", "GET", "X-Original-Uri", uri, "X-Original-Host", "h", "bearer", p.key)
		if err == nil && a.status != 403 {
			t.Errorf("uri %q: %d", uri, a.status)
		}
	}
	// The listener's own question is no route of the API.
	if r, err := http.Get(path); err != nil || r.StatusCode == 200 {
		t.Errorf("without any line: %v %v", r, err)
	} else {
		r.Body.Close()
	}
}
