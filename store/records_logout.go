package store

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth/logout"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// insertListener notes a client beside a session, once, and not beyond the bound.
const insertListener = `INSERT INTO session_clients (realm, session_id, client_id, user_id, tries, due_at, ends_at)
	SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), 0, CAST($5 AS BIGINT), CAST($6 AS BIGINT)
	WHERE (SELECT COUNT(*) FROM session_clients WHERE realm=$1 AND session_id=$2)<$7 ON CONFLICT DO NOTHING`

func listenerArgs(l grant.Listener) []any {
	return []any{l.Realm, l.Session, l.Client, l.User, l.Ends, l.Ends.Add(logout.TryFor), logout.MaxClients}
}

// sessionsOver has clients be told of the end of sessions that condition names by $4, and $5 and on, unless they are told of it already.
func (t *Tx) sessionsOver(ctx context.Context, realm string, when time.Time, condition string, args ...any) error {
	_, err := exec(ctx, t.c, `UPDATE session_clients SET due_at=$2, ends_at=$3 WHERE realm=$1 AND tries=0 AND due_at>$2 AND `+condition,
		append([]any{realm, when, when.Add(logout.TryFor)}, args...)...)
	return err
}

// cutSessions is sessionsOver for those that a cut-off ends.
func (t *Tx) cutSessions(ctx context.Context, c revocation.Cutoff) error {
	of, ok := map[revocation.CutoffKind]string{revocation.CutoffRealm: `$4=''`, revocation.CutoffSubject: `user_id=$4`, revocation.CutoffSession: `session_id=$4`}[c.Kind]
	if !ok || c.Before.IsZero() {
		return nil
	}
	return t.sessionsOver(ctx, c.Realm, t.now(), of+` AND EXISTS (SELECT 1 FROM sessions AS s WHERE s.realm=$1 AND s.id=session_clients.session_id AND s.created_at<=$5)`, c.ID, c.Before)
}

// DueLogouts returns up to limit clients that are to be told of the end of a session, the longest first; see [logout.Store].
func (q Queries) DueLogouts(ctx context.Context, now time.Time, limit int) ([]logout.Record, error) {
	if err := page(limit); err != nil {
		return nil, err
	}
	return many(ctx, q.c, func(r row) (v logout.Record, err error) {
		return v, r.Scan(&v.Realm, &v.Session, &v.Client, &v.User, &v.Tries, at(&v.EndsAt))
	}, `SELECT realm, session_id, client_id, user_id, tries, ends_at FROM session_clients WHERE due_at<=$1 ORDER BY due_at, tries DESC, session_id, client_id LIMIT $2`, now, limit)
}

// EndLogout removes a client that was told, or is told no more; see [logout.Settling].
func (t *Tx) EndLogout(ctx context.Context, r logout.Record) error {
	n, err := exec(ctx, t.c, `DELETE FROM session_clients WHERE realm=$1 AND session_id=$2 AND client_id=$3 AND tries=$4`, r.Realm, r.Session, r.Client, r.Tries)
	return unlessNone(n, err)
}

// DelayLogout counts a try that failed; see [logout.Settling].
func (t *Tx) DelayLogout(ctx context.Context, r logout.Record, next time.Time) error {
	n, err := exec(ctx, t.c, `UPDATE session_clients SET tries=tries+1, due_at=$5 WHERE realm=$1 AND session_id=$2 AND client_id=$3 AND tries=$4`,
		r.Realm, r.Session, r.Client, r.Tries, next)
	if err := unlessNone(n, err); err != nil {
		return err
	}
	_, err = exec(ctx, t.c, `UPDATE session_clients SET due_at=$3 WHERE realm=$1 AND client_id=$2 AND due_at<$3`, r.Realm, r.Client, next)
	return err
}

func unlessNone(n int64, err error) error {
	if err == nil && n == 0 {
		return gatehouse.ErrVersionConflict
	}
	return err
}

// SessionClients are the ids of clients that are to be told of the end of a session.
func (q Queries) SessionClients(ctx context.Context, realm, session string) ([]string, error) {
	return many(ctx, q.c, func(r row) (id string, err error) { return id, r.Scan(&id) },
		`SELECT client_id FROM session_clients WHERE realm=$1 AND session_id=$2 ORDER BY client_id`, realm, session)
}
