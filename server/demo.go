package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/client"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/examples/documents"
	"github.com/gatehouse-auth/gatehouse/gateway"
	"github.com/gatehouse-auth/gatehouse/limit"
	"github.com/gatehouse-auth/gatehouse/pages"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/server/config"
	"github.com/gatehouse-auth/gatehouse/store"
)

// DemoConfig says where the demo runs.
type DemoConfig struct {
	Data     string // directory; made anew at each start, so credentials are fresh
	Listen   string // auth listener
	Gateway  string
	Upstream string // a documents API that runs already; "" starts the example
	// Outbox is the address, of this machine, of a page that shows the mail that would be sent; "" for a demo that writes to nobody.
	Outbox string
	// OutboxElsewhere has any free port do where the one of Outbox is taken: nobody asked for that one.
	OutboxElsewhere bool
	// Program starts a small program that people sign in at.
	Program bool
	Log     LogConfig
	Store   StoreConfig // SQLite in Data when empty; a PostgreSQL database must be empty

	clock  func() time.Time
	change func(*Config)
}

// DemoPerson is one of the people of the demo, with fresh credentials.
type DemoPerson struct {
	ID       string `json:"id"`
	Password string `json:"password"`
	APIKey   string `json:"api_key"`
	Role     string `json:"role"`
}

// Demo is a running demo.
type Demo struct {
	Issuer     string                `json:"issuer"`
	Gateway    string                `json:"gateway"`
	Upstream   string                `json:"upstream"`
	Outbox     string                `json:"outbox,omitempty"`  // where its mail is shown
	Program    string                `json:"program,omitempty"` // a program that acts for people, and begins where it is opened
	AdminToken string                `json:"admin_token"`
	Users      map[string]DemoPerson `json:"users"`

	server  *Server
	others  []*http.Server // on this machine
	example bool           // its documents API is one of them
}

// demoMarker tells a demo's data from somebody's real data.
const demoMarker = "THIS-IS-DEMO-DATA"

// StartDemo starts Gatehouse on SQLite with the documents API behind it and the
// people of the demo in it: alice (admin), bob (user), carol (viewer) and dave
// (manager of team blue). They are made through the management API, as anybody
// would. End it with [Demo.Close].
func StartDemo(ctx context.Context, cfg DemoConfig) (_ *Demo, err error) {
	if err := freshDemoData(ctx, cfg.Data); err != nil {
		return nil, err
	}
	d := &Demo{Upstream: cfg.Upstream, Users: map[string]DemoPerson{}}
	defer func() {
		if err != nil {
			d.Close(context.WithoutCancel(ctx))
		}
	}()
	if d.Upstream == "" {
		if err := d.startExample(); err != nil {
			return nil, err
		}
	}
	if cfg.Outbox != "" {
		if err := os.Mkdir(cfg.keptMail(), 0o700); err != nil {
			return nil, err
		}
	}
	conf := demoConfig(cfg, d.Upstream)
	if err := conf.Validate(); err != nil {
		return nil, err
	}
	if err := GenerateMasterKey(conf.MasterKeyFile); err != nil {
		return nil, err
	}
	if d.server, err = New(ctx, conf); err != nil {
		return nil, err
	}
	if err := d.server.Start(ctx); err != nil {
		return nil, err
	}
	d.Issuer, d.Gateway = d.server.AuthURL(), d.server.GatewayURL()
	if cfg.Outbox != "" {
		if err := d.showMail(cfg); err != nil {
			return nil, err
		}
	}
	if err := d.fill(ctx); err != nil {
		return nil, err
	}
	if cfg.Program {
		err = d.startProgram(ctx)
	}
	return d, err
}

// Wait returns when the server ends.
func (d *Demo) Wait(ctx context.Context) error { return d.server.Wait(ctx) }

// Close ends everything.
func (d *Demo) Close(ctx context.Context) {
	if d.server != nil {
		d.server.Close(ctx)
	}
	for _, other := range d.others {
		_ = other.Close()
	}
}

func (d *Demo) startExample() (err error) {
	d.Upstream, err = d.serve("127.0.0.1:0", documents.New())
	d.example = err == nil
	return err
}

// serve serves h beside the server, to this machine alone, and returns where.
func (d *Demo) serve(address string, h http.Handler) (url string, err error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	if at, ok := l.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
		_ = l.Close()
		return "", fmt.Errorf("demo: %s is not an address of this machine alone", address)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	d.others = append(d.others, s)
	go func() { _ = s.Serve(l) }() // until it is closed
	return "http://" + l.Addr().String(), nil
}

// keptMail is where a demo keeps its mail.
func (cfg DemoConfig) keptMail() string { return filepath.Join(cfg.Data, "outbox") }

// showMail serves the page of what the demo would send. It is a listener of its own that no installation has: whoever
// reads the mail of everybody is everybody.
func (d *Demo) showMail(cfg DemoConfig) error {
	h, err := pages.NewOutbox(cfg.keptMail(), d.Issuer)
	if err == nil {
		if d.Outbox, err = d.serve(cfg.Outbox, h); errors.Is(err, syscall.EADDRINUSE) && cfg.OutboxElsewhere {
			d.Outbox, err = d.serve("127.0.0.1:0", h)
		}
	}
	return err
}

// freshDemoData empties the directory of an earlier demo, and refuses to touch
// anything else.
func freshDemoData(ctx context.Context, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(dir, demoMarker)); err != nil {
			return fmt.Errorf("%s holds something that is not a demo's data; choose another directory", dir)
		}
		// A demo that runs would lose its files from under it.
		held, err := store.Lock(ctx, databasePath(dir), 0)
		if gatehouse.CodeOf(err) == "store_locked" {
			return fmt.Errorf("a demo runs in %s already; stop it, or choose another directory (--data)", dir)
		}
		if err != nil {
			return err
		}
		defer held.Close()
		for _, e := range entries {
			// The marker goes last of all, should this be interrupted; the lock is held.
			if e.Name() == demoMarker || e.Name() == filepath.Base(databasePath(dir))+".lock" {
				continue
			}
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, demoMarker), []byte("Everything here is made anew when the demo starts.\n"), 0o600)
}

// demoConfig is the gatehouse.yaml of the demo; docs/policies.md shows it.
func demoConfig(cfg DemoConfig, upstream string) Config {
	owner := map[string]string{"owner": "User"}
	plenty, perSecond := limit.Rate{Limit: 100_000, Window: time.Minute}, limit.Rate{Limit: 100_000, Window: time.Second}
	attributes := map[string]string{"owner": "owner", "team": "team", "visibility": "visibility"}
	document := func(action string) enforce.Route {
		return enforce.Route{Action: action, HideExistence: true, Resource: &enforce.ResourceRule{Type: "Document", ID: "{id}",
			Source: "upstream", Fetch: "/documents/{id}", Attributes: attributes, Entities: owner}}
	}
	read, update, remove := document("read"), document("update"), document("delete")
	read.Pattern, update.Pattern, remove.Pattern = "GET /documents/{id}", "PUT /documents/{id}", "DELETE /documents/{id}"
	update.ContentTypes = []string{"application/json"}
	c := Config{
		Issuer: "http://" + cfg.Listen,
		Data:   cfg.Data,
		Store:  cfg.Store,
		Listen: config.Listen{Auth: config.Listener{Address: cfg.Listen}, Gateway: config.Listener{Address: cfg.Gateway}},
		Log:    cfg.Log,
		// The demo's proxies, should somebody put one in front, are on this machine.
		TrustedProxies: []string{"127.0.0.0/8", "::1"},
		Limits:         config.Limits{Tokens: plenty, Admin: plenty}, // for trying things by script
		Upstreams:      map[string]gateway.Upstream{"documents": {URL: upstream, PlainHeaders: true}},
		Routes: []enforce.Route{
			{Pattern: "GET /public", Anonymous: true},
			// A page is a document too: one that is public to everybody who is known.
			{Pattern: "GET /private", Action: "read", Resource: &enforce.ResourceRule{Type: "Document", ID: "private",
				Static: map[string]any{"visibility": "public"}}},
			{Pattern: "GET /documents", Action: "list", Resource: &enforce.ResourceRule{Type: "Document"},
				Filter: &enforce.ListFilter{Items: "documents", IDMember: "id", Action: "read",
					Resource: enforce.ResourceRule{Type: "Document", Attributes: attributes, Entities: owner}}},
			{Pattern: "POST /documents", Action: "create", ContentTypes: []string{"application/json"},
				Resource: &enforce.ResourceRule{Type: "Document", Source: "body", Attributes: attributes, Entities: owner}},
			read, update, remove,
		},
	}
	if cfg.Outbox != "" {
		c.Mail.Outbox, c.Mail.From = cfg.keptMail(), "Gatehouse demo <demo@example.com>"
	}
	for i := range c.Routes {
		c.Routes[i].RateAddress, c.Routes[i].RatePrincipal = perSecond, perSecond
	}
	c.Now = cfg.clock
	if cfg.change != nil {
		cfg.change(&c)
	}
	c.FillDefaults()
	return c
}

// fill makes the people of the demo, their roles, policies and documents.
func (d *Demo) fill(ctx context.Context) error {
	password := demoPassword()
	boot, err := client.New(d.Issuer, "")
	if err != nil {
		return err
	}
	var first struct {
		APIKey string `json:"api_key"`
	}
	if err := boot.Do(ctx, "POST", "/bootstrap", map[string]any{"secret": d.server.BootstrapSecret().Reveal(),
		"username": "operator", "password": password}, &first); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	d.AdminToken = first.APIKey
	api, err := client.New(d.Issuer, gatehouse.Secret(first.APIKey))
	if err != nil {
		return err
	}
	put := func(path string, in any) {
		if err == nil {
			err = api.Do(ctx, "PUT", "/realms/main"+path, in, nil)
		}
	}
	put("/schema", map[string]any{"text": policy.ExampleDocumentsSchema()})
	for _, r := range policy.ExampleRoles() {
		put("/roles/"+r.Name, map[string]any{"description": r.Description, "parents": append([]string{}, r.Parents...), "permissions": r.Permissions})
	}
	put("/policies/documents", map[string]any{"text": policy.ExampleDocuments()})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	err = api.Do(ctx, "PATCH", "/realms/main", map[string]any{"settings": map[string]any{"scopes": map[string]string{
		"documents:read": "Read documents", "documents:write": "Create, change and delete documents"}}}, nil)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	for _, p := range []struct {
		name, role string
		attributes map[string]any
	}{{"alice", "admin", nil}, {"bob", "user", nil}, {"carol", "viewer", nil},
		{"dave", "manager", map[string]any{"managed_teams": []string{"blue"}}}} {
		if err := d.addPerson(ctx, api, p.name, p.role, p.attributes); err != nil {
			return fmt.Errorf("demo: %s: %w", p.name, err)
		}
	}
	return d.addDocuments(ctx)
}

func (d *Demo) addPerson(ctx context.Context, api *client.Client, name, role string, attributes map[string]any) error {
	password := demoPassword()
	in := map[string]any{"username": name, "password": password, "roles": []string{role}}
	if attributes != nil {
		in["attributes"] = attributes
	}
	if d.Outbox != "" {
		in["email"] = name + "@example.com"
	}
	var user struct {
		User struct {
			ID string `json:"id"`
		} `json:"user"`
	}
	if err := api.Do(ctx, "POST", "/realms/main/users", in, &user); err != nil {
		return err
	}
	var key struct {
		Text string `json:"text"`
	}
	if err := api.Do(ctx, "POST", "/realms/main/keys", map[string]any{"owner": user.User.ID, "name": "demo", "environment": "live",
		"scopes": []string{gatehouse.ScopeAll}}, &key); err != nil {
		return err
	}
	d.Users[name] = DemoPerson{ID: user.User.ID, Password: password, APIKey: key.Text, Role: role}
	return nil
}

// demoPassword makes a password that nobody has to remember.
func demoPassword() string { return rand.Text() }

// addDocuments puts a few documents into the example, as their owners, through
// the gateway.
func (d *Demo) addDocuments(ctx context.Context) error {
	if !d.example {
		return nil // somebody's own documents API keeps what it has
	}
	for _, doc := range []struct{ who, title, team, visibility string }{
		{"alice", "House rules", "", "public"},
		{"bob", "Notes of bob", "blue", "private"},
		{"bob", "Plan of team blue", "blue", "team"},
	} {
		body, err := json.Marshal(map[string]string{"title": doc.title, "body": "…", "team": doc.team, "visibility": doc.visibility})
		if err != nil {
			return err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Gateway+"/documents", bytes.NewReader(body))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+d.Users[doc.who].APIKey)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusCreated {
			return fmt.Errorf("demo: document %q: %s", doc.title, resp.Status)
		}
	}
	return nil
}
