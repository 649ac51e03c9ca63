package document

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/cache"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// MaxBytes is what a [Fetcher] has to bound a document to (§6.6).
const MaxBytes = 5 << 10

const (
	maxDocuments = 1024
	maxFetches   = 32 // at once
	maxFetchesOf = 4  // of them, for one network address: whoever has documents that are slow keeps nobody else from theirs
	fetchTime    = 5 * time.Second
	minAge       = time.Minute // between two attempts where there is no answer
	// staleFor is how long what a document said goes on where its address gives no answer.
	staleFor = 24 * time.Hour
)

// Fetcher gets the body and header of an address; internal/egress has one. It must refuse addresses that may not be reached, follow
// no redirect, and read no more than [MaxBytes].
type Fetcher interface {
	Fetch(ctx context.Context, address, accept string) (body []byte, header http.Header, err error)
}

// Clients judges and stores what documents say; *clients.Service does.
type Clients interface {
	// Described is what a realm makes of what a document says.
	Described(r gatehouse.Realm, m client.Metadata) (client.Metadata, error)
	// KeepDescribed stores a client that is known by a document, or what it says now.
	KeepDescribed(ctx context.Context, realm, id string, m client.Metadata) (client.Client, error)
}

// Config is what a [Source] needs. Every field is required.
type Config struct {
	Fetcher Fetcher
	Clients Clients
	Realm   func(ctx context.Context, name string) (gatehouse.Realm, error)
	// Stored is a client that is stored; zero for none.
	Stored func(ctx context.Context, realm, id string) (client.Client, error)
	// Allow is asked before each fetch, with the network address of whoever asks.
	Allow func(ctx context.Context, address string) (retryAfter time.Duration, ok bool)
	// Special lets client_ids name hosts that mean something else in each network.
	Special bool
	Logger  *slog.Logger
	Now     func() time.Time
}

// Source finds clients by their documents. It is safe for concurrent use.
type Source struct {
	c       Config
	known   *cache.Cache[name, fetched]
	flights singleflight.Group
	turns   chan struct{}

	mu   sync.Mutex
	busy map[string]int // fetches that are going on, by the network address for which they are
}

type name struct{ realm, id string }

// fetched is what a document said.
type fetched struct {
	metadata client.Metadata
	print    [sha256.Size]byte // of it
	at       time.Time
	until    time.Time
	realm    time.Time // the last change of the realm by which it was judged
	version  int64     // of what is stored of the client; 0 for nothing
}

// New checks c.
func New(c Config) (*Source, error) {
	if c.Fetcher == nil || c.Clients == nil || c.Realm == nil || c.Stored == nil || c.Allow == nil || c.Logger == nil || c.Now == nil {
		return nil, errors.New("oauth/document: Fetcher, Clients, Realm, Stored, Allow, Logger and Now are required")
	}
	return &Source{c: c, known: cache.New[name, fetched](maxDocuments), turns: make(chan struct{}, maxFetches), busy: map[string]int{}}, nil
}

var errAway = gatehouse.E(gatehouse.Unavailable, "client_document_unavailable", "The program's client_id is the address of a document about it, and that cannot be had at the moment.")

// Client is the client whose client_id is the address id. Where the realm takes no documents from there, it is [gatehouse.NotFound], as
// any client that nobody registered.
func (s *Source) Client(ctx context.Context, realm, id string) (client.Client, error) {
	r, err := s.c.Realm(ctx, realm)
	if err != nil {
		return client.Client{}, err
	}
	host, ok := client.DocumentHost(id, s.c.Special)
	if !ok || !r.Settings.TakesDocumentsOf(host) {
		return client.Client{}, gatehouse.ErrNotFound
	}
	stored, err := s.c.Stored(ctx, realm, id)
	if err != nil {
		return client.Client{}, err
	}
	if stored.Disabled {
		return stored, nil // nobody asks what it says of itself
	}
	n := name{realm, id}
	f, known := s.known.Get(n)
	if known && f.fits(r, stored) && s.c.Now().Before(f.until) {
		return f.client(n, stored), nil
	}
	if after, ok := s.c.Allow(ctx, gatehouse.AddressFrom(ctx)); !ok { // all else about a fetch, whoever asks chooses
		e := *gatehouse.ErrRateLimited
		e.RetryAfter = after
		return client.Client{}, &e
	}
	flight := s.flights.DoChan(realm+"\x00"+id, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime) // others wait for it, too
		defer cancel()
		return s.renew(ctx, r, n, stored)
	})
	select {
	case out := <-flight:
		c, _ := out.Val.(client.Client)
		return c, out.Err
	case <-ctx.Done():
		return client.Client{}, ctx.Err()
	}
}

// renew fetches a document, and stores what changed of what is stored.
func (s *Source) renew(ctx context.Context, r gatehouse.Realm, n name, stored client.Client) (client.Client, error) {
	now := s.c.Now()
	m, life, err := s.fetch(ctx, r, n.id)
	if err != nil {
		s.c.Logger.InfoContext(ctx, "the document of a client cannot be used", slog.String("client_id", n.id), slog.Any("error", err))
		f, known := s.known.Get(n)
		if known && gatehouse.KindOf(err) == gatehouse.Unavailable && f.fits(r, stored) && now.Before(f.at.Add(staleFor)) {
			f.until = now.Add(minAge)
			s.known.Set(n, f)
			return f.client(n, stored), nil
		}
		s.known.Forget(n)
		return client.Client{}, err
	}
	f := fetched{metadata: m, print: printOf(m), at: now, until: now.Add(life), realm: r.UpdatedAt}
	if stored.Version > 0 && printOf(stored.Metadata) != f.print {
		if stored, err = s.c.Clients.KeepDescribed(ctx, n.realm, n.id, m); err != nil {
			return client.Client{}, err
		}
	}
	f.version = stored.Version
	s.known.Set(n, f)
	return f.client(n, stored), nil
}

// fetch reads a document, and what the realm makes of it.
func (s *Source) fetch(ctx context.Context, r gatehouse.Realm, id string) (m client.Metadata, life time.Duration, err error) {
	done, ok := s.turn(gatehouse.AddressFrom(ctx))
	if !ok {
		return m, 0, errAway.With(errors.New("as many are being fetched as may be at once"))
	}
	defer done()
	body, header, err := s.c.Fetcher.Fetch(ctx, id, "application/json")
	if err != nil {
		return m, 0, errAway.With(err)
	}
	if !isJSON(header.Get("Content-Type")) {
		return m, 0, client.ErrDocument.With(errors.New("its Content-Type is not application/json"))
	}
	if m, err = client.ParseDocument(id, body); err == nil {
		m, err = s.c.Clients.Described(r, m)
	}
	return m, jwks.Age(header), err
}

// turn lets a fetch begin, as long as there are not too many, in all and for one address. Call done when it has ended.
func (s *Source) turn(address string) (done func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[address] >= maxFetchesOf {
		return nil, false
	}
	select {
	case s.turns <- struct{}{}:
	default:
		return nil, false
	}
	s.busy[address]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		<-s.turns
		if s.busy[address]--; s.busy[address] == 0 {
			delete(s.busy, address)
		}
	}, true
}

// isJSON reports whether a media type is JSON, or one made of it (§4: application/json, or +json).
func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/json" || strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "+json"))
}

// fits reports whether f was made of the realm and of what is stored as they are now: what another node stored may be later.
func (f fetched) fits(r gatehouse.Realm, stored client.Client) bool {
	return f.realm.Equal(r.UpdatedAt) && f.version == stored.Version
}

// client is the client that f describes.
func (f fetched) client(n name, stored client.Client) client.Client {
	if stored.Version > 0 {
		return stored // and no other: printOf both is the same
	}
	version := int64(binary.BigEndian.Uint64(f.print[:])>>1 | 1<<62) // what is remembered of a version must not be of another document
	return client.Client{Realm: n.realm, ID: n.id, Metadata: f.metadata, Secret: client.DescribedSince(), CreatedAt: f.at, UpdatedAt: f.at, Version: version}
}

// printOf is the same for two metadata that say the same.
func printOf(m client.Metadata) [sha256.Size]byte {
	text, err := json.Marshal(m)
	if err != nil { // keys that are no JSON: nothing is like it
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(text)
}

// Keep stores c, which a person lets have something, if it is known by a document: then all nodes know it for as long as that stands.
func (s *Source) Keep(ctx context.Context, c client.Client) error {
	if !client.IsDocument(c.ID) {
		return nil
	}
	stored, err := s.c.Stored(ctx, c.Realm, c.ID)
	if err != nil || stored.Version > 0 && printOf(stored.Metadata) == printOf(c.Metadata) {
		return err
	}
	if stored, err = s.c.Clients.KeepDescribed(ctx, c.Realm, c.ID, c.Metadata); err != nil {
		return err
	}
	n := name{c.Realm, c.ID}
	if f, known := s.known.Get(n); known && f.print == printOf(stored.Metadata) {
		f.version = stored.Version
		s.known.Set(n, f)
	}
	return nil
}
