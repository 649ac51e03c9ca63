package pages

import (
	"context"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/passkey"
)

const pagePasskey = "/signin/passkey"

// Passkeys signs people in by passkey; *passkey.Service does. browser is what ties forms to a browser.
type Passkeys interface {
	// On reports whether browsers can use passkeys on the pages of a realm.
	On(realm string) bool
	Ask(realm string, browser []byte) passkey.Question
	SignIn(ctx context.Context, realm string, browser, answer []byte) (*gatehouse.Principal, error)
	AskOf(ctx context.Context, realm, userID string, browser []byte) (passkey.Question, error)
	Complete(ctx context.Context, p *gatehouse.Principal, browser, answer []byte) (*gatehouse.Principal, error)
}

// takesPasskeys reports whether there are passkeys on this page.
func (v *visit) takesPasskeys() bool { return v.h.c.Passkeys != nil && v.h.c.Passkeys.On(v.realm.Name) }

// registerPasskeys adds what there is only where browsers can use passkeys.
func (h *Handler) registerPasskeys(mux *http.ServeMux) {
	for _, prefix := range []string{"", "/realms/{realm}"} {
		mux.Handle("GET "+prefix+pagePasskey, h.page((*visit).askPasskey))
		mux.Handle("POST "+prefix+pagePasskey, h.page((*visit).passkeySent))
		mux.Handle("GET "+prefix+pageFactorPasskey, h.page((*visit).askSecondPasskey))
		mux.Handle("POST "+prefix+pageFactorPasskey, h.page((*visit).secondPasskeySent))
		mux.Handle("GET "+prefix+pageEnrolPasskey, h.page((*visit).offerFirstPasskey))
		mux.Handle("GET "+prefix+pageReplacePasskey, h.page((*visit).offerReplacement))
		mux.Handle("GET "+prefix+pagePasskeys, h.page((*visit).passkeys))
		mux.Handle("POST "+prefix+pagePasskeys, h.page((*visit).passkeysSent))
		mux.Handle("GET "+prefix+pageNewPasskey, h.page((*visit).offerPasskey))
	}
}

// script is the path of the script for passkeys.
func (v *visit) script() string { return v.site.base + v.h.look.passkey }

// askPasskey is the question that the script of the page has the browser ask.
func (v *visit) askPasskey() error {
	return v.answer(v.h.c.Passkeys.Ask(v.realm.Name, v.formKey()))
}

// passkeySent takes the answer, which the page to sign in sent, and opens a session.
func (v *visit) passkeySent() error {
	if err := v.sentFrom(SignIn, "return", "answer"); err != nil {
		return err
	}
	key, _ := v.hasFormKey() // sentFrom has seen it
	view := signInView{Return: ownReturn(v.form["return"]), Tone: "caution"}
	p, err := v.h.c.Passkeys.SignIn(v.r.Context(), v.realm.Name, key, []byte(v.form["answer"]))
	if err == nil {
		err = v.open(p, v.newDevice())
	}
	if err == nil {
		return v.redirect(v.orAccount(view.Return))
	}
	e := web.Classify(err)
	if e.Kind != gatehouse.Unauthenticated {
		return err
	}
	code := e.Code
	if code == credential.ErrInvalidCredentials.Code { // the account may not sign in any more
		code = passkey.ErrRefused.Code
	}
	if view.Notice, err = v.language.text("error." + code); err != nil {
		return err
	}
	return v.ask(http.StatusUnprocessableEntity, view)
}

// answer sends a value to a script of a page.
func (v *visit) answer(value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	h := v.w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(text))}
	if v.r.Method != http.MethodHead {
		_, _ = v.w.Write(text) // the client may be gone; nothing is left to do
	}
	return nil
}
