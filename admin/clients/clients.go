package clients

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/oauth/openid"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

const aDay = 24 * time.Hour

// How long two secrets of a client work beside each other.
const (
	maxOverlap     = 90 * aDay
	defaultOverlap = aDay
)

// maxSecretLife bounds the end of a secret: what lies beyond is a slip of the pen.
const maxSecretLife = 36_500 * aDay

// errNoSecret refuses another secret for a client that has keys of its own.
var errNoSecret = gatehouse.E(gatehouse.Conflict, "client_has_keys", "This client proves itself by keys or a certificate of its own and has no secret; change those instead.")

var errPublic = gatehouse.E(gatehouse.Unprocessable, "client_public", "A public client has no secret; give it another token_endpoint_auth_method first.")

var errUnknown = gatehouse.E(gatehouse.NotFound, "client_not_found", "There is no such client in this realm.")

func view(c client.Client) Client {
	v := Client{ID: c.ID, Metadata: c.Metadata, Disabled: c.Disabled, Dynamic: c.Unverified(), SecretExpiresAt: c.Secret.ExpiresAt,
		FormerSecretUntil: c.Former.ExpiresAt, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt, Version: c.Version}
	if c.Metadata.May(client.GrantAuthorizationCode) { // said also where it is the default
		needs := c.Metadata.NeedsPKCE()
		v.RequirePKCE = &needs
	}
	switch {
	case (c.Metadata.HasKeys() || c.Metadata.ByTLS()) && !client.IsDocument(c.ID):
		v.KeysSetAt = c.Secret.SetAt
	case len(c.Secret.Hash) > 0:
		v.SecretSetAt = c.Secret.SetAt
	}
	return v
}

// List lists the clients of a realm.
func (s *Service) List(ctx context.Context, actor *gatehouse.Principal, realm, after string, limit int) (kernel.Page[Client], error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminClient, realm, ""); err != nil {
		return kernel.Page[Client]{}, err
	}
	if _, err := s.k.Realm(ctx, realm); err != nil {
		return kernel.Page[Client]{}, err
	}
	limit = kernel.Limit(limit)
	list, err := s.c.Clients.Clients(ctx, realm, after, limit+1)
	return kernel.Paged(list, limit, func(c client.Client) string { return c.ID }, view), err
}

// Get reads one client.
func (s *Service) Get(ctx context.Context, actor *gatehouse.Principal, realm, id string) (Client, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminClient, realm, id); err != nil {
		return Client{}, err
	}
	c, err := s.c.Clients.Client(ctx, realm, id)
	return view(c), kernel.OrMissing(err, errUnknown)
}

// Create registers a client and shows its secret once. Errors: input_invalid, scope_not_held.
func (s *Service) Create(ctx context.Context, actor *gatehouse.Principal, realm string, in NewClient) (CreatedClient, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminClient, realm, ""); err != nil {
		return CreatedClient{}, err
	}
	now := s.k.Now()
	f := kernel.Faults{}
	in.fill(f)
	check(f, in.Metadata)
	s.checkEnd(f, in.SecretExpiresAt)
	noEnd(f, in.Metadata, !in.SecretExpiresAt.IsZero())
	if err := f.Err(); err != nil {
		return CreatedClient{}, err
	}
	if err := s.mayReachInside(ctx, actor, realm, in.AllowPrivateAddress); err != nil {
		return CreatedClient{}, err
	}
	if err := s.mayGive(ctx, actor, realm, in.Scopes()); err != nil {
		return CreatedClient{}, err
	}
	c := client.Client{Realm: realm, ID: gatehouse.NewID("cli", now), Metadata: in.Tidy(), Secret: client.NoSecret(now), CreatedAt: now, UpdatedAt: now, Version: 1}
	var text gatehouse.Secret
	if in.HasSecret() {
		text, c.Secret = client.NewSecret(now)
		c.Secret.ExpiresAt = in.SecretExpiresAt
	}
	if err := s.publishKey(ctx, c); err != nil { // before its secret is made: it would be lost
		return CreatedClient{}, err
	}
	err := s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		if err := s.fits(ctx, tx, c); err != nil {
			return err
		}
		if err := tx.InsertClient(ctx, c); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, s.event(ctx, actor, c, audit.KindClientCreate))
	})
	return CreatedClient{Client: view(c), Secret: text}, err
}

// fill fills in what the template of a registration says, and notes what does not go with it.
func (in *NewClient) fill(f kernel.Faults) {
	if in.Template == "" {
		return
	}
	t, ok := client.TemplateOf(in.Template)
	if !ok {
		f.Add("template", "must be one of %s", strings.Join(client.TemplateNames(), ", "))
		return
	}
	in.Metadata = t.Fill(in.Metadata)
	t.Check(in.Metadata, func(member, text string) { f.Add(member, "%s", text) })
}

// publishKey has the realm publish by what ID tokens of c, and answers to it, will be signed, before the first of them: who has fetched the key set
// until then can verify it.
func (s *Service) publishKey(ctx context.Context, c client.Client) error {
	var needed []token.Algorithm
	if slices.Contains(c.Metadata.Scopes(), openid.ScopeOpenID) {
		needed = append(needed, c.Metadata.SignsID())
	}
	if c.Metadata.AnswerAlg != "" {
		needed = append(needed, c.Metadata.SignsAnswers())
	}
	if c.Metadata.IntrospectionAlg != "" {
		needed = append(needed, c.Metadata.SignsIntrospections())
	}
	for _, alg := range needed {
		if _, err := s.c.Signing.SignerOf(ctx, c.Realm, alg); err != nil {
			return err
		}
	}
	return nil
}

// mayGive refuses scopes that actor does not hold. What a client is told of people, and for how long, is up to whoever allows it; but
// what has such a name in the catalogue is a scope of an API as well.
func (s *Service) mayGive(ctx context.Context, actor *gatehouse.Principal, realm string, scopes []string) error {
	r, err := s.k.Realm(ctx, realm)
	if err != nil {
		return err
	}
	return s.k.MayGive(ctx, actor, policy.AdminClient, realm, "scope", slices.DeleteFunc(slices.Clone(scopes), func(name string) bool {
		_, known := r.Settings.Scopes[name]
		return client.IsPersonal(name) && !known
	}))
}

// noEnd refuses an end for the secret of a client that has none.
func noEnd(f kernel.Faults, m client.Metadata, given bool) {
	if given && !m.HasSecret() {
		f.Add("secret_expires_at", "has no use for a client that has no secret")
	}
}

// event says what a client may, so that whoever reads the record needs nothing else.
func (s *Service) event(ctx context.Context, actor *gatehouse.Principal, c client.Client, kind string) gatehouse.Event {
	e := s.k.Event(ctx, actor, c.Realm, kind, "client", c.ID)
	e.Detail = kernel.Changes(e.Detail)
	e.Detail["name"], e.Detail["grant_types"], e.Detail["scopes"] = c.Metadata.Name, strings.Join(c.Metadata.GrantTypes, " "), strings.Join(c.Metadata.Scopes(), " ")
	e.Detail["redirect_uris"], e.Detail["first_party"] = strings.Join(c.Metadata.RedirectURIs, " "), strconv.FormatBool(c.Metadata.FirstParty)
	if uri := c.Metadata.BackchannelURI; uri != "" {
		e.Detail["backchannel_logout_uri"] = uri
	}
	if o := c.Metadata.Origins; len(o) > 0 {
		e.Detail["allowed_cors_origins"] = strings.Join(o, " ")
	}
	if a := c.Metadata.Audiences; len(a) > 0 {
		e.Detail["introspection_audiences"] = strings.Join(a, " ")
	}
	for _, r := range c.Metadata.Exchanges {
		e.Detail["token_exchange"] = strings.TrimPrefix(e.Detail["token_exchange"]+"; "+r.String(), "; ")
	}
	return e
}

// check notes what is wrong with m by itself.
func check(f kernel.Faults, m client.Metadata) {
	f.Text("client_name", m.Name, true)
	f.Names("scope", m.Scopes())
	m.Check(func(member, text string) { f.Add(member, "%s", text) })
}

// checkEnd notes what is wrong with the end of a secret.
func (s *Service) checkEnd(f kernel.Faults, end time.Time) {
	switch now := s.k.Now(); {
	case end.IsZero():
	case !end.After(now):
		f.Add("secret_expires_at", "must be in the future; to end the secret now, rotate it without an overlap")
	case end.After(now.Add(maxSecretLife)):
		f.Add("secret_expires_at", "must be within 100 years; without it, the secret does not end")
	}
}

// fits holds the realm, and checks a client against its catalogue and its audiences.
func (s *Service) fits(ctx context.Context, tx Tx, c client.Client) error {
	r, err := tx.HoldRealm(ctx, c.Realm)
	if err != nil {
		return kernel.OrMissing(err, gatehouse.ErrRealmNotFound)
	}
	f := kernel.Faults{}
	known := c.Metadata.ScopesOf(r.Settings)
	for i, name := range c.Metadata.Scopes() {
		if i >= len(known) || known[i] != name {
			f.Add("scope", "%s is not in the realm's catalogue", kernel.Quoted(name))
			break
		}
	}
	if strong := c.Metadata.ProofAlgorithms(); strong != nil && !slices.Contains(strong, token.Algorithm(r.Settings.Defaults().SigningAlgorithm)) {
		f.Add("profile", "fapi2 needs a realm whose signing_algorithm is PS256, ES256 or EdDSA")
	}
	for _, name := range c.Metadata.DetailTypes {
		if !slices.ContainsFunc(r.Settings.DetailTypes, func(t gatehouse.DetailType) bool { return t.Type == name }) {
			f.Add("authorization_details_types", "%s is not among the realm's types", kernel.Quoted(name))
			break
		}
	}
	audiences := r.Settings.AudiencesOf(s.c.Issuer(c.Realm))
	for _, name := range c.Metadata.Audiences {
		if !slices.Contains(audiences, name) {
			f.Add("introspection_audiences", "%s is not among the realm's audiences", kernel.Quoted(name))
			break
		}
	}
	for _, rule := range c.Metadata.Exchanges {
		for _, name := range rule.Audiences {
			if !slices.Contains(audiences, name) {
				f.Add("token_exchange", "%s is not among the realm's audiences", kernel.Quoted(name))
			}
		}
	}
	return f.Err()
}

// Update changes a client. What it has by what it may no longer ends at once.
func (s *Service) Update(ctx context.Context, actor *gatehouse.Principal, realm, id string, in ClientPatch) (Client, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminClient, realm, id); err != nil {
		return Client{}, err
	}
	if in.Scope != nil {
		if err := s.mayGive(ctx, actor, realm, strings.Fields(*in.Scope)); err != nil {
			return Client{}, err
		}
	}
	if err := s.mayReachInside(ctx, actor, realm, in.AllowPrivateAddress != nil && *in.AllowPrivateAddress); err != nil {
		return Client{}, err
	}
	return s.change(ctx, actor, realm, id, in.Version, audit.KindClientUpdate, func(_ Tx, c *client.Client, now time.Time) (bool, error) {
		before := c.Metadata
		in.apply(c)
		if client.IsDocument(id) && !reflect.DeepEqual(c.Metadata, before) {
			return false, errDescribed
		}
		f := kernel.Faults{}
		check(f, c.Metadata)
		if in.SecretExpiresAt != nil {
			s.checkEnd(f, *in.SecretExpiresAt)
		}
		noEnd(f, c.Metadata, in.SecretExpiresAt != nil)
		c.Metadata = c.Metadata.Tidy()
		return settle(c, before, now) || c.Disabled || lost(before, c.Metadata), f.Err()
	})
}

// settle has by what c proves itself follow a change of its registration. It reports whether something of that is
// taken away: what was issued by it ends.
func settle(c *client.Client, before client.Metadata, now time.Time) bool {
	switch m := c.Metadata; {
	case m.AuthMethod != before.AuthMethod && !(m.HasSecret() && before.HasSecret()), m.Names() != before.Names():
		c.Secret, c.Former = client.NoSecret(now), client.Secret{} // what is not asked for any more must not come back
		return true
	case m.HasKeys() && (!bytes.Equal(m.JWKS, before.JWKS) || m.JWKSURI != before.JWKSURI):
		c.Secret.SetAt = now
	}
	return c.Metadata.LacksKeysOf(before)
}

// mayReachInside refuses that who administers one realm has the server ask addresses of its own network: that
// concerns the whole installation.
func (s *Service) mayReachInside(ctx context.Context, actor *gatehouse.Principal, realm string, inside bool) error {
	if !inside {
		return nil
	}
	return s.k.Authorize(ctx, actor, policy.AdminManage, policy.AdminRealm, realm, realm)
}

func (in ClientPatch) apply(c *client.Client) {
	m := &c.Metadata
	set(&m.Name, in.Name)
	set(&m.AuthMethod, in.AuthMethod)
	set(&m.GrantTypes, in.GrantTypes)
	set(&m.Scope, in.Scope)
	set(&m.RedirectURIs, in.RedirectURIs)
	set(&m.PostLogoutURIs, in.PostLogoutURIs)
	set(&m.Origins, in.Origins)
	set(&m.Profile, in.Profile)
	set(&m.RequirePushed, in.RequirePushed)
	set(&m.FirstParty, in.FirstParty)
	if in.RequirePKCE != nil {
		m.RequirePKCE = in.RequirePKCE
	}
	set(&m.Audiences, in.Audiences)
	set(&m.DetailTypes, in.DetailTypes)
	set(&m.ClientURI, in.ClientURI)
	set(&m.PolicyURI, in.PolicyURI)
	set(&m.TermsURI, in.TermsURI)
	set(&m.Contacts, in.Contacts)
	set(&m.Exchanges, in.Exchanges)
	set(&m.RequestAlg, in.RequestAlg)
	set(&m.RequireSignedRequest, in.RequireSigned)
	set(&m.Delivery, in.Delivery)
	set(&m.BackchannelAlg, in.BackchannelAlg)
	if in.AuthMethod != nil && !m.Signs() { // what was there for another method
		m.SigningAlg, m.LegacyAudience = "", false
	}
	if in.AuthMethod != nil && m.AuthMethod != client.AuthTLS || in.names() {
		m.TLS = client.TLS{CertificateBound: m.CertificateBound}
	}
	set(&m.SubjectDN, in.SubjectDN)
	set(&m.SANDNS, in.SANDNS)
	set(&m.SANURI, in.SANURI)
	set(&m.SANIP, in.SANIP)
	set(&m.SANEmail, in.SANEmail)
	set(&m.CertificateBound, in.CertificateBound)
	if (in.AuthMethod != nil || in.RequestAlg != nil || in.RequireSigned != nil || in.BackchannelAlg != nil) && !m.KeepsKeys() {
		m.JWKS, m.JWKSURI, m.AllowPrivateAddress = nil, "", false
	}
	if in.JWKS != nil || in.JWKSURI != nil { // one in place of the other; private addresses were allowed for that address
		m.JWKS, m.JWKSURI, m.AllowPrivateAddress = nil, "", false
	}
	if in.BackchannelURI != nil && *in.BackchannelURI != m.BackchannelURI { // as above
		m.BackchannelURI, m.AllowPrivateAddress = *in.BackchannelURI, false
	}
	set(&m.BackchannelSession, in.BackchannelSession)
	set(&m.FrontchannelURI, in.FrontchannelURI)
	set(&m.FrontchannelSession, in.FrontchannelSession)
	set(&m.JWKS, in.JWKS)
	set(&m.JWKSURI, in.JWKSURI)
	set(&m.SigningAlg, in.SigningAlg)
	set(&m.AllowPrivateAddress, in.AllowPrivateAddress)
	set(&m.LegacyAudience, in.LegacyAudience)
	set(&m.AnswerAlg, in.AnswerAlg)
	set(&m.IntrospectionAlg, in.IntrospectionAlg)
	set(&m.IDTokenAlg, in.IDTokenAlg)
	set(&m.UserInfoAlg, in.UserInfoAlg)
	set(&m.DPoPBound, in.DPoPBound)
	set(&m.DPoPNonce, in.DPoPNonce)
	set(&c.Secret.ExpiresAt, in.SecretExpiresAt)
	set(&c.Disabled, in.Disabled)
}

// names reports whether in says whose certificate the client has: one name, in place of the one that it had.
func (in ClientPatch) names() bool {
	for _, name := range []*string{in.SubjectDN, in.SANDNS, in.SANURI, in.SANIP, in.SANEmail} {
		if name != nil {
			return true
		}
	}
	return false
}

func set[T any](member, to *T) {
	if to != nil {
		*member = *to
	}
}

// lost reports whether a client may less than before.
func lost(before, now client.Metadata) bool {
	if now.MustBind() && !before.MustBind() { // what is bound to nothing
		return true
	}
	if missesRule(before, now) || slices.ContainsFunc(before.DetailTypes, func(name string) bool { return !slices.Contains(now.DetailTypes, name) }) {
		return true
	}
	for _, g := range before.GrantTypes {
		if !now.May(g) {
			return true
		}
	}
	have := " " + strings.Join(now.Scopes(), " ") + " "
	for _, scope := range before.Scopes() {
		if !strings.Contains(have, " "+scope+" ") {
			return true
		}
	}
	return false
}

// missesRule reports whether now lacks one of the rules of before by which tokens are exchanged.
func missesRule(before, now client.Metadata) bool {
	return slices.ContainsFunc(before.Exchanges, func(r client.Exchange) bool {
		return !slices.ContainsFunc(now.Exchanges, func(o client.Exchange) bool { return reflect.DeepEqual(o, r) })
	})
}

// Rotate gives a client another secret and shows it once. The one before works as well for the overlap.
func (s *Service) Rotate(ctx context.Context, actor *gatehouse.Principal, realm, id string, in SecretRotation) (CreatedClient, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminClient, realm, id); err != nil {
		return CreatedClient{}, err
	}
	overlap := defaultOverlap
	if in.Overlap != nil {
		overlap = time.Duration(*in.Overlap)
	}
	f := kernel.Faults{}
	if overlap < 0 || overlap > maxOverlap {
		f.Add("overlap", "must be from 0 to %s", maxOverlap)
	}
	s.checkEnd(f, in.ExpiresAt)
	if err := f.Err(); err != nil {
		return CreatedClient{}, err
	}
	var text gatehouse.Secret
	out, err := s.change(ctx, actor, realm, id, nil, audit.KindClientRotate, func(_ Tx, c *client.Client, now time.Time) (bool, error) {
		switch {
		case c.Metadata.Public():
			return false, errPublic
		case !c.Metadata.HasSecret():
			return false, errNoSecret
		}
		former := c.Secret
		if end := now.Add(overlap); former.ExpiresAt.IsZero() || end.Before(former.ExpiresAt) {
			former.ExpiresAt = end
		}
		text, c.Secret = client.NewSecret(now)
		c.Secret.ExpiresAt = in.ExpiresAt
		if c.Former = former; overlap == 0 || len(former.Hash) == 0 {
			c.Former = client.Secret{}
		}
		return overlap == 0, nil
	})
	return CreatedClient{Client: out, Secret: text}, err
}

// change reads a client, changes it and writes the event, in one transaction. What was issued to the client
// ends when change says so.
func (s *Service) change(ctx context.Context, actor *gatehouse.Principal, realm, id string, version *int64, kind string,
	change func(tx Tx, c *client.Client, now time.Time) (ends bool, err error)) (Client, error) {
	var out client.Client
	err := s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.HoldRealm(ctx, realm); err != nil {
			return kernel.OrMissing(err, gatehouse.ErrRealmNotFound)
		}
		c, err := tx.Client(ctx, realm, id)
		if err != nil {
			return kernel.OrMissing(err, errUnknown)
		}
		if version != nil && *version != c.Version {
			return gatehouse.ErrVersionConflict
		}
		before, now := c.Metadata, s.k.Now()
		ends, err := change(tx, &c, now)
		if err != nil {
			return err
		}
		if c.Metadata.Scope != before.Scope || c.Metadata.Profile != before.Profile || !slices.Equal(c.Metadata.Audiences, before.Audiences) || missesRule(c.Metadata, before) ||
			!slices.Equal(c.Metadata.DetailTypes, before.DetailTypes) {
			if err := s.fits(ctx, tx, c); err != nil {
				return err
			}
		}
		c.UpdatedAt = now
		if err := tx.UpdateClient(ctx, c); err != nil {
			return kernel.ConflictAs(err, gatehouse.ErrVersionConflict)
		}
		c.Version++
		out = c
		e := s.event(ctx, actor, c, kind)
		e.Detail["disabled"] = map[bool]string{true: "true", false: "false"}[c.Disabled]
		return s.finish(ctx, tx, c, e, ends)
	})
	if err == nil {
		err = s.publishKey(ctx, out)
	}
	return view(out), err
}

// finish ends what was issued to a client, if it ends, and writes the event.
func (s *Service) finish(ctx context.Context, tx Tx, c client.Client, e gatehouse.Event, ends bool) error {
	if ends {
		if err := tx.PutCutoff(ctx, revocation.CutoffNow(c.Realm, revocation.CutoffClient, c.ID, e.Time)); err != nil {
			return err
		}
	}
	return tx.AppendEvents(ctx, e)
}

// Delete removes a client; what was issued to it ends at once.
func (s *Service) Delete(ctx context.Context, actor *gatehouse.Principal, realm, id string) error {
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminClient, realm, id); err != nil {
		return err
	}
	return s.remove(ctx, actor, realm, id, audit.KindClientDelete, func(client.Client) error { return nil })
}

// remove removes a client, unless may says no, and ends what was issued to it.
func (s *Service) remove(ctx context.Context, actor *gatehouse.Principal, realm, id, kind string, may func(client.Client) error) error {
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.HoldRealm(ctx, realm); err != nil {
			return kernel.OrMissing(err, gatehouse.ErrRealmNotFound)
		}
		c, err := tx.Client(ctx, realm, id)
		if errors.Is(err, gatehouse.NotFound) {
			return errUnknown
		}
		if err == nil {
			err = may(c)
		}
		if err != nil {
			return err
		}
		if err := tx.DeleteClient(ctx, realm, id); err != nil {
			return err
		}
		return s.finish(ctx, tx, c, s.event(ctx, actor, c, kind), true)
	})
}
