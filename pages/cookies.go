package pages

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
)

// A browser takes a cookie with this prefix only from the host itself, over TLS, and for
// all paths: neither another host of the domain nor plain HTTP can plant one
// (draft-ietf-httpbis-rfc6265bis §4.1.3.2). On this machine alone there may be no TLS;
// the names are others there, so that those cookies never count over TLS.
const hostPrefix = "__Host-"

// Names of cookies. Those of the session end in the realm's name: realms may share a host.
const (
	cookieSession    = "gatehouse-session-"
	cookieDevice     = "gatehouse-device-"
	cookieHalfDone   = "gatehouse-signin-"     // of a sign-in that waits for a code
	cookieReset      = "gatehouse-reset-"      // the text of a link, on its way from the address to the form
	cookieLost       = "gatehouse-lost-"       // the same of a link by which lost factors are replaced
	cookieReplace    = "gatehouse-replace-"    // of who came by that and proved the password
	cookieAddress    = "gatehouse-address-"    // the same of a link that verifies an address
	cookieInvitation = "gatehouse-invitation-" // the same of an invitation
	cookieSetup      = "gatehouse-setup"       // the secret of the first start, while something else in the form is mended
	cookieForm       = "gatehouse-form"
	cookieLanguage   = "gatehouse-language"
	cookieTheme      = "gatehouse-theme"
)

// maxCookie bounds the value of a cookie that is looked at, in bytes.
const maxCookie = 512

// cookie is the value of a cookie, or "" when there is none, or more than one: then
// somebody else had a hand in it.
func (v *visit) cookie(name string) string {
	all := v.r.CookiesNamed(v.cookieName(name))
	if len(all) != 1 || len(all[0].Value) > maxCookie {
		return ""
	}
	return all[0].Value
}

func (v *visit) cookieName(name string) string {
	if v.secure {
		return hostPrefix + name
	}
	return name
}

// setCookie gives the browser a cookie that lasts for seconds; 0 is until it is
// closed, and negative takes it away.
func (v *visit) setCookie(name, value string, seconds int) {
	http.SetCookie(v.w, &http.Cookie{Name: v.cookieName(name), Value: value, Path: "/", MaxAge: seconds, Secure: v.secure,
		HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// secret is the one of the session that the browser brings.
func (v *visit) secret() gatehouse.Secret {
	return gatehouse.Secret(v.cookie(cookieSession + v.realm.Name))
}

// halfDone is the text of the sign-in that waits for a code in this browser.
func (v *visit) halfDone() gatehouse.Secret {
	return gatehouse.Secret(v.cookie(cookieHalfDone + v.realm.Name))
}

// device is what tells this browser from others.
func (v *visit) device() gatehouse.Secret {
	return gatehouse.Secret(v.cookie(cookieDevice + v.realm.Name))
}

// newDevice gives the browser a device cookie, unless it has one.
func (v *visit) newDevice() gatehouse.Secret {
	if d := v.device(); len(d) == deviceLength {
		return d
	}
	d := rand.Text() // 26 characters, 130 bits
	v.setCookie(cookieDevice+v.realm.Name, d, aYear)
	return gatehouse.Secret(d)
}

// deviceLength is that of a device cookie, in characters.
const deviceLength = 26

// formKeySize is the size of what ties forms to a browser, in bytes.
const formKeySize = 32

// formKey is what ties the forms of this browser to it; it gets one when it has none.
func (v *visit) formKey() []byte {
	if key, ok := v.hasFormKey(); ok {
		return key
	}
	key := make([]byte, formKeySize)
	_, _ = rand.Read(key)
	value := base64.RawURLEncoding.EncodeToString(key)
	v.setCookie(cookieForm, value, 0)
	v.r.Header.Set("Cookie", strings.TrimPrefix(v.r.Header.Get("Cookie")+"; "+v.cookieName(cookieForm)+"="+value, "; "))
	return key
}

func (v *visit) hasFormKey() ([]byte, bool) {
	key, err := base64.RawURLEncoding.DecodeString(v.cookie(cookieForm))
	return key, err == nil && len(key) == formKeySize
}

// token is what a form of this visit's page must bring back.
func (v *visit) token(page string) string {
	return formToken(v.formKey(), v.realm.Name, page, v.session())
}

// formToken is what a form must bring that is sent from page by this browser, in the
// session with that ID, "" without one. Whoever does not know the cookie cannot make it.
func formToken(key []byte, realm, page, session string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(strings.Join([]string{"gatehouse form", realm, page, session}, "\x00"))) // none of them holds a NUL
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
