package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/client"
	"github.com/gatehouse-auth/gatehouse/internal/decimal"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	oauthclient "github.com/gatehouse-auth/gatehouse/oauth/client"
)

const defaultURL = "http://127.0.0.1:8080"

// login is what `gatehouse login` saves, readable by its owner only.
type login struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

func (a *app) loginPath() (string, error) {
	dir, err := a.configDir()
	return filepath.Join(dir, "login.json"), err
}

func (a *app) savedLogin() (login, bool) {
	path, err := a.loginPath()
	if err != nil {
		return login{}, false
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return login{}, false
	}
	var l login
	return l, exactjson.Unmarshal(b, &l) == nil && l.Token != ""
}

// server returns the base URL to talk to.
func (a *app) server() string {
	if a.url != "" {
		return strings.TrimRight(a.url, "/")
	}
	if u := a.env("GATEHOUSE_URL"); u != "" {
		return strings.TrimRight(u, "/")
	}
	if l, ok := a.savedLogin(); ok && l.URL != "" {
		return l.URL
	}
	return defaultURL
}

// token finds the credential: flag, environment, saved login. It is never
// taken from the command line, which other users of the machine can read.
func (a *app) token() (gatehouse.Secret, error) {
	file := a.tokenFile
	if file == "" {
		if t := strings.TrimSpace(a.env("GATEHOUSE_TOKEN")); t != "" { // $(cat file) under some shells, secret mounts
			return credentialText(t)
		}
		file = a.env("GATEHOUSE_TOKEN_FILE")
	}
	if file != "" {
		b, err := a.readFileOrStdin(file, 64<<10)
		if err != nil {
			return "", err
		}
		return credentialText(strings.TrimSpace(string(b)))
	}
	if l, ok := a.savedLogin(); ok {
		// A saved token is only for the server it came from.
		if l.URL != "" && l.URL != a.server() {
			return "", usagef("the saved login is for %s, not %s; set GATEHOUSE_TOKEN or log in there", l.URL, a.server())
		}
		return gatehouse.Secret(l.Token), nil
	}
	return "", errNotLoggedIn
}

var errNotLoggedIn = gatehouse.E(gatehouse.Unauthenticated, "not_logged_in", "No credential, or it has ended: run `gatehouse login`, or set GATEHOUSE_TOKEN.")

// credentialText refuses what no header can carry, without repeating it.
func credentialText(t string) (gatehouse.Secret, error) {
	if t == "" || strings.ContainsFunc(t, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", usagef("GATEHOUSE_TOKEN or the token file does not hold one API key or token: it is empty, or has blanks or line ends inside")
	}
	return gatehouse.Secret(t), nil
}

// tokenFrom says where token finds the credential, without a word of it.
func (a *app) tokenFrom() string {
	switch {
	case a.tokenFile != "":
		return "--token-file " + a.tokenFile
	case strings.TrimSpace(a.env("GATEHOUSE_TOKEN")) != "":
		return "GATEHOUSE_TOKEN"
	case a.env("GATEHOUSE_TOKEN_FILE") != "":
		return "GATEHOUSE_TOKEN_FILE " + a.env("GATEHOUSE_TOKEN_FILE")
	}
	if path, err := a.loginPath(); err == nil {
		return "your saved login " + path
	}
	return ""
}

// badServer names the address that cannot be one, unless there may be a password in it.
func (a *app) badServer(err error) error {
	if strings.Contains(a.server(), "@") {
		return usagef("--url or GATEHOUSE_URL: %v", err)
	}
	return usagef("--url or GATEHOUSE_URL: %q: %v", a.server(), err)
}

func (a *app) realmName() string {
	if a.realm != "" {
		return a.realm
	}
	if r := a.env("GATEHOUSE_REALM"); r != "" {
		return r
	}
	return gatehouse.MainRealm
}

// realmPath builds a path below /admin/v1/realms/REALM, escaping each part.
func (a *app) realmPath(parts ...string) string {
	p := "/realms/" + url.PathEscape(a.realmName())
	for _, s := range parts {
		p += "/" + url.PathEscape(oauthclient.NameInPath(s))
	}
	return p
}

// call does one request of the management API: it reads, or changes something.
func (a *app) call(ctx context.Context, method, path string, in, out any) error {
	return a.with(ctx, func(c *client.Client) error {
		if method == "GET" {
			return c.Do(ctx, method, path, in, out)
		}
		return a.change(ctx, c, method, path, in, out)
	})
}

// post is call with the method of a change.
func (a *app) post(ctx context.Context, path string, in, out any) error {
	return a.call(ctx, "POST", path, in, out)
}

// ask does one request with a body that changes nothing which other nodes must know of.
func (a *app) ask(ctx context.Context, path string, in, out any) error {
	return a.with(ctx, func(c *client.Client) error { return c.Do(ctx, "POST", path, in, out) })
}

func (a *app) client() (*client.Client, error) {
	token, err := a.token()
	if err != nil {
		return nil, err
	}
	c, err := client.New(a.server(), token)
	if err != nil {
		return nil, a.badServer(err)
	}
	return c, nil
}

// object is a JSON object as the API gave it.
type object = map[string]any

// jsonObject reads an object that somebody wrote by hand; name says where.
func jsonObject(name string, b []byte) (object, error) {
	o, err := exactjson.Object(b)
	if err != nil {
		return nil, usagef("%s: not a JSON object: %v", name, err)
	}
	return o, nil
}

// page is one page of a list.
type page struct {
	Items []object `json:"items"`
	Next  string   `json:"next,omitempty"`
}

// list prints every page of a list: as JSON, or with the named members as
// columns.
func (a *app) list(ctx context.Context, path string, query url.Values, columns ...string) error {
	all, err := a.all(ctx, path, query)
	if err != nil {
		return err
	}
	return a.print(all, func(w io.Writer) {
		rows := [][]string{{}}
		for _, c := range columns {
			rows[0] = append(rows[0], strings.ToUpper(strings.ReplaceAll(c, "_", " ")))
		}
		for _, o := range all {
			row := make([]string, len(columns))
			for i, c := range columns {
				row[i] = text(o[c])
			}
			rows = append(rows, row)
		}
		table(w, rows)
	})
}

// show prints one object, members in order of name.
func (a *app) show(o object) error {
	return a.print(o, func(w io.Writer) {
		names := make([]string, 0, len(o))
		for n := range o {
			names = append(names, n)
		}
		sort.Strings(names)
		rows := make([][]string, 0, len(names))
		for _, n := range names {
			if t := text(o[n]); t != "" {
				rows = append(rows, []string{n, t})
			}
		}
		table(w, rows)
	})
}

// all reads the pages of a list, of up to 100,000 things.
func (a *app) all(ctx context.Context, path string, query url.Values) ([]object, error) {
	all := []object{}
	if query == nil {
		query = url.Values{}
	}
	for {
		var p page
		full := path
		if len(query) > 0 {
			full += "?" + query.Encode()
		}
		if err := a.call(ctx, "GET", full, nil, &p); err != nil {
			return nil, err
		}
		all = append(all, p.Items...)
		if p.Next == "" || len(all) >= 100_000 {
			return all, nil
		}
		query.Set("after", p.Next)
	}
}

// get fetches and shows one object.
func (a *app) get(ctx context.Context, path string) error {
	var o object
	if err := a.call(ctx, "GET", path, nil, &o); err != nil {
		return err
	}
	return a.show(o)
}

// getText fetches an object and prints its text as it is, so that it can be
// saved as a file, edited and put back; the whole object with --json.
func (a *app) getText(ctx context.Context, path string) error {
	var o object
	if err := a.call(ctx, "GET", path, nil, &o); err != nil {
		return err
	}
	return a.print(o, func(w io.Writer) {
		text, _ := o["text"].(string)
		for line := range strings.Lines(text) {
			indent := len(line) - len(strings.TrimLeft(line, "\t"))
			fmt.Fprintln(w, line[:indent]+printable(strings.TrimRight(line[indent:], "\r\n")))
		}
	})
}

// done says that something was done.
func (a *app) done(format string, args ...any) error {
	msg := fmt.Sprintf(format, args...)
	return a.print(object{"ok": true, "message": msg}, func(w io.Writer) { fmt.Fprintln(w, printable(msg)) })
}

// text shows a JSON value in a table.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = text(e)
		}
		return strings.Join(parts, " ")
	case int64:
		return strconv.FormatInt(v, 10)
	case decimal.Number:
		return v.String()
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// errNothing is returned when a command was asked to change nothing.
var errNothing = usagef("nothing to change; see --help")

// callPublic is call without a credential.
func (a *app) callPublic(ctx context.Context, method, path string, in, out any) error {
	c, err := client.New(a.server(), "")
	if err != nil {
		return a.badServer(err)
	}
	return c.Do(ctx, method, path, in, out)
}
