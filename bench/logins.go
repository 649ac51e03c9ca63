package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/server"
)

// What it is to log in while others do: everybody's password is hashed, nobody's was seen before, and each comes from a network
// of its own.

// loginsNames are the figures of a whole report.
var loginsNames = []string{"login-8", "login-200", "login-200-away", "login-200-memory", "login-200-rest"}

func loginsText(r figureReport) string { return r.head() + r.table("what", "beside", "measured") }

// loginsBed is a server with people, each of whom logs in once.
type loginsBed struct {
	testbed
	hasher *credential.Hasher
	gh     *process
	people []string
	next   int
}

const loginsConf = `issuer: http://127.0.0.1:8080
data: %s
listen:
  auth: {address: "127.0.0.1:0"}
  gateway: {address: "127.0.0.1:0"}
trusted_proxies: ["127.0.0.1"]
upstreams:
  api: {url: "%s"}
routes:
  - match: /
    authenticated: true
log: {level: error}
limits: {tokens: 10000000/1m, admin: 10000000/1m}
`

const (
	loginRounds = 15
	few, many   = 8, 200
	// hashMemory is what one hash takes, in MiB: 19456 KiB.
	hashMemory = 19
)

// measureLogins measures what logins wait and take.
func measureLogins(ctx context.Context, o options) (rep figureReport, err error) {
	rep.Machine = describeMachine()
	b := &loginsBed{testbed: testbed{options: o, peerProcesses: map[string]*process{}}}
	if b.self, err = os.Executable(); err != nil {
		return rep, err
	}
	if b.dir, err = os.MkdirTemp("", "gatehouse-logins"); err != nil {
		return rep, err
	}
	defer os.RemoveAll(b.dir)
	defer b.stop()
	if rep.Machine.Gatehouse, err = version(ctx, o.binary); err != nil {
		return rep, err
	}
	if b.hasher, err = credential.NewHasher(credential.HasherConfig{}); err != nil {
		return rep, err
	}
	if err := b.moveIn(ctx); err != nil {
		return rep, fmt.Errorf("people: %w", err)
	}
	eight, err := b.eight(ctx)
	if err != nil {
		return rep, err
	}
	crowd, err := b.crowd(ctx, rep.Machine)
	if err != nil {
		return rep, err
	}
	rep.Figures = append(eight, crowd...)
	rep.Machine.BusyAfter = busy(time.Second)
	return rep, nil
}

// moveIn starts a server, and makes as many people as log in. The hash of their password is made here, so that the server has
// made next to none when it is measured.
func (b *loginsBed) moveIn(ctx context.Context) (err error) {
	if b.upstream, err = b.role(ctx, "upstream", ""); err != nil {
		return err
	}
	data := filepath.Join(b.dir, "data")
	conf, err := b.write("conf", "gatehouse.yaml", fmt.Sprintf(loginsConf, data, b.upstream.line))
	if err != nil {
		return err
	}
	if err := server.GenerateMasterKey(filepath.Join(data, "master.key")); err != nil {
		return err
	}
	gh, admin, err := b.firstStart(ctx, nil, conf, nodesPassword)
	if err != nil {
		return err
	}
	b.gh = gh
	hash, err := b.hasher.Hash(ctx, nodesPassword)
	if err != nil {
		return err
	}
	api, err := gh.api(admin)
	if err != nil {
		return err
	}
	for i := range loginRounds*few + many {
		b.people = append(b.people, fmt.Sprintf("person-%d", i))
		if err := api.Do(ctx, "POST", "/realms/main/users", map[string]any{"username": b.people[i], "password_hash": hash}, nil); err != nil {
			return err
		}
	}
	return nil
}

// login is one answer to a login.
type login struct {
	took time.Duration
	in   bool
	err  error
}

// atOnce has so many people log in who did not before, all at the same moment.
func (b *loginsBed) atOnce(ctx context.Context, n int) (all []login) {
	all = make([]login, n)
	transport := &http.Transport{MaxIdleConnsPerHost: n}
	defer transport.CloseIdleConnections()
	ask := send("POST", b.gh.address("auth"), "/tokens", "")
	var group sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		r := ask(i).WithContext(ctx)
		r.SetBasicAuth(b.people[b.next], nodesPassword)
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("X-Forwarded-For", fmt.Sprintf("198.18.%d.%d", b.next/250, b.next%250+1))
		b.next++
		group.Go(func() {
			<-start
			begun := time.Now()
			res, err := transport.RoundTrip(r)
			if err == nil {
				_, err = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if code := res.StatusCode; err == nil && code != http.StatusOK && (code != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "") {
					err = errors.New("a login: " + res.Status)
				}
				all[i].in = res.StatusCode == http.StatusOK
			}
			all[i].took, all[i].err = time.Since(begun), err
		})
	}
	close(start)
	group.Wait()
	return all
}

// failed is what went wrong with any of them.
func failed(all []login) (err error) {
	for _, l := range all {
		err = errors.Join(err, l.err)
	}
	return err
}

// eight: of eight who log in at the same moment, the middle one, beside one hash that nothing else goes on beside. Of the turns the one
// counts whose ratio is the middle one.
func (b *loginsBed) eight(ctx context.Context) ([]figure, error) {
	var alone, together []float64
	for range loginRounds {
		begun := time.Now()
		if _, err := b.hasher.Hash(ctx, gatehouse.Secret(rand.Text())); err != nil {
			return nil, err
		}
		alone = append(alone, milliseconds(time.Since(begun)))
		all := b.atOnce(ctx, few)
		if err := failed(all); err != nil {
			return nil, err
		}
		slices.SortFunc(all, func(a, b login) int { return int(a.took - b.took) })
		together = append(together, milliseconds(all[few/2-1].took))
	}
	p := pairOf(alone, together)
	return []figure{{Name: "login-8", Title: "p50 of 8 `POST /tokens` at the same moment, beside one hash alone", Beside: p[0], Value: p[1], Unit: "ms", MustRatio: 4}}, nil
}

// crowd: two hundred log in at the same moment.
func (b *loginsBed) crowd(ctx context.Context, rep machine) ([]figure, error) {
	rest := b.atRest()
	all := b.atOnce(ctx, many)
	peak := b.gh.peak()
	if err := failed(all); err != nil {
		return nil, err
	}
	longest, away := time.Duration(0), 0
	for _, l := range all {
		longest = max(longest, l.took)
		if !l.in {
			away++
		}
	}
	if away == many {
		return nil, errors.New("nobody was let in")
	}
	beyond := peak - rest
	slots := float64(rep.CPUs)
	return []figure{
		{Name: "login-200", Title: "the longest wait of 200 at the same moment, until there was an answer: 5 s for a turn, and what a hash takes", Value: milliseconds(longest), Unit: "ms", Must: 5500},
		{Name: "login-200-away", Title: "of those, answered with 503 and when to try again", Value: 100 * float64(away) / many, Unit: "%"},
		{Name: "login-200-memory", Title: fmt.Sprintf("resident memory at the most, beyond before: at most 4 × 19 MiB for each of the %.0f hashes that run at once", slots),
			Value: beyond, Unit: "MiB", Must: 4 * hashMemory * slots},
		{Name: "login-200-rest", Title: "resident memory some seconds later, beside before", Beside: rest, Value: b.atRest(), Unit: "MiB", MustRatio: 1.5},
	}, nil
}

// atRest is the resident memory of a server that nobody asks, once it has given back what it needed.
func (b *loginsBed) atRest() (least float64) {
	least = b.gh.rss()
	for range 80 {
		time.Sleep(100 * time.Millisecond)
		least = min(least, b.gh.rss())
	}
	return least
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
