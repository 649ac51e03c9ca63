package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testpg"
	"github.com/gatehouse-auth/gatehouse/server"
)

// postgresCases: POST /tokens on PostgreSQL, whose own work is a part of it.
func (b *testbed) postgresCases(ctx context.Context) ([]*benchCase, error) {
	if !b.wants("tokens-postgres") {
		return nil, nil
	}
	pg, err := testpg.Start()
	if errors.Is(err, testpg.ErrMissing) {
		b.missingPrograms = append(b.missingPrograms, "PostgreSQL: no initdb, so no tokens-postgres")
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b.ends = append(b.ends, pg.Stop)
	dsn, err := pg.Database("bench")
	if err != nil {
		return nil, err
	}
	const password = "a long password for the bench"
	data := filepath.Join(b.dir, "postgres")
	conf, err := b.write("postgres-conf", "gatehouse.yaml", fmt.Sprintf(onPostgres, data))
	if err != nil {
		return nil, err
	}
	if err := server.GenerateMasterKey(filepath.Join(data, "master.key")); err != nil {
		return nil, err
	}
	gh, _, err := b.firstStart(ctx, []string{"GATEHOUSE_STORE_DSN=" + dsn}, conf, password)
	if err != nil {
		return nil, err
	}
	login := send("POST", gh.address("auth"), "/tokens", "")
	return []*benchCase{{name: "tokens-postgres", title: "Gatehouse, POST /tokens, PostgreSQL", kind: kindOurs, want: http.StatusOK, unflattering: true,
		parts: []part{{"gatehouse", gh}, {"postgres", &process{measured: (&family{first: pg.PID()}).cpu}}}, floor: "floor", quarter: true,
		next: func(i int) *http.Request {
			r := login(i)
			r.SetBasicAuth("root", password)
			return r
		}}}, nil
}

const onPostgres = `issuer: http://127.0.0.1:8080
data: %s
listen:
  auth: {address: "127.0.0.1:0"}
log: {level: warn}
limits: {tokens: 100000/1m}
store: {driver: postgres}
`

// family is a process and those that it starts. Backends of PostgreSQL live as long
// as their connection: what one has used is remembered when it ends, as it was when
// it was looked at last.
type family struct {
	first int
	used  map[int]time.Duration
}

func (f *family) cpu() (sum time.Duration, err error) {
	children, err := childrenOf(f.first)
	if err != nil {
		return 0, err
	}
	if f.used == nil {
		f.used = map[int]time.Duration{}
	}
	for _, id := range append(children, f.first) {
		if took, err := cpuOf(id); err == nil { // else it has ended since
			f.used[id] = took
		}
	}
	for _, took := range f.used {
		sum += took
	}
	return sum, nil
}
