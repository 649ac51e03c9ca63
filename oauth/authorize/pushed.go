package authorize

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// pushedURI is how the request_uri of a pushed request begins (RFC 9126 §2.2).
const pushedURI = "urn:ietf:params:oauth:request_uri:"

const (
	// pushedLife is how long a browser has to come with a pushed request.
	pushedLife = 90 * time.Second
	// pushedEnd is how long people have to sign in and decide, once it came.
	pushedEnd = time.Hour
)

// Tx is the transaction in which a pushed request is kept. The answer uses it up, in that of package grant.
type Tx interface {
	PutOnce(ctx context.Context, r once.Record) error
}

// pushed is what is kept of a request, sealed.
type pushed struct {
	Client string     `json:"c"`
	Values url.Values `json:"v"`
	JKT    string     `json:"k,omitempty"` // of the key that the client proved to have when it pushed it (RFC 9449 §10.1)
	Signed bool       `json:"s,omitempty"` // by the client, as a request object
	Begin  time.Time  `json:"b"`           // until when a browser has to come with it
}

// pushedPlace binds what is sealed to its realm and its request_uri.
func pushedPlace(realm string, key []byte) seal.Place {
	return seal.Place{Purpose: "authorization request", Realm: realm, ID: hex.EncodeToString(key)}
}

// Push judges a request that c sends before there is a browser (RFC 9126 §2), by the steps of the authorization endpoint, and
// keeps it for one answer. c has proved who it is; jkt is the key that it proved to have, "" for none. It returns the
// request_uri, and for how long a browser can come with that. What is wrong is an error for the client.
func (s *Service) Push(ctx context.Context, realm gatehouse.Realm, c client.Client, form url.Values, jkt string) (uri string, life time.Duration, err error) {
	in := s.reading(ctx, realm)
	in.pushing, in.values, in.jkt = true, maps.Clone(form), jkt
	in.values.Set("client_id", c.ID)
	if _, err := in.judged(); err != nil {
		return "", 0, forClient(err)
	}
	uri = pushedURI + rand.Text() // 130 bits (§7.1)
	now, key := s.c.Now(), credential.HashKey(uri)
	plain, err := json.Marshal(pushed{Client: c.ID, Values: in.values, JKT: jkt, Signed: in.signed, Begin: now.Add(pushedLife)})
	if err != nil {
		return "", 0, err
	}
	r := once.Record{Kind: once.KindRequest, Key: key, ExpiresAt: now.Add(pushedEnd)}
	if r.Sealed, err = s.c.Box.Seal(plain, pushedPlace(realm.Name, key)); err != nil {
		return "", 0, err
	}
	return uri, pushedLife, s.c.Run(ctx, func(ctx context.Context, tx Tx) error { return tx.PutOnce(ctx, r) })
}

// forClient is a refusal as the answer to whoever pushed the request (RFC 9126 §2.3).
func forClient(err error) error {
	var refused *Refusal
	if errors.As(err, &refused) {
		return &gatehouse.Error{Kind: gatehouse.Invalid, Code: refused.code, Public: refused.text}
	}
	var object objectFault
	if errors.As(err, &object) {
		return (&gatehouse.Error{Kind: gatehouse.Invalid, Code: errObject.Code, Public: "The request object is refused. " + object.text}).With(object.cause)
	}
	var e *gatehouse.Error
	if errors.As(err, &e) && e.Code == errRedirectURI.Code {
		told := *e
		told.Public = "The redirect_uri is not one that is registered for the client, byte for byte."
		return &told
	}
	return err
}

// pushedBefore puts what the client pushed in the place of what the address says: of that, client_id alone counts beside the
// request_uri (RFC 9126 §4, RFC 9101 §5).
func (in *reading) pushedBefore() error {
	uri := in.values.Get("request_uri")
	if in.pushing || len(in.values["request_uri"]) != 1 || !strings.HasPrefix(uri, pushedURI) {
		return nil
	}
	key, now := credential.HashKey(uri), in.s.c.Now()
	r, err := in.s.c.Find(in.ctx, once.KindRequest, key)
	if errors.Is(err, gatehouse.NotFound) {
		return grant.ErrRequestOver
	}
	if err != nil {
		return err
	}
	plain, err := in.s.c.Box.Open(r.Sealed, pushedPlace(in.realm.Name, key))
	if err != nil { // another realm's
		return grant.ErrRequestOver.With(err)
	}
	var p pushed
	if err := json.Unmarshal(plain, &p); err != nil {
		return err
	}
	switch {
	case p.Client != in.Client.ID: // §2.2: it is bound to the client that pushed it
		return grant.ErrRequestOver.With(errors.New("it is another client's"))
	case !now.Before(r.ExpiresAt), !now.Before(p.Begin) && in.marked().IsZero(): // a mark of ours says that the browser came in time
		return grant.ErrRequestOver
	}
	in.values, in.jkt, in.signed, in.pushed = p.Values, p.JKT, p.Signed, key
	return nil
}

// Begun is the query of r for whoever has to say whether the client may, and takes longer for that than a browser has to come
// with a pushed request: it says that this one came in time, and who had signed in. It is empty where the query is good as it is.
func (r *Request) Begun(who *gatehouse.Principal) string {
	if r.pushed == nil || !r.after.IsZero() {
		return ""
	}
	v := maps.Clone(r.query)
	v.Set(paramAfter, r.mark(strconv.FormatInt(who.AuthTime.UnixMilli(), 10)))
	return v.Encode()
}

// pushes holds a client to pushing its requests where that is asked of it (RFC 9126 §5, §6), and refuses one inside another.
func (in *reading) pushes() error {
	switch {
	case in.pushing && in.values.Has("request_uri"):
		return fault{"invalid_request", "A request that is pushed has no request_uri."}
	case in.pushing && !in.named && in.Client.Metadata.FAPI2(): // FAPI 2.0 §5.3.2.2
		return fault{"invalid_request", "The parameter redirect_uri is required (FAPI 2.0)."}
	case in.pushing, in.pushed != nil:
	case in.Client.Metadata.MustPush(), in.realm.Settings.RequirePushed:
		return fault{"invalid_request", "Requests of this client have to be pushed (PAR, RFC 9126)."}
	}
	return nil
}

// proofKey finds the key that the code will be bound to: the one that the client names, and that it proved to have where it did.
func (in *reading) proofKey() error {
	named := in.values.Get("dpop_jkt")
	switch {
	case named == "":
		return nil
	case !sha256Text(named):
		return fault{"invalid_request", "dpop_jkt must be the SHA-256 thumbprint of a key in base64url, 43 characters."}
	case in.jkt != "" && in.jkt != named: // RFC 9449 §10.1
		return fault{"invalid_dpop_proof", "dpop_jkt is the thumbprint of another key than that of the DPoP proof."}
	}
	in.jkt = named
	return nil
}
