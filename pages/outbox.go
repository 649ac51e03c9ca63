package pages

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
)

const (
	pageOutbox = "/"
	// maxOutbox is how many messages are listed.
	maxOutbox = 50
)

// outboxView is what outbox.html shows: the messages, or one of them, To somebody.
type outboxView struct {
	frame
	Home    string
	Letters []letterRow
	To      string
	Date    string
	ISO     string
	Plain   []string // lines
	HTML    string   // the address of its other form
	Link    string   // the page that leads where it leads; "" for none
}

type letterRow struct{ Subject, To, Date, ISO, URL string }

// NewOutbox serves what a demo keeps in the directory dir in the place of sending it, to whoever is on this machine. Links in
// messages lead to issuer or nowhere. It asks nobody who he is: its listener must not be reachable from elsewhere, and
// where a browser is had to call it by another name than this machine's (DNS rebinding) it has nothing to say. No
// installation serves it.
func NewOutbox(dir, issuer string) (http.Handler, error) {
	h, err := galleryHandler()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	page := func(pattern string, show func(v *visit) error) {
		mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) {
			v := &visit{h: h, w: w, r: r, dress: h.dress.Load(), realm: gatehouse.Realm{Name: gatehouse.MainRealm}}
			pageHeaders(w.Header())
			w.Header()["Cache-Control"] = []string{"no-store"}
			v.prefer()
			if err := show(v); err != nil {
				status := http.StatusInternalServerError
				if gatehouse.KindOf(err) == gatehouse.NotFound {
					status = http.StatusNotFound
				}
				http.Error(w, err.Error(), status) // whoever reads it runs the demo
			}
		})
	}
	page("/{$}", func(v *visit) error {
		letters, err := mail.KeptIn(dir, maxOutbox)
		if err != nil {
			return err
		}
		return v.showOutbox(letters)
	})
	of := func(show func(v *visit, k mail.Kept) error) func(*visit) error {
		return func(v *visit) error {
			k, err := mail.ReadKept(dir, v.r.PathValue("id"))
			if err != nil {
				return err
			}
			return show(v, k)
		}
	}
	page("/letters/{id}", of(func(v *visit, k mail.Kept) error { return v.showLetter(k, linkIn(k.Plain, issuer) != "") }))
	page("/letters/{id}/html", of((*visit).showLetterHTML))
	page("/letters/{id}/link", of(func(v *visit, k mail.Kept) error {
		to := linkIn(k.Plain, issuer)
		if to == "" {
			return gatehouse.ErrNotFound
		}
		v.away(to)
		return nil
	}))
	h.registerLook(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !thisMachine(r.Host) {
			http.Error(w, "The outbox of a demo is for this machine.", http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	}), nil
}

// thisMachine reports whether host is how a browser on this machine calls it.
func thisMachine(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// linkIn is the first line of a message that is an address of the server of issuer, "" for none.
func linkIn(plain, issuer string) string {
	own, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(plain) {
		line = strings.TrimSuffix(line, "\n")
		if to, err := url.Parse(line); err == nil && to.Scheme == own.Scheme && to.Host == own.Host && to.Host != "" && strings.HasPrefix(line, issuer+"/") {
			return line
		}
	}
	return ""
}

func (v *visit) showOutbox(letters []mail.Kept) (err error) {
	view := outboxView{Home: v.to(pageOutbox)}
	if view.frame, err = v.frame(pageOutbox, "outbox.title", nil); err != nil {
		return err
	}
	for _, k := range letters {
		view.Letters = append(view.Letters, letterRow{Subject: k.Subject, To: k.To, Date: moment(k.Date), ISO: instant(k.Date), URL: v.to("/letters/" + k.ID)})
	}
	return v.show(http.StatusOK, "outbox.html", view)
}

// showLetter shows a message as text, from where the form in HTML can be reached.
func (v *visit) showLetter(k mail.Kept, leads bool) (err error) {
	path := "/letters/" + k.ID
	view := outboxView{Home: v.to(pageOutbox), To: k.To, Date: moment(k.Date), ISO: instant(k.Date), HTML: v.to(path + "/html"),
		Plain: strings.Split(strings.TrimRight(k.Plain, "\n"), "\n")}
	if view.frame, err = v.frame(path, "outbox.title", nil); err != nil {
		return err
	}
	view.Title = k.Subject
	if leads {
		view.Link = v.to(path + "/link")
	}
	return v.show(http.StatusOK, "outbox.html", view)
}

// showLetterHTML sends a message as it is. It runs nothing, loads nothing, leads nowhere, and is of no site.
func (v *visit) showLetterHTML(k mail.Kept) error {
	h := v.w.Header()
	h["Content-Security-Policy"] = []string{"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["Content-Type"] = []string{"text/html; charset=utf-8"}
	_, err := v.w.Write([]byte(k.HTML))
	return err
}

func outboxStates() []state {
	return []state{
		{"empty", func(v *visit) error { return v.showOutbox(nil) }},
		{"letters", func(v *visit) error {
			return v.showOutbox([]mail.Kept{madeUpLetter(v), {ID: "mail_1", To: "bob@wonderland.example", Subject: "A new API key of your account", Date: v.h.c.Now()}})
		}},
		{"letter", func(v *visit) error { return v.showLetter(madeUpLetter(v), true) }},
		{"notice", func(v *visit) error { return v.showLetter(madeUpLetter(v), false) }},
	}
}

// madeUpLetter is a message of the gallery.
func madeUpLetter(v *visit) mail.Kept {
	return mail.Kept{ID: "mail_2", To: "alice@wonderland.example", Subject: "Set a new password", Date: v.h.c.Now(),
		Plain: "Hello alice,\n\nsomebody asked for a link to set a new password of your account. It counts for an hour:\n\nhttps://saffron.example/recover/new?code=MFRGGZDFMZTWQ2LKNNWG23TPOA\n\n-- \nSaffron\n"}
}
