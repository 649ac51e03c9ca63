package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
)

// house is an installation in a directory that can be stopped and started.
type house struct {
	t   *testing.T
	cfg Config
	s   *Server
}

const housePassword = "seven owls over a wet harbour"

func newHouse(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	path, err := InitConfig(dir, "http://127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := LoadConfig(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Log.Level, cfg.Listen.Metrics.Address = "error", "127.0.0.1:0"
	if err := GenerateMasterKey(filepath.Join(cfg.Data, "master.key")); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	h := &house{t: t, cfg: cfg}
	t.Cleanup(h.stop)
	return h
}

func (h *house) start() {
	h.t.Helper()
	s, err := New(h.t.Context(), h.cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	h.s = s
	// The issuer stays what it was, or no token of before would be good anyway.
	h.cfg.Issuer, h.cfg.Listen.Auth.Address = s.Issuer(), strings.TrimPrefix(s.AuthURL(), "http://")
	if err := s.Start(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

// atOnce is for servers that nobody asks any more.
func atOnce() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func (h *house) stop() {
	if h.s != nil {
		h.s.Close(atOnce())
		h.s = nil
		// The next server may have the same address. A POST on a connection of this one
		// would fail: the client does not send it twice.
		http.DefaultClient.CloseIdleConnections()
	}
}

func (h *house) call(method, url, credential, body string) (int, map[string]any) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if strings.Contains(credential, ":") {
		user, password, _ := strings.Cut(credential, ":")
		r.SetBasicAuth(user, password)
	} else if credential != "" {
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	var out map[string]any
	_ = json.Unmarshal(text, &out)
	if out == nil {
		out = map[string]any{"text": string(text)}
	}
	return resp.StatusCode, out
}

func (h *house) want(what, method, path, credential, body string, status int) map[string]any {
	h.t.Helper()
	got, out := h.call(method, h.s.AuthURL()+path, credential, body)
	if got != status {
		h.t.Errorf("%s: %d %v, want %d", what, got, out, status)
	}
	return out
}

// copyData copies the database as it is while nobody uses it.
func (h *house) copyData() map[string][]byte {
	h.t.Helper()
	files, err := filepath.Glob(filepath.Join(h.cfg.Data, "gatehouse.db*"))
	if err != nil {
		h.t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, f := range files {
		if out[f], err = os.ReadFile(f); err != nil {
			h.t.Fatal(err)
		}
	}
	return out
}

// replaceData puts a copy in the place of the database; nil: nothing.
func (h *house) replaceData(files map[string][]byte) {
	h.t.Helper()
	for f := range h.copyData() {
		if err := os.Remove(f); err != nil {
			h.t.Fatal(err)
		}
	}
	for f, b := range files {
		if err := os.WriteFile(f, b, 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
}

// bootstrap makes the first administrator, root, of whom nothing more is asked than of everybody.
func (h *house) bootstrap() (key string) {
	h.t.Helper()
	key = h.firstAdministrator()
	h.want("no second factor", "PATCH", "/admin/v1/realms/main", key, `{"settings":{"admin_mfa":"optional"}}`, 200)
	return key
}

func (h *house) firstAdministrator() (key string) {
	h.t.Helper()
	b, err := h.s.admin.Users.Bootstrap(h.t.Context(), users.NewBootstrap{Secret: h.s.BootstrapSecret(), Username: "root", Password: housePassword})
	if err != nil {
		h.t.Fatal(err)
	}
	return b.APIKey.Reveal()
}

// TestRestoreEndsWhatWasIssued: a backup knows nothing of what was revoked after it
// was made, so whatever was issued before the restore is over; the record says so,
// with the end of the log that the backup has.
func TestRestoreEndsWhatWasIssued(t *testing.T) {
	h := newHouse(t)
	h.start()
	key := h.bootstrap()
	tokens := func() (access, refresh string) {
		out := h.want("login", "POST", "/tokens", "root:"+housePassword, "", 200)
		access, _ = out["access_token"].(string)
		refresh, _ = out["refresh_token"].(string)
		return access, refresh
	}
	before, refreshBefore := tokens()
	revoked, refreshRevoked := tokens()
	backup, _, err := h.s.backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after, refreshAfter := tokens()
	h.want("revoke", "DELETE", "/tokens", revoked, "", 204)
	h.stop()
	h.start()
	for _, token := range []string{before, after} {
		h.want("after a start without a restore", "GET", "/admin/v1/me", token, "", 200)
	}
	h.want("revoked, after a start", "GET", "/admin/v1/me", revoked, "", 401)
	h.stop()
	h.replaceData(nil)

	begun := time.Now()
	done, err := Restore(t.Context(), h.cfg, backup)
	if err != nil || done.Grants != 2 || done.Keys != 1 || done.AsOf.IsZero() || done.AsOf.After(begun) {
		t.Fatalf("%+v, %v", done, err)
	}
	h.start()
	for name, token := range map[string]string{"revoked": revoked, "from before the backup": before, "from after the backup": after} {
		h.want("a token "+name, "GET", "/admin/v1/me", token, "", 401)
	}
	for name, token := range map[string]string{"revoked": refreshRevoked, "from before the backup": refreshBefore, "from after the backup": refreshAfter} {
		if status, out := h.call("POST", h.s.AuthURL()+"/tokens/refresh", "", `{"refresh_token":"`+token+`"}`); status < 400 || status >= 500 {
			t.Errorf("a refresh token %s: %d %v", name, status, out)
		}
	}
	h.want("the key of the backup", "GET", "/admin/v1/me", key, "", 200)
	fresh, _ := tokens()
	h.want("a token from after the restore", "GET", "/admin/v1/me", fresh, "", 200)

	out := h.want("events", "GET", "/admin/v1/realms/main/audit/events?kind=backup.restore", key, "", 200)
	items, _ := out["items"].([]any)
	if len(items) != 1 {
		t.Fatalf("the restore is recorded %d times", len(items))
	}
	detail, _ := items[0].(map[string]any)["detail"].(map[string]any)
	verifier, err := h.s.auditVerifier(gatehouse.MainRealm)
	if err != nil {
		t.Fatal(err)
	}
	point, _ := detail["checkpoint"].(string)
	if c, err := verifier.Open([]byte(point)); err != nil || c.Size == 0 || detail["grants_ended"] != "2" || detail["replaced_head"] == nil || detail["as_of"] == nil {
		t.Errorf("%v of %v, %v", c, detail, err)
	}
	h.verifies(key, "")
	if status, _ := h.call("GET", h.s.MetricsURL()+"/readyz", "", ""); status != 200 {
		t.Errorf("not ready after a restore: %d", status)
	}
}

// verifies asks for a verification; problem "" wants none.
func (h *house) verifies(key, problem string) {
	h.t.Helper()
	out := h.want("verify", "POST", "/admin/v1/realms/main/audit/verify", key, `{"checkpoints":[]}`, 200)
	if ok, _ := out["ok"].(bool); ok != (problem == "") {
		h.t.Errorf("verify: %v", out)
	}
	text, _ := json.Marshal(out["problems"])
	if !bytes.Contains(text, []byte(problem)) {
		h.t.Errorf("verify says %s, not %s", text, problem)
	}
}

// TestRestoreInPlace: a database that was set back by a copy of its file is a restore
// too, and what was revoked since then stays dead when it is told.
func TestRestoreInPlace(t *testing.T) {
	InOrder(t)
	h := newHouse(t)
	if _, err := RestoreInPlace(t.Context(), h.cfg); err == nil {
		t.Error("restored where nothing is")
	}
	h.start()
	key := h.bootstrap()
	out := h.want("login", "POST", "/tokens", "root:"+housePassword, "", 200)
	access, _ := out["access_token"].(string)
	h.stop()
	old := h.copyData()
	h.start()
	h.want("revoke", "DELETE", "/tokens", access, "", 204)
	if _, err := RestoreInPlace(t.Context(), h.cfg); gatehouse.CodeOf(err) != "store_locked" {
		t.Errorf("while the server runs: %v", err)
	}
	h.stop()
	h.replaceData(old)
	done, err := RestoreInPlace(t.Context(), h.cfg)
	if err != nil || done.Grants != 1 || done.Keys != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	h.start()
	h.want("revoked since", "GET", "/admin/v1/me", access, "", 401)
	h.verifies(key, "")
	if status, _ := h.call("GET", h.s.MetricsURL()+"/readyz", "", ""); status != 200 {
		t.Errorf("not ready: %d", status)
	}
}

// TestRestoreLeavesNothingToUse: what was used since the backup is in the database again
// after it was set back, and is good for nothing: a ticket, the secret of the first start.
func TestRestoreLeavesNothingToUse(t *testing.T) {
	InOrder(t)
	h := newHouse(t)
	h.start()
	first := h.s.BootstrapSecret()
	ticket := once.Record{Kind: once.KindTicket, Key: make([]byte, once.KeySize), Sealed: []byte("s"), ExpiresAt: time.Now().Add(time.Hour)}
	claim := once.Record{Kind: "claim", Key: ticket.Key, ExpiresAt: ticket.ExpiresAt}
	if err := h.s.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(tx.PutOnce(ctx, ticket), tx.PutOnce(ctx, claim))
	}); err != nil {
		t.Fatal(err)
	}
	h.stop()
	old := h.copyData()
	h.start()
	if h.s.BootstrapSecret() != first {
		t.Error("the second start has another secret")
	}
	h.bootstrap()
	h.stop()
	h.replaceData(old)
	if _, err := RestoreInPlace(t.Context(), h.cfg); err != nil {
		t.Fatal(err)
	}
	h.start()
	if h.s.BootstrapSecret() == first {
		t.Error("the secret that was used is told again")
	}
	_, err := h.s.admin.Users.Bootstrap(t.Context(), users.NewBootstrap{Secret: first, Username: "again", Password: housePassword})
	if gatehouse.CodeOf(err) != "bootstrap_refused" {
		t.Errorf("it makes a second administrator: %v", err)
	}
	if _, err := h.s.db.Once(t.Context(), ticket.Kind, ticket.Key); !errors.Is(err, gatehouse.NotFound) {
		t.Errorf("the ticket is there again: %v", err)
	}
	if _, err := h.s.db.Once(t.Context(), claim.Kind, claim.Key); err != nil {
		t.Errorf("what was claimed is not claimed any more: %v", err)
	}
}

// TestRestoreIsFinishedByOneNode: another node that saw the mark goes on when it finds that
// the first was faster, with heads of what there is now.
func TestRestoreIsFinishedByOneNode(t *testing.T) {
	h := newHouse(t)
	h.start()
	ctx := t.Context()
	testwait.Until(t, 10*time.Second, "a checkpoint", func() bool {
		all, err := h.s.db.Checkpoints(ctx, "main", 1)
		return err == nil && len(all) > 0
	})
	heads := audit.NewHeadFile(filepath.Join(t.TempDir(), "audit.heads"))
	if _, err := finishRestore(ctx, h.s.db, heads, "", time.Now()); !errors.Is(err, errRestoreDone) {
		t.Fatalf("without a mark: %v", err)
	}
	cut := 0
	if err := h.s.db.EachCutoff(ctx, func(revocation.Cutoff) error { cut++; return nil }); err != nil || cut != 0 {
		t.Errorf("%d cut-offs by who came second, %v", cut, err)
	}
	if heads.Head("main") == nil {
		t.Error("the heads of what was replaced are kept")
	}
}

// TestRestoreIsFinishedAtStart: a restore that was cut off between its halves is
// finished before the server answers anybody.
func TestRestoreIsFinishedAtStart(t *testing.T) {
	h := newHouse(t)
	h.start()
	h.bootstrap()
	out := h.want("login", "POST", "/tokens", "root:"+housePassword, "", 200)
	access, _ := out["access_token"].(string)
	backup, _, err := h.s.backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.stop()
	h.replaceData(nil)
	f, err := os.Open(backup)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := store.Restore(t.Context(), storeConfig(h.cfg, nil), f, settingRestored); err != nil {
		t.Fatal(err)
	}
	h.start()
	h.want("a token of the backup", "GET", "/admin/v1/me", access, "", 401)
	h.stop()
	h.start()
	out = h.want("login", "POST", "/tokens", "root:"+housePassword, "", 200)
	access, _ = out["access_token"].(string)
	h.want("a token from after the second start", "GET", "/admin/v1/me", access, "", 200)
}

// TestDatabaseSetBack: who can write to the database alone sets it back to what it
// was an hour ago, and the log in it verifies by itself. Verification, readiness, a
// metric and an event say that there was more.
func TestDatabaseSetBack(t *testing.T) {
	h := newHouse(t)
	h.start()
	key := h.bootstrap()
	h.stop()
	old := h.copyData()
	h.start()
	h.want("a change that is to be hidden", "POST", "/admin/v1/realms/main/users", key, `{"username":"mallory"}`, 201)
	h.verifies(key, "")
	h.stop()
	h.replaceData(old)

	h.start()
	h.verifies(key, audit.ProblemTruncated)
	ready, metric := 0, ""
	if !testwait.For(10*time.Second, func() bool {
		ready, _ = h.call("GET", h.s.MetricsURL()+"/readyz", "", "")
		_, out := h.call("GET", h.s.MetricsURL()+"/metrics", "", "")
		metric, _ = out["text"].(string)
		_, out = h.call("GET", h.s.AuthURL()+"/admin/v1/realms/main/audit/events?kind=audit.broken", key, "")
		items, _ := out["items"].([]any)
		return ready == 503 && len(items) == 1 && strings.Contains(metric, "\ngatehouse_audit_broken_logs 1\n")
	}) {
		t.Errorf("ready: %d; the metric or the event is missing:\n%s", ready, metric)
	}
}
