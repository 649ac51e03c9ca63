package main

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// scalePlan is an installation whose cost is worked out from what was measured.
type scalePlan struct {
	nodes, users, tokens, gateways int
	// active is the part of the logins that are used at a time, and renewed each lifetime.
	active   float64
	lifetime time.Duration // of an access token
	login    time.Duration // how long a login lasts
	ended    float64       // the part of the logins that is ended before its time
	cutoffs  int           // accounts that were cut off within the life of a login
	keys     int           // API keys in use on each node
	requests float64       // checked requests a second, of all
}

// thePlan is that of docs/scale.md.
var thePlan = scalePlan{nodes: 100, users: 10_000_000, tokens: 100_000_000, gateways: 1000, active: 0.1, lifetime: 10 * time.Minute,
	login: 30 * 24 * time.Hour, ended: 0.2, cutoffs: 1_000_000, keys: 20_000, requests: 500_000}

// unitCosts are what docs/performance/ has of one of each.
type unitCosts struct {
	request              float64 // µs of a node
	issue, issuePostgres float64 // µs of a node and of PostgreSQL for a token
	end, hear            float64 // µs of PostgreSQL: an end, and one node's reading of it
	idle, idlePostgres   float64 // µs a second, for a node
	hearNode             float64 // µs of a node
	row                  float64 // bytes
	bit                  float64 // bits
	cutoff, key, program float64 // bytes
}

func costsOf(r report, growth, nodes figureReport) (c unitCosts, err error) {
	of := func(f figureReport, name string) figure {
		if i := slices.IndexFunc(f.Figures, func(f figure) bool { return f.Name == name }); i >= 0 {
			return f.Figures[i]
		}
		err = fmt.Errorf("no figure %q", name)
		return figure{}
	}
	postgres := of(nodes, "feed-postgres")
	c = unitCosts{issue: of(nodes, "tokens-cpu").Value, issuePostgres: of(nodes, "tokens-postgres").Value, end: postgres.Beside,
		hear: max(postgres.Value-postgres.Beside, 0) / 2, idle: of(nodes, "node-idle").Value, idlePostgres: of(nodes, "node-idle-postgres").Value,
		hearNode: of(nodes, "feed-others").Value, row: of(nodes, "feed-row").Value, bit: of(nodes, "bits").Value,
		cutoff: of(nodes, "cutoffs").Value, key: of(growth, "keys-memory").Value}
	if checked := r.find("gateway-jwt"); checked != nil {
		c.request = checked.Median
	}
	for _, f := range r.Process {
		if f.Name == "resident, loaded" {
			c.program = f.Value * (1 << 20)
		}
	}
	if c.request == 0 || c.program == 0 || c.hear == 0 {
		return c, fmt.Errorf("figures are missing for the costs of many nodes")
	}
	return c, err
}

// table is the plan's cost, by what is used.
func (p scalePlan) table(c unitCosts) string {
	s := table("what", "how it comes about", "each node", "PostgreSQL", "all")
	cores := func(us float64) string { return fmt.Sprintf("%.2f cores", us/1e6) }
	n := float64(p.nodes)
	renewals := float64(p.tokens) * p.active / p.lifetime.Seconds()
	logins := float64(p.tokens) / p.login.Seconds()
	ends := logins * p.ended
	issues := renewals + logins
	mib := func(bytes float64) string { return fmt.Sprintf("%.0f MiB", bytes/(1<<20)) }
	s += row("checked requests", fmt.Sprintf("%s a second × %.0f µs", count(p.requests), c.request), cores(p.requests*c.request/n), "", cores(p.requests*c.request))
	s += row("tokens", fmt.Sprintf("%s renewals and %s logins a second × %.0f µs, and %.0f of PostgreSQL", count(renewals), count(logins), c.issue, c.issuePostgres),
		cores(issues*c.issue/n), cores(issues*c.issuePostgres), cores(issues*(c.issue+c.issuePostgres)))
	s += row("ends of logins", fmt.Sprintf("%s a second × (%.0f µs + %d nodes × %.0f)", count(ends), c.end, p.nodes, c.hear),
		cores(ends*c.hearNode), cores(ends*(c.end+n*c.hear)), cores(ends*(c.end+n*(c.hear+c.hearNode))))
	s += row("nodes with nothing to do", fmt.Sprintf("%.0f µs a second, and %.0f of PostgreSQL: heartbeat, feed, row of the node", c.idle, c.idlePostgres),
		cores(c.idle), cores(c.idlePostgres*n), cores(n*(c.idle+c.idlePostgres)))
	s += row("writes", "a token is one transaction, an end one, a node one statement", fmt.Sprintf("%s a second", count((issues+ends)/n+1)),
		fmt.Sprintf("%s a second", count(issues+ends+n)), "")
	s += row("feed", fmt.Sprintf("%.0f bytes × %s ends a second × nodes; kept for ten minutes", c.row, count(ends)),
		fmt.Sprintf("%.1f kB a second", c.row*ends/1000), fmt.Sprintf("%.1f MB kept", c.row*ends*600/1e6), fmt.Sprintf("%.1f MB a second", c.row*ends*n/1e6))
	s += row("memory: status lists", fmt.Sprintf("%s places × %.2f bits", count(float64(p.tokens)), c.bit), mib(float64(p.tokens)*c.bit/8), "", "")
	s += row("memory: cut-offs", fmt.Sprintf("%s × %.0f bytes", count(float64(p.cutoffs)), c.cutoff), mib(float64(p.cutoffs)*c.cutoff), "", "")
	s += row("memory: API keys in use", fmt.Sprintf("%s × %.0f bytes", count(float64(p.keys)), c.key), mib(float64(p.keys)*c.key), "", "")
	s += row("memory: the program", "at work", mib(c.program), "", "")
	s += row("gateways that follow", fmt.Sprintf("%d streams on each node, of at most 2,000; each is told each end", p.gateways/p.nodes),
		fmt.Sprintf("%.1f kB a second", float64(p.gateways)/n*(ends*eventBytes+aliveBytes)/1000), "", fmt.Sprintf("%.0f kB a second", float64(p.gateways)*(ends*eventBytes+aliveBytes)/1000))
	s += row("connections to PostgreSQL", fmt.Sprintf("%d × (%d + %d)", p.nodes, poolConnections, ownConnections), fmt.Sprint(poolConnections+ownConnections),
		fmt.Sprint(p.nodes*(poolConnections+ownConnections)), "")
	return s
}

const (
	eventBytes      = 110. // of an event that tells one end, as docs/revocation-stream.md has it
	aliveBytes      = 1.5  // a second, where there is no news: a line of three each two seconds
	poolConnections = 16   // docs/connections.md
	ownConnections  = 3    // lock, feed, row of the node
)

// count is a number as people read it.
func count(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.0f million", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.0f,%03.0f", float64(int(v)/1000), float64(int(v)%1000))
	case v >= 10:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}

// feedRun is how ends spread to the nodes of a database, simulated: each commit wakes
// every other node, a node that is woken reads what is new, and one that is woken
// while it reads reads once more. PostgreSQL has so many processors, which take work
// in the order in which it comes.
type feedRun struct {
	nodes, cores int
	rate         float64 // ends a second
	commit, read float64 // µs of PostgreSQL
	seconds      float64
	turn         float64 // µs for a message between a node and the database
}

type feedResult struct {
	used     float64 // cores of PostgreSQL
	reads    float64 // of each node, a second
	p50, p99 time.Duration
	behind   bool // more comes than PostgreSQL can do
}

// moment is something that happens in the simulation.
type moment struct {
	at   float64 // µs
	node int     // whose reading; -1: a commit
	end  bool    // the work is done, rather than asked for
}

type moments []moment

func (m moments) Len() int           { return len(m) }
func (m moments) Less(i, j int) bool { return m[i].at < m[j].at }
func (m moments) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *moments) Push(x any)        { *m = append(*m, x.(moment)) }
func (m *moments) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}

func (f feedRun) simulate(seed uint64) (r feedResult) {
	random := rand.New(rand.NewPCG(seed, 9))
	var queue moments
	for at := 0.0; at < f.seconds*1e6; {
		at += random.ExpFloat64() * 1e6 / f.rate
		heap.Push(&queue, moment{at: at, node: -1})
	}
	type reader struct {
		busy, again bool
		began       int // how many commits the reading that is under way sees
		knows       int
	}
	readers := make([]reader, f.nodes-1) // the other nodes
	free := make([]float64, f.cores)     // when each processor is
	var commits []float64                // when each was made
	var known []float64                  // µs from a commit until the last node knows
	heard := map[int]int{}
	var work, reads, last float64
	do := func(at, cost float64, m moment) {
		i := 0
		for k := range free {
			if free[k] < free[i] {
				i = k
			}
		}
		free[i] = max(free[i], at) + cost*(0.5+random.Float64()) // half to one and a half of the mean
		work += cost
		m.at, m.end = free[i], true
		heap.Push(&queue, m)
	}
	begin := func(n int, at float64) {
		readers[n].busy, readers[n].again = true, false
		heap.Push(&queue, moment{at: at + f.turn, node: n})
	}
	for queue.Len() > 0 {
		m := heap.Pop(&queue).(moment)
		last = m.at
		switch {
		case m.node < 0 && !m.end:
			do(m.at, f.commit, m)
		case m.node < 0:
			commits = append(commits, m.at)
			for n := range readers {
				if readers[n].busy {
					readers[n].again = true
					continue
				}
				begin(n, m.at+f.turn) // the notice has its way, too
			}
		case !m.end:
			readers[m.node].began = len(commits)
			reads++
			do(m.at, f.read, m)
		default:
			n := &readers[m.node]
			for ; n.knows < n.began; n.knows++ {
				if heard[n.knows]++; heard[n.knows] == len(readers) {
					known = append(known, m.at+f.turn-commits[n.knows])
					delete(heard, n.knows)
				}
			}
			n.busy = false
			if n.again {
				begin(m.node, m.at+f.turn)
			}
		}
	}
	slices.Sort(known)
	span := max(last, f.seconds*1e6)
	r = feedResult{used: work / span, reads: reads / float64(len(readers)) / span * 1e6, behind: last > 1.05*f.seconds*1e6}
	r.p50, r.p99 = micros(known[len(known)/2]), micros(known[len(known)*99/100])
	return r
}

func micros(v float64) time.Duration { return time.Duration(v * float64(time.Microsecond)) }

// feedTable is the simulation for several sizes.
func feedTable(c unitCosts) string {
	const cores = 16
	s := table("nodes", "ends a second", "PostgreSQL", "readings of each node a second", "p50", "p99", "state")
	for _, nodes := range []int{3, 10, 30, 100} {
		for _, rate := range []float64{10, 100, 1000} {
			r := feedRun{nodes: nodes, cores: cores, rate: rate, commit: c.end, read: c.hear, seconds: 10, turn: 250}.simulate(1)
			state := "keeps up"
			if r.behind {
				state = "falls behind"
			}
			s += row(fmt.Sprint(nodes), count(rate), fmt.Sprintf("%.2f of %d cores", r.used, cores), count(r.reads),
				fmt.Sprintf("%.1f ms", ms(r.p50)), fmt.Sprintf("%.1f ms", ms(r.p99)), state)
		}
	}
	return s
}
