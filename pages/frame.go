package pages

import (
	"bytes"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/markup"
)

// frame is what every template finds.
type frame struct {
	Lang      *language
	Theme     string
	Title     string // of the window
	Realm     string
	CSS, Icon string
	Colours   string // the style sheet of the realm; "" for none
	Script    string // "": the page runs none
	Languages []choice
	Themes    []choice
	// Addresses of pages of this realm.
	SignIn, SignOut, Account string
	Terms, Privacy           string // "" where the realm has none
}

// choice is a language or theme that can be had.
type choice struct {
	Tag, Name, URL string
	Current        bool
}

// frame makes the frame of a page: path is where it is, heading the message that is its
// title, keep what its address has to say beside language and theme.
func (v *visit) frame(path, heading string, keep url.Values) (frame, error) {
	h, err := v.language.text(heading)
	f := frame{Lang: v.language, Theme: v.theme, Title: h, Realm: title(v.realm),
		CSS: v.site.base + v.h.look.css, Icon: v.site.base + v.h.look.icon, Colours: v.themeOf(),
		SignIn: v.to("/signin"), SignOut: v.to("/signout"), Account: v.to("/account")}
	if v.realm.Settings.TermsURL != "" {
		f.Terms = v.to(pageTermsText)
	}
	if v.realm.Settings.PrivacyURL != "" {
		f.Privacy = v.to(pagePrivacy)
	}
	with := func(name, value string) string {
		q := url.Values{name: {value}}
		for k, values := range keep {
			q[k] = values
		}
		return v.to(path) + "?" + q.Encode()
	}
	for _, l := range v.dress.languages {
		f.Languages = append(f.Languages, choice{l.Tag, l.Name, with("lang", l.Tag), l == v.language})
	}
	for _, t := range []string{"system", "light", "dark"} {
		f.Themes = append(f.Themes, choice{t, "theme." + t, with("theme", t), t == v.theme || t == "system" && v.theme == ""})
	}
	return f, err
}

// show sends a page. It is drawn before anything is sent: what cannot be drawn is an error
// like any other.
func (v *visit) show(status int, template string, data any) error {
	var b bytes.Buffer
	if err := v.draw(&b, v.dress, template, data); err != nil {
		if v.dress == v.h.ours {
			return err
		}
		// A template of the operator that cannot show what no state of the gallery has: people get ours.
		v.h.c.Problems.Log(v.r, "a template of pages.overrides cannot show this; the one of the program is shown", err)
		b.Reset()
		if err := v.draw(&b, v.h.ours, template, data); err != nil {
			return err
		}
	}
	h := v.w.Header()
	h["Content-Type"] = []string{"text/html; charset=utf-8"}
	h["Content-Language"] = []string{v.language.Tag}
	h["Content-Length"] = []string{strconv.Itoa(b.Len())}
	v.w.WriteHeader(status)
	if v.r.Method != http.MethodHead {
		_, _ = v.w.Write(b.Bytes()) // the client may be gone; nothing is left to do
	}
	return nil
}

// draw writes a page.
func (v *visit) draw(b *bytes.Buffer, d *dress, template string, data any) error {
	return d.templates.Execute(b, template, data, map[string]markup.Func{"icon": icon, "address": address, "postform": postForm, "elsewhere": awayLink, "hiddenframe": hiddenFrame, "onward": onward,
		"t": func(args ...any) (any, error) {
			key, _ := args[0].(string)
			return v.language.text(key, args[1:]...)
		}})
}

// initials are the first two letters of a name.
func initials(name string) string {
	r := []rune(strings.TrimSpace(name))
	return string(r[:min(2, len(r))])
}
