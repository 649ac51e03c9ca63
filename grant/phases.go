package grant

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// Order is what every kind of grant is asked for.
type Order struct {
	Realm  string
	Client string // the client that asks
	// By is that client as it proved itself, where it is registered.
	By *gatehouse.Principal
	// Scopes that are asked for; none takes all that the subject may give.
	Scopes []string
	// Resource is whom the tokens are for (RFC 8707): the realm's issuer or one of
	// its audiences; "" takes the default of the realm or of the grant.
	Resource string
	// Details is the parameter authorization_details, as it came (RFC 9396 §2); "": none are asked for by name.
	Details string
	// Confirmation is what the client proved to have, and the access token will be bound to.
	Confirmation gatehouse.Confirmation
	// Public: the client has no secret of its own. Its refresh tokens are bound as its access tokens are (RFC 9449 §5).
	Public bool
}

// kind is what one kind of grant adds to the phases.
type kind interface {
	// who is the user whose grant it is; "" when only origin finds out, or it is a client's.
	who() string
	// begins tells a grant that begins from one that there was.
	begins() bool
	// origin finds or makes the grant, with the scopes that it can give and the
	// audiences that it can name, the default one first (phase 2).
	origin(ctx context.Context, tx Tx, i *issue) error
	// issue stores what the phases before decided (phase 7).
	issue(ctx context.Context, tx Tx, i *issue) error
}

// issue gathers what one transaction decides, for the answer after it.
type issue struct {
	order Order
	now   time.Time // before the transaction: a later cut-off covers the token

	realm     gatehouse.Realm
	read      *identity.User       // beside the realm; nil when he was not
	opener    *gatehouse.Principal // who proved himself; nil for a grant that there was
	grant     gatehouse.Grant
	begins    bool          // it is not stored yet
	cutOff    time.Time     // see Family; zero for one that somebody opens now, which is later than all that are set
	user      identity.User // zero for a client's own grant
	client    client.Client // that asks, where it is registered
	available []string      // scopes that the origin can give
	audiences []string      // that it can name, the default one first
	audience  string
	scopes    []string          // of the access token
	given     gatehouse.Details // that the origin can give; of a client for itself, those that it asks for
	details   gatehouse.Details // of the access token
	own       bool              // a client asks for itself, and no person or token gave it anything
	nonce     string            // of the ID token
	sid       string            // the session of the ID token; "" where it is not known

	refresh gatehouse.Secret
	opaque  gatehouse.Secret // set when the realm's tokens are opaque
	kind    string           // of the event
	reason  string
	detail  map[string]string // of the event, beside what all have
	// refused says that the caller gets nothing, although the transaction commits:
	// what was ended because of him stays ended.
	refused bool
}

// run takes one order through the phases.
func (s *Service) run(ctx context.Context, o Order, k kind) (Tokens, error) {
	phases := [...]func(context.Context, Tx, *issue) error{
		func(ctx context.Context, tx Tx, i *issue) error { return s.parties(ctx, tx, i, k.who()) }, // 1
		k.origin,     // 2
		s.subject,    // 3
		chooseScopes, // 4
		s.resource,   // 5
		s.chooseDetails,
		checkBinding,  // 6
		k.issue,       // 7
		recordOutcome, // 8
	}
	now := s.c.Now()
	var out issue
	err := s.retryStatus(ctx, k.begins(), func(ctx context.Context, tx Tx) error {
		out = issue{order: o, now: now, begins: k.begins()}
		for _, phase := range phases {
			if err := phase(ctx, tx, &out); err != nil || out.refused {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Tokens{}, err
	}
	if out.refused {
		return Tokens{}, errInvalidGrant // the caller is not told why
	}
	return s.answer(ctx, &out)
}

// errBusy says that others were faster each time.
var errBusy = gatehouse.E(gatehouse.Unavailable, "temporarily_unavailable", "The server cannot do this at the moment.")

// errStatusTaken says that the transaction must run again with another status
// index: the random one is in use.
var errStatusTaken = errors.New("grant: status index taken")

// retryStatus runs fn again while the status index it drew is taken, which may turn out
// when what it left is stored. Lists are sparse, so a few attempts are far more than enough.
func (s *Service) retryStatus(ctx context.Context, opens bool, fn func(ctx context.Context, tx Tx) error) error {
	var err error
	for range 5 {
		err = s.c.Run(ctx, fn)
		if !errors.Is(err, errStatusTaken) && !(opens && errors.Is(err, gatehouse.Conflict)) {
			return err
		}
	}
	return errBusy.With(err)
}

// parties is phase 1: the realm, and the client that asks, as they are now. It reads the user, too, where it is known who
// that is.
func (s *Service) parties(ctx context.Context, tx Tx, i *issue, user string) (err error) {
	if i.realm, i.read, err = tx.Party(ctx, i.order.Realm, user); err != nil {
		return err
	}
	if i.realm.Disabled {
		return gatehouse.ErrRealmNotFound
	}
	by := i.order.By
	if by == nil {
		return nil // FirstPartyClient, which is no registered one
	}
	i.client, err = tx.Client(ctx, i.realm.Name, by.ID)
	if errors.Is(err, gatehouse.NotFound) {
		return client.ErrInvalid // removed between the check and this transaction
	}
	// Another node may have disabled it a moment ago, or ended the secret that it showed.
	if err == nil && (by.ID != i.order.Client || i.client.Disabled || !i.client.Has(by.IssuedAt, i.now)) {
		err = client.ErrInvalid
	}
	return err
}

// subject is phase 3. It looks at the user as he is now, and at the cut-offs. A
// grant that exists ends with its subject; a new one is refused.
func (s *Service) subject(ctx context.Context, tx Tx, i *issue) error {
	reason, err := s.mayNotGoOn(ctx, tx, i)
	switch {
	case err != nil || reason == "":
		return err
	case reason == gatehouse.ErrSecondFactor.Code:
		return gatehouse.ErrSecondFactor
	case reason == gatehouse.ErrNoSecondFactor.Code:
		return gatehouse.ErrNoSecondFactor
	case reason == gatehouse.ErrInitialPassword.Code:
		return gatehouse.ErrInitialPassword
	case i.opener != nil:
		return credential.ErrInvalidCredentials // gone between the check and this transaction
	}
	if i.refused = true; i.begins {
		return nil
	}
	_, err = end(ctx, tx, i.grant.Realm, i.grant.ID, i.now, audit.KindGrantEnd, reason)
	return err
}

// mayNotGoOn returns why the subject gets no token, or "". A second factor that is owed is why a
// login is not opened; no grant ends of it.
func (s *Service) mayNotGoOn(ctx context.Context, tx Tx, i *issue) (reason string, err error) {
	g := i.grant
	if !g.OfClient() {
		u, err := i.subjectOf(ctx, tx)
		switch {
		case errors.Is(err, gatehouse.NotFound):
			return ReasonUserDisabled, nil
		case err != nil:
			return "", err
		case u.Disabled:
			return ReasonUserDisabled, nil
		case u.PasswordAt.After(g.CreatedAt), i.wrongPassword(u):
			return ReasonPassword, nil
		}
		if i.opener != nil {
			if err := u.Owes(i.opener, i.realm.Settings); err != nil {
				return gatehouse.CodeOf(err), nil
			}
		}
		i.user = u
	}
	// Another node may have ended everything of the realm a moment ago: the grant with it,
	// or the password or key that opens this one.
	made := g.CreatedAt
	if i.opener != nil {
		made = i.opener.IssuedAt
	}
	if i.realm.CutOff(made) {
		return ReasonRevoked, nil
	}
	if i.opener != nil {
		return "", nil // a cut-off covers what was issued until then, and this is later
	}
	// Of the database, not of this node's memory: another node may have set it a moment
	// ago, and what is issued now is later than the cut-off and would outlive it. By the
	// millisecond, as every checker judges tokens.
	if !i.cutOff.IsZero() && g.CreatedAt.UnixMilli() <= i.cutOff.UnixMilli() {
		return ReasonRevoked, nil
	}
	return "", nil
}

// subjectOf reads the user of the grant, who may have been read with the realm.
func (i *issue) subjectOf(ctx context.Context, tx Tx) (identity.User, error) {
	if u := i.read; u != nil && u.Realm == i.grant.Realm && u.ID == i.grant.Subject {
		return *u, nil
	}
	return tx.User(ctx, i.grant.Realm, i.grant.Subject)
}

// wrongPassword reports whether the password that opened the grant is another one than u
// has. Another node may have changed it a moment ago, and what this one remembered was
// right by the old one: the grant would outlive that by days.
func (i *issue) wrongPassword(u identity.User) bool {
	return i.opener != nil && i.opener.Scheme == gatehouse.SchemeBasic && i.opener.IssuedAt.UnixMicro() != u.PasswordAt.UnixMicro()
}

// maxScopes bounds what one request may ask for.
const maxScopes = 100

// chooseScopes is phase 4: all that is available, or the asked part of it.
// [gatehouse.ScopeAll] covers the realm's catalogue and the administrative scopes,
// which still need the roles behind them.
func chooseScopes(_ context.Context, _ Tx, i *issue) error {
	asked, have := i.order.Scopes, i.available
	if len(asked) == 0 {
		i.scopes = have
		return nil
	}
	if len(asked) > maxScopes {
		return ErrInvalidScope
	}
	all := slices.Contains(have, gatehouse.ScopeAll)
	out := make([]string, 0, len(asked))
	for _, a := range asked {
		_, known := i.realm.Settings.Scopes[a]
		known = known || i.realm.Name == gatehouse.MainRealm && (a == "admin:read" || a == "admin:write")
		if !(all && (known || a == gatehouse.ScopeAll) || slices.Contains(have, a)) {
			return ErrInvalidScope
		}
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	slices.Sort(out)
	i.scopes = out
	return nil
}

// resource is phase 5. Whoever checks a token outside knows nothing of our "*",
// and would hold everything if he did: for another audience than the issuer it is
// written out as the realm's catalogue.
func (s *Service) resource(_ context.Context, _ Tx, i *issue) error {
	i.audience = i.order.Resource
	if i.audience == "" {
		i.audience = i.audiences[0]
	}
	if !slices.Contains(i.audiences, i.audience) {
		return errInvalidTarget
	}
	house := s.c.Issuer(i.realm.Name)
	if i.audience == house {
		return nil
	}
	if i.wantsOpaque() && i.audience != i.realm.Settings.Audience {
		return errInvalidTarget.With(errors.New("nobody outside can check an opaque token"))
	}
	if slices.Contains(i.scopes, gatehouse.ScopeAll) {
		i.scopes = slices.DeleteFunc(slices.Clone(i.scopes), func(s string) bool { return s == gatehouse.ScopeAll })
		for name := range i.realm.Settings.Scopes {
			if !slices.Contains(i.scopes, name) {
				i.scopes = append(i.scopes, name)
			}
		}
		slices.Sort(i.scopes)
	}
	return nil
}

// checkBinding is phase 6: a refresh token serves the client it was given to, and
// no other that came by it (RFC 6749 §6, §10.4).
func checkBinding(_ context.Context, _ Tx, i *issue) error {
	registered := i.order.By != nil
	if i.order.Client == "" || i.grant.ClientID != i.order.Client || registered == (i.order.Client == FirstPartyClient) {
		return errInvalidGrant
	}
	return nil
}

// recordOutcome is phase 8.
func recordOutcome(ctx context.Context, tx Tx, i *issue) error {
	e := event(ctx, i.grant, i.now, i.kind, i.reason, i.user.Username)
	maps.Copy(e.Detail, i.detail)
	return tx.AppendEvents(ctx, e)
}
