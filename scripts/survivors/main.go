// Command survivors weakens the packages that guard something, operator by operator, and
// says which weakenings their own tests do not notice.
//
//	go run ./scripts/survivors                     every room of the list below
//	go run ./scripts/survivors -v limit authz      two of them, each survivor on a line
//	go run ./scripts/survivors -v -again limit     only what lived the last time
//
// Where a line can be weakened, and how, gremlins says (all its rules). Gremlins builds a
// test program for each weakening, which is hours for our rooms, takes one that does not
// compile for one that was killed, and tries neither the conditions of a switch's cases nor
// constants, because no coverage profile has them. So all weakenings of a package are woven
// into one test program, each behind a number, and each runs against the tests that come by
// it. What cannot be woven, constants above all, is built by itself.
//
// Only a package's own tests count: one that lives far away says that something broke, and
// not what. A weakening that no test could notice stands in testdata/equivalent.txt with
// its reason. Fails when a room loses less than 95 of 100 of the others.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// rooms are the packages that guard something. docs/standards.md has a line for each.
var rooms = []string{"credential", "limit", "revocation", "internal/web", "authn", "token", "grant", "identity",
	"guard", "authz", "audit", "enforce"}

// least is how many of a hundred that are not equivalent must die.
const least = 95.0

func main() {
	jobs := flag.Int("jobs", 2, "how many weakened programs run at once")
	verbose := flag.Bool("v", false, "print every survivor")
	again := flag.Bool("again", false, "try only what lived the last time, and leave the rest as it was")
	only := flag.String("file", "", "only files whose name contains this")
	flag.Parse()
	if err := run(flag.Args(), *jobs, *verbose, *again, *only); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(wanted []string, jobs int, verbose, again bool, only string) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	equivalents, err := readEquivalents(filepath.Join(root, "testdata", "equivalent.txt"))
	if err != nil {
		return err
	}
	if len(wanted) == 0 {
		wanted = rooms
	}
	fmt.Println("| package | weakenings | killed | timed out | lived | equivalent | of 100 died |")
	fmt.Println("|---|---|---|---|---|---|---|")
	bad := []error{}
	for _, path := range wanted {
		if !slices.Contains(rooms, path) {
			return fmt.Errorf("%q is not in the list of scripts/survivors/main.go", path)
		}
		if err := one(root, path, equivalents, jobs, verbose, again, only); err != nil {
			bad = append(bad, err)
		}
	}
	return errors.Join(bad...)
}

// one hunts in one room and prints its line.
func one(root, path string, equivalents []*equivalent, jobs int, verbose, again bool, only string) error {
	work, err := os.MkdirTemp("", "survivors-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	r, err := open(root, path)
	if err != nil {
		return err
	}
	known := filepath.Join(root, ".cache", "survivors", strings.ReplaceAll(path, "/", "-")+".json")
	before := map[string]verdict{}
	if again {
		text, err := os.ReadFile(known)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &before); err != nil {
			return err
		}
	}
	names := r.names()
	verdicts, err := r.hunt(root, work, jobs, func(m *mutant) bool {
		v := before[names[m]]
		return strings.Contains(m.file.base, only) && (v == "" || v == lived || v == missed)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for m, name := range names {
		if v, ok := verdicts[m]; ok {
			before[name] = v
		} else if v := before[name]; v != "" {
			verdicts[m] = v
		}
	}
	text, err := json.MarshalIndent(before, "", " ")
	if err != nil {
		return err
	}
	if err := write(known, string(text)); err != nil {
		return err
	}
	return r.report(verdicts, equivalents, verbose, only == "")
}

// names tells the mutants of a room apart in a way that outlives changes of lines.
func (r *room) names() map[*mutant]string {
	names, count := map[*mutant]string{}, map[string]int{}
	for _, m := range r.mutants {
		name := strings.Join([]string{m.file.path, m.fn, m.text, m.rule}, " | ")
		count[name]++
		names[m] = fmt.Sprintf("%s #%d", name, count[name])
	}
	return names
}

// report prints the line of a room, and complains where too much lived or a line of the
// list of equivalents is wrong.
func (r *room) report(verdicts map[*mutant]verdict, equivalents []*equivalent, verbose, whole bool) error {
	count := map[verdict]int{}
	same := 0
	var left []string
	var bad []error
	for _, m := range r.mutants {
		v, ok := verdicts[m]
		if !ok {
			continue
		}
		i := slices.IndexFunc(equivalents, func(e *equivalent) bool { return e.is(m) })
		if i >= 0 {
			equivalents[i].found = true
			if v == lived || v == missed {
				same++
				continue
			}
		}
		count[v]++
		if v == lived || v == missed {
			left = append(left, fmt.Sprintf("%s %s:%d:%d | %s | %s | %s", v, m.file.path, m.at.Line, m.at.Column, m.fn, m.text, m.rule))
		}
	}
	dead, alive := count[killed]+count[timedOut], count[lived]+count[missed]
	share := 100.0
	if dead+alive > 0 {
		share = 100 * float64(dead) / float64(dead+alive)
	}
	fmt.Printf("| `%s` | %d | %d | %d | %d | %d | %.1f |\n", r.path, dead+alive+same, count[killed], count[timedOut], alive, same, share)
	if verbose {
		for _, l := range left {
			fmt.Println("  " + l)
		}
	}
	if share < least {
		bad = append(bad, fmt.Errorf("%s: only %.1f of 100 died, want %.0f", r.path, share, least))
	}
	for _, e := range equivalents {
		if whole && !e.found && filepath.Dir(e.file) == r.path {
			bad = append(bad, fmt.Errorf("testdata/equivalent.txt: nothing in %s is %q (%s) any more", e.file, e.text, e.rule))
		}
	}
	return errors.Join(bad...)
}
