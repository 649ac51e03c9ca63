package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Cases that do not flatter: many callers in turn, a resource whose attributes come
// from the upstream, bodies that are judged, a server that is not busy, and tokens
// that are made.

const createBody = `{"title":"Quarterly report","team":"blue","visibility":"public","body":"Numbers went up."}`

func (b *testbed) unflattering(ctx context.Context, proxy string) []*benchCase {
	d := b.demo
	many := &tokens{demo: d, gh: b.gh}
	turns := &inTurn{tokens: many, warm: get(d.Gateway, "/private")}
	alice := d.Users["alice"]
	login := send("POST", d.Issuer, "/tokens", "")
	cases := []*benchCase{
		{name: "gateway-jwt-2000", title: "Gatehouse, 2,000 JWTs in turn, seen before", next: many.next(get(d.Gateway, "/private")), prepare: turns.prepare, floor: "proxy"},
		{name: "gateway-document", title: "Gatehouse, document that the API describes", next: b.bearer(get(d.Gateway, "/documents/doc_1")), floor: "proxy"},
		{name: "gateway-post", title: "Gatehouse, POST judged by its body", next: b.bearer(send("POST", d.Gateway, "/documents", createBody, "Content-Type", "application/json")), floor: "proxy-post"},
		{name: "gateway-jwt-100", title: "Gatehouse, JWT seen before, 100 requests a second", next: b.bearer(get(d.Gateway, "/private")), floor: "proxy-100", rate: 100},
		{name: "gateway-jwt-1000", title: "Gatehouse, JWT seen before, 1,000 requests a second", next: b.bearer(get(d.Gateway, "/private")), floor: "proxy-1000", rate: 1000},
		{name: "tokens", title: "Gatehouse, POST /tokens, SQLite", next: func(i int) *http.Request {
			r := login(i)
			r.SetBasicAuth("alice", alice.Password)
			return r
		}, floor: "floor", quarter: true},
	}
	for _, c := range cases {
		c.kind, c.parts, c.want, c.unflattering = kindOurs, []part{{"gatehouse", b.gh}}, http.StatusOK, true
	}
	p := b.proxy
	for _, c := range []*benchCase{
		{name: "proxy-post", title: "P, POST of the same body", next: send("POST", proxy, "/documents", createBody, "Content-Type", "application/json")},
		{name: "proxy-100", title: "P, 100 requests a second", next: get(proxy, "/private"), rate: 100},
		{name: "proxy-1000", title: "P, 1,000 requests a second", next: get(proxy, "/private"), rate: 1000},
	} {
		c.kind, c.parts, c.want, c.unflattering = kindFloor, []part{{"ReverseProxy", p}}, http.StatusOK, true
		cases = append(cases, c)
	}
	return cases
}

// inTurn makes tokens once, renews them before they end, and lets each be seen once.
type inTurn struct {
	*tokens
	warm func(int) *http.Request
	at   time.Time
}

func (t *inTurn) prepare(ctx context.Context, n int) error {
	if len(t.made) == n && time.Since(t.at) < 5*time.Minute { // they live for ten
		return nil
	}
	t.at = time.Now()
	if err := t.mint(ctx, n); err != nil {
		return err
	}
	good, err := load(ctx, n, http.StatusOK, t.next(t.warm))
	if err == nil && good < n {
		err = fmt.Errorf("%d of %d tokens were refused", n-good, n)
	}
	return err
}
