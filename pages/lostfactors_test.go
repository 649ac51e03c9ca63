package pages

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/passkey"
)

// replacements knows one link, one password and one code.
type replacements struct {
	err    error // of the next password
	proven bool
	done   bool
}

var errLost = gatehouse.E(gatehouse.Denied, "factors_link_invalid", "no")

func (r *replacements) LinkOf(_ context.Context, realm string, link gatehouse.Secret) (string, error) {
	if realm != "main" || link != rightLink || r.done {
		return "", errLost
	}
	return "amy", nil
}

func (r *replacements) Prove(ctx context.Context, realm string, link, password gatehouse.Secret, _ []byte) (gatehouse.Secret, error) {
	if _, err := r.LinkOf(ctx, realm, link); err != nil {
		return "", err
	}
	if r.err != nil {
		return "", r.err
	}
	if password != rightPassword {
		return "", credential.ErrInvalidCredentials
	}
	r.proven = true
	return "proven", nil
}

func (r *replacements) Waits(_ context.Context, _ string, text gatehouse.Secret, _ []byte) (*gatehouse.Principal, factor.Shown, error) {
	if text != "proven" || r.done {
		return nil, factor.Shown{}, errLost
	}
	return &gatehouse.Principal{}, factor.Shown{Text: "abcdefgh", QR: "<svg></svg>"}, nil
}

func (r *replacements) ByApp(_ context.Context, _ string, text gatehouse.Secret, _ []byte, code gatehouse.Secret) ([]gatehouse.Secret, error) {
	switch {
	case text != "proven":
		return nil, errLost
	case code != "123456":
		return nil, gatehouse.E(gatehouse.Unprocessable, "input_invalid", "no")
	}
	r.done = true
	return []gatehouse.Secret{"code-one"}, nil
}

func (r *replacements) ByPasskey(context.Context, string, gatehouse.Secret, []byte, string, []byte) error {
	return passkey.ErrRefused
}

func (r *replacements) Offer(*gatehouse.Principal, string, []byte) (passkey.Offer, error) {
	return passkey.Offer{}, nil
}

// TestLostPages: the text of the link leaves the address at once, for a cookie that only this host gets; nothing of a new factor is shown
// before the password; who must wait is told so; the recovery codes are shown once, and nobody is signed in.
func TestLostPages(t *testing.T) {
	h := newHouse(t, true)
	b := h.browser()
	const ask, new = "/recover/factors", "/recover/factors/new"
	b.get("/signin/factor/lost").want(t, "whom to ask", 200, `id="whom"`)
	b.get(ask).want(t, "without a link", 403, "factors_link_invalid")
	came := b.get(ask + "?code=" + rightLink)
	came.want(t, "the link", 303, ask)
	if got := came.cookieOf("__Host-gatehouse-lost-main"); strings.Contains(came.header.Get("Location"), rightLink) || !strings.HasSuffix(got, "; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax") {
		t.Errorf("%v, the cookie is %q", came.header, got)
	}
	b.get(new).want(t, "by the link alone", 403, "factors_link_invalid")
	asked := b.get(ask)
	asked.want(t, "the question", 200, `autocomplete="current-password"`, `<bdi id="name">amy</bdi>`)
	b.send(ask, asked.fields("password", "").Encode()).want(t, "no password", 422, `id="password-error"`)
	b.send(ask, asked.fields("password", "wrong").Encode()).want(t, "a wrong one", 422, `id="password-error"`)
	h.lost.err = &gatehouse.Error{Kind: gatehouse.RateLimited, Code: "too_many_attempts", RetryAfter: time.Minute}
	b.send(ask, asked.fields("password", rightPassword).Encode()).want(t, "too often", http.StatusTooManyRequests, `id="notice"`)
	h.lost.err = nil
	b.get(new).want(t, "after wrong ones", 403, "factors_link_invalid")
	b.send(ask, asked.fields("password", rightPassword).Encode()).want(t, "the right one", 303, new)
	shown := b.get(new)
	shown.want(t, "a new app", 200, "abcd efgh", "<svg>")
	b.send(new, shown.fields("do", "anything").Encode()).want(t, "nothing that is known", 400)
	b.send(new, shown.fields("do", "passkey", "answer", "{}").Encode()).want(t, "a passkey", 422, `id="passkey-error"`)
	b.send(new, shown.fields("do", "confirm", "code", "000000").Encode()).want(t, "a wrong code", 422, `id="code-error"`, "abcd efgh")
	codes := b.send(new, shown.fields("do", "confirm", "code", "123456").Encode())
	codes.want(t, "replaced", 200, "code-one")
	if strings.Contains(codes.body, "abcd efgh") || codes.cookieOf("__Host-gatehouse-session-main") != "" {
		t.Errorf("%v %s", codes.header, codes.body)
	}
	b.get(new).want(t, "once more", 403)
	b.get("/account").want(t, "the account", 303)
	b.get(ask+"/done").want(t, "the end", 200, `id="again"`)
}
