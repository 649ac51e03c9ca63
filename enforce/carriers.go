package enforce

import (
	"context"
	"errors"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
)

// recognizer is an [Authenticator] that tells tokens it believes from those of
// others; *authn.Authenticator is one. Without it every signed token counts as ours.
type recognizer interface {
	Recognizes(ctx context.Context, text string) bool
}

// importer is an [Authenticator] that knows whether a realm has keys which another system
// made; *authn.Authenticator is one. Without it no such key is read.
type importer interface {
	HasImported(ctx context.Context, realm string) bool
}

// checkCarriers prepares where the route's requests carry their credential.
func (p *Pipeline) checkCarriers(c *compiled) error {
	cfg := authn.ReaderConfig{Fields: c.Credentials, KeyScheme: c.KeyScheme, KeyAsUser: c.KeyAsUser, Subprotocol: c.Subprotocol, Ticket: c.Ticket,
		QueryNames: c.QueryNames, AnyQueryName: c.Anonymous}
	if k, ok := p.cfg.Authenticator.(recognizer); ok {
		cfg.Ours = func(text string) bool { return k.Recognizes(context.Background(), text) }
	}
	if k, ok := p.cfg.Authenticator.(importer); ok {
		realm := c.Realm
		cfg.Imported = func() bool { return k.HasImported(context.Background(), realm) }
	}
	if c.Ticket != "" && !p.cfg.Authenticator.Supports(gatehouse.SchemeTicket) {
		return errors.New("ticket: nobody keeps tickets here")
	}
	if c.Ticket != "" && c.pattern.method != "" && c.pattern.method != http.MethodGet {
		return errors.New("ticket: tickets are for GET")
	}
	if c.sessions {
		cfg.Cookie = c.Realm
	}
	var err error
	if c.reader, err = authn.NewReader(cfg); err != nil {
		return err
	}
	if len(c.reader.Fields()) == 0 && !c.Anonymous {
		return errors.New("credentials: a route that reads none is for anonymous callers")
	}
	return nil
}
