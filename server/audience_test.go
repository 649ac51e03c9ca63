package server_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/token"
)

// TestTokensForOutside: a token that was asked for another audience serves there
// and nowhere else, names its scopes, and says of the user what the realm lists.
func TestTokensForOutside(t *testing.T) {
	t.Parallel()
	d := demo(t)
	as := []string{"bearer", d.AdminToken}
	realm := d.Issuer + "/admin/v1/realms/main"
	set := func(settings string) answer {
		return call(t, "PATCH", realm, append(as, "body", `{"settings":`+settings+`}`)...)
	}
	const scopes = `"scopes":{"documents:read":"Read","documents:write":"Write"}`
	set(`{"access_token_type":"JWT",`+scopes+`,"audiences":{"https://api.example":{"claims":["preferred_username","roles"]}}}`).want(t, "settings", 200)
	bob := []string{"basic", "bob:" + d.Users["bob"].Password, "Content-Type", "application/x-www-form-urlencoded", "body"}
	home := call(t, "POST", d.Issuer+"/tokens", append(bob, "scope=*")...).want(t, "for the house", 200)
	text, _ := home.json["access_token"].(string)
	u, err := token.Peek(text)
	if err != nil || !strings.Contains(string(u.Header), `"typ":"JWT"`) || strings.Contains(string(u.Claims), "preferred_username") {
		t.Errorf("%s %s %v", u.Header, u.Claims, err)
	}
	call(t, "GET", d.Gateway+"/private", "bearer", text).want(t, "typ JWT at the gateway", 200)

	out := call(t, "POST", d.Issuer+"/tokens", append(bob, "resource=https%3A%2F%2Fapi.example")...).want(t, "for the API", 200)
	text, _ = out.json["access_token"].(string)
	if out.json["scope"] != "documents:read documents:write" {
		t.Errorf("scope %v", out.json["scope"])
	}
	if u, err = token.Peek(text); err != nil || !strings.Contains(string(u.Claims), `"aud":"https://api.example"`) ||
		!strings.Contains(string(u.Claims), `"preferred_username":"bob"`) || strings.Contains(string(u.Claims), "*") {
		t.Errorf("%s %v", u.Claims, err)
	}
	call(t, "GET", d.Gateway+"/private", "bearer", text).want(t, "the API's token at the gateway", 401)
	if a := call(t, "POST", d.Issuer+"/tokens", append(bob, "resource=https%3A%2F%2Fother.example")...).want(t, "for anybody", 400); a.code() != "invalid_target" {
		t.Errorf("code %s", a.code())
	}
	checkWithPyJWT(t, d.Issuer, text)

	for name, bad := range map[string]string{
		"unknown typ":     `{"access_token_type":"at"}`,
		"unknown claim":   `{"audiences":{"a":{"claims":["password"]}}}`,
		"claim of ours":   `{"audiences":{"a":{"claims":["sub"]}}}`,
		"nameless":        `{"audiences":{"":{}}}`,
		"too soon":        `{"key_propagation":"1m"}`,
		"unknown setting": `{"audiences":{"a":{"claim":[]}}}`,
	} {
		if a := set(bad); a.status != 422 && a.status != 400 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	set(`{"access_token_type":"at+jwt"}`).want(t, "back to at+jwt", 200)
	text, _ = home.json["access_token"].(string)
	call(t, "GET", d.Gateway+"/private", "bearer", text).want(t, "typ JWT where it is not asked for any more", 401)
}

// checkWithPyJWT reads the token as docs/clients.md says that PyJWT does.
func checkWithPyJWT(t *testing.T, issuer, text string) {
	t.Helper()
	const python = "/usr/bin/python3"
	if exec.Command(python, "-c", "import jwt, cryptography").Run() != nil {
		t.Log("PyJWT is not checked: this machine has no python3 with jwt and cryptography (make deps)")
		return
	}
	cmd := exec.Command(python, "-c", `
import jwt, sys
issuer, text = sys.argv[1], sys.stdin.read()
key = jwt.PyJWKClient(issuer + "/.well-known/jwks.json").get_signing_key_from_jwt(text).key
claims = jwt.decode(text, key, algorithms=["ES256"], issuer=issuer, audience="https://api.example")
assert claims["scope"] == "documents:read documents:write", claims
try:
    jwt.decode(text, key, algorithms=["ES256"], issuer=issuer, audience="https://other.example")
    sys.exit("another audience is accepted")
except jwt.InvalidAudienceError:
    pass
`, issuer)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("PyJWT: %v\n%s", err, out)
	}
}
