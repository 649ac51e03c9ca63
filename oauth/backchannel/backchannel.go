package backchannel

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/oauth"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/token"
)

// Questions keeps what people are asked; *grant.Service does.
type Questions interface {
	// MayAsk judges an order before anybody is looked up.
	MayAsk(ctx context.Context, o grant.Order) error
	AskPerson(ctx context.Context, o grant.Order, q grant.Question) (gatehouse.Secret, error)
	WaitingFor(ctx context.Context, realm, user string) ([]grant.Pending, error)
	DecideAsked(ctx context.Context, c grant.Code, id string, allow bool) error
}

// Users finds people; nobody is [gatehouse.NotFound].
type Users interface {
	User(ctx context.Context, realm, id string) (identity.User, error)
	UserByKey(ctx context.Context, realm, usernameKey string) (identity.User, error)
}

// Clients finds registered clients. An unknown one is [gatehouse.NotFound].
type Clients interface {
	Client(ctx context.Context, realm, id string) (client.Client, error)
}

// Objects verifies what clients sign; *client.Assertions does.
type Objects interface {
	VerifyBackchannel(c client.Client, compact string) (jsontext.Value, error)
}

// Limits bound how often somebody is asked, and how often a client is wrong.
type Limits interface {
	// Ask is asked once for each question of a client to a user; false refuses it for retryAfter.
	Ask(ctx context.Context, realm, client, user string) (retryAfter time.Duration, ok bool)
	// Miss counts that a client meant nobody who is here. Missed reports whether it did so too often: then it is refused before anybody is
	// looked up, whoever is here or not.
	Miss(realm, client string)
	Missed(realm, client string) bool
}

// Config is what a [Service] needs. Every field is required.
type Config struct {
	Questions Questions
	Users     Users
	Clients   Clients
	Objects   Objects
	Limits    Limits
	Issuer    func(realm string) string
	// Keys verify what the realm signed.
	Keys func(realm string) token.KeySource
	Now  func() time.Time
}

// Service judges requests, and brings them to people.
type Service struct{ c Config }

// New checks c and returns the service.
func New(c Config) (*Service, error) {
	if c.Questions == nil || c.Users == nil || c.Clients == nil || c.Objects == nil || c.Limits == nil || c.Issuer == nil || c.Keys == nil || c.Now == nil {
		return nil, errors.New("oauth/backchannel: Questions, Users, Clients, Objects, Limits, Issuer, Keys and Now are required")
	}
	return &Service{c}, nil
}

// Ask judges what c, which has proved who it is as by, asks a person for (CIBA Core §7.1, §7.2), and has it wait. params are those of the
// request but for what proves the client. It returns the auth_req_id, and for how long that counts.
func (s *Service) Ask(ctx context.Context, realm string, c client.Client, by *gatehouse.Principal, params oauth.Parameters) (id gatehouse.Secret, life time.Duration, err error) {
	in := &reading{ctx: ctx, s: s, realm: realm, client: c, by: by, params: params}
	for _, st := range steps() {
		if err := st.check(in); err != nil {
			return "", 0, err
		}
	}
	if after, ok := s.c.Limits.Ask(ctx, realm, c.ID, in.user.ID); !ok {
		e := *gatehouse.ErrRateLimited
		e.RetryAfter = after
		return "", 0, &e
	}
	id, err = s.c.Questions.AskPerson(ctx, in.order(), grant.Question{User: in.user.ID, Message: in.params["binding_message"], Life: in.life})
	return id, in.life, err
}

// Question is what a client asks a person for, with the client.
type Question struct {
	grant.Pending
	Of client.Client
}

// Waiting lists what waits for who, the oldest first. What clients asked that are gone, or disabled, is not among it.
func (s *Service) Waiting(ctx context.Context, who *gatehouse.Principal) (out []Question, err error) {
	if !decides(who) {
		return nil, gatehouse.ErrInternal // whoever calls has looked
	}
	all, err := s.c.Questions.WaitingFor(ctx, who.Realm, who.ID)
	for _, p := range all {
		c, err := s.c.Clients.Client(ctx, who.Realm, p.Client)
		if errors.Is(err, gatehouse.NotFound) || err == nil && c.Disabled {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, Question{p, c})
	}
	return out, err
}

// Decide lets the client of a question to who have what it asks for, in the name of who, or nothing.
func (s *Service) Decide(ctx context.Context, who *gatehouse.Principal, id string, allow bool) error {
	if !decides(who) {
		return gatehouse.ErrInternal
	}
	return s.c.Questions.DecideAsked(ctx, grant.Code{Realm: who.Realm, User: who.ID, Username: who.Name, Session: who.SessionID, SessionEnds: who.ExpiresAt,
		AuthTime: who.AuthTime, AMR: who.AMR, ACR: who.ACR}, id, allow)
}

// decides reports whether who is a person with a session, who alone can say what a client may.
func decides(who *gatehouse.Principal) bool {
	return who.Authenticated() && !who.Foreign && who.Kind == gatehouse.KindUser && who.Scheme == gatehouse.SchemeSession && who.SessionID != ""
}
