package gateway

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// ResolverConfig sets a Resolver. Upstreams and Asserter are required.
type ResolverConfig struct {
	Upstreams *Upstreams
	Asserter  *Asserter
	Timeout   time.Duration // of one fetch; 3 seconds when 0
	MaxBytes  int64         // of one resource; 1 MiB when 0
	MaxCached int           // resources kept; 10,000 when 0
	Now       func() time.Time
}

// Resolver fetches the resource of a decision from the upstream that owns it. It
// is safe for concurrent use.
type Resolver struct {
	cfg ResolverConfig
	*kept
}

// kept are the resources that may be used again.
type kept struct {
	mu    sync.Mutex
	byKey map[entityKey]*list.Element // of *entity
	order *list.List                  // most recently used first
	// epoch counts the writes that each upstream saw. A resource that was asked
	// for before a write and arrives after it may be old, and is not kept.
	epoch map[string]uint64
}

// entityKey names a resource. base is the URL of the upstream: under the same name
// there may be another API after a reload. escaped tells "a%2Fb" from "a/b"; it is empty
// where path says all.
type entityKey struct{ upstream, base, realm, path, escaped string }

type entity struct {
	key     entityKey
	at      time.Time
	members map[string]any
}

var (
	errEntity = gatehouse.E(gatehouse.BadGateway, "resource_unavailable", "What the decision is about could not be read, so nothing was allowed.")
)

// NewResolver checks cfg and fills in its defaults.
func NewResolver(cfg ResolverConfig) (*Resolver, error) {
	if cfg.Upstreams == nil || cfg.Asserter == nil {
		return nil, errors.New("gateway: a resolver needs Upstreams and an Asserter")
	}
	defaults(&cfg.Timeout, 3*time.Second)
	defaults(&cfg.MaxBytes, 1<<20)
	defaults(&cfg.MaxCached, 10_000)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Resolver{cfg, &kept{byKey: map[entityKey]*list.Element{}, order: list.New(), epoch: map[string]uint64{}}}, nil
}

// On returns the resolver of other upstreams, which keeps what it fetched in the same
// place: a write that began before a reload must be forgotten for those that begin after
// it, too.
func (s *Resolver) On(upstreams *Upstreams) *Resolver {
	cfg := s.cfg
	cfg.Upstreams = upstreams
	return &Resolver{cfg, s.kept}
}

// FetchEntity returns the JSON object that the route's upstream has at path,
// which is already escaped. An upstream that answers 404 or 410 gives NotFound;
// whatever else is not a small JSON object in time gives BadGateway. The result
// is shared: nobody may change it.
func (s *Resolver) FetchEntity(ctx context.Context, route *enforce.Route, path string) (map[string]any, error) {
	up := s.cfg.Upstreams.get(route.Upstream)
	if up == nil {
		return nil, errEntity.With(errors.New("no such upstream"))
	}
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || web.AmbiguousURL(u, route.EncodedSlashes) {
		// The path is made of the caller's parameters; it must stay on the upstream.
		return nil, gatehouse.ErrNotFound
	}
	key := entityKey{up.Name, up.URL, route.Realm, u.Path + "?" + u.RawQuery, u.RawPath}
	var maxAge time.Duration
	if route.Resource != nil {
		maxAge = route.Resource.MaxAge
	}
	s.mu.Lock()
	epoch := s.epoch[up.Name]
	if el, ok := s.byKey[key]; ok && maxAge > 0 {
		ent := el.Value.(*entity)
		if age := s.cfg.Now().Sub(ent.at); age >= 0 && age < maxAge {
			s.order.MoveToFront(el)
			s.mu.Unlock()
			return ent.members, nil
		}
	}
	s.mu.Unlock()
	at := s.cfg.Now()
	members, err := s.fetch(ctx, up, route.Realm, u)
	if err == nil && maxAge > 0 {
		s.keep(&entity{key, at, members}, epoch, s.cfg.MaxCached)
	}
	return members, err
}

func (s *kept) keep(ent *entity, epoch uint64, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch[ent.key.upstream] != epoch {
		return
	}
	if el, ok := s.byKey[ent.key]; ok {
		s.order.Remove(el)
	}
	s.byKey[ent.key] = s.order.PushFront(ent)
	for s.order.Len() > most {
		last := s.order.Back()
		s.order.Remove(last)
		delete(s.byKey, last.Value.(*entity).key)
	}
}

// Forget drops what is kept about a path that is written to: the path itself,
// everything below it, and what it is below of.
func (s *kept) Forget(upstream, path string) {
	path = strings.TrimRight(path, "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch[upstream]++
	for key, el := range s.byKey {
		p, _, _ := strings.Cut(key.path, "?")
		p = strings.TrimRight(p, "/")
		if key.upstream == upstream && (p == path || strings.HasPrefix(p, path+"/") || strings.HasPrefix(path, p+"/")) {
			s.order.Remove(el)
			delete(s.byKey, key)
		}
	}
}

// fetch asks the upstream, as Gatehouse itself: the caller has no right to see
// the resource yet, that is what is being decided.
func (s *Resolver) fetch(ctx context.Context, up *upstream, realm string, u *url.URL) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	target := up.base.JoinPath(u.EscapedPath())
	target.RawQuery = u.RawQuery
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, errEntity.With(err)
	}
	if realm == "" {
		realm = gatehouse.MainRealm
	}
	text, err := s.cfg.Asserter.Assert(&gatehouse.Principal{Realm: realm, Kind: gatehouse.KindService, ID: "gatehouse", Name: "gatehouse"}, up.Audience)
	if err != nil {
		return nil, errAssertion.With(err)
	}
	req.Header = http.Header{"Accept": {"application/json"}, "Accept-Encoding": {"identity"},
		"User-Agent": {"gatehouse"}, HeaderAssertion: {text}}
	if id := gatehouse.RequestIDFrom(ctx); id != "" {
		req.Header[headerRequestID] = []string{id}
	}
	res, err := up.transport.RoundTrip(req) // no client: a redirect is not an answer
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, errTimeout.With(err)
		}
		return nil, errEntity.With(err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusGone {
		return nil, gatehouse.ErrNotFound
	}
	mediaType, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if res.StatusCode != http.StatusOK || mediaType != "application/json" && !strings.HasSuffix(mediaType, "+json") {
		return nil, errEntity.With(errors.New("the upstream answered " + res.Status + ", " + clip(mediaType, 80)))
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, s.cfg.MaxBytes+1))
	if err != nil {
		return nil, errEntity.With(err)
	}
	if int64(len(body)) > s.cfg.MaxBytes {
		return nil, errEntity.With(errors.New("the resource is too large"))
	}
	members, err := exactjson.Object(body)
	if err != nil {
		return nil, errEntity.With(fmt.Errorf("the resource is not a JSON object that can be read exactly: %w", err))
	}
	return members, nil
}

func defaults[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}
