package store

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
)

// sessionAtHost returns the session of which a host of the gateway has the secret.
func (q Queries) sessionAtHost(ctx context.Context, secretID string) (gatehouse.Session, error) {
	return one(ctx, q.c, func(r row) (v gatehouse.Session, err error) {
		err = r.Scan(append(sessionFields(&v), &v.Host)...)
		v.DeviceHash = nil // of a cookie that this host never sees
		return v, err
	}, `SELECT s.realm, s.id, s.user_id, h.secret_id, h.secret_hash, s.created_at, s.auth_time, s.amr_json, s.acr,
		s.last_used_at, s.expires_at, s.device_hash, s.address, s.user_agent, s.ended_at, s.end_reason, h.host
		FROM session_hosts h JOIN sessions s ON s.realm=h.realm AND s.id=h.session_id WHERE h.secret_id=$1`+q.share, secretID)
}

// PutSessionHost gives the host of s a secret of the session, in place of the one that it had.
func (t *Tx) PutSessionHost(ctx context.Context, s gatehouse.Session) error {
	if err := t.forgetHosts(ctx, s.Realm, `session_id=$2 AND host=$3`, s.ID, s.Host); err != nil {
		return err
	}
	return insert(ctx, t.c, `INSERT INTO session_hosts (realm, session_id, host, secret_id, secret_hash) VALUES ($1,$2,$3,$4,$5) ON CONFLICT DO NOTHING`,
		s.Realm, s.ID, s.Host, s.SecretID, s.SecretHash)
}

// forgetHosts removes secrets of hosts, and tells whoever knows them. where is text of this package, whose
// first argument is the realm.
func (t *Tx) forgetHosts(ctx context.Context, realm, where string, args ...any) error {
	gone, err := many(ctx, t.c, func(r row) (id string, err error) { return id, r.Scan(&id) },
		`DELETE FROM session_hosts WHERE realm=$1 AND `+where+` RETURNING secret_id`, append([]any{realm}, args...)...)
	for _, id := range gone {
		err = t.changed(err, gatehouse.TopicSession, realm, id, nil)
	}
	return err
}
