package pages

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
	"github.com/gatehouse-auth/gatehouse/session"
)

const pageKeys = "/account/keys"

// Bounds of what is typed for a key, in characters and bytes.
const (
	maxKeyName = 64
	maxKeyID   = 64
)

// keyDays are the lifetimes that can be chosen; scopeField begins the name of a scope's field.
var keyDays = [...]int{7, 30, 90, 365}

const scopeField = "scope."

// Key is an API key of a person, as it may be shown.
type Key struct {
	ID, Name string
	Scopes   []string
	Used     time.Time // zero for never
	Ends     time.Time // zero for never
}

// NewKey is what somebody wants a key to be.
type NewKey struct {
	Name   string
	Scopes []string
	Ends   time.Time
}

// Keys lists and changes the API keys of the person who is signed in (admin/keys).
type Keys interface {
	List(ctx context.Context, who *gatehouse.Principal) ([]Key, error) // those that programs can use
	Make(ctx context.Context, who *gatehouse.Principal, k NewKey) (gatehouse.Secret, error)
	// Revoke ends one. One that is not there, or is somebody else's, is gatehouse.NotFound.
	Revoke(ctx context.Context, who *gatehouse.Principal, id string) error
}

// keysView is what keys.html shows.
type keysView struct {
	ownView
	Action string
	Again  string // where to sign in again; "" while that was a moment ago
	Keys   []keyRow
	Scopes []scopeChoice
	Days   []dayChoice
}

type keyRow struct{ ID, Name, Scopes, Used, Ends string }

type scopeChoice struct{ Field, Name, Meaning string }

type dayChoice struct {
	Days    int
	Current bool
}

// keyMadeView is what keymade.html shows, once.
type keyMadeView struct {
	ownView
	Key, Back string
}

// fresh reports whether who is signed in proved a moment ago who it is.
func (v *visit) fresh() (bool, error) {
	list, err := v.h.c.Factors.List(v.r.Context(), v.who)
	has := slices.ContainsFunc(list, func(f Factor) bool { return f.App && f.Confirmed })
	return err == nil && session.Fresh(v.who, has, v.h.c.Now()), err
}

// keys shows somebody the API keys of the account. They are made only a moment after signing in, and can always be revoked.
func (v *visit) keys() error { return v.showKeys(http.StatusOK, "", "") }

func (v *visit) showKeys(status int, said, problem string) error {
	if v.who == nil {
		return v.redirect(v.toSignIn(pageKeys))
	}
	list, err := v.h.c.Keys.List(v.r.Context(), v.who)
	if err != nil {
		return err
	}
	fresh, err := v.fresh()
	if err != nil {
		return err
	}
	own, err := v.own(pageKeys, "keys.title")
	if err != nil {
		return err
	}
	view := keysView{ownView: own, Action: v.to(pageKeys)}
	view.Said, view.Problem = said, problem
	if !fresh {
		view.Again = v.toSignIn(pageKeys)
	}
	for _, k := range list {
		row := keyRow{ID: k.ID, Name: k.Name, Scopes: strings.Join(k.Scopes, " ")}
		if !k.Used.IsZero() {
			row.Used = moment(k.Used)
		}
		if !k.Ends.IsZero() {
			row.Ends = moment(k.Ends)
		}
		view.Keys = append(view.Keys, row)
	}
	for name, meaning := range v.realm.Settings.Scopes {
		view.Scopes = append(view.Scopes, scopeChoice{scopeField + name, name, meaning})
	}
	sorted.Slice(view.Scopes, func(a, b scopeChoice) int { return strings.Compare(a.Name, b.Name) })
	for _, d := range keyDays {
		view.Days = append(view.Days, dayChoice{d, d == 90})
	}
	return v.show(status, "keys.html", view)
}

// keysSent makes or revokes a key of the person who is signed in.
func (v *visit) keysSent() error {
	if v.who == nil {
		return v.redirect(v.toSignIn(pageKeys))
	}
	fields := []string{"do", "key", "name", "days"}
	for name := range v.realm.Settings.Scopes {
		fields = append(fields, scopeField+name)
	}
	if err := v.sentFrom(pageKeys, fields...); err != nil {
		return err
	}
	switch v.form["do"] {
	case "make":
		return v.makeKey()
	case "":
		return v.revokeKey(v.form["key"])
	}
	return errForm
}

// makeKey makes a key that carries what was chosen, and shows it once. A screen that was left open makes none: a key outlives
// the session, and its thief would be taken for the person after it.
func (v *visit) makeKey() error {
	fresh, err := v.fresh()
	if err != nil {
		return err
	}
	if !fresh {
		return v.redirect(v.toSignIn(pageKeys))
	}
	days, err := strconv.Atoi(v.form["days"])
	if err != nil || !slices.Contains(keyDays[:], days) || utf8.RuneCountInString(v.form["name"]) > maxKeyName {
		return errForm
	}
	k := NewKey{Name: strings.TrimSpace(v.form["name"]), Ends: v.h.c.Now().AddDate(0, 0, days)}
	if k.Name == "" {
		return v.keyProblem("keys.no_name")
	}
	for name := range v.realm.Settings.Scopes {
		if v.form[scopeField+name] == "yes" {
			k.Scopes = append(k.Scopes, name)
		}
	}
	slices.Sort(k.Scopes)
	text, err := v.h.c.Keys.Make(gatehouse.WithPrincipal(v.r.Context(), v.who), v.who, k)
	if gatehouse.CodeOf(err) == "input_invalid" {
		return v.keyProblem("keys.no_name")
	}
	if err != nil {
		return err
	}
	return v.showKey(text)
}

func (v *visit) showKey(text gatehouse.Secret) error {
	own, err := v.own(pageKeys, "keys.made_title")
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "keymade.html", keyMadeView{own, text.Reveal(), v.to(pageKeys)})
}

func (v *visit) revokeKey(id string) error {
	if id == "" || len(id) > maxKeyID {
		return errForm
	}
	err := v.h.c.Keys.Revoke(gatehouse.WithPrincipal(v.r.Context(), v.who), v.who, id)
	if gatehouse.KindOf(err) == gatehouse.NotFound {
		return v.keyProblem("keys.gone")
	}
	if err != nil {
		return err
	}
	said, err := v.language.text("keys.revoked")
	if err != nil {
		return err
	}
	return v.showKeys(http.StatusOK, said, "")
}

// keyProblem shows the keys, and why nothing was changed.
func (v *visit) keyProblem(key string) error {
	problem, err := v.language.text(key)
	if err != nil {
		return err
	}
	return v.showKeys(http.StatusUnprocessableEntity, "", problem)
}

// keyList are keys that are made up.
type keyList struct {
	Keys
	all []Key
}

func (l keyList) List(context.Context, *gatehouse.Principal) ([]Key, error) { return l.all, nil }

// keysStates are those of keys.html, keyMadeStates of keymade.html.
func keysStates() []state {
	day := time.Date(2026, 11, 27, 18, 5, 0, 0, time.UTC)
	with := func(show func(*visit) error, all ...Key) func(*visit) error {
		return func(v *visit) error {
			h := *v.h
			h.c.Keys, h.c.Factors = keyList{all: all}, listed{}
			v.h = &h
			v.realm.Settings.Scopes = map[string]string{"documents:read": "Read your documents", "documents:write": "Change your documents"}
			return show(v)
		}
	}
	backup := Key{ID: "backup", Name: "Nightly backup", Scopes: []string{"documents:read"}, Used: day, Ends: day.AddDate(0, 0, 80)}
	return []state{
		{"none", with((*visit).keys)},
		{"two", with((*visit).keys, backup, Key{ID: "old", Name: "Spreadsheet of the accounting department"})},
		{"no-name", with(func(v *visit) error { return v.keyProblem("keys.no_name") }, backup)},
		{"stale", with(func(v *visit) error {
			v.who.AuthTime = v.who.AuthTime.Add(-time.Hour)
			return v.keys()
		}, backup)},
	}
}

func keyMadeStates() []state {
	return []state{{"shown", func(v *visit) error { return v.showKey("ghk_live_" + gatehouse.Secret(strings.Repeat("MadeUp", 8))) }}}
}
