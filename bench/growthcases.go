package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/oauth/endpoint"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/token"
)

// quietLooks is how many seconds a server's memory must not have shrunk to be taken as
// that of its rest: uses of keys are stored ten seconds after a burst, and five later
// at most the garbage is given back.
const quietLooks = 17

// keys: 10,000 good keys come from one address for the first time, and as many again.
// Beside it, what each of them takes of resident memory once it is in use: beyond what
// the same number of requests with few keys had taken.
func (b *growthBed) keys(ctx context.Context) error {
	const few, first, all = 1000, 10_000, 20_000
	dir, err := b.copy(ctx, "keys", nil)
	if err != nil {
		return err
	}
	texts, err := b.makeKeys(ctx, dir, all+few)
	if err != nil {
		return err
	}
	p, err := b.serve(ctx, dir)
	if err != nil {
		return err
	}
	defer p.stop()
	ask := func(n int, key func(i int) string) (refused int, err error) {
		page := get(p.address("gateway"), "/private")
		good, err := load(ctx, n, http.StatusOK, func(i int) *http.Request {
			r := page(i)
			r.Header.Set("X-API-Key", key(i))
			return r
		})
		return n - good, err
	}
	atRest := func() float64 {
		least, still := p.rss(), 0
		for looks := 0; still < quietLooks && looks < 5*quietLooks; looks++ {
			time.Sleep(time.Second)
			still++
			if now := p.rss(); now < least-0.1 {
				least, still = now, 0
			}
		}
		return p.rss()
	}
	if refused, err := ask(all, func(i int) string { return texts[all+i%few] }); err != nil || refused > 0 {
		return fmt.Errorf("%d requests of few keys were refused: %w", refused, err)
	}
	before := atRest()
	refused, err := ask(first, func(i int) string { return texts[i] })
	if err != nil {
		return err
	}
	if _, err := ask(all-first, func(i int) string { return texts[first+i] }); err != nil {
		return err
	}
	after := atRest()
	b.add(figure{Name: "keys-refused", Title: "first use of 10,000 good API keys from one address: refused", Value: float64(refused), Zero: true})
	b.add(figure{Name: "keys-memory", Title: "resident memory for each API key in use, of 20,000", Value: (after - before) * (1 << 20) / all, Unit: "bytes", Must: 2048})
	return nil
}

// makeKeys stores n services with a key each.
func (b *growthBed) makeKeys(ctx context.Context, dir string, n int) (texts []string, err error) {
	db, err := b.open(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	now := time.Now()
	for len(texts) < n {
		from := len(texts)
		err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			texts = texts[:from]
			for i := from; i < min(from+2000, n); i++ {
				name := fmt.Sprintf("customer-%d", i)
				u := identity.User{ID: gatehouse.NewID("svc", now), Realm: "main", Kind: gatehouse.KindService, Username: name, UsernameKey: name,
					Roles: []string{"user"}, CreatedAt: now, UpdatedAt: now, Version: 1}
				text, id, hash := credential.MintKey("ghk", gatehouse.EnvironmentLive)
				k := credential.Key{ID: id, Realm: "main", Name: "production of " + name, Hash: hash, OwnerID: u.ID, Scopes: []string{"*"},
					Environment: gatehouse.EnvironmentLive, CreatedAt: now, ExpiresAt: now.Add(time.Hour), Version: 1}
				if err := errors.Join(tx.InsertUser(ctx, u), tx.InsertKey(ctx, k)); err != nil {
					return err
				}
				texts = append(texts, text.Reveal())
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// addRevocations stores a million revocations in 64 lists of a day, which ended
// before today or do not end for a while.
func addRevocations(ctx context.Context, db *sql.DB, ends time.Time) error {
	list, _ := revocation.NewStatus(ends)
	list -= list % 64
	return insert(ctx, db, million, `status_bits (realm, list, position, expires_at)
		SELECT 'main', $2+n%64, n*37%1048576, $3 FROM c`, list, revocation.ListExpires(list).UnixMicro())
}

// purge: the longest that a write waits while a million expired revocations are
// purged, beside the longest of ten seconds in which nothing is purged: what of it
// the disk and the machine make.
func (b *growthBed) purge(ctx context.Context) error {
	var worst [2]float64
	for i, fill := range []func(db *sql.DB) error{
		func(db *sql.DB) error { return addRevocations(ctx, db, time.Now().Add(-72*time.Hour)) }, nil,
	} {
		dir, err := b.copy(ctx, "purge-"+strconv.Itoa(i), fill)
		if err != nil {
			return err
		}
		if worst[i], err = b.worstWrite(ctx, dir); err != nil {
			return err
		}
	}
	b.add(figure{Name: "purge-wait", Title: "longest wait of a write while 1,000,000 expired revocations are purged", Beside: worst[1], Value: worst[0], Unit: "ms", Must: 100})
	return nil
}

// worstWrite writes one record after the other while the revocations are purged, and
// for ten seconds at least, and returns the longest wait in ms.
func (b *growthBed) worstWrite(ctx context.Context, dir string) (worst float64, err error) {
	db, err := b.open(ctx, dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	run, err := store.Run[revocation.Purger](db)
	if err != nil {
		return 0, err
	}
	counter, err := sql.Open("sqlite", "file:"+(&url.URL{Path: database(dir)}).EscapedPath()+"?_pragma=query_only(1)")
	if err != nil {
		return 0, err
	}
	defer counter.Close()
	purging, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	defer func() { stop(); <-ended }()
	view := revocation.NewView()
	if err := view.Load(ctx, db); err != nil {
		return 0, err
	}
	go func() {
		defer close(ended)
		p := &revocation.Purge{View: view, Run: run, Interval: 10 * time.Millisecond, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
		_ = p.Work(purging)
	}()
	begun := time.Now()
	for n := 0; ; n++ {
		e := policy.EntityRecord{Realm: "main", Type: "Document", ID: strconv.Itoa(n % 100), UpdatedAt: time.Now()}
		asked := time.Now()
		if err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.PutEntity(ctx, e) }); err != nil {
			return 0, err
		}
		worst = max(worst, float64(time.Since(asked).Microseconds())/1000)
		if n%20 != 0 {
			continue
		}
		var left bool
		if err := counter.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM status_bits)`).Scan(&left); err != nil {
			return 0, err
		}
		if !left && time.Since(begun) >= 10*time.Second {
			return worst, nil
		}
	}
}

// statusLists: making a status list anew, the signature included, at fills from one
// revocation to all; the dearest counts.
func (b *growthBed) statusLists(ctx context.Context) error {
	key, err := token.GenerateKey("ES256")
	if err != nil {
		return err
	}
	list, _ := revocation.NewStatus(time.Now().Add(24 * time.Hour))
	cost := func(set func(place int64) bool) (float64, error) {
		view := revocation.NewView()
		for place := range int64(revocation.ListSize) {
			if set(place) {
				view.Apply(gatehouse.Change{Topic: gatehouse.TopicRevocation, Realm: "main", Value: revocation.NewStatusBit("main", list, place)})
			}
		}
		return leastCPU(20, func() error {
			lst, err := revocation.Encode(view.Bits("main", list))
			if err == nil {
				_, _, err = endpoint.SignStatusList(key, "https://auth.example", list, lst, time.Now(), time.Minute)
			}
			return err
		})
	}
	empty, err := cost(func(int64) bool { return false })
	if err != nil {
		return err
	}
	worst, at := 0.0, 0
	for _, each := range []int64{1 << 20, 6721, 1024, 256, 67, 65, 64, 16, 8, 3, 2, 1} { // one place in so many is set, at random
		set := 0
		ms, err := cost(func(place int64) bool {
			hit := uint64(place)*0x9e3779b97f4a7c15>>32%uint64(each) == 0
			if hit {
				set++
			}
			return hit
		})
		if err != nil {
			return err
		}
		if ms > worst {
			worst, at = ms, set
		}
	}
	b.add(figure{Name: "status-list", Title: fmt.Sprintf("CPU of making a status list anew, at the dearest of 12 fills (%d of 1,048,576)", at),
		Beside: empty, Value: worst, Unit: "ms", MustRatio: 10})
	return nil
}

// leastCPU is the least CPU time, in ms, that one of n calls takes.
func leastCPU(n int, do func() error) (least float64, err error) {
	for i := range n {
		before := ownCPU()
		if err := do(); err != nil {
			return 0, err
		}
		if took := float64((ownCPU() - before).Nanoseconds()) / 1e6; i == 0 || took < least {
			least = took
		}
	}
	return least, nil
}

// ownCPU is the CPU time that this process has used.
func ownCPU() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(err) // the kernel has had it since 2.6.12
	}
	return time.Duration(t.Nano())
}

// starts: a start with a million revocations and one with a million users: the most
// memory up to the first answer, and the CPU beyond that of an empty store, beside
// that of reading the rows and doing nothing with them.
func (b *growthBed) starts(ctx context.Context) error {
	empty, err := b.copy(ctx, "start-empty", nil)
	if err != nil {
		return err
	}
	emptyPeak, emptyCPU, err := b.startOf(ctx, empty)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		name, title, rows string
		fill              func(db *sql.DB) error
	}{
		{"revocations", "1,000,000 revocations", `SELECT realm, list, position, expires_at FROM status_bits`,
			func(db *sql.DB) error { return addRevocations(ctx, db, time.Now().Add(24*time.Hour)) }},
		{"users", "1,000,000 users", `SELECT realm, id, username, roles_json FROM users`, func(db *sql.DB) error {
			return insert(ctx, db, million, `users (realm, id, kind, username, username_key, display_name, email, roles_json, password_hash, disabled, version)
				SELECT 'main', 'usr_'||n, 'user', 'person-'||n, 'person-'||n, 'Person '||n, 'person-'||n||'@example.org', '["user"]', '', 0, 1 FROM c`)
		}},
	} {
		dir, err := b.copy(ctx, "start-"+c.name, c.fill)
		if err != nil {
			return err
		}
		peak, cpu, err := b.startOf(ctx, dir)
		if err != nil {
			return err
		}
		read, err := readRows(ctx, database(dir), c.rows)
		if err != nil {
			return err
		}
		b.add(figure{Name: c.name + "-memory", Title: "most memory of a start with " + c.title, Beside: emptyPeak, Value: peak, Unit: "MiB", MustRatio: 2})
		b.add(figure{Name: c.name + "-cpu", Title: "CPU of a start with " + c.title + " beyond an empty one, beside reading the rows", Beside: read,
			Value: max(cpu-emptyCPU, 0), Unit: "ms", MustRatio: 1.1})
	}
	return nil
}

// startOf starts the server on a store three times and returns the least of its
// peaks and of its CPU times.
func (b *growthBed) startOf(ctx context.Context, dir string) (peak, cpu float64, err error) {
	for i := range 3 {
		p, err := b.serve(ctx, dir)
		if err != nil {
			return 0, 0, err
		}
		took, err := p.firstAnswer(ctx)
		most := p.peak()
		p.stop()
		if err != nil {
			return 0, 0, err
		}
		if i == 0 || most < peak {
			peak = most
		}
		if i == 0 || took < cpu {
			cpu = took
		}
	}
	return peak, cpu, nil
}

// readRows is the CPU time, in ms, of reading all rows of a query through the driver
// that the server has.
func readRows(ctx context.Context, path, query string) (float64, error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?_pragma=query_only(1)")
	if err != nil {
		return 0, err
	}
	defer db.Close()
	return leastCPU(3, func() error {
		rows, err := db.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		into := make([]any, len(columns))
		for i := range into {
			into[i] = new(sql.RawBytes)
		}
		n := 0
		for ; rows.Next(); n++ {
			if err := rows.Scan(into...); err != nil {
				return err
			}
		}
		if n < million {
			return fmt.Errorf("%d rows", n)
		}
		return rows.Err()
	})
}

// policyPut: one policy document put through the management API, among ten and among
// ten thousand: the CPU of the server for it, event and all.
func (b *growthBed) policyPut(ctx context.Context) error {
	var cost [2]float64
	for i, n := range []int{10, 10_000} {
		dir, err := b.copy(ctx, "policy-"+strconv.Itoa(n), nil)
		if err != nil {
			return err
		}
		db, err := b.open(ctx, dir)
		if err != nil {
			return err
		}
		err = db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			for i := range n {
				d := policy.Document{ID: fmt.Sprintf("d%d", i), Realm: "main", Text: rule("u", i), UpdatedAt: time.Now()}
				if err := tx.PutPolicy(ctx, d); err != nil {
					return err
				}
			}
			return nil
		})
		if err := errors.Join(err, db.Close()); err != nil {
			return err
		}
		if cost[i], err = b.putCost(ctx, dir); err != nil {
			return err
		}
	}
	b.add(figure{Name: "policy-put", Title: "CPU of one PUT of a policy among 10, and among 10,000", Beside: cost[0], Value: cost[1], Unit: "ms", MustRatio: 2})
	return nil
}

func rule(who string, n int) string {
	return fmt.Sprintf(`permit(principal == User::"%s%d", action == Action::"read", resource is Document);`, who, n)
}

// putCost is the CPU time, in ms, of one PUT: the least mean of five turns.
func (b *growthBed) putCost(ctx context.Context, dir string) (least float64, err error) {
	p, err := b.serve(ctx, dir)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	api, err := p.api(b.admin)
	if err != nil {
		return 0, err
	}
	time.Sleep(settled)
	c := &benchCase{parts: []part{{"gatehouse", p}}}
	const turns, each = 5, 40
	for turn := range turns + 1 { // the first one warms up
		before, err := c.rest(ctx)
		if err != nil {
			return 0, err
		}
		for i := range each {
			err := api.Do(ctx, "PUT", fmt.Sprintf("/realms/main/policies/d%d", i%10), map[string]any{"text": rule(fmt.Sprintf("v%d-", turn), i)}, nil)
			if err != nil {
				return 0, err
			}
		}
		after, err := c.rest(ctx)
		if err != nil {
			return 0, err
		}
		if took := float64((after[0] - before[0]).Microseconds()) / 1000 / each; turn == 1 || turn > 1 && took < least {
			least = took
		}
	}
	return least, nil
}

// search: what is nowhere in a million events, by each filter that the API has and by
// two of which no event has both, and an unknown request: the longest answer of each
// search's quickest.
func (b *growthBed) search(ctx context.Context) error {
	var found [2]map[string]float64
	began := time.Now().Add(-2 * time.Hour).UTC()
	for i, n := range []int{0, million} {
		dir, err := b.copy(ctx, "search-"+strconv.Itoa(n), nil)
		if err != nil {
			return err
		}
		if err := b.addEvents(ctx, dir, n, began); err != nil {
			return err
		}
		if found[i], err = b.searchTimes(ctx, dir, int64(n), began); err != nil {
			return err
		}
	}
	longest := func(of map[string]float64) (ms float64, what string) {
		for name, took := range of {
			if name != "explain" && took > ms {
				ms, what = took, name
			}
		}
		return ms, what
	}
	empty, _ := longest(found[0])
	full, what := longest(found[1])
	b.add(figure{Name: "search", Title: "search of 1,000,000 events that finds nothing, the longest of six (" + what + ")", Beside: empty, Value: full, Unit: "ms", Must: 100})
	b.add(figure{Name: "explain", Title: "explain of an unknown request among 1,000,000 events of two hours", Beside: found[0]["explain"], Value: found[1]["explain"], Unit: "ms", Must: 100})
	return nil
}

// addEvents stores decision events of two hours in batches of 512, as the recorder
// makes them. The server takes them into its log.
func (b *growthBed) addEvents(ctx context.Context, dir string, n int, began time.Time) (err error) {
	db, err := b.open(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	const batch = 512
	for from := 0; from < n; from += batch {
		events := make([]gatehouse.Event, min(batch, n-from))
		for i := range events {
			events[i] = decision(from+i, began.Add(2*time.Hour*time.Duration(from+i)/time.Duration(n)))
		}
		encoded, err := audit.Encode(events, nil)
		if err != nil {
			return err
		}
		if err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.AppendBatch(ctx, encoded) }); err != nil {
			return err
		}
	}
	return nil
}

// decision is the n-th request of a day: 5,000 callers, 20,000 documents, and one in
// ten is refused; the caller usr_7 never is.
func decision(n int, at time.Time) gatehouse.Event {
	e := gatehouse.Event{ID: gatehouse.NewID("evt", at), Time: at, Realm: "main", Kind: audit.KindRequestDecide, Outcome: gatehouse.OutcomeSuccess,
		Actor:     gatehouse.Actor{Kind: gatehouse.KindUser, ID: fmt.Sprintf("usr_%d", n*7919%5000), Name: "somebody", Scheme: gatehouse.SchemeJWT},
		Target:    gatehouse.Target{Type: "Document", ID: strconv.Itoa(n * 104729 % 20000)},
		RequestID: gatehouse.NewID("req", at), Address: "192.0.2.1", Method: "GET", Host: "api.example", Path: "/documents/1", Route: "GET /documents/{id}",
		Status: 200, Micros: 120,
		Chain: []gatehouse.Step{{Name: "match", Outcome: gatehouse.OutcomeSuccess}, {Name: "authenticate", Outcome: gatehouse.OutcomeSuccess},
			{Name: "authorize", Outcome: gatehouse.OutcomeSuccess, Reasons: []gatehouse.Reason{{PolicyID: "role:user", Effect: "permit"}}}}}
	if n%10 == 0 && e.Actor.ID != "usr_7" {
		e.Outcome, e.Status = gatehouse.OutcomeFailure, 403
	}
	return e
}

// searchTimes asks the server on dir when it has taken events into its log.
func (b *growthBed) searchTimes(ctx context.Context, dir string, events int64, began time.Time) (map[string]float64, error) {
	p, err := b.serve(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	api, err := p.api(b.admin)
	if err != nil {
		return nil, err
	}
	for { // the checkpoint's second line is the size of the log
		var c struct {
			Note string `json:"note"`
		}
		if err := api.Do(ctx, "GET", "/realms/main/audit/checkpoint", nil, &c); err != nil && events > 0 {
			return nil, err
		}
		lines := strings.Split(c.Note, "\n")
		if size, err := strconv.ParseInt(lines[min(1, len(lines)-1)], 10, 64); events == 0 || err == nil && size >= events {
			break
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if _, err := (&benchCase{parts: []part{{"gatehouse", p}}}).rest(ctx); err != nil {
		return nil, err
	}
	took := map[string]float64{}
	for name, query := range map[string]string{
		"an actor": "actor=usr_absent", "a target": "target=absent", "a kind": "kind=key.rotate", "a group of kinds": "kind=policy.", "an outcome": "outcome=error",
		"a caller and an outcome": "actor=usr_7&outcome=failure",
	} {
		for range 7 {
			begun := time.Now()
			var page struct {
				Events []any  `json:"items"`
				Next   string `json:"next"`
			}
			if err := api.Do(ctx, "GET", "/realms/main/audit/events?limit=100&"+query, nil, &page); err != nil {
				return nil, err
			}
			if len(page.Events) > 0 || page.Next != "" {
				return nil, fmt.Errorf("%s: found %d events, more at %q", query, len(page.Events), page.Next)
			}
			keepLeast(took, name, begun)
		}
	}
	for range 3 {
		begun := time.Now()
		unknown := gatehouse.NewID("req", began.Add(time.Hour))
		if err := expect(ctx, get(p.address("auth"), "/admin/v1/realms/main/explain/"+unknown, "Authorization", "Bearer "+b.admin)(0), http.StatusNotFound); err != nil {
			return nil, err
		}
		keepLeast(took, "explain", begun)
	}
	return took, nil
}

func keepLeast(took map[string]float64, name string, begun time.Time) {
	ms := float64(time.Since(begun).Microseconds()) / 1000
	if least, known := took[name]; !known || ms < least {
		took[name] = ms
	}
}
