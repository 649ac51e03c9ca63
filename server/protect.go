package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/client"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/egress"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/openapi"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// ProtectConfig makes a configuration for an API that runs already: deny by
// default, with the routes of its OpenAPI document when there is one, else
// every route for any authenticated caller.
func ProtectConfig(upstream string, api *openapi.API, data, listen, gatewayAddr string) (Config, error) {
	c := Config{
		Issuer:    "http://" + listen,
		Data:      data,
		Listen:    config.Listen{Auth: config.Listener{Address: listen}, Gateway: config.Listener{Address: gatewayAddr}},
		Upstreams: map[string]gateway.Upstream{protectedAPI: {URL: strings.TrimRight(upstream, "/"), PlainHeaders: true}},
	}
	if api == nil {
		c.Routes = []enforce.Route{{ID: "everything", Pattern: "/", Authenticated: true}}
	} else {
		c.Routes = api.Routes
	}
	c.FillDefaults()
	return c, c.Validate()
}

// protectedAPI is the name of the upstream that `gatehouse protect` makes.
const protectedAPI = "api"

// ReadOpenAPI reads the routes of the API that `gatehouse protect` protects, from a
// file or from an http or https address. The operator names the address, so it may
// be of this machine; plain http serves for this machine and private networks only.
func ReadOpenAPI(ctx context.Context, place string) (*openapi.API, error) {
	var doc []byte
	var err error
	if lower := strings.ToLower(place); strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://") {
		doc, _, err = egress.New(egress.Config{AllowPrivate: true, MaxBytes: openapi.MaxBytes}).Fetch(ctx, place, "application/json, application/yaml")
	} else {
		doc, err = readBounded(place, openapi.MaxBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", withoutQuery(place), err)
	}
	api, err := openapi.Read(doc, openapi.Options{Upstream: protectedAPI, Realm: gatehouse.MainRealm})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", withoutQuery(place), err)
	}
	return api, nil
}

// withoutQuery is an address as it may be shown: without user and query, which can
// hold secrets.
func withoutQuery(place string) string {
	u, err := url.Parse(place)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return place
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}

// readBounded reads a file of at most limit bytes, and one byte more of a larger one.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit+1))
}

// ProtectOptions are the flags of `gatehouse protect`.
type ProtectOptions struct {
	Upstream string // base URL of the API
	OpenAPI  string // file or address of its document; "" for none
	Data     string // directory for configuration and data
	Listen   string // address of the auth listener
	Gateway  string // address of the gateway
}

// Protect is what `gatehouse protect` runs.
type Protect struct {
	Config Config
	Path   string       // the gatehouse.yaml it is kept in
	API    *openapi.API // what the document says; nil without one, and when the file was there

	unwritten []byte // text of Path, as long as it is not there
}

// PrepareProtect reads the configuration of an earlier start, where what was edited
// in the meantime counts, or makes one from the flags. A new one is written by
// [Protect.Keep]: a start that fails must not pin its flags.
func PrepareProtect(ctx context.Context, o ProtectOptions, environ []string) (Protect, error) {
	p := Protect{Path: filepath.Join(o.Data, "gatehouse.yaml")}
	_, err := os.Stat(p.Path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := p.make(ctx, o, environ); err != nil {
			return p, err
		}
	case err != nil:
		return p, err
	default:
		if p.Config, err = LoadConfig(p.Path, environ); err != nil {
			return p, err
		}
	}
	if got := p.Config.Upstreams[protectedAPI].URL; got != strings.TrimRight(o.Upstream, "/") {
		return p, fmt.Errorf("%s protects %s; change it there, or choose another --data", p.Path, got)
	}
	return p, nil
}

// make makes the configuration, and the master key unless a failed start has left one.
func (p *Protect) make(ctx context.Context, o ProtectOptions, environ []string) error {
	if o.OpenAPI != "" {
		var err error
		if p.API, err = ReadOpenAPI(ctx, o.OpenAPI); err != nil {
			return err
		}
	}
	c, err := ProtectConfig(o.Upstream, p.API, ".", o.Listen, o.Gateway)
	if err != nil {
		return err
	}
	c.MasterKeyFile = "master.key"
	if p.unwritten, err = config.Text(c); err != nil {
		return err
	}
	if p.Config, err = config.LoadText(p.unwritten, p.Path, environ); err != nil {
		return err
	}
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return err
	}
	if err := GenerateMasterKey(filepath.Join(o.Data, "master.key")); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// Keep writes the configuration of a first start, which runs now.
func (p Protect) Keep() error {
	if p.unwritten == nil {
		return nil
	}
	return writeNew(p.Path, p.unwritten)
}

// Differences tells which flags say something else than the file that counts. Only
// flags that were given are to be set in o.
func (p Protect) Differences(o ProtectOptions) []string {
	if p.unwritten != nil {
		return nil
	}
	var out []string
	if o.OpenAPI != "" {
		out = append(out, fmt.Sprintf("The rules are those of %s; %s is not read again. Another --data makes new ones.", p.Path, withoutQuery(o.OpenAPI)))
	}
	for _, f := range []struct{ flag, given, counts string }{
		{"--listen", o.Listen, p.Config.Listen.Auth.Address}, {"--gateway", o.Gateway, p.Config.Listen.Gateway.Address},
	} {
		if f.given != "" && f.given != f.counts {
			out = append(out, fmt.Sprintf("%s %s has no effect: %s says %s. Change it there.", f.flag, f.given, p.Path, f.counts))
		}
	}
	return out
}

// TryPath is a path to try the gateway with: the first that can be called
// without knowing anything about the API and that is not open to everybody.
func (p Protect) TryPath() string {
	for _, r := range p.Config.Routes {
		method, path, ok := strings.Cut(r.Pattern, " ")
		if !ok {
			method, path = "GET", r.Pattern
		}
		if method == "GET" && !r.Anonymous && !r.Closed && acceptsKeys(r) && !strings.Contains(path, "{") {
			return path
		}
	}
	return "/"
}

// acceptsKeys reports whether the key of the first administrator can call the route.
func acceptsKeys(r enforce.Route) bool {
	ways := r.AnyOf
	if len(ways) == 0 {
		ways = []enforce.Requirement{{}}
	}
	return slices.ContainsFunc(ways, func(w enforce.Requirement) bool {
		return (len(r.Schemes) == 0 || slices.Contains(r.Schemes, gatehouse.SchemeAPIKey)) &&
			(len(w.Schemes) == 0 || slices.Contains(w.Schemes, gatehouse.SchemeAPIKey))
	})
}

// InitConfig makes DIR with a commented gatehouse.yaml and a master key. It
// never overwrites anything.
func InitConfig(dir, issuer, listen, gatewayAddr string) (path string, err error) {
	if _, _, err := net.SplitHostPort(listen); err != nil {
		return "", fmt.Errorf("listen address: %w", err)
	}
	if issuer == "" {
		issuer = "http://" + listen
	}
	if err := web.CheckBaseURL(issuer); err != nil {
		return "", fmt.Errorf("issuer: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	path = filepath.Join(dir, "gatehouse.yaml")
	text := fmt.Sprintf(initTemplate, issuer, listen, gatewayAddr)
	if err := writeNew(path, []byte(text)); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		return path, err
	}
	return path, GenerateMasterKey(filepath.Join(dir, "data", "master.key"))
}

// writeNew creates a file for its owner only; an existing one is an error.
func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

const initTemplate = `# Gatehouse. Every setting: gatehouse config schema. Check: gatehouse config check.

# Public base URL of the auth listener. Tokens name it: choose it once.
issuer: %s
data: data

listen:
  auth: {address: "%s"}      # tokens, keys, management API
  gateway: {address: "%s"}   # the APIs below, and forward-auth
  # metrics: {address: "127.0.0.1:9090"}

# Networks whose X-Forwarded-* lines are believed. Empty trusts nobody.
trusted_proxies: []

# APIs behind the gateway.
upstreams:
  api: {url: "http://127.0.0.1:3000", plain_headers: true}

# What may be called, and by whom. What no route matches does not exist.
routes:
  - match: GET /public
    anonymous: true
  - match: /
    authenticated: true
`

// FirstAdministrator makes the first administrator with a password that nobody
// needs, and returns the key that was made for it; "" when there is one already.
func (s *Server) FirstAdministrator(ctx context.Context, username string) (gatehouse.Secret, error) {
	if s.bootstrap == "" {
		return "", nil
	}
	made, err := s.admin.Users.Bootstrap(ctx, users.NewBootstrap{Secret: s.bootstrap, Username: username, Password: gatehouse.Secret(demoPassword())})
	if err != nil {
		return "", err
	}
	s.bootstrap = ""
	return made.APIKey, nil
}

// AddScopes adds the scopes of a document to the catalogue of the main realm, with
// the key of an administrator, so that keys and tokens can be given them.
func (s *Server) AddScopes(ctx context.Context, key gatehouse.Secret, scopes map[string]string) error {
	api, err := client.New(s.AuthURL(), key)
	if err != nil {
		return err
	}
	return api.Do(ctx, "PATCH", "/realms/"+gatehouse.MainRealm, map[string]any{"settings": map[string]any{"scopes": scopes}}, nil)
}
