package enforce

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/limit"
)

// TestCORSRules: a rule that no browser could ever meet is refused, with the spelling
// that is meant where there is one.
func TestCORSRules(t *testing.T) {
	const plain = "https://app.example"
	for name, c := range map[string]struct {
		rule CORS
		says string // "" is accepted
	}{
		"one":                     {CORS{Origins: []string{plain}}, ""},
		"everybody":               {CORS{Origins: []string{"*"}, Headers: []string{"*"}, Expose: []string{"*"}}, ""},
		"ports and addresses":     {CORS{Origins: []string{"http://localhost:3000", "https://app.example:8443", "http://[::1]:8080", "http://127.0.0.1", "http://intranet", "https://xn--bcher-kva.example", "http://a_b.example:443"}}, ""},
		"all of it":               {CORS{Origins: []string{plain}, Methods: []string{"PUT", "DELETE"}, Headers: []string{"Authorization", "X-Api-Key"}, Expose: []string{"ETag"}, Credentials: true, MaxAge: time.Hour}, ""},
		"all at once":             {CORS{Origins: []string{"nowhere"}, Methods: []string{"put"}, Headers: []string{"a b"}, Expose: []string{"c d"}, MaxAge: -1}, `"nowhere" is not an exact origin such as https://app.example; "put" is no method: name each, in upper case; headers: "a b" is no name of a header; expose: "c d" is no name of a header; max_age: whole seconds`},
		"nobody":                  {CORS{Origins: nil, Methods: []string{"PUT"}}, "no origin"},
		"everybody, with cookies": {CORS{Origins: []string{"*"}, Credentials: true}, "any site"},
		"a path":                  {CORS{Origins: []string{plain, "https://app.example/login"}}, "write https://app.example"},
		"a slash":                 {CORS{Origins: []string{"https://app.example/"}}, "write https://app.example"},
		"a query":                 {CORS{Origins: []string{"https://app.example?x"}}, "write https://app.example"},
		"an empty query":          {CORS{Origins: []string{"https://app.example?"}}, "write https://app.example"},
		"a fragment":              {CORS{Origins: []string{"https://app.example#x"}}, "write https://app.example"},
		"an empty fragment":       {CORS{Origins: []string{"https://app.example#"}}, "write https://app.example"},
		"upper case":              {CORS{Origins: []string{"https://App.example"}}, "write https://app.example"},
		"upper-case scheme":       {CORS{Origins: []string{"HTTPS://app.example"}}, "write https://app.example"},
		"its own port":            {CORS{Origins: []string{"https://app.example:443"}}, "write https://app.example"},
		"its own port of http":    {CORS{Origins: []string{"http://app.example:80"}}, "write http://app.example"},
		"an odd port":             {CORS{Origins: []string{"https://app.example:08443"}}, "write https://app.example:8443"},
		"an empty port":           {CORS{Origins: []string{"https://app.example:"}}, "write https://app.example"},
		"a long address":          {CORS{Origins: []string{"http://[0:0:0:0:0:0:0:1]"}}, "write http://[::1]"},
		"port 0":                  {CORS{Origins: []string{"https://app.example:0"}}, "exact origin"},
		"a large port":            {CORS{Origins: []string{"https://app.example:65536"}}, "exact origin"},
		"a pattern":               {CORS{Origins: []string{"https://*.example"}}, "exact origin"},
		"a user":                  {CORS{Origins: []string{"https://u@app.example"}}, "exact origin"},
		"no scheme":               {CORS{Origins: []string{"app.example"}}, "exact origin"},
		"another scheme":          {CORS{Origins: []string{"ftp://app.example"}}, "exact origin"},
		"no host":                 {CORS{Origins: []string{"https://"}}, "exact origin"},
		"opaque":                  {CORS{Origins: []string{"https:app.example"}}, "exact origin"},
		"null":                    {CORS{Origins: []string{"null"}}, "exact origin"},
		"empty":                   {CORS{Origins: []string{""}}, "exact origin"},
		"another script":          {CORS{Origins: []string{"https://bücher.example"}}, "exact origin"},
		"two in one":              {CORS{Origins: []string{"https://a.example, https://b.example"}}, "exact origin"},
		"a line break":            {CORS{Origins: []string{"https://a.example\r\nX: y"}}, "exact origin"},
		"method in lower case":    {CORS{Origins: []string{plain}, Methods: []string{"put"}}, "upper case"},
		"every method":            {CORS{Origins: []string{plain}, Methods: []string{"*"}}, "upper case"},
		"a list of methods":       {CORS{Origins: []string{plain}, Methods: []string{"PUT, DELETE"}}, "upper case"},
		"a list of headers":       {CORS{Origins: []string{plain}, Headers: []string{"A, B"}}, "headers"},
		"a header that is two":    {CORS{Origins: []string{plain}, Expose: []string{"A\r\nB"}}, "expose"},
		"every header, cookies":   {CORS{Origins: []string{plain}, Headers: []string{"*"}, Credentials: true}, "name each"},
		"parts of a second":       {CORS{Origins: []string{plain}, MaxAge: 1500 * time.Millisecond}, "seconds"},
		"before now":              {CORS{Origins: []string{plain}, MaxAge: -time.Second}, "seconds"},
	} {
		p := newFakes().pipeline(t)
		err := p.SetRoutes([]Route{{Pattern: "GET /a", Authenticated: true, CORS: &c.rule}})
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// TestCORSRuleCounts: a rule is "nobody, on purpose" only when it says nothing at all;
// whatever else it says, it needs an origin, and with one it stays in force.
func TestCORSRuleCounts(t *testing.T) {
	origin, one := []string{"https://app.example"}, []string{"PUT"}
	header := []string{"ETag"}
	for name, tt := range map[string]struct {
		rule  CORS
		kept  bool
		wrong bool
	}{
		"nothing":             {CORS{}, false, false},
		"methods alone":       {CORS{Methods: one}, false, true},
		"headers alone":       {CORS{Headers: header}, false, true},
		"expose alone":        {CORS{Expose: header}, false, true},
		"credentials alone":   {CORS{Credentials: true}, false, true},
		"an age alone":        {CORS{MaxAge: time.Second}, false, true},
		"a method, a header":  {CORS{Methods: one, Headers: header}, false, true},
		"a header each":       {CORS{Headers: header, Expose: header}, false, true},
		"an origin":           {CORS{Origins: origin}, true, false},
		"origin and method":   {CORS{Origins: origin, Methods: one}, true, false},
		"origin and header":   {CORS{Origins: origin, Headers: header}, true, false},
		"origin and expose":   {CORS{Origins: origin, Expose: header}, true, false},
		"an age of a second":  {CORS{Origins: origin, MaxAge: time.Second}, true, false},
		"a second and a half": {CORS{Origins: origin, MaxAge: 1500 * time.Millisecond}, false, true},
	} {
		f := newFakes()
		p, err := New(Config{Authenticator: f, Decider: f, Recorder: f, Limiter: limit.New(limit.Config{})})
		if err != nil {
			t.Fatal(err)
		}
		rule := tt.rule
		if err := p.SetRoutes([]Route{{Pattern: "GET /a", Anonymous: true, CORS: &rule}}); (err != nil) != tt.wrong {
			t.Errorf("%s: %v", name, err)
		}
		if found := p.Match(request("GET", "/a", "")); (found != nil && found.CORS != nil) != tt.kept {
			t.Errorf("%s: the rule in force is %+v", name, found)
		}
		if err := tt.rule.Validate(); (err != nil) != tt.wrong {
			t.Errorf("%s by itself: %v", name, err)
		}
	}
	var none *CORS
	if err := none.Validate(); err != nil {
		t.Errorf("no rule: %v", err)
	}
}
