package backchannel

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/oauth"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/oauth/openid"
	"github.com/gatehouse-auth/gatehouse/token"
)

// Most of what a request holds. All of it together is bounded by the body.
const (
	maxMessage = 64  // characters of a binding_message
	maxHint    = 512 // bytes of a login_hint
	minLife    = 10 * time.Second
)

// reading is a request on its way through the steps.
type reading struct {
	ctx    context.Context
	s      *Service
	realm  string
	client client.Client
	by     *gatehouse.Principal
	params oauth.Parameters
	signed bool
	scopes []string
	life   time.Duration
	user   identity.User
}

// step is one check of a request.
type step struct {
	section string // of CIBA Core
	check   func(*reading) error
}

// steps are all of them. What names a person comes last: who is wrong in something else learns nothing of people.
func steps() []step {
	return []step{
		{"§7.1.1", (*reading).object},
		{"§7.1.1", (*reading).signs},
		{"§7.1", (*reading).scope},
		{"§7.1", (*reading).message},
		{"§7.1", (*reading).expiry},
		{"§7.1", (*reading).may},
		{"§7.1", (*reading).hint},
	}
}

var (
	errObject  = gatehouse.E(gatehouse.Invalid, "backchannel_request_object", "The parameter request is refused.")
	errMessage = gatehouse.E(gatehouse.Invalid, "invalid_binding_message", "binding_message has 1 to 64 characters: letters, digits, blanks and - _ . , : ; ! ? # + * ( ) = % $ and signs of currencies.")
)

func wrong(text string) error { return gatehouse.E(gatehouse.Invalid, "backchannel_request", text) }

// names are the parameters of a request (§7.1).
func names() []string {
	return []string{"scope", "client_notification_token", "acr_values", "login_hint_token", "id_token_hint", "login_hint", "binding_message", "user_code", "requested_expiry", "resource"}
}

// object puts what the client signed in the place of what came beside that, which must be nothing.
func (in *reading) object() error {
	compact := in.params["request"]
	if in.params["request_uri"] != "" {
		return wrong("request_uri is not taken here; send the request object itself (request).")
	}
	if compact == "" {
		return nil
	}
	if !in.client.Metadata.SignsBackchannel() {
		return wrong("This client is not registered for signed requests (backchannel_authentication_request_signing_alg).")
	}
	for _, name := range names() {
		if _, beside := in.params[name]; beside {
			return wrong("The parameter " + name + " stands beside the request object; all of them belong into it.")
		}
	}
	claims, err := in.s.c.Objects.VerifyBackchannel(in.client, compact)
	if gatehouse.KindOf(err) == gatehouse.Unauthenticated {
		told := *errObject
		var e *gatehouse.Error
		if errors.As(err, &e) {
			told.Public += " " + e.Public
		}
		return told.With(err)
	}
	if err != nil {
		return err
	}
	values, err := oauth.ClaimedParameters(claims)
	if err != nil {
		return errObject.With(err)
	}
	in.params, in.signed = oauth.Parameters{}, true
	for name, list := range values {
		if len(list) != 1 {
			return wrong("The parameter " + name + " is there once.")
		}
		in.params[name] = list[0]
	}
	return nil
}

// signs holds a client to signing where that is asked of it.
func (in *reading) signs() error {
	if in.client.Metadata.SignsBackchannel() && !in.signed {
		return wrong("Requests of this client have to be signed: the parameter request.")
	}
	for _, text := range in.params {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return wrong("A parameter is no text.")
		}
	}
	return nil
}

func (in *reading) scope() error {
	in.scopes = strings.Fields(in.params["scope"])
	switch {
	case len(in.scopes) == 0:
		return wrong("The parameter scope is required, with openid.")
	case !slices.Contains(in.scopes, openid.ScopeOpenID):
		told := *grant.ErrInvalidScope
		told.Public = "scope must have openid."
		return &told
	}
	return nil
}

// message takes what the client shows as well. It stands on a page of ours: nothing in it can be taken for an address, or turns what
// stands around it.
func (in *reading) message() error {
	text, given := in.params["binding_message"]
	if !given {
		return nil
	}
	if n := utf8.RuneCountInString(text); n == 0 || n > maxMessage || strings.TrimSpace(text) == "" || strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return errMessage
	}
	return nil
}

func plain(r rune) bool {
	return r == ' ' || unicode.In(r, unicode.L, unicode.Nd, unicode.Mn, unicode.Mc, unicode.Sc) || strings.ContainsRune("-_.,:;!?#+*()=%", r)
}

// expiry is for how long the client wants to wait, as far as it may.
func (in *reading) expiry() error {
	in.life = grant.AskLife
	text, given := in.params["requested_expiry"]
	if !given {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return wrong("requested_expiry must be a number of seconds, 1 or more.")
	}
	in.life = min(max(time.Duration(n)*time.Second, minLife), grant.MaxAskLife)
	return nil
}

// order is what the client wants.
func (in *reading) order() grant.Order {
	return grant.Order{Realm: in.realm, Client: in.client.ID, By: in.by, Scopes: in.scopes, Resource: in.params["resource"]}
}

// may refuses what the client may ask of nobody: refused later, it would tell who is here, and nobody would hear of it.
func (in *reading) may() error { return in.s.c.Questions.MayAsk(in.ctx, in.order()) }

// hint finds whom the client means, by exactly one hint.
func (in *reading) hint() (err error) {
	var given []string
	for _, name := range []string{"login_hint", "id_token_hint", "login_hint_token"} {
		if in.params[name] != "" {
			given = append(given, name)
		}
	}
	if len(given) != 1 {
		return wrong("Exactly one of login_hint and id_token_hint is required.")
	}
	if given[0] == "login_hint_token" {
		return wrong("login_hint_token is not taken here; use login_hint or id_token_hint.")
	}
	if in.s.c.Limits.Missed(in.realm, in.client.ID) {
		return gatehouse.ErrRateLimited
	}
	if given[0] == "id_token_hint" {
		err = in.byToken()
	} else {
		err = in.byName()
	}
	if errors.Is(err, gatehouse.NotFound) || err == nil && (in.user.Disabled || in.user.Kind != gatehouse.KindUser) {
		in.s.c.Limits.Miss(in.realm, in.client.ID)
		return grant.ErrUnknownUser
	}
	return err
}

// byName finds a person by the user name, or by the id, which is the sub of ID tokens.
func (in *reading) byName() (err error) {
	text := in.params["login_hint"]
	if len(text) > maxHint {
		return gatehouse.ErrNotFound
	}
	if _, isID := gatehouse.IDTime(text); isID {
		in.user, err = in.s.c.Users.User(in.ctx, in.realm, text)
		return err
	}
	_, key, err := identity.NormalizeUsername(text)
	if err != nil {
		return gatehouse.ErrNotFound
	}
	in.user, err = in.s.c.Users.UserByKey(in.ctx, in.realm, key)
	return err
}

// byToken finds a person by an ID token that the client was given here, which may be over.
func (in *reading) byToken() error {
	c, err := token.OpenHint(in.params["id_token_hint"], in.s.c.Issuer(in.realm), in.client.ID, in.s.c.Keys(in.realm), in.s.c.Now)
	switch {
	case gatehouse.KindOf(err) == gatehouse.Unavailable:
		return err
	case err != nil:
		return wrong("The id_token_hint is no ID token that was issued here to this client, or its key is gone.")
	}
	in.user, err = in.s.c.Users.User(in.ctx, in.realm, c.Subject)
	return err
}
