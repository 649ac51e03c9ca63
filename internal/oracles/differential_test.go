package oracles

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func stringsOnly(c object, name string) bool {
	if c.kind(name) != '[' {
		return c.kind(name) != 'n'
	}
	var list []any
	if json.Unmarshal(c.last(name), &list) != nil || len(list) > 64 {
		return false
	}
	for _, v := range list {
		if _, ok := v.(string); !ok {
			return false
		}
	}
	return true
}

// number reads a number from the environment.
func number(t *testing.T, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s=%q is not a number", name, text)
	}
	return n
}

// tally is what a run found. Every worker has its own.
type tally struct {
	tokens, accepted, refused int
	explained                 map[string]int // by direction, library and rule
	mutations                 map[string]int
	failures                  []string
}

func newTally() *tally { return &tally{explained: map[string]int{}, mutations: map[string]int{}} }

// TestDifferential judges the same tokens by three implementations: ORACLE_TOKENS
// of them (20,000), from number ORACLE_FROM (0) of the sequence. A number in a
// failure and a count of 1 give that token again.
func TestDifferential(t *testing.T) {
	w, from, n := newWorlds(t), number(t, "ORACLE_FROM", 0), number(t, "ORACLE_TOKENS", 20_000)
	const seed = 2026_11_22
	start := time.Now()
	workers := runtime.GOMAXPROCS(0)
	tallies := make([]*tally, workers)
	var wg sync.WaitGroup
	for id := range workers {
		wg.Go(func() {
			own := newTally()
			tallies[id] = own
			for i := from + id; i < from+n && len(own.failures) < 20; i += workers {
				own.judge(w.generate(seed, uint64(i)), i)
			}
		})
	}
	wg.Wait()
	all := newTally()
	for _, own := range tallies {
		all.add(own)
	}
	for _, f := range all.failures[:min(len(all.failures), 20)] {
		t.Error(f)
	}
	t.Logf("%d tokens in %s: %d accepted by all, %d refused by all, %d disagreements explained", all.tokens, time.Since(start).Round(time.Second),
		all.accepted, all.refused, sum(all.explained))
	for _, k := range slices.Sorted(maps.Keys(all.explained)) {
		t.Logf("%8d %s", all.explained[k], k)
	}
	if n >= 20_000 && all.accepted*20 < all.tokens || n >= 20_000 && all.refused*20 < all.tokens {
		t.Error("almost all tokens are of one kind: the test tests little")
	}
	for _, m := range slices.Concat(beforeSigning, afterSigning) {
		if n >= 20_000 && all.mutations[m.name] == 0 {
			t.Errorf("mutation %q was never made", m.name)
		}
	}
	if n >= 1_000_000 { // the tables stay true: a rule that explains nothing goes
		for _, r := range slices.Concat(stricter, laxer) {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(all.explained)), func(k string) bool { return strings.HasSuffix(k, ": "+r.name) }) {
				t.Errorf("rule %q explains nothing", r.name)
			}
		}
	}
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

func (a *tally) add(b *tally) {
	a.tokens, a.accepted, a.refused = a.tokens+b.tokens, a.accepted+b.accepted, a.refused+b.refused
	a.failures = append(a.failures, b.failures...)
	for k, v := range b.explained {
		a.explained[k] += v
	}
	for k, v := range b.mutations {
		a.mutations[k] += v
	}
}

// roundedUp reports that both read the same but for exp, whose fraction lies so
// near to the next second that a double cannot tell it from that second. We read
// dates exactly and cut the fraction off: our token ends a second sooner.
func roundedUp(text string, ours, other verdict) bool {
	f := lookAt(text)
	exp, ok := f.claims.number("exp")
	next := int64(exp)
	return ok && exp == float64(next) && strings.HasSuffix(ours.read, fmt.Sprint(" ", next-1)) &&
		other.read == strings.TrimSuffix(ours.read, fmt.Sprint(next-1))+fmt.Sprint(next)
}

func (a *tally) judge(d *draft, i int) {
	a.tokens++
	for _, m := range d.done {
		a.mutations[m]++
	}
	ours := d.world.judgeOurs(d.text)
	if ours.accepts() && !canonical(d.text) { // which the others may accept too
		a.fail(d, i, "we accept another spelling of a token")
	}
	agreed := true
	var f *facts
	for _, o := range [...]struct {
		name string
		verdict
	}{{"go-jose", d.world.judgeJose(d.text)}, {"jwx", d.world.judgeJWX(d.text)}} {
		if ours.accepts() == o.accepts() {
			if ours.accepts() && ours.read != o.read && !roundedUp(d.text, ours, o.verdict) {
				a.fail(d, i, fmt.Sprintf("we read %s, %s reads %s", ours.read, o.name, o.read))
			}
			continue
		}
		agreed = false
		if f == nil {
			seen := lookAt(d.text)
			f = &seen
		}
		rules, direction := stricter, "we refuse, "+o.name+" accepts"
		if ours.accepts() {
			rules, direction = laxer, "we accept, "+o.name+" refuses"
		}
		at := slices.IndexFunc(rules, func(r rule) bool { return (r.only == "" || r.only == o.name) && r.holds(d.world, f, d.text) })
		if at < 0 {
			a.fail(d, i, fmt.Sprintf("%s, and no rule says why: ours %v, theirs %v", direction, ours.err, o.err))
			continue
		}
		a.explained[direction+": "+rules[at].name]++
	}
	switch {
	case agreed && ours.accepts():
		a.accepted++
	case agreed:
		a.refused++
	}
}

func (a *tally) fail(d *draft, i int, what string) {
	f := lookAt(d.text)
	a.failures = append(a.failures, fmt.Sprintf("token %d (%s, %v): %s\n\theader %.300s\n\tclaims %.400s\n\t%.900q", i, d.key.kid, d.done, what, f.header.raw, f.claims.raw, d.text))
}
