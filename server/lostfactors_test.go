package server

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testpasskey"
	"github.com/gatehouse-auth/gatehouse/internal/testtotp"
	"github.com/gatehouse-auth/gatehouse/internal/testwait"
)

var (
	factorsLink = regexp.MustCompile(`/recover/factors\?code=[A-Z2-7]{26}`)
	appSecret   = regexp.MustCompile(`id="secret">([^<]+)<`)
)

// TestLostFactors: whoever has lost every second factor replaces them by a link that an administrator has sent and the password, with
// a passkey or an app, once. Until then what was there counts; then it counts no more, every login has ended, browsers are strangers,
// and nobody is signed in by it. The link alone does nothing, and no administrator has it for the own account.
//
// ASVS: 6.4.4, 6.3.3, 6.3.7
func TestLostFactors(t *testing.T) {
	if testing.Short() {
		t.Skip("a dozen passwords")
	}
	h := newHouse(t)
	h.cfg.Issuer = "http://localhost:0"
	h.start()
	root := h.bootstrap()
	outbox := t.TempDir()
	const users = "/admin/v1/realms/main/users"
	for _, name := range []string{"bob", "ann"} {
		h.want("user", "POST", users, root, fmt.Sprintf(`{"username":%q,"password":%q}`, name, housePassword), 201)
	}
	keys := &testpasskey.Browser{Origin: h.s.Issuer()}
	home := h.visitor(keys)
	home.password("bob")
	if status, page := home.add("telephone"); status != 200 {
		t.Fatalf("%d %s", status, page)
	}
	token := h.want("a login", "POST", "/tokens", "bob:"+housePassword, "", 200)["access_token"].(string)
	refused := func(name, as string, status int, code string) {
		t.Helper()
		if got := h.want(name, "POST", users+"/"+name+"/factors/reset-link", as, "", status); got["code"] != code {
			t.Errorf("%s: %v", name, got)
		}
	}
	refused("root", root, 403, "factors_reset_own")
	refused("ann", root, 409, "factors_none")
	refused("bob", "ann:"+housePassword, 403, "admin_denied")

	started := func() string { // by no mail: it is shown
		t.Helper()
		got := h.want("started", "POST", users+"/bob/factors/reset-link", root, "", 200)
		link, _ := got["link"].(string)
		if got["sent"] != false || !factorsLink.MatchString(link) {
			t.Fatalf("%v", got)
		}
		return factorsLink.FindString(link)
	}
	arrive := func(v *visitor, link string) {
		t.Helper()
		if status, to := v.get(link); status != 303 || to != "/recover/factors" {
			t.Fatalf("the link: %d %s", status, to)
		}
		if status, page := v.get("/recover/factors"); status != 200 || !strings.Contains(page, ">bob<") || strings.Contains(page, "data-ask") {
			t.Fatalf("%d %s", status, page)
		}
	}
	prove := func(v *visitor, password string) (int, string) {
		t.Helper()
		return v.send("/recover/factors", "/recover/factors", url.Values{"password": {password}, "identifier": {"bob"}})
	}
	dead := func(what string, status int, page string) {
		t.Helper()
		if status != 403 || !strings.Contains(page, "factors_link_invalid") {
			t.Errorf("%s: %d %s", what, status, page)
		}
	}

	// A new browser asks for the passkey that is lost, and says what to do.
	abroad, other := h.visitor(&testpasskey.Browser{Origin: h.s.Issuer()}), h.visitor(&testpasskey.Browser{Origin: h.s.Issuer()})
	abroad.password("bob")
	if status, page := abroad.get("/signin/factor"); status != 200 || !strings.Contains(page, `href="/signin/factor/lost"`) {
		t.Fatalf("%d %s", status, page)
	}
	if status, page := abroad.get("/signin/factor/lost"); status != 200 || !strings.Contains(page, `id="whom"`) {
		t.Errorf("%d %s", status, page)
	}
	link := started()
	for _, v := range []*visitor{abroad, other} {
		arrive(v, link)
		if status, page := v.get("/recover/factors/new"); status != 403 {
			t.Errorf("a new factor by the link alone: %d %s", status, page)
		}
		if status, page := prove(v, "a wrong one, of eight words or so"); status != 422 || !strings.Contains(page, `id="password-error"`) {
			t.Errorf("a wrong password: %d %s", status, page)
		}
		if status, to := prove(v, housePassword); status != 303 || to != "/recover/factors/new" {
			t.Fatalf("%d %s", status, to)
		}
		if status, _ := v.get("/account"); status != 303 {
			t.Errorf("signed in by link and password: %d", status)
		}
	}
	if status, page := home.send("/signout", "/signout", url.Values{}); status != 303 {
		t.Fatalf("%d %s", status, page)
	}
	if status, to := home.signIn(""); status != 303 || to != "/account" {
		t.Errorf("the passkey of before does not count before there is another: %d %s", status, to)
	}
	secret := func(v *visitor) string {
		t.Helper()
		status, page := v.get("/recover/factors/new")
		m := appSecret.FindStringSubmatch(page)
		if status != 200 || m == nil {
			t.Fatalf("%d %s", status, page)
		}
		return strings.ReplaceAll(m[1], " ", "")
	}
	confirm := func(v *visitor, code string) (int, string) {
		t.Helper()
		return v.send("/recover/factors/new", "/recover/factors/new", url.Values{"do": {"confirm"}, "code": {code}})
	}
	app, second := secret(abroad), secret(other)
	_, lateForm := other.get("/recover/factors/new")
	if app == second {
		t.Error("two browsers get one secret")
	}
	if status, page := confirm(abroad, "000000"); status != 422 || !strings.Contains(page, `id="code-error"`) {
		t.Errorf("a wrong code: %d %s", status, page)
	}
	status, page := confirm(abroad, testtotp.Code(app, time.Now()))
	codes := regexp.MustCompile(`<li><code>([^<]+)</code>`).FindAllStringSubmatch(page, -1)
	if status != 200 || len(codes) != 10 {
		t.Fatalf("%d %s", status, page)
	}
	for what, v := range map[string]*visitor{"who replaced": abroad, "at home": home} {
		if status, to := v.get("/account"); status != 303 || !strings.HasPrefix(to, "/signin") {
			t.Errorf("%s is signed in: %d %s", what, status, to)
		}
	}
	h.want("the token of before", "GET", users+"/me/factors", token, "", 401)
	if _, got := h.call("GET", h.s.AuthURL()+users+"/bob/passkeys", root, ""); strings.Contains(fmt.Sprint(got), "psk_") {
		t.Errorf("passkeys are left: %v", got)
	}
	factors := func(want ...string) {
		t.Helper()
		var kinds []string
		for _, f := range h.want("factors", "GET", users+"/bob/factors", root, "", 200)["items"].([]any) {
			kinds = append(kinds, f.(map[string]any)["kind"].(string))
		}
		slices.Sort(kinds)
		if !slices.Equal(kinds, want) {
			t.Errorf("factors: %q, not %q", kinds, want)
		}
	}
	factors("recovery", "totp")
	if status, page := home.signIn(""); status != 422 {
		t.Errorf("by the passkey of before: %d %s", status, page)
	}
	// Whoever came by the same link, and proved the same password, comes too late.
	status, page = other.read(other.client.PostForm(h.s.Issuer()+"/recover/factors/new", url.Values{"form": {formToken.FindStringSubmatch(lateForm)[1]},
		"do": {"confirm"}, "code": {testtotp.Code(second, time.Now())}}))
	dead("the second by one link", status, page)
	status, page = h.visitor(keys).getAll(link)
	dead("used", status, page)
	deeds := map[string]string{}
	testwait.Until(t, 10*time.Second, "the events", func() bool {
		for _, e := range h.want("events", "GET", "/admin/v1/realms/main/audit/events?limit=200", root, "", 200)["items"].([]any) {
			e := e.(map[string]any)
			deeds[e["kind"].(string)] = fmt.Sprint(e["request_id"])
		}
		return deeds["user.factors"] != ""
	})
	for _, kind := range []string{"user.factors", "factor.add", "passkey.remove", "cutoff.set"} {
		if deeds[kind] != deeds["user.factors"] {
			t.Errorf("%s is not in the transaction: %v", kind, deeds)
		}
	}
	if deeds["user.factors_link"] == "" || deeds["session.open"] == deeds["user.factors"] {
		t.Errorf("%v", deeds)
	}

	// The new app is asked for, and makes the browser known; then it is lost, too, and a passkey comes by a mail in its place.
	abroad.password("bob")
	if status, _ := abroad.get("/account"); status != 303 {
		t.Errorf("let in without a code of the new app: %d", status)
	}
	if status, to := abroad.send("/signin/factor", "/signin/factor", url.Values{"code": {codes[0][1]}, "with": {"recovery"}}); status != 303 || to != "/account" {
		t.Fatalf("%d %s", status, to)
	}
	h.want("an address", "PATCH", users+"/bob", root, `{"email":"bob@example.com"}`, 200)
	h.s.keepMail(outbox)
	letter := func(text string) (found string) {
		t.Helper()
		testwait.Until(t, 10*time.Second, "a letter with "+text, func() bool {
			names, _ := filepath.Glob(filepath.Join(outbox, "*.eml"))
			for _, name := range names {
				b, _ := os.ReadFile(name)
				if all := strings.NewReplacer("=\r\n", "", "=\n", "", "=3D", "=").Replace(string(b)); strings.Contains(all, text) {
					found = all
				}
			}
			return found != ""
		})
		return found
	}
	if got := h.want("sent", "POST", users+"/bob/factors/reset-link", root, "", 200); got["sent"] != true || got["link"] != nil {
		t.Errorf("%v", got)
	}
	link = factorsLink.FindString(letter("Replace your second factor"))
	mobile := h.visitor(&testpasskey.Browser{Origin: h.s.Issuer()})
	arrive(mobile, link)
	if status, to := prove(mobile, housePassword); status != 303 {
		t.Fatalf("%d %s", status, to)
	}
	status, offer := mobile.get("/recover/factors/passkey")
	if status != 200 {
		t.Fatalf("%d %s", status, offer)
	}
	answer, err := mobile.keys.Create([]byte(offer))
	if err != nil {
		t.Fatal(err)
	}
	replace := func(answer string) (int, string) {
		t.Helper()
		return mobile.send("/recover/factors/new", "/recover/factors/new", url.Values{"do": {"passkey"}, "answer": {answer}})
	}
	if status, page := replace("{}"); status != 422 || !strings.Contains(page, `id="passkey-error"`) {
		t.Errorf("no answer: %d %s", status, page)
	}
	if status, to := replace(string(answer)); status != 303 || to != "/recover/factors/done" {
		t.Fatalf("%d %s", status, to)
	}
	if status, page := mobile.get("/recover/factors/done"); status != 200 || !strings.Contains(page, "is replaced") {
		t.Errorf("%d %s", status, page)
	}
	factors()
	letter("Your second factors were replaced")
	if status, to := mobile.signIn(""); status != 303 || to != "/account" {
		t.Errorf("by the new passkey: %d %s", status, to)
	}
	abroad.password("bob")
	if status, page := abroad.get("/signin/factor"); status != 200 || !strings.Contains(page, `id="second"`) {
		t.Errorf("a browser that was known is so still: %d %s", status, page)
	}

	// A link dies with another password, as that of a reset.
	if got := h.want("sent", "POST", users+"/bob/factors/reset-link", root, "", 200); got["sent"] != true {
		t.Errorf("%v", got)
	}
	testwait.Until(t, 10*time.Second, "the second link", func() bool {
		names, _ := filepath.Glob(filepath.Join(outbox, "*.eml"))
		for _, name := range names {
			b, _ := os.ReadFile(name)
			if m := factorsLink.FindString(strings.NewReplacer("=\r\n", "", "=\n", "", "=3D", "=").Replace(string(b))); m != "" && m != link {
				link = m
				return true
			}
		}
		return false
	})
	h.want("no password", "POST", users+"/bob/password/reset-link", root, `{"end":true}`, 200)
	status, page = h.visitor(keys).getAll(link)
	dead("after another password", status, page)
	refused("bob", root, 409, "factors_need_password")
}

// getAll is get, as far as a link leads.
func (v *visitor) getAll(link string) (int, string) {
	v.h.t.Helper()
	status, page := v.get(link)
	if status == 303 {
		return v.get(page)
	}
	return status, page
}
