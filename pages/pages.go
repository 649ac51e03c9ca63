package pages

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/markup"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/oauth/authorize"
	"github.com/gatehouse-auth/gatehouse/session"
)

// Passwords verifies a password; *identity.Service does, for every way to log in.
type Passwords interface {
	VerifyPassword(ctx context.Context, a identity.Attempt) (identity.User, error)
	// SignedIn notes the device of whoever has a session now as known for the account.
	SignedIn(ctx context.Context, p *gatehouse.Principal, device gatehouse.Secret)
	// KnowsDevice reports whether the account has had a session with it of late.
	KnowsDevice(ctx context.Context, u *identity.User, device gatehouse.Secret) bool
	// Odd tells what is unusual about a sign-in with it.
	Odd(ctx context.Context, p *gatehouse.Principal, device gatehouse.Secret) identity.Odd
}

// Users tells who a user is now; *identity.Directory does.
type Users interface {
	User(ctx context.Context, realm, id string) (*identity.User, error)
}

// Sessions opens sessions, gives them new secrets and ends them; *session.Service does.
type Sessions interface {
	Open(ctx context.Context, p *gatehouse.Principal, from session.Browser) (text gatehouse.Secret, opened gatehouse.Session, err error)
	Rotate(ctx context.Context, p *gatehouse.Principal, from session.Browser) (text gatehouse.Secret, rotated gatehouse.Session, err error)
	End(ctx context.Context, realm, user, id, reason string) error
}

// HalfDone keeps sign-ins that wait for a code; *session.HalfDone does.
type HalfDone interface {
	Begin(ctx context.Context, p *gatehouse.Principal, device gatehouse.Secret, enrols bool) (gatehouse.Secret, error)
	Waits(ctx context.Context, realm string, text, device gatehouse.Secret) (userID string, enrols bool, err error)
	Enrolling(ctx context.Context, realm string, text, device gatehouse.Secret) (*gatehouse.Principal, error)
	Enrolled(ctx context.Context, realm string, text, device gatehouse.Secret, methods ...string) (*gatehouse.Principal, error)
	Finish(ctx context.Context, realm string, text, device, code gatehouse.Secret) (*gatehouse.Principal, error)
	FinishBy(ctx context.Context, realm string, text, device gatehouse.Secret, prove func(ctx context.Context, p *gatehouse.Principal) (*gatehouse.Principal, error)) (*gatehouse.Principal, error)
}

// Factor is a second factor of a person, as it may be shown.
type Factor struct {
	ID, Name  string
	App       bool // an authenticator app; else the recovery codes
	Confirmed bool // it counts
	CodesLeft int  // of recovery codes
	UsedAt    time.Time
}

// NewApp is an authenticator app that waits to be confirmed, with what it must know.
type NewApp struct {
	ID     string
	Secret gatehouse.Secret // to type by hand
	QR     gatehouse.Secret // the same for a camera: an SVG image, drawn here
}

// Factors lists and changes the second factors of the person who is signed in (admin/factors): each change
// takes a session that is fresh ([session.Fresh]).
type Factors interface {
	List(ctx context.Context, p *gatehouse.Principal) ([]Factor, error)
	Add(ctx context.Context, p *gatehouse.Principal, name string) (NewApp, error)
	// Confirm has an app count that shows a right code. codes are the recovery codes that come with the first one.
	Confirm(ctx context.Context, p *gatehouse.Principal, id string, code gatehouse.Secret) (codes []gatehouse.Secret, err error)
	Rename(ctx context.Context, p *gatehouse.Principal, id, name string) error
	Remove(ctx context.Context, p *gatehouse.Principal, id string) error
	NewCodes(ctx context.Context, p *gatehouse.Principal) ([]gatehouse.Secret, error)
}

// HandOvers brings browsers with their session to hosts of the gateway; nil: there are none.
type HandOvers interface {
	// Admits returns the origin of an address of the gateway where sessions of realm are
	// accepted; any other address is not ok.
	Admits(realm, to string) (origin string, ok bool)
	// Enough reports whether the sign-in of p is what the route at an address asks for. Where it is not, acr is the
	// level that is missing, or "" when it was too long ago.
	Enough(p *gatehouse.Principal, to string) (ok bool, acr string)
	// Begin returns the address by which the browser of that name, which came from to, gets the
	// session of p there.
	Begin(ctx context.Context, p *gatehouse.Principal, to, browser string) (address string, err error)
}

// Resets has people set a new password who have forgotten theirs; *users.Service does.
type Resets interface {
	AskReset(ctx context.Context, realm, username string) error
	ResetOf(ctx context.Context, realm string, text gatehouse.Secret) (username string, err error)
	Reset(ctx context.Context, realm string, text, password gatehouse.Secret) error
	// ExchangeInitial answers the text of a link for whoever has proved an account by the password that somebody else has made.
	ExchangeInitial(ctx context.Context, u identity.User) (gatehouse.Secret, error)
}

// Config is what the pages need. Every field without a remark is required.
type Config struct {
	Passwords Passwords
	Users     Users
	Sessions  Sessions
	HalfDone  HalfDone
	Factors   Factors
	Own       Own
	Profile   Profile
	Activity  Activity
	Data      Data
	Keys      Keys
	Connected Connected
	HandOvers HandOvers // may be nil
	// Passkeys signs people in without a password, and OwnKeys is what they do with their passkeys.
	// Nil, both: there are none in any realm.
	Passkeys Passkeys
	OwnKeys  OwnPasskeys
	Resets   Resets
	// Replacements replaces lost second factors.
	Replacements Replacements
	Addresses    Addresses
	Invitations  Invitations
	// First makes the first administrator.
	First First
	// Providers signs people in by accounts elsewhere.
	Providers Providers
	// Authorizations answers what clients ask for.
	Authorizations Authorizations
	// Frames are what the browser loads in which a session ends.
	Frames  func(ctx context.Context, realm, session string) (authorize.Frames, error)
	Devices Devices
	// Questions are those that clients have this server ask.
	Questions Questions
	// AllowUserCode is asked once for each code of a device that somebody who is signed in shows; false refuses for retryAfter.
	AllowUserCode func(ctx context.Context, who *gatehouse.Principal) (retryAfter time.Duration, ok bool)
	// Mail reports whether mail is sent: without it nobody can be sent a link.
	Mail func() bool
	// Session finds out whose session the browser of r brings: text and device are the
	// values of its two cookies. All that makes a session end counts.
	Session func(r *http.Request, realm string, text, device gatehouse.Secret) (*gatehouse.Principal, error)
	Realm   func(ctx context.Context, name string) (gatehouse.Realm, error)
	// Allow is asked once for each form that is sent, with the client's address; false
	// refuses for retryAfter.
	Allow func(ctx context.Context, address string) (retryAfter time.Duration, ok bool)
	// AllowRegistration is asked beside it for each link that is to be sent to make an account.
	AllowRegistration func(ctx context.Context, address string) (retryAfter time.Duration, ok bool)
	Proxies           func() *web.Proxies // those of now
	Now               func() time.Time
	// Issuer is the issuer of a realm: the whole address below which its pages are.
	Issuer   func(realm string) string
	Problems *web.Problems // for what is asked without a page to show it; nil uses the zero value
}

// Handler serves the pages of every realm. It is safe for concurrent use.
type Handler struct {
	c      Config
	ours   *dress
	dress  *atomic.Pointer[dress] // what pages are drawn with now
	look   *look
	origin *http.CrossOriginProtection
}

// New checks c and returns the pages.
func New(c Config) (*Handler, error) {
	if c.Passwords == nil || c.Users == nil || c.Sessions == nil || c.HalfDone == nil || c.Factors == nil || c.Own == nil || c.Profile == nil || c.Activity == nil || c.Data == nil || c.Keys == nil || c.Connected == nil || c.Resets == nil || c.Replacements == nil || c.Addresses == nil || c.Invitations == nil || c.Mail == nil || c.Session == nil || c.Realm == nil || c.Allow == nil || c.AllowRegistration == nil || c.Proxies == nil || c.Now == nil || c.Issuer == nil {
		return nil, errors.New("pages: passwords, users, sessions, half-done sign-ins, factors, own sessions, profiles, activity, data, keys, apps, resets, replacements, addresses, invitations, mail, realms, limits, proxies, clock and issuers are required")
	}
	if c.Providers == nil || c.First == nil || c.Authorizations == nil || c.Frames == nil || c.Devices == nil || c.Questions == nil || c.AllowUserCode == nil {
		return nil, errors.New("pages: providers, the first administrator, authorizations, questions and devices with their limit are required")
	}
	if (c.Passkeys == nil) != (c.OwnKeys == nil) {
		return nil, errors.New("pages: passkeys are for signing in and for their owners, or not there")
	}
	return read(c)
}

// read reads the templates, messages and styles that the program carries.
func read(c Config) (*Handler, error) {
	h := &Handler{c: c, dress: new(atomic.Pointer[dress]), origin: http.NewCrossOriginProtection()}
	var err error
	if h.ours, err = ownDress(); err != nil {
		return nil, err
	}
	h.Wear(nil)
	if h.look, err = newLook(); err != nil {
		return nil, err
	}
	return h, nil
}

// Register adds the pages to mux.
func (h *Handler) Register(mux *http.ServeMux) {
	for _, prefix := range []string{"", "/realms/{realm}"} {
		mux.Handle("GET "+prefix+"/signin", h.page((*visit).signIn))
		mux.Handle("POST "+prefix+"/signin", h.page((*visit).signInSent))
		mux.Handle("GET "+prefix+"/signin/factor", h.page((*visit).factor))
		mux.Handle("POST "+prefix+"/signin/factor", h.page((*visit).factorSent))
		mux.Handle("POST "+prefix+"/signin/enrol", h.page((*visit).enrolSent))
		mux.Handle("GET "+prefix+"/recover", h.page((*visit).recover))
		mux.Handle("POST "+prefix+"/recover", h.page((*visit).recoverSent))
		mux.Handle("GET "+prefix+"/recover/new", h.page((*visit).newPassword))
		mux.Handle("POST "+prefix+"/recover/new", h.page((*visit).newPasswordSent))
		mux.Handle("GET "+prefix+"/recover/done", h.page((*visit).recovered))
		mux.Handle("GET "+prefix+pageLost, h.page((*visit).lost))
		mux.Handle("GET "+prefix+LostFactors, h.page((*visit).lostLink))
		mux.Handle("POST "+prefix+LostFactors, h.page((*visit).lostSent))
		mux.Handle("GET "+prefix+LostFactors+"/done", h.page((*visit).replaced))
		mux.Handle("GET "+prefix+pageReplace, h.page((*visit).replace))
		mux.Handle("POST "+prefix+pageReplace, h.page((*visit).replaceSent))
		mux.Handle("GET "+prefix+Register, h.page((*visit).register))
		mux.Handle("POST "+prefix+Register, h.page((*visit).registerSent))
		mux.Handle("GET "+prefix+Register+"/done", h.page((*visit).registered))
		mux.Handle("GET "+prefix+VerifyAddress, h.page((*visit).verifyAddress))
		mux.Handle("POST "+prefix+VerifyAddress, h.page((*visit).verifySent))
		mux.Handle("GET "+prefix+VerifyAddress+"/done", h.page((*visit).verified))
		mux.Handle("GET "+prefix+"/signout", h.page((*visit).signOut))
		mux.Handle("POST "+prefix+"/signout", h.page((*visit).signOutSent))
		mux.Handle("GET "+prefix+pageTerms, h.page((*visit).terms))
		mux.Handle("POST "+prefix+pageTerms, h.page((*visit).termsSent))
		mux.Handle("GET "+prefix+pageTermsText, h.page((*visit).termsText))
		mux.Handle("GET "+prefix+pagePrivacy, h.page((*visit).privacy))
		mux.Handle("GET "+prefix+"/handover", h.page((*visit).handOver))
		mux.Handle("GET "+prefix+HandOverRefused, h.page((*visit).handOverRefused))
		mux.Handle("GET "+prefix+"/signedout", h.page((*visit).signedOut))
		mux.Handle("GET "+prefix+"/account", h.page((*visit).account))
		mux.Handle("POST "+prefix+"/account", h.page((*visit).accountSent))
		mux.Handle("GET "+prefix+pagePassword, h.page((*visit).password))
		mux.Handle("POST "+prefix+pagePassword, h.page((*visit).passwordSent))
		mux.Handle("GET "+prefix+pageActivity, h.page((*visit).activity))
		mux.Handle("GET "+prefix+pageNotice, h.page((*visit).notice))
		mux.Handle("POST "+prefix+pageNotice, h.page((*visit).noticeSent))
		mux.Handle("GET "+prefix+pageData, h.page((*visit).data))
		mux.Handle("POST "+prefix+pageData, h.page((*visit).dataSent))
		mux.Handle("GET "+prefix+pageEmail, h.page((*visit).email))
		mux.Handle("POST "+prefix+pageEmail, h.page((*visit).emailSent))
		mux.Handle("GET "+prefix+pageKeys, h.page((*visit).keys))
		mux.Handle("POST "+prefix+pageKeys, h.page((*visit).keysSent))
		mux.Handle("GET "+prefix+pageApps, h.page((*visit).apps))
		mux.Handle("POST "+prefix+pageApps, h.page((*visit).appsSent))
		mux.Handle("GET "+prefix+"/account/factors", h.page((*visit).factors))
		mux.Handle("POST "+prefix+"/account/factors", h.page((*visit).factorsSent))
	}
	mux.Handle("GET "+Setup, h.page((*visit).setup))
	mux.Handle("POST "+Setup, h.page((*visit).setupSent))
	if h.c.Passkeys != nil {
		mux.Handle("GET "+pageSetupPasskey, h.page((*visit).askSetupPasskey))
		h.registerPasskeys(mux)
	}
	h.registerProviders(mux)
	h.registerAuthorize(mux)
	h.registerDevices(mux)
	h.registerAsks(mux)
	h.registerLook(mux)
}

var errPlain = gatehouse.E(gatehouse.Invalid, "pages_need_https", "Pages to sign in are served over HTTPS only.")

// page makes a handler of one that returns its failure, which then is shown as a page.
func (h *Handler) page(serve func(*visit) error) http.Handler { return h.visited(serve, false) }

// pageFromElsewhere is [Handler.page] for a form that another site may send, and that changes nothing.
func (h *Handler) pageFromElsewhere(serve func(*visit) error) http.Handler {
	return h.visited(serve, true)
}

func (h *Handler) visited(serve func(*visit) error, elsewhere bool) http.Handler {
	return h.c.Problems.Handler(func(w http.ResponseWriter, r *http.Request) error {
		worn := h.dress.Load()
		v := &visit{h: h, w: w, r: r, dress: worn, elsewhere: elsewhere, realm: gatehouse.Realm{Name: gatehouse.MainRealm}, language: worn.languages[0]}
		v.site = h.site(r.PathValue("realm"))
		pageHeaders(w.Header())
		err := v.begin()
		owes := false
		if err == nil {
			owes, err = v.owesTerms()
		}
		switch {
		case err != nil:
		case owes:
			err = v.toTerms()
		default:
			err = serve(v)
		}
		if err != nil {
			return v.fail(err)
		}
		return nil
	})
}

// visit is one request for a page.
type visit struct {
	h        *Handler
	w        http.ResponseWriter
	r        *http.Request
	dress    *dress
	realm    gatehouse.Realm
	site     site // of the realm's pages
	secure   bool // over TLS: cookies can be bound to the host
	language *language
	theme    string     // "light", "dark", or "" for what the system says
	form     form       // of a POST
	posted   url.Values // what another site may send, as it came
	// elsewhere: another site may send it
	elsewhere bool
	// who is signed in here; nil for nobody
	who     *gatehouse.Principal
	offered string // see offerEnd
}

// begin does what all pages share, before anything of the request counts.
func (v *visit) begin() error {
	proxies := v.h.c.Proxies()
	v.secure = proxies.Scheme(v.r) == "https"
	v.prefer()
	v.r = v.r.WithContext(mail.WithLanguage(v.r.Context(), v.language.Tag))
	if !proxies.Secure(v.r) {
		return errPlain
	}
	name := gatehouse.MainRealm
	if n := v.r.PathValue("realm"); n != "" {
		name = n
	}
	realm, err := v.h.c.Realm(v.r.Context(), name)
	if err == nil && realm.Disabled {
		err = gatehouse.ErrRealmNotFound
	}
	if err != nil {
		return err
	}
	v.realm = realm
	if v.r.Method == http.MethodPost {
		if err := v.readForm(); err != nil {
			return err
		}
	}
	return v.recognise()
}

// recognise finds out who is signed in. One whose session is over is nobody; when it
// cannot be known, the visit fails.
func (v *visit) recognise() error {
	secret := v.secret()
	if secret == "" {
		return nil
	}
	p, err := v.h.c.Session(v.r, v.realm.Name, secret, v.device())
	switch {
	case err == nil:
		v.who = p
	case gatehouse.KindOf(err) != gatehouse.Unauthenticated:
		return err
	}
	return nil
}

// session is the ID of the session of this visit, "" without one.
func (v *visit) session() string {
	if v.who == nil {
		return ""
	}
	return v.who.SessionID
}

// to is the address of a page of this realm.
func (v *visit) to(page string) string { return v.site.path + page }

// redirect sends the browser on, by GET.
func (v *visit) redirect(to string) error {
	if !markup.OwnPath(to) { // whoever called has looked already
		return gatehouse.ErrInternal
	}
	v.w.Header()["Location"] = []string{to}
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// title is what people know the realm by.
func title(r gatehouse.Realm) string {
	switch {
	case r.Title != "":
		return r.Title
	case r.Name == gatehouse.MainRealm:
		return "Gatehouse"
	}
	return r.Name
}
