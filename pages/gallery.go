package pages

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/markup"
)

// galleryTemplate is the one that people never see.
const galleryTemplate = "gallery.html"

// gallery is every page with every state that it can be in. Each page declares its states in its own file; a template
// without any fails TestGallery.
func gallery() []exhibit {
	return []exhibit{
		{"setup", setupStates()},
		{"signin", signInStates()},
		{"factor", factorStates()},
		{"enrol", enrolStates()},
		{"recover", recoverStates()},
		{"newpassword", newPasswordStates()},
		{"lost", lostStates()},
		{"replace", replaceStates()},
		{"register", registerStates()},
		{"email", emailStates()},
		{"verify", verifyStates()},
		{"terms", termsStates()},
		{"consent", consentStates()},
		{"formpost", postStates()},
		{"devicecode", deviceStates()},
		{"asks", asksStates()},
		{"signout", signOutStates()},
		{"signingout", signingOutStates()},
		{"signedout", signedOutStates()},
		{"account", accountStates()},
		{"password", passwordStates()},
		{"activity", activityStates()},
		{"notice", noticeStates()},
		{"passkeys", passkeysStates()},
		{"links", linksStates()},
		{"apps", appsStates()},
		{"factors", factorsStates()},
		{"factoradd", factorAddStates()},
		{"factorcodes", factorCodesStates()},
		{"keys", keysStates()},
		{"keymade", keyMadeStates()},
		{"data", dataStates()},
		{"outbox", outboxStates()},
		{"error", errorStates()},
	}
}

// exhibit is a page, by the name of its template.
type exhibit struct {
	page   string
	states []state
}

// state is one way that a page can look. show draws it, with made-up people.
type state struct {
	name string
	show func(v *visit) error
}

// galleryView is what gallery.html shows: the list of all pages, or one state of a page in all Sides.
type galleryView struct {
	frame
	Pages []galleryPage
	Sides []side
}

type galleryPage struct {
	Name   string
	States []galleryState
}

type galleryState struct {
	Name, URL string
	Sides     string // the page that shows it at a desk and on a phone, light and dark
}

// side is a page as it looks in a window of one size, in pixels, and one theme.
type side struct {
	Name, URL     string
	Width, Height string
}

// galleryHandler draws pages and has nothing behind it.
func galleryHandler() (*Handler, error) {
	// The clock stands still, so that two pictures of a page are the same.
	c := Config{Mail: func() bool { return true }, Now: func() time.Time { return time.Date(2026, 11, 28, 9, 30, 0, 0, time.UTC) }}
	c.Realm = func(context.Context, string) (gatehouse.Realm, error) { return themedRealm(), nil }
	return read(c)
}

// galleryVisit is a visit of somebody who is made up.
func (h *Handler) galleryVisit(w http.ResponseWriter, r *http.Request) *visit {
	return &visit{h: h, w: w, r: r, dress: h.dress.Load(), realm: gatehouse.Realm{Name: gatehouse.MainRealm},
		who: &gatehouse.Principal{Realm: gatehouse.MainRealm, Kind: gatehouse.KindUser, ID: "usr_alice", Name: "alice", Scheme: gatehouse.SchemeSession,
			SessionID: "here", AuthTime: h.c.Now(), AMR: []string{"pwd", "otp", gatehouse.AMRMultiFactor}, ACR: gatehouse.AAL2}}
}

// sides are a telephone and a desk, light and dark.
func sides(path string) []side {
	var out []side
	for _, of := range [...]side{{Width: "390", Height: "844"}, {Width: "1280", Height: "860"}} {
		for _, theme := range [...]string{"light", "dark"} {
			of.Name, of.URL = of.Width+" px, "+theme, path+"?framed="+theme
			out = append(out, of)
		}
	}
	return out
}

// NewGallery serves every page in every state, to look at: nothing is stored or checked, and what a form sends is dropped.
// The pages stand at /PAGE/STATE, each once more at /sides/PAGE/STATE as it looks on a phone and at a desk, light and dark; the
// list of them is at /. It has one language more than there are, which runs from right to left. o are texts and templates in the places
// of ours; nil: none.
func NewGallery(o *Overrides) (http.Handler, error) {
	h, err := galleryHandler()
	if err != nil {
		return nil, err
	}
	h.Wear(o)
	worn := *h.dress.Load()
	worn.languages = append(slices.Clip(worn.languages), mirrored(worn.languages[0]))
	h.ours = &worn // what cannot be drawn is an error to whoever looks
	h.Wear(nil)
	mux := http.NewServeMux()
	index := galleryView{}
	for _, e := range gallery() {
		p := galleryPage{Name: e.page}
		for _, s := range e.states {
			path := "/" + e.page + "/" + s.name
			p.States = append(p.States, galleryState{Name: s.name, URL: path, Sides: "/sides" + path})
			mux.Handle("GET "+path, h.exhibit(s.show))
			mux.Handle("GET /sides"+path, h.exhibit(func(v *visit) error { return v.showSides(path) }))
		}
		index.Pages = append(index.Pages, p)
	}
	mux.Handle("GET /{$}", h.exhibit(func(v *visit) (err error) {
		view := index
		if view.frame, err = v.frame("/", "gallery.title", nil); err != nil {
			return err
		}
		return v.show(http.StatusOK, galleryTemplate, view)
	}))
	mux.Handle("/", h.exhibit((*visit).goBack))
	h.registerLook(mux)
	return mux, nil
}

// showSides shows the page at path in windows of its own.
func (v *visit) showSides(path string) (err error) {
	view := galleryView{Sides: sides(path)}
	if view.frame, err = v.frame("/sides"+path, "gallery.title", nil); err != nil {
		return err
	}
	view.Title = strings.TrimPrefix(path, "/")
	v.w.Header()["Content-Security-Policy"] = []string{v.w.Header().Get("Content-Security-Policy") + "; frame-src 'self'"}
	return v.show(http.StatusOK, galleryTemplate, view)
}

// themedRealm is one that has colours of its own: those that can just be read.
func themedRealm() gatehouse.Realm {
	return gatehouse.Realm{Name: gatehouse.MainRealm, Title: "Saffron", Settings: gatehouse.RealmSettings{Accent: "#786700", AccentDark: "#ffde00",
		TermsURL: "https://saffron.example/terms", PrivacyURL: "https://saffron.example/privacy", TermsVersion: "2026-11"}}
}

// exhibit makes a handler of what draws a page.
func (h *Handler) exhibit(show func(v *visit) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := h.galleryVisit(w, r)
		pageHeaders(w.Header())
		v.prefer()
		v.framed()
		if err := show(v); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError) // whoever looks at the gallery works on the pages
		}
	})
}

// framed is for an exhibit that stands in a page of the gallery, in a theme of that frame alone. No page that people see can
// be framed.
func (v *visit) framed() {
	theme := one(v.r, "framed")
	if !knownTheme(theme) {
		return
	}
	v.theme = theme
	h := v.w.Header()
	h["Content-Security-Policy"] = []string{strings.Replace(h.Get("Content-Security-Policy"), "frame-ancestors 'none'", "frame-ancestors 'self'", 1)}
}

// goBack is what follows a link or button of an exhibit: the page that it stands on, so that a language or theme that was
// chosen is seen there.
func (v *visit) goBack() error {
	to := "/"
	if from, err := url.Parse(v.r.Referer()); err == nil && from.Host == v.r.Host && markup.OwnPath(from.EscapedPath()) {
		to = from.EscapedPath()
	}
	return v.redirect(to)
}

// mirrored is a language of the gallery alone, to see that pages work from right to left: the texts of another one in
// Hebrew letters, which say nothing.
func mirrored(of *language) *language {
	letters := []rune("אבגדהוזחטיכלמנסעפצקרשתאבגד")
	l := &language{Tag: "he", Name: "Right to left", Dir: direction("he"), texts: make(map[string]string, len(of.texts))}
	for key, text := range of.texts {
		l.texts[key] = strings.Map(func(r rune) rune {
			if lower := r | 0x20; lower >= 'a' && lower <= 'z' {
				return letters[lower-'a']
			}
			return r
		}, text)
	}
	return l
}
