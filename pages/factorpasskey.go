package pages

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

const pageFactorPasskey = "/signin/factor/passkey"

// hasPasskeys tells whether a person has passkeys that can be used here.
func (v *visit) hasPasskeys(userID string) (bool, error) {
	if !v.takesPasskeys() {
		return false, nil
	}
	list, err := v.h.c.OwnKeys.List(v.r.Context(), v.realm.Name, userID)
	return len(list) > 0, err
}

// askFactor shows the page that asks for a second factor, with the choice of those that the person has whose
// sign-in waits in this browser.
func (v *visit) askFactor(status int, view factorView) error {
	ctx := v.r.Context()
	userID, enrols, err := v.h.c.HalfDone.Waits(ctx, v.realm.Name, v.halfDone(), v.device())
	if err != nil || enrols {
		return v.askCode(status, view) // it is over; the page is that of a wrong code
	}
	has, err := v.hasPasskeys(userID)
	if err != nil {
		return err
	}
	if has {
		u, err := v.h.c.Users.User(ctx, v.realm.Name, userID)
		if err != nil {
			return err
		}
		view.Passkey, view.Only = v.to(pageFactorPasskey), !u.SecondFactor
	}
	return v.askCode(status, view)
}

// askSecondPasskey is the question that the script of the page has the browser ask, of the person who has proved the password.
func (v *visit) askSecondPasskey() error {
	userID, _, err := v.h.c.HalfDone.Waits(v.r.Context(), v.realm.Name, v.halfDone(), v.device())
	if err != nil {
		return err
	}
	q, err := v.h.c.Passkeys.AskOf(v.r.Context(), v.realm.Name, userID, v.formKey())
	if err != nil {
		return err
	}
	return v.answer(q)
}

// secondPasskeySent takes the answer of a passkey in the place of a code.
func (v *visit) secondPasskeySent() error {
	if err := v.sentFrom(pageFactor, "return", "answer"); err != nil {
		return err
	}
	key, _ := v.hasFormKey() // sentFrom has seen it
	view := factorView{Return: ownReturn(v.form["return"]), Tone: "caution"}
	device := v.device()
	done, err := v.h.c.HalfDone.FinishBy(v.r.Context(), v.realm.Name, v.halfDone(), device, func(ctx context.Context, p *gatehouse.Principal) (*gatehouse.Principal, error) {
		return v.h.c.Passkeys.Complete(ctx, p, key, []byte(v.form["answer"]))
	})
	if err == nil {
		err = v.open(done, device)
	}
	if err == nil {
		v.setCookie(cookieHalfDone+v.realm.Name, "", -1)
		return v.redirect(v.orAccount(view.Return))
	}
	if e := web.Classify(err); e.Kind != gatehouse.Unauthenticated {
		return err
	}
	if view.Notice, err = v.language.text("factor.passkey_wrong"); err != nil {
		return err
	}
	return v.askFactor(http.StatusUnprocessableEntity, view)
}
