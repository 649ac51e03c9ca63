package pages

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth/backchannel"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// Asks is the page at which people answer what clients ask without a browser of theirs (CIBA Core §8).
const Asks = "/account/requests"

// Questions are those that wait for a person; *backchannel.Service has them.
type Questions interface {
	Waiting(ctx context.Context, who *gatehouse.Principal) ([]backchannel.Question, error)
	Decide(ctx context.Context, who *gatehouse.Principal, id string, allow bool) error
}

func (h *Handler) registerAsks(mux *http.ServeMux) {
	for _, prefix := range []string{"", "/realms/{realm}"} {
		mux.Handle("GET "+prefix+Asks, h.page((*visit).asks))
		mux.Handle("POST "+prefix+Asks, h.page((*visit).askAnswered))
	}
}

// asksView is what asks.html shows.
type asksView struct {
	ownView
	Action string
	Asks   []askRow
}

// askRow is one question. Form is bound to it, so that an answer is to what was shown.
type askRow struct {
	Form, ID, Number string
	Client           string // its name
	Unverified       bool   // it registered itself
	Message          string // what the client shows as well
	Scopes           []scopeLine
	Resources        []string
	From             string
	At, AtISO, Ends  string
	Compare          bool // it was to be allowed without a look
}

// maxAskID bounds what is taken for the id of a question, in bytes.
const maxAskID = 64

// asks shows somebody what waits for an answer.
func (v *visit) asks() error {
	if v.who == nil {
		return v.redirect(v.toSignIn(Asks))
	}
	return v.showAsks(http.StatusOK, "", "", "")
}

// askOf names the form about one question.
func askOf(id string) string { return Asks + " " + id }

func (v *visit) showAsks(status int, said, problem, compare string) error {
	list, err := v.h.c.Questions.Waiting(v.r.Context(), v.who)
	if err != nil {
		return err
	}
	return v.drawAsks(status, said, problem, compare, list)
}

func (v *visit) drawAsks(status int, said, problem, compare string, list []backchannel.Question) error {
	own, err := v.own(Asks, "asks.title")
	if err != nil {
		return err
	}
	view := asksView{ownView: own, Action: v.to(Asks)}
	view.Said, view.Problem = said, problem
	for i, q := range list {
		view.Asks = append(view.Asks, askRow{Form: v.token(askOf(q.ID)), ID: q.ID, Number: strconv.Itoa(i + 1), Client: q.Of.Metadata.Name, Unverified: q.Of.Dynamic(),
			Message: q.Message, Scopes: v.scopeLines(q.Scopes), Resources: q.Resources, From: q.Address, At: moment(q.AskedAt), AtISO: instant(q.AskedAt),
			Ends: moment(q.Ends), Compare: q.ID == compare})
	}
	return v.show(status, "asks.html", view)
}

// askAnswered takes what the person says about one question. Nobody allows anything who does not say that it was begun here (RFC 10027).
func (v *visit) askAnswered() error {
	id, do := v.form["ask"], v.form["do"]
	if len(id) > maxAskID {
		return errForm
	}
	if err := v.sentFrom(askOf(id), "ask", "mine", "do"); err != nil {
		return err
	}
	if v.who == nil || do != "allow" && do != "deny" {
		return errForm
	}
	if do == "allow" && v.form["mine"] != "yes" {
		return v.showAsks(http.StatusUnprocessableEntity, "", "", id)
	}
	said := "asks.denied"
	if do == "allow" {
		said = "asks.allowed"
	}
	err := v.h.c.Questions.Decide(v.r.Context(), v.who, id, do == "allow")
	if gatehouse.KindOf(err) == gatehouse.NotFound {
		problem, err := v.language.text("asks.gone")
		if err != nil {
			return err
		}
		return v.showAsks(http.StatusUnprocessableEntity, "", problem, "")
	}
	if err != nil {
		return err
	}
	text, err := v.language.text(said)
	if err != nil {
		return err
	}
	return v.showAsks(http.StatusOK, text, "", "")
}

// asksStates are those of asks.html.
func asksStates() []state {
	at := time.Date(2026, 11, 28, 9, 26, 0, 0, time.UTC)
	q := func(id, name, message string, scopes ...string) backchannel.Question {
		return backchannel.Question{Of: client.Client{Metadata: client.Metadata{Name: name}},
			Pending: grant.Pending{ID: id, Message: message, Ends: at.Add(grant.AskLife), Device: grant.Device{Scopes: scopes, Address: "203.0.113.9", AskedAt: at}}}
	}
	one := q("ask_1", "Saffron Bank", "W4SCT", "openid", "offline_access")
	long := q("ask_2", "Wilhelmina Featherstonehaugh-Cholmondeley's bank for everything", "Pay 1.250,00 € to Featherstonehaugh-Cholmondeley, order 4711", "openid", "profile", "email")
	long.Resources, long.Address, long.Of.Registration = []string{"https://a-very-long-name-of-an-api.subsidiary.saffron-of-the-world.example/v1/documents"}, "2001:db8:85a3:8d3:1319:8a2e:370:7348", []byte{1}
	show := func(compare string, list ...backchannel.Question) func(*visit) error {
		return func(v *visit) error { return v.drawAsks(http.StatusOK, "", "", compare, list) }
	}
	say := func(said, problem string) func(*visit) error {
		return func(v *visit) (err error) {
			said, problem := said, problem
			for _, key := range []*string{&said, &problem} {
				if *key == "" {
					continue
				}
				if *key, err = v.language.text(*key); err != nil {
					return err
				}
			}
			return v.drawAsks(http.StatusOK, said, problem, "", nil)
		}
	}
	return []state{{"none", show("")}, {"one", show("", one)}, {"two", show("", one, long)}, {"compare", show("ask_1", one)},
		{"allowed", say("asks.allowed", "")}, {"denied", say("asks.denied", "")}, {"gone", say("", "asks.gone")}}
}
