package server_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestAttack lays siege to two nodes on one PostgreSQL, in every way that passwords, codes and links are guessed at or asked
// for, while people sign in. It prints what came of it, and fails where an attacker gets more tries than docs/attacks.md
// says, or where somebody is kept out of a browser that the account knows.
//
// ASVS: 6.3.1
func TestAttack(t *testing.T) {
	if os.Getenv("GATEHOUSE_TEST_LONG") == "" {
		t.Skip("GATEHOUSE_TEST_LONG is not set: `make attack` sets it")
	}
	s := lay(t, 300)
	for i := range 6 {
		s.settle(fmt.Sprintf("resident%d", i))
	}
	guarded := s.settle("guarded")
	s.guard(guarded)
	var all []*assault
	for _, p := range []struct {
		name string
		run  func() *assault
	}{{"account", s.oneAccount}, {"places", s.manyPlaces}, {"accounts", s.manyAccounts}, {"spray", s.onePassword}, {"pairs", s.breachedPairs},
		{"codes", func() *assault { return s.codes(guarded) }}, {"slow", s.slowBots}, {"links", s.links}, {"distributed", s.distributed}} {
		t.Run(p.name, func(t *testing.T) {
			s.t = t
			s.wait(2 * day) // what one pattern left behind is not the next one's
			a := p.run()
			all = append(all, a)
			a.judge(t)
			t.Log("\n" + table(a))
		})
	}
	t.Log("\n" + table(all...))
}

const day = 24 * time.Hour

// patient guesses as an attacker does who loses no try: when both nodes have him wait, he comes back the moment that it is over, and
// asks each of them once more than they allow, at each moment at most most times. People sign in meanwhile, some of them from
// his network.
func (s *siege) patient(a *assault, most int, network string, try func(node int) guess) {
	began, people := s.ahead, time.Duration(0)
	for s.ahead-began < a.lasts {
		wait := a.lasts
		for node := range s.nodes {
			for range most {
				g := a.took(try(node))
				if g.hashed && s.ahead-began < time.Hour {
					a.firstHour++
				}
				if g.wait > 0 {
					wait = min(wait, g.wait)
					break
				}
			}
		}
		if s.ahead-began >= people {
			s.live(a, network)
			if people == a.lasts/2 && a.victim != nil {
				s.owner(a)
			}
			people += a.lasts / 8
		}
		s.wait(max(wait, time.Second))
	}
	a.perHour()
}

// live has everybody sign in once: at home, somewhere else, or at the network of an attacker, where there is one, with a
// browser that the account knows; and two people whose accounts nobody attacks in a new browser at a new place.
func (s *siege) live(a *assault, network string) {
	for i, r := range s.people {
		address := []string{r.home, s.fresh(), network}[i%3]
		if address == "" {
			address = s.fresh()
		}
		if r.secret != "" && s.code(r) == r.used {
			continue // a code works once
		}
		a.knownSeen++
		if status := s.signIn(r, i%2, address); status == http.StatusSeeOther {
			a.knownIn++
		} else {
			s.t.Errorf("%s: %s is kept out of a known browser at %s: %d", a.name, r.name, address, status)
		}
	}
	for i := range 2 {
		n := *s.newcomers[i]
		n.browser = s.browser()
		a.newSeen++
		if s.signIn(&n, i, s.fresh()) == http.StatusSeeOther {
			a.newIn++
		}
	}
}

// owner is how the owner of an account comes in while others guess at it, in a new browser at a new place.
func (s *siege) owner(a *assault) {
	n := *a.victim
	n.browser = s.browser()
	a.note = "the owner waits where nobody knows him"
	if s.signIn(&n, 0, s.fresh()) == http.StatusSeeOther {
		a.note = "the owner gets in where nobody knows him"
	}
}

func (s *siege) oneAccount() *assault {
	a := &assault{name: "one account, one network", lasts: day, most: 40, mostLater: 4}
	network := s.fresh()
	a.victim = s.people[0]
	s.patient(a, 200, network, func(node int) guess { return s.try(node, network, a.victim.name, rand.Text(), "") })
	return a
}

func (s *siege) manyPlaces() *assault {
	a := &assault{name: "one account, many networks", lasts: day, most: 40, mostLater: 4}
	a.victim = s.people[1]
	s.patient(a, 200, "", func(node int) guess { return s.try(node, s.fresh(), a.victim.name, rand.Text(), "") })
	return a
}

func (s *siege) manyAccounts() *assault {
	a := &assault{name: "many accounts, one network", lasts: 6 * time.Hour, most: 80, mostLater: 30}
	network, n := s.fresh(), 0
	s.patient(a, 200, network, func(node int) guess { n++; return s.try(node, network, s.someone(n), rand.Text(), "") })
	return a
}

// someone is one of those that live here: the crowd, and now and then one of those who sign in.
func (s *siege) someone(n int) string {
	if n%50 == 0 {
		return s.people[n/50%len(s.people)].name
	}
	return s.crowd[n%len(s.crowd)]
}

func (s *siege) onePassword() *assault {
	a := &assault{name: "one password, many accounts", lasts: time.Hour, most: 3 * 300, note: "three passwords, every account"}
	for range 3 {
		password := rand.Text()
		for n, name := range s.crowd {
			if g := a.took(s.try(n%2, s.fresh(), name, password, "")); g.hashed {
				a.firstHour++
			}
		}
		s.live(a, "")
		s.wait(20 * time.Minute)
	}
	return a
}

func (s *siege) breachedPairs() *assault {
	a := &assault{name: "known breached pairs, three networks", lasts: 6 * time.Hour, most: 240, mostLater: 90}
	networks := []string{s.fresh(), s.fresh(), s.fresh()}
	right := 0
	var n int
	s.patient(a, 200, networks[0], func(node int) guess {
		n++
		name, password := s.crowd[n%len(s.crowd)], rand.Text()
		if n%50 == 0 { // one pair in fifty is right
			right++
			r := s.breached[n/50%len(s.breached)]
			name, password = r.name, r.password
		}
		return s.try(node, networks[n%3], name, password, "")
	})
	a.note = fmt.Sprintf("%d tries were with right pairs", right)
	return a
}

func (s *siege) codes(r *resident) *assault {
	a := &assault{name: "codes, by who has the password", lasts: day, most: 40, mostLater: 4}
	s.patient(a, 200, "", func(node int) guess {
		return s.try(node, s.fresh(), r.name, r.password, "000000")
	})
	return a
}

func (s *siege) slowBots() *assault {
	a := &assault{name: "slow bots, 3 accounts", lasts: 5 * day, most: 3, mostLater: 3, note: "each account once in an hour"}
	victims := []string{s.people[2].name, s.people[3].name, s.crowd[0]}
	for hour := range int(a.lasts / time.Hour) {
		for i, name := range victims {
			if g := a.took(s.try((hour+i)%2, s.fresh(), name, rand.Text(), "")); g.hashed && hour == 0 {
				a.firstHour++
			}
		}
		if hour%30 == 0 {
			s.live(a, "")
		}
		s.wait(time.Hour)
	}
	a.perHour()
	return a
}

// links asks for letters by which a new password is set: for one account in a loop, and for many.
func (s *siege) links() *assault {
	const many = 40
	a := &assault{name: "links to set a new password, one account and 40", lasts: 2 * time.Hour, most: (many + 1) * 5, mostLater: (many + 1) * 5, // each quarter of an hour that an hour has a part of
		note: "looked at: letters that were sent"}
	attacker := s.browser()
	attacker.Transport = asFrom{s.fresh()}
	began, letters := s.ahead, s.letters()
	s.form(attacker.Get(s.pages(0) + "/recover")) // for the cookie of its forms
	for s.ahead-began < a.lasts {
		var all sync.WaitGroup
		for i := range 2 * many {
			name := s.people[0].name
			if i%2 == 0 {
				name = s.crowd[i/2]
			}
			all.Go(func() {
				at := s.pages(i / 2 % 2)
				form := s.form(attacker.Get(at + "/recover"))
				if status, _ := s.sent(attacker.PostForm(at+"/recover", url.Values{"identifier": {name}, "form": {form}})); status != http.StatusOK {
					s.t.Errorf("asking for a link: %d", status)
				}
				a.took(guess{})
			})
		}
		all.Wait()
		if (s.ahead-began)%time.Hour < 10*time.Minute {
			s.live(a, "")
		}
		s.wait(10 * time.Minute)
		a.hashed = s.letters() - letters
		if s.ahead-began < time.Hour {
			a.firstHour = float64(a.hashed)
		}
	}
	a.perHour()
	return a
}

// distributed is a list of names and passwords, tried from a network of its own each, as fast as two nodes take it. It goes on for
// a minute of the machine's; what an hour would come to is the first rush and the rate of the second half minute from then on.
func (s *siege) distributed() *assault {
	const half = 30 * time.Second
	a := &assault{name: "distributed: each try another network and account", lasts: 2 * half, most: 2 * (300 + 3600*5), mostLater: 2 * 3600 * 5}
	began := time.Now()
	var all sync.WaitGroup
	for worker := range 6 {
		all.Go(func() {
			for time.Since(began) < a.lasts {
				n := int(s.serial.Add(1))
				g := a.took(s.try((worker+n)%2, s.fresh(), s.someone(n), rand.Text(), ""))
				if g.hashed && time.Since(began) > half {
					a.mu.Lock()
					a.later++
					a.mu.Unlock()
				}
			}
		})
	}
	for time.Since(began) < a.lasts-half/2 {
		s.live(a, "")
	}
	all.Wait()
	a.later *= float64(time.Hour / half)
	a.firstHour = float64(a.hashed) + a.later*(time.Hour-a.lasts).Hours()
	a.note = fmt.Sprintf("the hours are reckoned; %d were turned away as too many passwords waited", a.busy)
	return a
}

// perHour works out what each hour after the first came to.
func (a *assault) perHour() {
	if hours := a.lasts.Hours() - 1; hours > 0 {
		a.later = (float64(a.hashed) - a.firstHour) / hours
	}
}

// judge fails where an attack came to more than it may, or kept somebody out.
func (a *assault) judge(t *testing.T) {
	t.Helper()
	if a.knownIn != a.knownSeen || a.knownSeen == 0 {
		t.Errorf("%s: %d of %d got in with a known browser", a.name, a.knownIn, a.knownSeen)
	}
	if a.firstHour > float64(a.most) || a.later > float64(a.mostLater) {
		t.Errorf("%s: %.0f tries in the first hour and %.1f in each one after it, at most %d and %d", a.name, a.firstHour, a.later, a.most, a.mostLater)
	}
}

// table is what attacks came to, as docs/attacks.md shows it.
func table(all ...*assault) string {
	var b strings.Builder
	b.WriteString("| attack | for | tries | looked at | in the first hour | in each hour after | accounts opened | known browsers let in | new browsers let in | |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, a := range all {
		fmt.Fprintf(&b, "| %s | %v | %d | %d | %.0f | %.1f | %d | %d of %d | %d of %d | %s |\n", a.name, a.lasts, a.made, a.hashed, a.firstHour, a.later,
			a.opened, a.knownIn, a.knownSeen, a.newIn, a.newSeen, a.note)
	}
	return b.String()
}
