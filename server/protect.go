package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/server/config"
)

// ProtectConfig makes a configuration for an API that runs already: deny by
// default, with the routes of its OpenAPI document when there is one, else
// every route for any authenticated caller.
func ProtectConfig(upstream, openAPI, data, listen, gatewayAddr string) (Config, error) {
	c := Config{
		Issuer:    "http://" + listen,
		Data:      data,
		Listen:    config.Listen{Auth: config.Listener{Address: listen}, Gateway: config.Listener{Address: gatewayAddr}},
		Upstreams: map[string]config.Upstream{"api": {URL: strings.TrimRight(upstream, "/"), PlainHeaders: true}},
	}
	if openAPI == "" {
		c.Routes = []enforce.Route{{ID: "everything", Pattern: "/", Authenticated: true}}
	} else {
		doc, err := os.ReadFile(openAPI)
		if err != nil {
			return c, err
		}
		c.Routes, err = gateway.OpenAPIRoutes(doc, gateway.OpenAPIOptions{Upstream: "api", Realm: gatehouse.MainRealm})
		if err != nil {
			return c, fmt.Errorf("%s: %w", openAPI, err)
		}
	}
	c.FillDefaults()
	return c, c.Validate()
}

// Protect is what `gatehouse protect` runs.
type Protect struct {
	Config Config
	Path   string // the gatehouse.yaml it is kept in
}

// PrepareProtect makes the data directory with its configuration and master key
// at the first call, and reads the configuration again at later ones: what was
// edited there in the meantime counts.
func PrepareProtect(upstream, openAPI, data, listen, gatewayAddr string, environ []string) (Protect, error) {
	p := Protect{Path: filepath.Join(data, "gatehouse.yaml")}
	_, err := os.Stat(p.Path)
	if errors.Is(err, os.ErrNotExist) {
		c, err := ProtectConfig(upstream, openAPI, ".", listen, gatewayAddr)
		if err != nil {
			return p, err
		}
		if err := os.MkdirAll(data, 0o700); err != nil {
			return p, err
		}
		c.MasterKeyFile = "master.key"
		if err := GenerateMasterKey(filepath.Join(data, "master.key")); err != nil {
			return p, err
		}
		if err := writeConfig(p.Path, c); err != nil {
			return p, err
		}
	} else if err != nil {
		return p, err
	}
	p.Config, err = LoadConfig(p.Path, environ)
	if err != nil {
		return p, err
	}
	if got := p.Config.Upstreams["api"].URL; got != strings.TrimRight(upstream, "/") {
		return p, fmt.Errorf("%s protects %s; change it there, or choose another --data", p.Path, got)
	}
	return p, nil
}

// TryPath is a path to try the gateway with: the first that can be called
// without knowing anything about the API and that is not open to everybody.
func (p Protect) TryPath() string {
	for _, r := range p.Config.Routes {
		method, path, ok := strings.Cut(r.Pattern, " ")
		if !ok {
			method, path = "GET", r.Pattern
		}
		if method == "GET" && !r.Anonymous && !strings.Contains(path, "{") {
			return path
		}
	}
	return "/"
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
	if err := config.CheckBaseURL(issuer); err != nil {
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

// writeConfig writes a configuration as a file that `serve` reads.
func writeConfig(path string, c Config) error {
	b, err := yaml.MarshalWithOptions(c, yaml.UseJSONMarshaler(), yaml.IndentSequence(true))
	if err != nil {
		return err
	}
	return writeNew(path, b)
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
	made, err := s.admin.Bootstrap(ctx, admin.NewBootstrap{Secret: s.bootstrap, Username: username, Password: gatehouse.Secret(demoPassword())})
	if err != nil {
		return "", err
	}
	s.bootstrap = ""
	return made.APIKey, nil
}
