package attacks_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/examples/documents"
	"github.com/gatehouse-auth/gatehouse/server"
)

// world is the running product with an API behind it that notes what reaches
// it, and an issuer that realm main trusts and whose keys the tests hold: what
// it signs differs from an honest token in exactly the one point under attack.
type world struct {
	*server.Demo
	api *api
	idp *issuer
	dir string
	end func()
}

var shared = sync.OnceValues(start)

// the is the one world of the test binary.
func the(t *testing.T) *world {
	t.Helper()
	w, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestMain(m *testing.M) {
	code := m.Run()
	if w, err := shared(); err == nil {
		w.end()
	}
	os.Exit(code)
}

func start() (*world, error) {
	dir, err := os.MkdirTemp("", "attacks")
	if err != nil {
		return nil, err
	}
	w := &world{api: newAPI(), dir: dir}
	w.Demo, err = server.StartDemo(context.Background(), server.DemoConfig{Data: filepath.Join(dir, "demo"), Listen: "127.0.0.1:0",
		Gateway: "127.0.0.1:0", Upstream: w.api.server.URL, Log: server.LogConfig{Level: "error", Format: "text"}})
	if err != nil {
		return nil, err
	}
	w.end = func() {
		w.Close(context.Background())
		w.api.server.Close()
		_ = os.RemoveAll(dir)
	}
	if w.idp, err = newIssuer("https://idp.attacks.test"); err != nil {
		return nil, err
	}
	patch := map[string]any{"settings": map[string]any{
		"scopes":          map[string]string{"documents:read": "Read documents", "documents:write": "Write documents"},
		"trusted_issuers": []any{w.idp.trust("documents")},
	}}
	body, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	a, err := send("PATCH", w.Issuer+"/admin/v1/realms/main", "bearer", w.AdminToken, "body", string(body))
	if err != nil || a.status != 200 {
		return nil, fmt.Errorf("trusting the issuer: %v %d %s", err, a.status, a.body)
	}
	return w, nil
}

// api is the documents API, which believes whatever reaches it and reads paths
// as generously as can be, with one more page that no route of the gateway names.
// A request with X-Hang it leaves without an answer.
type api struct {
	server *httptest.Server
	mu     sync.Mutex
	seen   []*http.Request
}

// mark names the header by which a test finds its own request again.
const mark = "X-Mark"

func newAPI() *api {
	a := &api{}
	h := documents.New()
	a.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// As many do: decode, cut parameters off, tidy up, and only then look.
		bare, _, _ := strings.Cut(r.URL.Path, ";")
		r.URL.Path, r.URL.RawPath = path.Clean("/"+strings.ReplaceAll(bare, "\\", "/")), ""
		a.mu.Lock()
		a.seen = append(a.seen, r.Clone(context.Background()))
		a.mu.Unlock()
		if r.Header.Get("X-Hang") != "" {
			<-r.Context().Done()
			return
		}
		if strings.HasPrefix(r.URL.Path, "/internal") {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"title":"INTERNAL PAGE","visibility":"public"}`)
			return
		}
		h.ServeHTTP(w, r)
	}))
	return a
}

// find returns the requests that fit, in order.
func (a *api) find(fits func(*http.Request) bool) []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []*http.Request
	for _, r := range a.seen {
		if fits(r) {
			out = append(out, r)
		}
	}
	return out
}

// marked returns the requests with that mark.
func (a *api) marked(m string) []*http.Request {
	return a.find(func(r *http.Request) bool { return slices.Contains(r.Header[mark], m) })
}

type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any
	took   time.Duration
}

func (a answer) code() string         { s, _ := a.json["code"].(string); return s }
func (a answer) text(k string) string { s, _ := a.json[k].(string); return s }

var client = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 32},
}

// send makes one request. opts are pairs: a header with its value, or "body",
// "basic" with "user:password", "bearer", "from" with the address to come from.
func send(method, url string, opts ...string) (answer, error) {
	var body io.Reader
	header := http.Header{}
	for i := 0; i+1 < len(opts); i += 2 {
		switch k, v := opts[i], opts[i+1]; k {
		case "body":
			body = strings.NewReader(v)
			if header["Content-Type"] == nil {
				header.Set("Content-Type", "application/json")
			}
		case "basic":
			header.Add("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(v)))
		case "bearer":
			header.Add("Authorization", "Bearer "+v)
		case "from":
			header.Set("X-Forwarded-For", v)
			header.Set("X-Forwarded-Proto", "https")
		default:
			header[k] = append(header[k], v) // as written, not canonical
		}
	}
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		return answer{}, err
	}
	r.Header = header
	began := time.Now()
	resp, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	out := answer{status: resp.StatusCode, header: resp.Header, body: string(b), took: time.Since(began)}
	_ = json.Unmarshal(b, &out.json)
	return out, err
}

func call(t *testing.T, method, url string, opts ...string) answer {
	t.Helper()
	a, err := send(method, url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// want fails unless the status is one of those.
func (a answer) want(t *testing.T, what string, status ...int) answer {
	t.Helper()
	if !slices.Contains(status, a.status) {
		t.Errorf("%s: %d %.300s, want %d", what, a.status, a.body, status)
	}
	return a
}

// admin calls the management API as its first administrator.
func (w *world) admin(t *testing.T, method, path string, in any, status int) answer {
	t.Helper()
	opts := []string{"bearer", w.AdminToken}
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		opts = append(opts, "body", string(b))
	}
	a := call(t, method, w.Issuer+"/admin/v1"+path, opts...)
	if a.status != status {
		t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return a
}

type person struct{ id, name, password, key, realm string }

// person makes a user of a realm with a password and a key for everything.
func (w *world) person(t *testing.T, realm string, roles ...string) person {
	t.Helper()
	p := person{name: "u" + strings.ToLower(rand.Text()[:10]), password: rand.Text(), realm: realm}
	if roles == nil {
		roles = []string{}
	}
	a := w.admin(t, "POST", "/realms/"+realm+"/users", map[string]any{"username": p.name, "password": p.password, "roles": roles}, 201)
	p.id, _ = a.json["user"].(map[string]any)["id"].(string)
	p.key = w.key(t, p, "live", "*")
	return p
}

func (w *world) key(t *testing.T, p person, environment string, scopes ...string) string {
	t.Helper()
	return w.admin(t, "POST", "/realms/"+p.realm+"/keys", map[string]any{"owner": p.id, "name": "attack", "environment": environment, "scopes": scopes}, 201).text("text")
}

func (w *world) realm(t *testing.T, settings map[string]any) string {
	t.Helper()
	name := "r" + strings.ToLower(rand.Text()[:8])
	w.admin(t, "POST", "/realms", map[string]any{"name": name, "settings": settings}, 201)
	return name
}

func (w *world) base(realm string) string {
	if realm == "main" {
		return w.Issuer
	}
	return w.Issuer + "/realms/" + realm
}

func (w *world) login(t *testing.T, p person) (access, refresh string) {
	t.Helper()
	a := call(t, "POST", w.base(p.realm)+"/tokens", "basic", p.name+":"+p.password).want(t, "login", 200)
	return a.text("access_token"), a.text("refresh_token")
}

// document creates one as p and returns its path.
func (w *world) document(t *testing.T, p person, visibility string) string {
	t.Helper()
	a := call(t, "POST", w.Gateway+"/documents", "bearer", p.key, "body", `{"title":"T","body":"SECRET-`+p.name+`","visibility":"`+visibility+`"}`).want(t, "create", 201)
	return "/documents/" + a.text("id")
}

// refused sends token to the gateway and demands a 401 that never reached the API.
func (w *world) refused(t *testing.T, what, token string) {
	t.Helper()
	m := rand.Text()
	a := call(t, "GET", w.Gateway+"/private", "bearer", token, mark, m)
	if a.status != 401 || a.header.Get("Www-Authenticate") == "" {
		t.Errorf("%s: %d %.200s", what, a.status, a.body)
	}
	if len(w.api.marked(m)) > 0 {
		t.Errorf("%s: reached the API", what)
	}
}

func (w *world) accepted(t *testing.T, what, token string) {
	t.Helper()
	m := rand.Text()
	call(t, "GET", w.Gateway+"/private", "bearer", token, mark, m).want(t, what+" (the honest twin)", 200)
	if len(w.api.marked(m)) != 1 {
		t.Errorf("%s: the honest twin did not reach the API", what)
	}
}

// raw writes bytes to a listener and reads until it closes, or until it has been
// silent for a while.
func raw(t *testing.T, url, text string) string {
	t.Helper()
	addr := strings.TrimPrefix(url, "http://")
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		return ""
	}
	var out bytes.Buffer
	buf := make([]byte, 4096)
	wait := 5 * time.Second
	for {
		_ = c.SetReadDeadline(time.Now().Add(wait))
		n, err := c.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			return out.String()
		}
		wait = 300 * time.Millisecond
	}
}

// statuses lists the status codes of all responses in a stream.
func statuses(stream string) []string {
	var out []string
	for line := range strings.SplitSeq(stream, "\n") {
		if i := strings.Index(line, "HTTP/1."); i >= 0 && len(line) >= i+12 {
			out = append(out, line[i+9:i+12])
		}
	}
	return out
}

// random is an id that no test used before.
func random() string { return strings.ToLower(rand.Text()) }
