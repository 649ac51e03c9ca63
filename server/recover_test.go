package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
	"github.com/gatehouse-auth/gatehouse/internal/webauthn"
	"github.com/gatehouse-auth/gatehouse/passkey"
	"github.com/gatehouse-auth/gatehouse/store"
)

// Whoever has the database and the master key gets an administrator back, and the
// record says so. Nobody else does: not while the server runs, not with another
// master key, and never a second installation beside the one that was meant.
func TestRecover(t *testing.T) {
	h := newHouse(t)
	if _, err := Recover(t.Context(), h.cfg, "admin"); err == nil {
		t.Error("recovered what never was")
	}
	if _, err := os.Stat(filepath.Join(h.cfg.Data, "gatehouse.db")); err == nil {
		t.Error("a database was made where there was none")
	}
	h.start()
	lost := h.bootstrap()
	token, _ := h.want("a login", "POST", "/tokens", "root:"+housePassword, "", 200)["access_token"].(string)
	me := h.want("me", "GET", "/admin/v1/me", lost, "", 200)
	name := fmt.Sprint(me["name"])
	if _, err := Recover(t.Context(), h.cfg, name); gatehouse.CodeOf(err) != "store_locked" {
		t.Errorf("beside a running server: %v, want store_locked", err)
	}
	h.want("the server goes on", "GET", "/admin/v1/me", lost, "", 200)
	h.stop()

	wrong := h.cfg
	wrong.MasterKeyFile = filepath.Join(t.TempDir(), "other.key")
	if err := os.WriteFile(wrong.MasterKeyFile, []byte(seal.GenerateMasterKey(time.Now()).Reveal().Reveal()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Recover(t.Context(), wrong, name); err == nil || got.APIKey != "" {
		t.Errorf("with another master key: %v, %v", got, err)
	}
	if _, err := Recover(t.Context(), h.cfg, "no such\x00name"); err == nil {
		t.Error("a name that nobody can have was taken")
	}

	taken, err := Recover(t.Context(), h.cfg, name)
	if err != nil || taken.Created {
		t.Fatalf("the account that was there: %+v, %v", taken, err)
	}
	made, err := Recover(t.Context(), h.cfg, "second")
	if err != nil || !made.Created {
		t.Fatalf("a new account: %+v, %v", made, err)
	}
	h.start()
	for _, key := range []gatehouse.Secret{taken.APIKey, made.APIKey} {
		h.want("an administrator", "GET", "/admin/v1/realms/main/users", key.Reveal(), "", 200)
	}
	h.want("the key of whoever had it", "GET", "/admin/v1/me", lost, "", 401)
	h.want("the login of whoever had it", "GET", "/admin/v1/me", token, "", 401)
	h.want("the password of whoever had it", "POST", "/tokens", name+":"+housePassword, "", 401)
	out := h.want("the record", "GET", "/admin/v1/realms/main/audit/events?kind=admin.recover", taken.APIKey.Reveal(), "", 200)
	if items, _ := out["items"].([]any); len(items) != 2 {
		t.Errorf("%d events admin.recover, want one for each", len(items))
	}
	out = h.want("verify", "POST", "/admin/v1/realms/main/audit/verify", taken.APIKey.Reveal(), `{"checkpoints":[]}`, 200)
	if out["ok"] != true {
		t.Errorf("the log does not verify any more: %v", out)
	}
}

// A disabled administrator comes back with his role, and only with the new key.
func TestRecoverDisabled(t *testing.T) {
	h := newHouse(t)
	h.start()
	key := h.bootstrap()
	h.want("another one", "POST", "/admin/v1/realms/main/users", key, fmt.Sprintf(`{"username":"left","password":%q}`, housePassword), 201)
	old := h.want("his key", "POST", "/admin/v1/realms/main/keys", key, `{"owner":"left","name":"k","scopes":["*"]}`, 201)
	h.want("he left", "PATCH", "/admin/v1/realms/main/users/left", key, `{"disabled":true}`, 200)
	h.stop()
	got, err := Recover(t.Context(), h.cfg, "left")
	if err != nil {
		t.Fatal(err)
	}
	h.start()
	h.want("he administers", "GET", "/admin/v1/realms/main/users", got.APIKey.Reveal(), "", 200)
	text, _ := old["text"].(string)
	if text == "" {
		t.Fatalf("the old key has no text: %v", old)
	}
	h.want("his old key", "GET", "/admin/v1/me", text, "", 401)
}

// TestRecoverAfterPanic: everything of the realm main was ended, and the next administrator is
// made all the same; what was ended stays so.
func TestRecoverAfterPanic(t *testing.T) {
	h := newHouse(t)
	h.start()
	key := h.bootstrap()
	h.want("a panic", "POST", "/admin/v1/realms/main/panic", key, `{"including_me":true}`, 200)
	h.want("the key that asked", "GET", "/admin/v1/me", key, "", 401)
	h.stop()
	got, err := Recover(t.Context(), h.cfg, "root")
	if err != nil {
		t.Fatal(err)
	}
	h.start()
	h.want("the next administrator", "GET", "/admin/v1/realms/main/users", got.APIKey.Reveal(), "", 200)
	h.want("the key that asked", "GET", "/admin/v1/me", key, "", 401)
}

// TestRecoverEndsFactors: the app of an administrator who is recovered is gone, whoever has it, and the record says so.
func TestRecoverEndsFactors(t *testing.T) {
	InOrder(t)
	h := newHouse(t)
	h.start()
	first := h.bootstrap()
	root, own := "root:"+housePassword, "/admin/v1/realms/main/users/me/factors"
	begun := h.want("an app", "POST", own+"/totp", root, fmt.Sprintf(`{"password":%q}`, housePassword), 201)
	secret, _ := begun["secret"].(string)
	about, _ := begun["factor"].(map[string]any)
	h.want("confirmed", "POST", fmt.Sprint(own, "/", about["id"], "/confirm"), root, fmt.Sprintf(`{"code":%q}`, testtotp.Code(secret, time.Now())), 200)
	h.want("by the password alone", "GET", "/admin/v1/me", root, "", 401)
	id := fmt.Sprint(h.want("root", "GET", "/admin/v1/realms/main/users/root", first, "", 200)["id"])
	p := passkey.Passkey{Realm: "main", UserID: id, ID: "psk_1", Name: "n", CreatedAt: time.Now(), Credential: webauthn.Credential{ID: []byte{7}, Key: []byte("k"), AAGUID: make([]byte, 16)}}
	if err := h.s.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.InsertPasskey(ctx, p) }); err != nil {
		t.Fatal(err)
	}
	h.stop()
	got, err := Recover(t.Context(), h.cfg, "root")
	if err != nil || got.User.SecondFactor {
		t.Fatalf("%+v, %v", got.User, err)
	}
	h.start()
	key := got.APIKey.Reveal()
	if list, _ := h.want("factors", "GET", own, key, "", 200)["items"].([]any); len(list) != 0 {
		t.Errorf("%v", list)
	}
	if list, _ := h.want("passkeys", "GET", "/admin/v1/realms/main/users/me/passkeys", key, "", 200)["items"].([]any); len(list) != 0 {
		t.Errorf("%v", list)
	}
	events, _ := h.want("the record", "GET", "/admin/v1/realms/main/audit/events?kind=factor.remove", key, "", 200)["items"].([]any)
	if len(events) != 2 { // the app and its recovery codes
		t.Errorf("%v", events)
	}
	h.stop()
}
