package server_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
	"github.com/gatehouse-auth/gatehouse/server"
)

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// TestImportedKeys: a key that another system made is taken over by its hash, and is from
// then on a key like any other: in each of its forms, within its bounds, until it ends.
func TestImportedKeys(t *testing.T) {
	server.InOrder(t)
	forBoth := func(name string, st func(t *testing.T) server.StoreConfig) {
		t.Run(name, func(t *testing.T) { testImportedKeys(t, demoOn(t, st(t))) })
	}
	forBoth("sqlite", func(*testing.T) server.StoreConfig { return server.StoreConfig{} })
	forBoth("postgres", postgresStore)
}

func testImportedKeys(t *testing.T, d *server.Demo) {
	if err := d.AddRoutes(
		enforce.Route{Pattern: "GET /users/{user}", Authenticated: true, KeyAsUser: true, KeyScheme: "ApiKey", Ticket: "ticket"},
		enforce.Route{Pattern: "GET /read", Scopes: []string{"documents:read"}},
		enforce.Route{Pattern: "GET /write", Scopes: []string{"documents:write"}},
	); err != nil {
		t.Fatal(err)
	}
	keys := d.Issuer + "/admin/v1/realms/main/keys"
	private := d.Gateway + "/private"
	const old, limited, odd = "sk_live_51HqJ8k2eZvKYlo2C9fTbXw", "0f8fad5bd9cb469fa16570867728950e7c5a3d1e", "1|aB3$dE5:fG7*hJ9(kL1)mN3;pQ5"
	const parts = "SG.aB3dE5fG7hJ9kL1mN3pQ5r.s7T9vW1xY3zA5bC7dE9fG1hJ3kL5mN7pQ9rS1tU3vW5" // in the form of a JWT, and none
	add := func(status int, code, member, body string) answer {
		t.Helper()
		a := call(t, "POST", keys+"/import", "bearer", d.AdminToken, "body", body).want(t, body, status)
		if fields, _ := a.json["fields"].(map[string]any); a.code() != code || member != "" && fields[member] == nil {
			t.Errorf("%s: %s", body, a.body)
		}
		return a
	}
	body := func(digest string, bits int, more string) string {
		return fmt.Sprintf(`{"owner":"bob","name":"old","scopes":["*"],"sha256":%q,"bits":%d%s}`, digest, bits, more)
	}
	refused := func(name string, a answer, status int, code string) {
		t.Helper()
		if a.status != status || a.code() != code {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}

	// While nothing is imported, such a text is what it was.
	refused("before", call(t, "GET", private, "bearer", old), 401, "token_unrecognized")
	refused("before, in its line", call(t, "GET", private, "X-API-Key", old), 401, "key_malformed")

	for name, c := range map[string]struct {
		status         int
		member, digest string
		bits           int
		more           string
	}{
		"few bits":                 {400, "bits", digestOf(old), 127, ""},
		"no bits":                  {400, "bits", digestOf(old), 0, ""},
		"short hash":               {400, "sha256", digestOf(old)[:62], 160, ""},
		"capital letters":          {400, "sha256", strings.ToUpper(digestOf(old)), 160, ""},
		"the key itself":           {400, "sha256", old, 160, ""},
		"hash of nothing":          {400, "sha256", digestOf(""), 160, ""},
		"hash of a known password": {400, "sha256", digestOf("password1"), 160, ""},
		"zeros":                    {400, "sha256", strings.Repeat("0", 64), 160, ""},
		"a pattern":                {400, "sha256", strings.Repeat("deadbeef", 8), 160, ""},
		"a long prefix":            {400, "prefix", digestOf(old), 160, `,"prefix":"sk_live_51HqJ8k2eZ"`},
		"a forged prefix":          {400, "prefix", digestOf(old), 160, `,"prefix":"sk\u001b[2J"`},
	} {
		a := call(t, "POST", keys+"/import", "bearer", d.AdminToken, "body", body(c.digest, c.bits, c.more)).want(t, name, c.status)
		if fields, _ := a.json["fields"].(map[string]any); c.member != "" && (a.code() != "key_import_invalid" || fields[c.member] == nil) {
			t.Errorf("%s: %s", name, a.body)
		}
		if strings.Contains(a.body, old) {
			t.Errorf("%s: the answer quotes it: %s", name, a.body)
		}
	}
	refused("an owner by his own word", call(t, "POST", keys+"/import", "basic", "bob:"+d.Users["bob"].Password, "body", body(digestOf(old), 160, "")), 403, "admin_denied")
	refused("still none", call(t, "GET", private, "bearer", old), 401, "token_unrecognized")

	// Another realm's import of the same key neither hinders this one nor lets anybody in
	// here, and is not told of.
	elsewhere := d.Issuer + "/admin/v1/realms/elsewhere"
	call(t, "POST", d.Issuer+"/admin/v1/realms", "bearer", d.AdminToken, "body", `{"name":"elsewhere"}`).want(t, "another realm", 201)
	call(t, "POST", elsewhere+"/users", "bearer", d.AdminToken, "body", `{"username":"bob","kind":"service"}`).want(t, "its service", 201)
	theirs, _ := call(t, "POST", elsewhere+"/keys/import", "bearer", d.AdminToken, "body", body(digestOf(old), 160, "")).want(t, "their import", 201).json["id"].(string)
	refused("imported elsewhere alone", call(t, "GET", private, "bearer", old), 401, "token_unrecognized")

	made := add(201, "", "", body(digestOf(old), 160, `,"prefix":"sk_live_"`))
	id, _ := made.json["id"].(string)
	if made.json["imported"] != true || made.json["prefix"] != "sk_live_" || id == "" {
		t.Fatal(made.body)
	}
	add(409, "key_already_imported", "", body(digestOf(old), 160, ""))
	add(201, "", "", strings.Replace(body(digestOf(limited), 160, `,"quota_day":2`), `"*"`, `"documents:read"`, 1))
	add(201, "", "", body(digestOf(odd), 160, ""))
	add(201, "", "", body(digestOf(parts), 160, ""))

	if a := call(t, "GET", d.Gateway+"/public", "bearer", old).want(t, "at once, on an open route", 200); a.status != 200 {
		t.Fatal(a.body)
	}
	for name, opts := range map[string][]string{"Bearer": {"bearer", old}, "line": {"X-API-Key", old}, "user name": {"basic", old + ":"}, "scheme": {"Authorization", "ApiKey " + old},
		"signs that Bearer cannot carry": {"X-API-Key", odd}} {
		if a := call(t, "GET", d.Gateway+"/users/x", opts...); a.status != 404 { // the API has no such page
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	for name, opts := range map[string][]string{"Bearer": {"bearer", parts}, "line": {"X-API-Key", parts}, "scheme": {"Authorization", "ApiKey " + parts}} {
		text, _ := call(t, "POST", d.Gateway+"/.gatehouse/ticket/users/x", opts...).want(t, "three parts: "+name, 201).json["ticket"].(string)
		call(t, "GET", d.Gateway+"/users/x?ticket="+text).want(t, "three parts, by a ticket: "+name, 404)
	}
	refused("three parts, another end", call(t, "GET", private, "bearer", parts+"x"), 401, "invalid_token")
	as := func(token string) bool { // whether it was judged as a JWT, by the record
		id := call(t, "GET", private, "bearer", token).want(t, token, 401).header.Get("X-Request-Id")
		var found answer
		testwait.Until(t, 10*time.Second, "the record of "+id, func() bool {
			found = call(t, "GET", d.Issuer+"/admin/v1/realms/main/explain/"+id, "bearer", d.AdminToken)
			return found.status == 200
		})
		return strings.Contains(found.body, `"scheme":"jwt"`)
	}
	if !as("eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl") || !as("ewogImFsZyI6IkVTMjU2In0.e30.c2lnbmF0dXJl") || as(parts+"x") {
		t.Error("a JWT is taken for a key in three parts, or such a key for a JWT")
	}
	refused("as user name where nothing is said", call(t, "GET", private, "basic", old+":"), 401, "invalid_credentials")
	refused("with another end", call(t, "GET", private, "bearer", old[:len(old)-1]+"x"), 401, "invalid_token")
	refused("its id", call(t, "GET", private, "bearer", id), 401, "token_unrecognized")
	refused("its hash", call(t, "GET", private, "X-API-Key", digestOf(old)), 401, "invalid_token")
	refused("two", call(t, "GET", private, "bearer", old, "X-API-Key", old), 400, "credentials_conflict")
	refused("too little", call(t, "GET", d.Gateway+"/write", "bearer", limited), 403, "insufficient_scope")
	refused("over its quota", func() answer {
		call(t, "GET", d.Gateway+"/read", "bearer", limited).want(t, "the second use", 404)
		return call(t, "GET", d.Gateway+"/read", "bearer", limited)
	}(), 429, "key_quota_used_up")
	refused("at the management API", call(t, "GET", keys, "bearer", old), 401, "token_unrecognized")

	ticket, _ := call(t, "POST", d.Gateway+"/.gatehouse/ticket/users/x", "bearer", old).want(t, "ticket", 201).json["ticket"].(string)
	call(t, "GET", d.Gateway+"/users/x?ticket="+ticket).want(t, "by a ticket", 404)

	call(t, "PATCH", keys+"/"+id, "bearer", d.AdminToken, "body", `{"disabled":true}`).want(t, "disable", 200)
	refused("disabled", call(t, "GET", private, "bearer", old), 401, "invalid_token")
	call(t, "PATCH", keys+"/"+id, "bearer", d.AdminToken, "body", `{"disabled":false}`).want(t, "enable", 200)
	call(t, "GET", private, "bearer", old).want(t, "enabled again", 200)
	call(t, "POST", d.Issuer+"/keys/leaked", "body", `{"key":"`+old+`"}`).want(t, "reported by whoever holds it", 204)
	refused("leaked", call(t, "GET", private, "bearer", old), 401, "invalid_token")
	if a := call(t, "GET", elsewhere+"/keys/"+theirs, "bearer", d.AdminToken).want(t, "theirs", 200); a.json["leaked_at"] == nil {
		t.Errorf("a key that several realms took over leaked, and one of them goes on with it: %s", a.body)
	}
	refused("a leak that is none", call(t, "POST", d.Issuer+"/keys/leaked", "body", `{"key":"`+old+`x"}`), 404, "key_not_found")
	add(409, "key_already_imported", "", body(digestOf(old), 160, ""))
	var events string
	testwait.Until(t, 10*time.Second, "the record of the import and of the refusal", func() bool {
		events = call(t, "GET", d.Issuer+"/admin/v1/realms/main/audit/events?limit=1000", "bearer", d.AdminToken).body
		return strings.Contains(events, "sk_live_ 160 bits") && strings.Contains(events, "key_leaked")
	})
	if strings.Contains(events, old) {
		t.Error("the key is in the record")
	}
}
