package store

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
)

const sessionColumns = `realm, id, user_id, secret_id, secret_hash, created_at, auth_time, amr_json, acr,
	last_used_at, expires_at, device_hash, address, user_agent, ended_at, end_reason`

func scanSession(r row) (v gatehouse.Session, err error) {
	return v, r.Scan(sessionFields(&v)...)
}

// sessionFields are where the columns of a session go.
func sessionFields(v *gatehouse.Session) []any {
	return []any{&v.Realm, &v.ID, &v.UserID, &v.SecretID, blob(&v.SecretHash), at(&v.CreatedAt), at(&v.AuthTime), from(&v.AMR), &v.ACR,
		at(&v.LastUsedAt), at(&v.ExpiresAt), blob(&v.DeviceHash), &v.Address, &v.UserAgent, at(&v.EndedAt), &v.EndReason}
}

// Session returns a browser session by the public part of its secret, ended or not: of the one that
// it has where the person signed in, or of the one of a host of the gateway.
func (q Queries) Session(ctx context.Context, secretID string) (gatehouse.Session, error) {
	s, err := one(ctx, q.c, scanSession, `SELECT `+sessionColumns+` FROM sessions WHERE secret_id=$1`+q.share, secretID)
	if err == error(gatehouse.ErrNotFound) {
		return q.sessionAtHost(ctx, secretID)
	}
	return s, err
}

// Sessions lists the sessions of a user by id, ended ones too.
func (q Queries) Sessions(ctx context.Context, realm, user, after string, limit int) ([]gatehouse.Session, error) {
	if err := page(limit); err != nil {
		return nil, err
	}
	return many(ctx, q.c, scanSession, `SELECT `+sessionColumns+` FROM sessions WHERE realm=$1 AND user_id=$2 AND id>$3
		ORDER BY id LIMIT $4`+q.share, realm, user, after, limit)
}

// LiveSessions lists the sessions of a user that have not ended by now and were used after
// a time, by id.
func (q Queries) LiveSessions(ctx context.Context, realm, user string, now, used time.Time) ([]gatehouse.Session, error) {
	return many(ctx, q.c, scanSession, `SELECT `+sessionColumns+` FROM sessions WHERE realm=$1 AND user_id=$2
		AND ended_at IS NULL AND expires_at>$3 AND last_used_at>$4 ORDER BY id`+q.own, realm, user, now, used)
}

// InsertSession adds a session; an id or a secret in use is Conflict. Nobody is told, because
// nobody can remember anything of it.
func (t *Tx) InsertSession(ctx context.Context, s gatehouse.Session) error {
	return insert(ctx, t.c, `INSERT INTO sessions (`+sessionColumns+`)
		VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16) ON CONFLICT DO NOTHING`,
		s.Realm, s.ID, s.UserID, s.SecretID, s.SecretHash, s.CreatedAt, s.AuthTime, document{s.AMR}, s.ACR,
		s.LastUsedAt, s.ExpiresAt, s.DeviceHash, s.Address, s.UserAgent, s.EndedAt, s.EndReason)
}

// RotateSession gives a session that has not ended another secret, and with it what s says of
// the person's proof and of the browser. was is the public part of the secret that it has
// until then: of all that rotate away from it, one does, and the others get NotFound. The
// secrets that hosts of the gateway have are gone with it.
func (t *Tx) RotateSession(ctx context.Context, s gatehouse.Session, was string) error {
	_, err := update(ctx, t.c, gatehouse.ErrNotFound, scanSession, `UPDATE sessions SET secret_id=$4, secret_hash=$5, auth_time=$6, amr_json=$7, acr=$8,
		last_used_at=$9, device_hash=$10, address=$11, user_agent=$12
		WHERE realm=$1 AND id=$2 AND secret_id=$3 AND ended_at IS NULL RETURNING `+sessionColumns,
		s.Realm, s.ID, was, s.SecretID, s.SecretHash, s.AuthTime, document{s.AMR}, s.ACR, s.LastUsedAt, s.DeviceHash, s.Address, s.UserAgent)
	if err = t.changed(err, gatehouse.TopicSession, s.Realm, was, nil); err != nil {
		return err
	}
	return t.forgetHosts(ctx, s.Realm, `session_id=$2`, s.ID)
}

const endSession = `UPDATE sessions SET ended_at=$3, end_reason=$4, expires_at=CASE WHEN expires_at>$3 THEN $3 ELSE expires_at END
	WHERE realm=$1 AND ended_at IS NULL AND `

// EndSession ends a session of a user. It returns the session as it is then; ended tells
// whether this call ended it: of all that try, exactly one does. A session that does not
// exist, or is another user's, is NotFound.
func (t *Tx) EndSession(ctx context.Context, realm, user, id string, when time.Time, reason string) (s gatehouse.Session, ended bool, err error) {
	if when.IsZero() {
		return s, false, internal("a session cannot end at the zero time")
	}
	stored, err := many(ctx, t.c, scanSession, endSession+`user_id=$2 AND id=$5 RETURNING `+sessionColumns, realm, user, when, reason, id)
	if err != nil {
		return s, false, err
	}
	if len(stored) == 0 {
		s, err = one(ctx, t.c, scanSession, `SELECT `+sessionColumns+` FROM sessions WHERE realm=$1 AND user_id=$2 AND id=$3`+t.own, realm, user, id)
		return s, false, err
	}
	if err := t.changed(nil, gatehouse.TopicSession, realm, stored[0].SecretID, nil); err != nil {
		return s, false, err
	}
	if err := t.endGrantsOfSessions(ctx, realm, user, when, `session_id=$5`, id); err != nil {
		return s, false, err
	}
	if err := t.sessionsOver(ctx, realm, when, `session_id=$4`, id); err != nil {
		return s, false, err
	}
	return stored[0], true, t.forgetHosts(ctx, realm, `session_id=$2`, id)
}

// EndSessions ends every session of a user, or of the realm where user is "", but that with
// the id except, and returns those that it ended.
func (t *Tx) EndSessions(ctx context.Context, realm, user, except string, when time.Time, reason string) ([]gatehouse.Session, error) {
	if when.IsZero() {
		return nil, internal("sessions cannot end at the zero time")
	}
	ended, err := many(ctx, t.c, scanSession, endSession+`($2='' OR user_id=$2) AND id<>$5 RETURNING `+sessionColumns, realm, user, when, reason, except)
	for _, s := range ended {
		err = t.changed(err, gatehouse.TopicSession, realm, s.SecretID, nil)
	}
	if err != nil || len(ended) == 0 {
		return ended, err
	}
	if user != "" { // what a realm has ends by its cut-off
		if err := t.endGrantsOfSessions(ctx, realm, user, when, `session_id<>'' AND session_id<>$5`, except); err != nil {
			return nil, err
		}
	}
	if err := t.sessionsOver(ctx, realm, when, `($4='' OR user_id=$4) AND session_id<>$5`, user, except); err != nil {
		return nil, err
	}
	return ended, t.forgetHosts(ctx, realm, `session_id IN (SELECT id FROM sessions WHERE realm=$1 AND ended_at IS NOT NULL AND ($2='' OR user_id=$2))`, user)
}

// UseSessions stores last uses that are later than those that are there. Nobody is told:
// whoever finds a session unused for too long asks.
func (t *Tx) UseSessions(ctx context.Context, uses []authn.SessionUse) error {
	// All nodes lock the sessions in one order, or two of them would wait for each other.
	uses = sorted.Collect(slices.Values(uses), func(a, b authn.SessionUse) int {
		return cmp.Or(strings.Compare(a.Realm, b.Realm), strings.Compare(a.ID, b.ID))
	})
	for _, u := range uses {
		if _, err := exec(ctx, t.c, `UPDATE sessions SET last_used_at=$3 WHERE realm=$1 AND id=$2 AND ended_at IS NULL AND last_used_at<$3`,
			u.Realm, u.ID, u.At); err != nil {
			return err
		}
	}
	return nil
}

// PurgeSessions removes up to limit sessions that were over before the given time, and
// returns how many. Nobody is told: they are refused without their record as with it.
func (t *Tx) PurgeSessions(ctx context.Context, before time.Time, limit int) (int64, error) {
	return purge(ctx, t.c, "sessions", "realm, id", before, limit)
}
