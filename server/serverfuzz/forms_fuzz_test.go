package serverfuzz

import (
	"cmp"
	"context"
	"fmt"
	"html"
	"io"
	"math/rand/v2"
	"mime"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/server"
)

// password is everybody's.
const password = "seven owls over a wet harbour"

// planted stands in every field that is secret, and must never come back.
const planted = "Nine-planted-Herons-4711"

const (
	formType = "application/x-www-form-urlencoded"
	maxBody  = 16 << 10 // bytes of a form that are read
)

// house is a demo with somebody in a browser.
type house struct {
	*server.Demo
	browser *http.Client // of somebody who is signed in
	people  int          // how many there were
	forms   []form
}

// form is one that a page shows, as it would be sent.
type form struct {
	page, action string
	fields       url.Values
}

// newHouse walks from page to page as a reader does, and has every form that is shown on the way.
func newHouse(f *testing.F) *house {
	f.Helper()
	d, err := server.StartDemo(f.Context(), server.DemoConfig{Data: filepath.Join(f.TempDir(), "demo"), Listen: "127.0.0.1:0", Gateway: "127.0.0.1:0",
		Log: server.LogConfig{Level: "error", Format: "text"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { d.Close(f.Context()) })
	h := &house{Demo: d}
	if err := h.signIn(); err != nil {
		f.Fatal(err)
	}
	h.walk(f)
	slices.SortFunc(h.forms, func(a, b form) int {
		return cmp.Or(cmp.Compare(a.page, b.page), cmp.Compare(a.action, b.action), cmp.Compare(names(a), names(b)))
	})
	actions := map[string]bool{}
	for _, form := range h.forms {
		actions[form.action] = true
	}
	for _, want := range []string{"/signin", "/signout", "/account", "/account/password", "/account/keys", "/account/data", "/account/factors"} {
		if !actions[want] {
			f.Fatalf("no page leads to a form that is sent to %s, only %v", want, actions)
		}
	}
	return h
}

func names(f form) string {
	var all []string
	for name, values := range f.fields {
		if name == "do" || name == "step" {
			name += values[0]
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

var (
	links  = regexp.MustCompile(`href="(/[a-z/]*)(?:\?[^"]*)?"`)
	posted = regexp.MustCompile(`(?s)<form[^>]*method="post"[^>]*>.*?</form>`)
	action = regexp.MustCompile(`action="([^"]*)"`)
	inputs = regexp.MustCompile(`<(?:input|button|select|textarea)[^>]*>`)
	member = regexp.MustCompile(`\s(name|value|type)="([^"]*)"`)
)

func (h *house) walk(f *testing.F) {
	f.Helper()
	seen, next := map[string]bool{}, []string{"/signin?again=1", "/recover", "/register", "/setup", "/signout", "/account"}
	for len(next) > 0 {
		page := next[0]
		next = next[1:]
		if seen[page] {
			continue
		}
		seen[page] = true
		_, _, text, err := h.send("GET", page, "", "")
		if err != nil {
			f.Fatal(err)
		}
		for _, m := range links.FindAllStringSubmatch(text, -1) {
			if !strings.HasPrefix(m[1], "/ui/") {
				next = append(next, m[1])
			}
		}
		for _, shown := range posted.FindAllString(text, -1) {
			h.forms = append(h.forms, read(page, shown))
		}
	}
}

// read is a form as somebody fills it in: with what is in it, the planted secret where one is asked for, and a name.
func read(page, shown string) form {
	out := form{page: page, action: html.UnescapeString(action.FindStringSubmatch(shown)[1]), fields: url.Values{}}
	for _, tag := range inputs.FindAllString(shown, -1) {
		is := map[string]string{}
		for _, m := range member.FindAllStringSubmatch(tag, -1) {
			is[m[1]] = html.UnescapeString(m[2])
		}
		name, value := is["name"], is["value"]
		switch {
		case name == "":
			continue
		case is["type"] == "password" || name == "code" || name == "answer":
			value = planted
		case value == "":
			value = "bob"
		}
		out.fields.Set(name, value)
	}
	return out
}

// signIn gives the browser a session of somebody new: whoever was there may have deleted the account by a form.
func (h *house) signIn() error {
	h.people++
	name := fmt.Sprintf("visitor%d", h.people)
	r, err := http.NewRequest("POST", h.Issuer+"/admin/v1/realms/main/users", strings.NewReader(fmt.Sprintf(`{"username":%q,"password":%q}`, name, password)))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+h.AdminToken)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		return fmt.Errorf("nobody is made: %s", res.Status)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	// Each request comes from another address: limits of addresses are not what is looked at.
	from := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, byte(1+rand.N(250)), byte(rand.N(250)), byte(1+rand.N(250)))}}
		return d.DialContext(ctx, network, to)
	}}
	h.browser = &http.Client{Jar: jar, Transport: from, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	_, _, text, err := h.send("GET", "/signin", "", "")
	if err != nil {
		return err
	}
	shown := posted.FindString(text)
	if shown == "" {
		return fmt.Errorf("no form to sign in: %s", text)
	}
	fields := read("/signin", shown).fields
	fields.Set("identifier", name)
	fields.Set("password", password)
	fields.Set("step", "password")
	status, _, text, err := h.send("POST", "/signin", formType, fields.Encode())
	if err != nil || status != http.StatusSeeOther {
		return fmt.Errorf("%s does not get in: %d %s %w", name, status, text, err)
	}
	return nil
}

// send is one request.
func (h *house) send(method, path, contentType, body string) (int, http.Header, string, error) {
	r, err := http.NewRequest(method, h.Issuer+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	if method == "POST" {
		r.Header["Sec-Fetch-Site"] = []string{"same-origin"}
		r.Header["Content-Type"] = []string{contentType}
	}
	res, err := h.browser.Do(r)
	if err != nil {
		return 0, nil, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, string(text), err
}

// fieldsOf reads a body by the letter of the URL Standard §5.1, in few lines of its own; ok is false for one that has no single reading.
func fieldsOf(body string) (out map[string]string, ok bool) {
	out = map[string]string{}
	for pair := range strings.SplitSeq(body, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		n, okName := decode(name)
		v, okValue := decode(value)
		if _, twice := out[n]; twice || !okName || !okValue || strings.Contains(pair, ";") || !utf8.ValidString(v) {
			return nil, false
		}
		out[n] = v
	}
	return out, true
}

func decode(s string) (string, bool) {
	var out []byte
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			out = append(out, ' ')
		case s[i] == '%':
			var b byte
			if i+2 >= len(s) {
				return "", false
			}
			for _, c := range []byte(strings.ToLower(s[i+1 : i+3])) {
				at := strings.IndexByte("0123456789abcdef", c)
				if at < 0 {
					return "", false
				}
				b = b<<4 | byte(at)
			}
			out, i = append(out, b), i+2
		default:
			out = append(out, s[i])
		}
	}
	return string(out), true
}

// FuzzForms: whatever is sent to a page, as a form of it or not, the server does not fail; what has no single reading, too many bytes or
// another type is refused, and so is what no page of this browser showed. Nothing secret comes back, and no markup that was sent.
func FuzzForms(f *testing.F) {
	h := newHouse(f)
	for i := range h.forms {
		n := uint8(i)
		f.Add(n, formType, "", false)
		f.Add(n, formType+"; charset=utf-8", "&return=//evil.example", true)
		f.Add(n, formType, "&form=x", false)
		f.Add(n, formType, "&password=x&code=%zz", false)
	}
	for _, s := range []string{"&identifier=%3Cscript%3Ealert(1)%3C/script%3E", "&return=/%5Cevil.example", "&return=%2F%2Fevil.example%2F%22%3E%3Cb%3E", "&step=name&name=%00", "&;", "&a=%ff", "&=", "&" + strings.Repeat("a", 17000)} {
		f.Add(uint8(0), formType, s, true)
		f.Add(uint8(3), formType, s, false)
	}
	f.Add(uint8(0), "multipart/form-data; boundary=x", "", false)
	f.Add(uint8(0), "application/json", `{"step":"password"}`, true)
	f.Add(uint8(0), "text/plain", "", false)
	f.Add(uint8(0), formType+"; charset=utf-7", "", false)
	f.Fuzz(func(t *testing.T, which uint8, contentType, more string, alone bool) {
		if strings.ContainsFunc(contentType, func(r rune) bool { return r < ' ' || r > '~' }) || len(more) > 2*maxBody {
			t.Skip("no client sends that in a header")
		}
		form := h.forms[int(which)%len(h.forms)]
		body := form.fields.Encode() + more
		if alone { // of the form nothing but what ties it to the browser
			body = "form=" + url.QueryEscape(form.fields.Get("form")) + more
		}
		status, header, text, err := h.send("POST", form.action, contentType, body)
		if err != nil {
			t.Fatal(err)
		}
		what := fmt.Sprintf("%s to %s, %q, %d bytes, %.200q: %d", form.page, form.action, contentType, len(body), more, status)
		fields, one := fieldsOf(body)
		media, _, merr := mime.ParseMediaType(contentType)
		_, form_ := fields["form"]
		switch {
		case status >= 500 || status < 200:
			t.Fatalf("%s %s", what, text)
		case merr != nil || media != formType:
			if status != http.StatusUnsupportedMediaType {
				t.Fatalf("%s: another type", what)
			}
		case len(body) > maxBody:
			if status != http.StatusRequestEntityTooLarge && status != http.StatusUnsupportedMediaType { // by its charset
				t.Fatalf("%s: too long", what)
			}
		case !one:
			if status != http.StatusBadRequest && status != http.StatusUnsupportedMediaType {
				t.Fatalf("%s: it has no single reading", what)
			}
		case !form_ && status < 400:
			t.Fatalf("%s: no page showed it", what)
		}
		said := text
		for _, lines := range header {
			said += "\n" + strings.Join(lines, "\n")
		}
		if strings.Contains(said, planted) {
			t.Fatalf("%s: a secret comes back", what)
		}
		if to := header.Get("Location"); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\t")) {
			t.Fatalf("%s: leads away, to %q", what, to)
		}
		if header.Get("Content-Security-Policy") == "" || header.Get("X-Content-Type-Options") != "nosniff" {
			t.Fatalf("%s: without the headers of a page", what)
		}
		for _, v := range fields {
			if strings.ContainsAny(v, "<") && len(v) > 7 && strings.Contains(text, v) {
				t.Fatalf("%s: markup comes back: %q", what, v)
			}
		}
		if over := slices.ContainsFunc(header["Set-Cookie"], func(c string) bool { return strings.HasPrefix(c, "gatehouse-session-main=;") }); over || strings.Contains(header.Get("Location"), "/signin") {
			h.begin(t)
		}
	})
}

// begin has somebody sign in, and the forms of before show him anew.
func (h *house) begin(t *testing.T) {
	t.Helper()
	if err := h.signIn(); err != nil {
		t.Fatal(err)
	}
	fresh := map[string]string{}
	for i, f := range h.forms {
		if fresh[f.page] == "" {
			_, _, text, err := h.send("GET", f.page, "", "")
			if err != nil {
				t.Fatal(err)
			}
			fresh[f.page] = text
		}
		for _, shown := range posted.FindAllString(fresh[f.page], -1) {
			if again := read(f.page, shown); again.action == f.action && names(again) == names(f) {
				h.forms[i] = again
			}
		}
	}
}
