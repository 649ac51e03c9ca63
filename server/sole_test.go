package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

// soleNode is a server that is alone on its database, behind a link, in a directory of its
// own, with the people of a demo.
func soleNode(t *testing.T, change func(*server.Config)) (d *server.Demo, s *server.Server, way *link, st server.StoreConfig) {
	t.Helper()
	st = postgresStore(t)
	d = demoOn(t, st)
	d.StopServer(t.Context())
	way, dsn := newLink(t, st.DSN)
	s = another(t, d, func(c *server.Config) {
		c.Store.DSN, c.Store.MaxStaleness = dsn, 2*time.Second
		if change != nil {
			change(c)
		}
	})
	t.Cleanup(way.mend) // before the server ends
	testwait.Until(t, soon, "it is alone", func() bool { return metric(t, s, "gatehouse_sole_node") == "1" })
	return d, s, way, st
}

func another(t *testing.T, d *server.Demo, change func(*server.Config)) *server.Server {
	t.Helper()
	s, err := d.Another(t.Context(), t.TempDir(), change)
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	t.Cleanup(func() { s.Close(over) })
	return s
}

// metric is the value of a metric without labels.
func metric(t *testing.T, s *server.Server, name string) string {
	t.Helper()
	for line := range strings.Lines(call(t, "GET", s.MetricsURL()+"/metrics").body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// TestSoleNodeServesOn: a node that is alone goes on when its database is away, however
// that is, for as long as it may; and when it is back, all is as before.
func TestSoleNodeServesOn(t *testing.T) {
	for name, lose := range map[string]func(*link){"cut": (*link).cut, "silent": (*link).hush} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits
			d, s, way, _ := soleNode(t, func(c *server.Config) { c.Store.Alone = "9s" })
			key := d.Users["alice"].APIKey
			ask := func() answer { return call(t, "GET", s.GatewayURL()+"/private", "bearer", key) }
			ask().want(t, "a key", 200)
			lose(way)
			began := time.Now()
			served := 0
			testwait.Until(t, soon, "it serves on past the age at which it would refuse", func() bool {
				if a := ask(); a.status == 200 && time.Since(began) > 5*time.Second {
					served++
				}
				return served > 20
			})
			if metric(t, s, "gatehouse_view_stale") != "0" || metric(t, s, "gatehouse_sole_node") != "1" {
				t.Error("the metrics do not tell that it goes on")
			}
			testwait.Until(t, soon, "it refuses once its time is over", func() bool { return ask().status == 503 })
			if took := time.Since(began); took < 7*time.Second || took > 11*time.Second {
				t.Errorf("it went on for %v, and may for 9 s", took)
			}
			if a := ask(); a.code() != "stale_view" {
				t.Errorf("%s", a.body)
			}
			way.mend()
			testwait.Until(t, soon, "it answers again", func() bool { return ask().status == 200 })
			testwait.Until(t, soon, "it is ready", func() bool { return call(t, "GET", s.MetricsURL()+"/readyz").status == 200 })
		})
	}
}

// TestNotAlone: a node that shared its database a moment ago does not go on without it, and
// neither does one that is not to.
func TestNotAlone(t *testing.T) {
	d, s, way, _ := soleNode(t, nil)
	other := another(t, d, func(*server.Config) {})
	testwait.Until(t, soon, "it is alone no more", func() bool { return metric(t, s, "gatehouse_sole_node") == "0" })
	testwait.Until(t, soon, "the other one answers", func() bool {
		return call(t, "GET", other.GatewayURL()+"/private", "bearer", d.Users["alice"].APIKey).status == 200
	})
	way.cut()
	testwait.Until(t, soon, "it refuses", func() bool {
		return call(t, "GET", s.GatewayURL()+"/private", "bearer", d.Users["alice"].APIKey).status == 503
	})
	call(t, "GET", other.GatewayURL()+"/private", "bearer", d.Users["alice"].APIKey).want(t, "the other one", 200)
}

// TestWhoComesWaits: a node that starts while another one may be going on without the
// database answers nothing until that one has heard of it, or an operator says that it is
// gone; it can be asked which one it waits for.
func TestWhoComesWaits(t *testing.T) {
	for _, how := range []string{"it hears again", "an operator says that it is gone"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel() // it waits
			d, s, way, st := soleNode(t, func(c *server.Config) { c.Store.Alone = "forever" })
			key := d.Users["alice"].APIKey
			call(t, "GET", s.GatewayURL()+"/private", "bearer", key).want(t, "before", 200)
			way.cut()
			b := another(t, d, func(c *server.Config) { c.Store = st; c.FillDefaults() })
			ask := func(s *server.Server) answer { return call(t, "GET", s.GatewayURL()+"/private", "bearer", key) }
			ask(s).want(t, "the one that is alone", 200)
			if a := ask(b).want(t, "the one that comes", 503); a.code() != "stale_view" {
				t.Errorf("%s", a.body)
			}
			call(t, "GET", b.MetricsURL()+"/readyz").want(t, "not ready", 503)
			call(t, "POST", b.AuthURL()+"/tokens", "basic", "alice:"+d.Users["alice"].Password).want(t, "a login", 503)
			manage := b.AuthURL() + "/admin/v1"
			call(t, "POST", manage+"/realms/main/users/bob/revoke", "bearer", d.AdminToken).want(t, "a revocation", 503)
			call(t, "GET", manage+"/nodes").want(t, "nobody may ask", 401)
			var id string
			testwait.Until(t, soon, "the other one is listed as silent", func() bool {
				list, _ := call(t, "GET", manage+"/nodes", "bearer", d.AdminToken).want(t, "the nodes", 200).json["items"].([]any)
				for _, n := range list {
					if n := n.(map[string]any); n["answering"] == false && n["state"] == "silent" {
						id, _ = n["id"].(string)
					}
				}
				return id != ""
			})
			ask(b).want(t, "it waits still", 503)
			if how == "it hears again" {
				way.mend()
			} else {
				call(t, "DELETE", manage+"/nodes/"+id, "bearer", d.AdminToken).want(t, "its removal", 204)
			}
			testwait.Until(t, soon, "it answers", func() bool { return ask(b).status == 200 })
			testwait.Until(t, soon, "it is ready", func() bool { return call(t, "GET", b.MetricsURL()+"/readyz").status == 200 })
			call(t, "POST", manage+"/realms/main/users/bob/revoke", "bearer", d.AdminToken).want(t, "a revocation", 204)
		})
	}
}

// TestHomeOfOne: two nodes do not use one data directory, and the one that uses it later has
// the same name for it.
func TestHomeOfOne(t *testing.T) {
	st := postgresStore(t)
	d := demoOn(t, st)
	home := t.TempDir()
	for n := range 2 {
		s, err := d.Another(t.Context(), home, func(*server.Config) {})
		if err != nil {
			t.Fatalf("start %d: %v", n, err)
		}
		if _, err := d.Another(t.Context(), home, func(*server.Config) {}); err == nil || !strings.Contains(fmt.Sprint(err), "store_locked") {
			t.Errorf("start %d: a second one in its directory: %v", n, err)
		}
		over, cancel := context.WithCancel(context.Background())
		cancel()
		s.Close(over)
	}
}

// TestWhoWaitsWithKeysDue: a node starts while a change of signing keys is due that it may not store yet,
// because it waits for another one; it makes the change once it waits no longer.
func TestWhoWaitsWithKeysDue(t *testing.T) {
	d, _, way, st := soleNode(t, func(c *server.Config) { c.Store.Alone = "forever" })
	way.cut()
	raw, err := pgx.Connect(t.Context(), st.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close(context.Background()) }()
	const year = 365 * 24 * int64(time.Hour/time.Microsecond)
	if _, err := raw.Exec(t.Context(), `UPDATE signing_keys SET created_at=created_at-$1, activated_at=activated_at-$1 WHERE realm='main'`, year); err != nil {
		t.Fatal(err)
	}
	b := another(t, d, func(c *server.Config) { c.Store = st; c.FillDefaults() })
	call(t, "GET", b.MetricsURL()+"/readyz").want(t, "it waits", 503)
	way.mend()
	testwait.Until(t, soon, "it waits no longer", func() bool { return call(t, "GET", b.MetricsURL()+"/readyz").status == 200 })
}

// TestWhoWaitsFinishesARestore: a node starts while a restore is to be finished, and waits for
// another one: it ends first what was issued before the restore, and can be asked which node it
// waits for, by a key that is good still.
func TestWhoWaitsFinishesARestore(t *testing.T) {
	d, s, way, st := soleNode(t, func(c *server.Config) { c.Store.Alone = "forever" })
	out := call(t, "POST", s.AuthURL()+"/tokens", "basic", "bob:"+d.Users["bob"].Password).want(t, "a login", 200)
	access := out.json["access_token"].(string)
	ask := func(s *server.Server) answer { return call(t, "GET", s.GatewayURL()+"/private", "bearer", access) }
	ask(s).want(t, "before", 200)
	way.cut()
	raw, err := pgx.Connect(t.Context(), st.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close(context.Background()) }()
	if _, err := raw.Exec(t.Context(), `INSERT INTO settings (name, value) VALUES ('restore.unfinished','1')`); err != nil {
		t.Fatal(err)
	}
	b := another(t, d, func(c *server.Config) { c.Store = st; c.FillDefaults() })
	call(t, "GET", b.MetricsURL()+"/readyz").want(t, "it waits", 503)
	ask(b).want(t, "it answers nobody", 503)
	call(t, "GET", b.AuthURL()+"/admin/v1/nodes", "bearer", d.AdminToken).want(t, "which node it waits for", 200)
	var marks, cuts int
	err = raw.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM settings WHERE name='restore.unfinished'), (SELECT count(*) FROM cutoffs)`).Scan(&marks, &cuts)
	if err != nil || marks != 0 || cuts == 0 {
		t.Errorf("the restore is not finished: %d marks, %d cut-offs, %v", marks, cuts, err)
	}
	way.mend()
	for _, s := range []*server.Server{s, b} {
		testwait.Until(t, soon, "it knows what was ended", func() bool { return ask(s).status == 401 })
	}
	testwait.Until(t, soon, "it waits no longer", func() bool { return call(t, "GET", b.MetricsURL()+"/readyz").status == 200 })
}
