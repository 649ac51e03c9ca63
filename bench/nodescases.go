package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// pairTurns is how often two cases are run in turn; the middle of the ratios counts.
const pairTurns = 9

// tokens: POST /tokens for 64 people, 32 at once, on PostgreSQL beside SQLite: how
// many a second, what they cost the node, and what they cost PostgreSQL.
func (b *nodesBed) tokens(ctx context.Context) error {
	const people = 64
	logins := func(c *cluster) (func(i int) *http.Request, error) {
		api, err := c.nodes[0].api(c.admin)
		if err != nil {
			return nil, err
		}
		for i := range people {
			if err := api.Do(ctx, "POST", "/realms/main/users", map[string]any{"username": fmt.Sprintf("person-%d", i), "password": nodesPassword}, nil); err != nil {
				return nil, err
			}
		}
		ask := send("POST", c.nodes[0].address("auth"), "/tokens", "")
		return func(i int) *http.Request {
			r := ask(i)
			r.SetBasicAuth(fmt.Sprintf("person-%d", i%people), nodesPassword)
			return r
		}, nil
	}
	type side struct {
		benchCase
		rates []float64
	}
	sides := []*side{{}, {}}
	for i, c := range []*cluster{b.sqlite, b.one} {
		next, err := logins(c)
		if err != nil {
			return err
		}
		sides[i].benchCase = benchCase{name: "tokens", parts: c.parts(), want: http.StatusOK, next: next}
		for p := range people { // each password is hashed once, and only some at a time
			if err := expect(ctx, next(p), http.StatusOK); err != nil {
				return err
			}
		}
	}
	postgres := &process{measured: (&family{first: b.pg.PID()}).cpu}
	sides[1].parts = append(sides[1].parts, part{"postgres", postgres})
	turns := min(b.rounds, pairTurns)
	for range turns {
		for _, s := range sides {
			if err := s.turn(ctx, b.requests/2); err != nil {
				return err
			}
			begun := time.Now()
			good, err := load(ctx, b.requests/2, http.StatusOK, s.next)
			if err != nil || good < b.requests/2 {
				return errors.Join(fmt.Errorf("%d of %d logins", good, b.requests/2), err)
			}
			s.rates = append(s.rates, float64(good)/time.Since(begun).Seconds())
		}
	}
	own := func(s *side) (us []float64) {
		for _, t := range s.took {
			us = append(us, t.parts[0])
		}
		return us
	}
	var others []float64
	for _, t := range sides[1].took {
		others = append(others, t.parts[1])
	}
	rate, cpu := pairOf(sides[0].rates, sides[1].rates), pairOf(own(sides[0]), own(sides[1]))
	b.add(figure{Name: "tokens-rate", Title: "`POST /tokens` of 64 people, 32 at once: PostgreSQL beside SQLite", Beside: rate[0], Value: rate[1], Unit: "a second", LeastRatio: 0.5},
		figure{Name: "tokens-cpu", Title: "CPU of the node for each", Beside: cpu[0], Value: cpu[1], Unit: "µs", MustRatio: 1.5},
		figure{Name: "tokens-postgres", Title: "and CPU of PostgreSQL for each", Value: median(others), Unit: "µs"})
	return nil
}

// pairOf is the turn of two cases whose ratio is the middle one.
func pairOf(beside, value []float64) [2]float64 {
	pairs := make([][2]float64, 0, len(value))
	for i := range value {
		pairs = append(pairs, [2]float64{beside[i], value[i]})
	}
	slices.SortFunc(pairs, func(a, b [2]float64) int {
		switch x, y := a[1]/a[0], b[1]/b[0]; {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return pairs[len(pairs)/2]
}

func median(of []float64) float64 {
	of = slices.Sorted(slices.Values(of))
	return of[len(of)/2]
}

// checks: what a checked request costs when there are three nodes, beside one node. As
// much is asked of a node as it can do, of each of the three in its turn, and the work
// of those that wait counts too: that is how three machines at work would be. With all
// three at once on this machine's processors each has a third of the work, and a
// program that is not busy spends more on each request; that is told beside it.
func (b *nodesBed) checks(ctx context.Context) error {
	side := func(c *cluster, pick func(i int) int) (*benchCase, error) {
		token, err := c.login(ctx, 0)
		if err != nil {
			return nil, err
		}
		var ask []func(int) *http.Request
		for _, p := range c.nodes {
			ask = append(ask, get(p.address("gateway"), "/private", "Authorization", "Bearer "+token))
		}
		return &benchCase{name: "checks", parts: c.parts(), want: http.StatusOK, next: func(i int) *http.Request { return ask[pick(i)](i) }}, nil
	}
	sides := []struct {
		of   *cluster
		pick func(i int) int
		cpu  []float64
	}{
		{of: b.one, pick: func(int) int { return 0 }},
		{of: b.three, pick: func(i int) int { return min(i*3/b.requests, 2) }},
		{of: b.three, pick: func(i int) int { return i % 3 }},
	}
	for range pairTurns {
		for i := range sides {
			s := &sides[i]
			turn, err := side(s.of, s.pick) // a token lives ten minutes
			if err != nil {
				return err
			}
			if err := turn.turn(ctx, b.requests); err != nil {
				return err
			}
			s.cpu = append(s.cpu, turn.took[0].total)
		}
	}
	pair, spread := pairOf(sides[0].cpu, sides[1].cpu), pairOf(sides[0].cpu, sides[2].cpu)
	b.add(figure{Name: "checks", Title: "CPU of a checked request (JWT seen before) on three nodes, each at work in its turn, beside one: the middle of nine pairs",
		Beside: pair[0], Value: pair[1], Unit: "µs", MustRatio: 1.1},
		figure{Name: "checks-spread", Title: "the same with the three at once on the same two processors, each with a third of the requests", Beside: spread[0], Value: spread[1], Unit: "µs"})
	return nil
}

// login gives an access token of the administrator, made by one of the nodes.
func (c *cluster) login(ctx context.Context, node int) (string, error) {
	r := send("POST", c.nodes[node].address("auth"), "/tokens", "")(0)
	r.SetBasicAuth("root", nodesPassword)
	resp, err := http.DefaultTransport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&answer); err != nil || answer.AccessToken == "" {
		return "", fmt.Errorf("login: %s: %w", resp.Status, err)
	}
	return answer.AccessToken, nil
}

// endings: tokens are ended at one of three nodes, and each node tells when it knows;
// how long after the answer the last of them does. Beside it, what that costs.
func (b *nodesBed) endings(ctx context.Context) error {
	ends := newEndings()
	watching, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for i, p := range b.three.nodes {
		known := make(chan struct{})
		wg.Go(func() { ends.follow(watching, i, p, b.three.admin, known) })
		select {
		case <-known:
		case <-time.After(10 * time.Second):
			return errors.New("a node tells nothing of what it knows")
		}
	}
	postgres := (&family{first: b.pg.PID()}).cpu
	idle, err := b.spend(ctx, postgres, func() error { return wait(ctx, 5*time.Second) })
	if err != nil {
		return err
	}
	b.add(figure{Name: "node-idle", Title: "CPU of a node that has nothing to do, of three, each second", Value: (idle.nodes[1] + idle.nodes[2]) / 2 / idle.took.Seconds(), Unit: "µs"})
	var three spent
	for _, run := range []struct{ rate, n int }{{10, 200}, {100, 1000}, {1000, 5000}} {
		tokens := make([]string, run.n)
		for i := range tokens {
			if tokens[i], err = b.three.login(ctx, 0); err != nil {
				return err
			}
		}
		var took []time.Duration
		used, err := b.spend(ctx, postgres, func() (err error) {
			took, err = ends.run(ctx, b.three, tokens, run.rate, nil)
			return err
		})
		if err != nil {
			return err
		}
		slices.Sort(took)
		name := fmt.Sprintf("%d", run.rate)
		came := ""
		if rate := float64(run.n) / used.took.Seconds(); rate < 0.9*float64(run.rate) {
			came = fmt.Sprintf(" (%.0f came about)", rate)
		}
		b.add(figure{Name: "ends-" + name, Title: fmt.Sprintf("%d tokens ended a second%s: from the answer until all of three nodes know; p99, beside p50", run.rate, came),
			Beside: ms(took[len(took)/2]), Value: ms(took[len(took)*99/100]), Unit: "ms", Must: 50})
		if run.rate == 100 {
			three = used
		}
	}
	if err := b.endingsWhileReconnecting(ctx, ends); err != nil {
		return err
	}
	oneCost, threeCost, err := b.endingCosts(ctx, postgres)
	if err != nil {
		return err
	}
	const ended = 1000
	others := (three.nodes[1]+three.nodes[2])/2 - (idle.nodes[1]+idle.nodes[2])/2*three.took.Seconds()/idle.took.Seconds()
	b.add(figure{Name: "feed-others", Title: "CPU of each other node for each change that it hears of, at 100 a second", Value: max(others, 0) / ended, Unit: "µs"},
		figure{Name: "feed-postgres", Title: "CPU of PostgreSQL for each end of a token, with three nodes, beside one: the middle of nine pairs", Beside: oneCost, Value: threeCost, Unit: "µs"},
		figure{Name: "node-idle-postgres", Title: "CPU of PostgreSQL for four idle nodes, each second and node", Value: idle.postgres / idle.took.Seconds() / 4, Unit: "µs"})
	return b.feedRow(ctx)
}

// endingsWhileReconnecting: the same, where each end finds every node without the connection over which it listens: the
// database has just closed it.
func (b *nodesBed) endingsWhileReconnecting(ctx context.Context, ends *endings) error {
	const rate, ended = 5, 200
	c, err := pgx.Connect(ctx, b.three.dsn)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	tokens := make([]string, ended)
	for i := range tokens {
		if tokens[i], err = b.three.login(ctx, 0); err != nil {
			return err
		}
	}
	var closed int64
	took, err := ends.run(ctx, b.three, tokens, rate, func() error {
		did, err := c.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name='gatehouse feed' AND datname=current_database()`)
		closed += did.RowsAffected()
		return err
	})
	if err != nil {
		return err
	}
	if least := int64(3 * ended * 9 / 10); closed < least {
		return fmt.Errorf("only %d connections were closed, of %d", closed, 3*ended)
	}
	slices.Sort(took)
	b.add(figure{Name: "ends-reconnecting", Title: "tokens ended while every node's connection for listening was just lost: from the answer until all of three nodes know; p99, beside p50",
		Beside: ms(took[len(took)/2]), Value: ms(took[len(took)*99/100]), Unit: "ms", Must: 1000})
	return nil
}

// endingCosts are what an end of a token costs PostgreSQL, in µs, with one node and with
// three: in turns, because what the reading of two more nodes adds is less than what one
// minute of a machine differs from the next.
func (b *nodesBed) endingCosts(ctx context.Context, postgres func() (time.Duration, error)) (one, three float64, err error) {
	const turns, ended, rate = 9, 300, 100
	var ones, more []float64
	for range turns {
		var costs [2]float64
		for i, c := range []*cluster{b.one, b.three} {
			tokens := make([]string, ended)
			for i := range tokens {
				if tokens[i], err = c.login(ctx, 0); err != nil {
					return 0, 0, err
				}
			}
			used, err := b.spend(ctx, postgres, func() error { return newEndings().end(ctx, c, tokens, rate, nil) })
			if err != nil {
				return 0, 0, err
			}
			costs[i] = used.postgres / ended
		}
		ones, more = append(ones, costs[0]), append(more, costs[1]-costs[0])
	}
	return median(ones), median(ones) + median(more), nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// feedRow is what a row of the feed takes.
func (b *nodesBed) feedRow(ctx context.Context) error {
	c, err := pgx.Connect(ctx, b.three.dsn)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	var bytes float64
	if err := c.QueryRow(ctx, `SELECT avg(pg_column_size(f.*)) FROM feed f WHERE changes IS NOT NULL`).Scan(&bytes); err != nil {
		return err
	}
	b.add(figure{Name: "feed-row", Title: "a row of the feed, without its index", Value: bytes, Unit: "bytes"})
	return nil
}

// spent is the CPU time, in µs, of the three nodes and of PostgreSQL, while something was done.
type spent struct {
	nodes    []float64
	postgres float64
	took     time.Duration
}

func (b *nodesBed) spend(ctx context.Context, postgres func() (time.Duration, error), do func() error) (s spent, err error) {
	look := func() (all []time.Duration, err error) {
		for _, p := range b.three.nodes {
			d, err := p.cpu()
			if err != nil {
				return nil, err
			}
			all = append(all, d)
		}
		d, err := postgres()
		return append(all, d), err
	}
	before, err := look()
	if err != nil {
		return s, err
	}
	begun := time.Now()
	if err := do(); err != nil {
		return s, err
	}
	s.took = time.Since(begun)
	after, err := look()
	if err != nil {
		return s, err
	}
	for i := range b.three.nodes {
		s.nodes = append(s.nodes, float64((after[i] - before[i]).Microseconds()))
	}
	s.postgres = float64((after[len(after)-1] - before[len(before)-1]).Microseconds())
	return s, ctx.Err()
}

// endings notes when each node first told of each token's end.
type endings struct {
	mu    sync.Mutex
	told  map[place][3]time.Time
	calls map[place]time.Time // when the end was answered
}

// place is that of a token in the status lists.
type place struct {
	URI string `json:"uri"`
	IDX int64  `json:"idx"`
}

func newEndings() *endings {
	return &endings{told: map[place][3]time.Time{}, calls: map[place]time.Time{}}
}

// follow reads the event stream of a node (docs/revocation-stream.md) until ctx ends; known is closed
// when the node has told what it knew.
func (e *endings) follow(ctx context.Context, node int, p *process, key string, known chan struct{}) {
	r := get(p.address("auth"), "/admin/v1/realms/main/revocations/events", "Authorization", "Bearer "+key)(0)
	resp, err := (&http.Transport{}).RoundTrip(r.WithContext(ctx))
	if err != nil {
		return
	}
	defer resp.Body.Close()
	event, ready := "", false
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		line := lines.Text()
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			event = name
			if event == "ready" && !ready {
				ready = true
				close(known)
			}
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok || event != "status" || !ready {
			continue
		}
		now := time.Now()
		var s struct {
			URI string  `json:"uri"`
			IDX []int64 `json:"idx"`
		}
		if json.Unmarshal([]byte(data), &s) != nil {
			return
		}
		e.mu.Lock()
		for _, idx := range s.IDX {
			at := e.told[place{s.URI, idx}]
			if at[node].IsZero() { // a node that reads anew tells again what it told
				at[node] = now
			}
			e.told[place{s.URI, idx}] = at
		}
		e.mu.Unlock()
	}
}

// run ends the tokens at the first node, so many a second, and returns how long after
// the answer the last node knew of each: 0 where all knew before. before, where it is
// given, is done before each.
func (e *endings) run(ctx context.Context, c *cluster, tokens []string, rate int, before func() error) (took []time.Duration, err error) {
	if err := e.end(ctx, c, tokens, rate, before); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		took, missing := e.judge(tokens)
		if missing == 0 {
			return took, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%d of %d ends were not told by all nodes in ten seconds", missing, len(tokens))
		}
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func (e *endings) end(ctx context.Context, c *cluster, tokens []string, rate int, before func() error) error {
	places := make([]place, len(tokens))
	for i, token := range tokens {
		var err error
		if places[i], err = placeOf(token); err != nil {
			return err
		}
	}
	var failed error
	var one sync.Mutex
	revoke := func(i int) *http.Request {
		if before != nil {
			one.Lock()
			failed = errors.Join(failed, before())
			one.Unlock()
		}
		return send("POST", c.nodes[0].address("auth"), "/admin/v1/realms/main/tokens/revoke", `{"token":"`+tokens[i]+`"}`,
			"Authorization", "Bearer "+c.admin, "Content-Type", "application/json")(i)
	}
	good, err := burden{n: len(tokens), want: http.StatusNoContent, rate: rate, next: revoke, answered: func(i int) {
		now := time.Now()
		e.mu.Lock()
		defer e.mu.Unlock()
		e.calls[places[i]] = now
	}}.send(ctx)
	if err != nil || failed != nil || good < len(tokens) {
		return errors.Join(failed, fmt.Errorf("%d of %d tokens were ended", good, len(tokens)), err)
	}
	return nil
}

func (e *endings) judge(tokens []string) (took []time.Duration, missing int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, token := range tokens {
		at, err := placeOf(token)
		told := e.told[at]
		last := slices.MaxFunc(told[:], time.Time.Compare)
		if err != nil || slices.ContainsFunc(told[:], time.Time.IsZero) {
			missing++
			continue
		}
		took = append(took, max(last.Sub(e.calls[at]), 0))
	}
	return took, missing
}

// placeOf reads the place of a token in the status lists, unverified.
func placeOf(token string) (place, error) {
	_, rest, _ := strings.Cut(token, ".")
	body, _, _ := strings.Cut(rest, ".")
	b, err := base64.RawURLEncoding.DecodeString(body)
	var claims struct {
		Status struct {
			List place `json:"status_list"`
		} `json:"status"`
	}
	if err == nil {
		err = json.Unmarshal(b, &claims)
	}
	return claims.Status.List, err
}

// memory: what a node keeps for each token that may be ended, and for each cut-off.
func (b *nodesBed) memory(context.Context) error {
	const lists, cutoffs = 64, 1 << 20
	ends := time.Now().Add(24 * time.Hour)
	first, _ := revocation.NewStatus(ends)
	bits := heapOf(func() any {
		view := revocation.NewView()
		for list := range int64(lists) {
			for at := int64(0); at < revocation.ListSize; at += 64 { // one in each word: nothing is left out
				view.Apply(gatehouse.Change{Topic: gatehouse.TopicRevocation, Realm: "main", Value: revocation.NewStatusBit("main", first+list, at)})
			}
		}
		return view
	})
	cuts := heapOf(func() any {
		view := revocation.NewView()
		for range cutoffs {
			view.Apply(gatehouse.Change{Topic: gatehouse.TopicRevocation, Realm: "main", Value: revocation.Cutoff{Realm: "main", Kind: revocation.CutoffSubject,
				ID: gatehouse.NewID("usr", ends), Before: time.Now(), ExpiresAt: ends}})
		}
		return view
	})
	b.add(figure{Name: "bits", Title: "memory for each token that was issued and has not expired, where some of each list are ended", Value: float64(bits) * 8 / (lists * revocation.ListSize), Unit: "bits", Must: 1},
		figure{Name: "cutoffs", Title: "memory for each cut-off, its account's id included", Value: float64(cuts) / cutoffs, Unit: "bytes", Must: 100})
	return nil
}

// heapOf is how many bytes what keep returns takes.
func heapOf(keep func() any) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	kept := keep()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(kept)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}
