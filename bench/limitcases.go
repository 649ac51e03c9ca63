package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// limits: what a request to a route with a rate costs a node that counts on a Redis,
// beside one that counts alone, what that costs the Redis, and how long one at a time takes.
func (b *nodesBed) limits(ctx context.Context) error {
	at, err := freeAddress()
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		return err
	}
	redis, err := b.keep(startAt(ctx, at, nil, "redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", b.dir))
	if err != nil {
		return err
	}
	const rate = "    authenticated: true\n    rate_principal: 1000000000/1m\n"
	type side struct {
		benchCase
		took []float64 // of one request, µs
	}
	var sides []*side
	for _, with := range []string{"", ", redis: {url: 'redis://" + at + "', timeout: 1s}"} {
		c, err := b.cluster(ctx, fmt.Sprintf("limits%d", len(sides)), 1, strings.NewReplacer("    authenticated: true\n", rate, "admin: 10000000/1m", "admin: 10000000/1m"+with))
		if err != nil {
			return err
		}
		token, err := c.login(ctx, 0)
		if err != nil {
			return err
		}
		sides = append(sides, &side{benchCase: benchCase{name: "limits", parts: append(c.parts(), part{"redis", redis}), want: http.StatusOK,
			next: get(c.nodes[0].address("gateway"), "/private", "Authorization", "Bearer "+token)}})
	}
	const single = 2000
	for range pairTurns {
		for _, s := range sides {
			if err := s.turn(ctx, b.requests/4); err != nil {
				return err
			}
			for i := range single / pairTurns {
				begun := time.Now()
				if err := expect(ctx, s.next(i), http.StatusOK); err != nil {
					return err
				}
				s.took = append(s.took, float64(time.Since(begun).Nanoseconds())/1000)
			}
		}
	}
	cpu := func(s *side, part int) (us []float64) {
		for _, t := range s.benchCase.took {
			us = append(us, t.parts[part])
		}
		return us
	}
	own := pairOf(cpu(sides[0], 0), cpu(sides[1], 0))
	slices.Sort(sides[0].took)
	slices.Sort(sides[1].took)
	b.add(figure{Name: "limits-cpu", Title: "CPU of a checked request to a route with a rate (JWT seen before), counted on a Redis, beside counted by the node: the middle of nine pairs", Beside: own[0], Value: own[1], Unit: "µs"},
		figure{Name: "limits-redis", Title: "and CPU of the Redis for each", Value: median(cpu(sides[1], 1)), Unit: "µs"},
		figure{Name: "limits-time", Title: "one such request at a time, p50", Beside: median(sides[0].took), Value: median(sides[1].took), Unit: "µs"})
	return nil
}
