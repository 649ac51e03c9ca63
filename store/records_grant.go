package store

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// ---- grants ----

const grantColumns = `realm, id, subject, client_id, session_id, scopes_json, audience_json, auth_time, amr_json, acr,
	status_list, status_index, created_at, expires_at, ended_at, end_reason, cnf, claims_json, parent_id, act_json, may_act, details_json`

func scanGrant(r row) (v gatehouse.Grant, err error) {
	err = r.Scan(&v.Realm, &v.ID, &v.Subject, &v.ClientID, &v.SessionID, from(&v.Scopes), from(&v.Audience), at(&v.AuthTime),
		from(&v.AMR), &v.ACR, &v.StatusList, &v.StatusIdx, at(&v.CreatedAt), at(&v.ExpiresAt), at(&v.EndedAt), &v.EndReason, bound(&v.Confirmation), from(&v.Claims),
		&v.Parent, from(&v.Act), &v.MayAct, from(&v.Details))
	return v, err
}

// gatehouse.Grant returns one grant, ended or not.
func (q Queries) Grant(ctx context.Context, realm, id string) (gatehouse.Grant, error) {
	return one(ctx, q.c, scanGrant, `SELECT `+grantColumns+` FROM grants WHERE realm=$1 AND id=$2`+q.own, realm, id)
}

// Grants lists grants by id, of one subject or, with subject "", of the realm.
func (q Queries) Grants(ctx context.Context, realm, subject, after string, limit int) ([]gatehouse.Grant, error) {
	if err := page(limit); err != nil {
		return nil, err
	}
	if subject == "" {
		return many(ctx, q.c, scanGrant, `SELECT `+grantColumns+` FROM grants WHERE realm=$1 AND id>$2 ORDER BY id LIMIT $3`+q.own,
			realm, after, limit)
	}
	return many(ctx, q.c, scanGrant, `SELECT `+grantColumns+` FROM grants WHERE realm=$1 AND subject=$2 AND id>$3
		ORDER BY id LIMIT $4`+q.own, realm, subject, after, limit)
}

// InsertGrant adds a grant; an id in use is Conflict. Nobody is told, because nobody can
// remember anything of it: to tell would have every opaque token looked up again at every
// login of somebody.
func (t *Tx) InsertGrant(ctx context.Context, g gatehouse.Grant) error {
	return insert(ctx, t.c, insertGrant+` ON CONFLICT DO NOTHING`, grantArgs(g)...)
}

const insertGrant = `INSERT INTO grants (` + grantColumns + `)
	VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22)`

func grantArgs(g gatehouse.Grant) []any {
	return []any{g.Realm, g.ID, g.Subject, g.ClientID, g.SessionID, document{g.Scopes}, document{g.Audience}, g.AuthTime, document{g.AMR},
		g.ACR, g.StatusList, g.StatusIdx, g.CreatedAt, g.ExpiresAt, g.EndedAt, g.EndReason, confirmationText(g.Confirmation), claimsOf(g),
		g.Parent, actOf(g), g.MayAct, document{g.Details}}
}

// claimsOf is nothing for a grant of which no claims were asked for one by one: nearly all.
func claimsOf(g gatehouse.Grant) any {
	if g.Claims.None() {
		return nil
	}
	return document{g.Claims}
}

// EndGrant ends a grant and sets its status bit. It returns the grant as it is
// then; ended tells whether this call ended it: of all that try, exactly one does.
// A grant that does not exist is NotFound.
func (t *Tx) EndGrant(ctx context.Context, realm, id string, when time.Time, reason string) (g gatehouse.Grant, ended bool, err error) {
	if when.IsZero() {
		return g, false, internal("a grant cannot end at the zero time")
	}
	stored, err := many(ctx, t.c, scanGrant, `UPDATE grants SET ended_at=$3, end_reason=$4
		WHERE realm=$1 AND id=$2 AND ended_at IS NULL RETURNING `+grantColumns, realm, id, when, reason)
	if err != nil {
		return g, false, err
	}
	if len(stored) == 0 {
		g, err = t.Grant(ctx, realm, id)
		return g, false, err
	}
	if err := t.endExchanged(ctx, stored, when); err != nil {
		return g, false, err
	}
	return stored[0], true, t.ended(ctx, stored[0])
}

// ended tells of the end of g and sets its status bit.
func (t *Tx) ended(ctx context.Context, g gatehouse.Grant) error {
	if err := t.changed(nil, gatehouse.TopicGrant, g.Realm, g.ID, g); err != nil {
		return err
	}
	return t.InsertStatusBit(ctx, revocation.NewStatusBit(g.Realm, g.StatusList, g.StatusIdx))
}

// EndGrantsOf ends every open grant of a subject and sets their status bits, and
// returns them.
func (t *Tx) EndGrantsOf(ctx context.Context, realm, subject string, when time.Time, reason string) ([]gatehouse.Grant, error) {
	if when.IsZero() || subject == "" {
		return nil, internal("grants end for somebody, and not at the zero time")
	}
	ended, err := many(ctx, t.c, scanGrant, `UPDATE grants SET ended_at=$3, end_reason=$4
		WHERE realm=$1 AND subject=$2 AND ended_at IS NULL RETURNING `+grantColumns, realm, subject, when, reason)
	if err != nil {
		return nil, err
	}
	for _, g := range ended {
		if err := t.ended(ctx, g); err != nil {
			return nil, err
		}
	}
	return ended, nil
}

// HeldGrants lists the grants of a user that have not ended by now, but for those that no registered client has, and when tokens of each
// were last issued: refresh tokens tell.
func (q Queries) HeldGrants(ctx context.Context, realm, user string, now time.Time) ([]grant.Held, error) {
	return many(ctx, q.c, func(r row) (h grant.Held, err error) {
		v := &h.Grant
		err = r.Scan(&v.Realm, &v.ID, &v.Subject, &v.ClientID, &v.SessionID, from(&v.Scopes), from(&v.Audience), &v.StatusList, &v.StatusIdx,
			at(&v.CreatedAt), at(&v.ExpiresAt), at(&h.UsedAt))
		if h.UsedAt.IsZero() {
			h.UsedAt = v.CreatedAt
		}
		return h, err
	}, `SELECT realm, id, subject, client_id, session_id, scopes_json, audience_json, status_list, status_index, created_at, expires_at,
		(SELECT MAX(r.issued_at) FROM refresh_tokens r WHERE r.realm=g.realm AND r.grant_id=g.id)
		FROM grants g WHERE realm=$1 AND subject=$2 AND ended_at IS NULL AND expires_at>$3 AND client_id<>$4 ORDER BY id`,
		realm, user, now, grant.FirstPartyClient)
}

// EndGrantsOfClient ends every open grant that a client has of a user and sets their status bits, and returns how many.
func (t *Tx) EndGrantsOfClient(ctx context.Context, realm, user, client string, when time.Time, reason string) (n int, err error) {
	if when.IsZero() || user == "" || client == "" {
		return 0, internal("grants of a client end for somebody, and not at the zero time")
	}
	ended, err := many(ctx, t.c, scanGrant, `UPDATE grants SET ended_at=$4, end_reason=$5
		WHERE realm=$1 AND subject=$2 AND client_id=$3 AND ended_at IS NULL RETURNING `+grantColumns, realm, user, client, when, reason)
	for _, g := range ended {
		if err == nil {
			err = t.ended(ctx, g)
		}
	}
	if err == nil {
		err = t.endExchanged(ctx, ended, when)
	}
	return len(ended), err
}

// endGrantsOfSessions ends the open grants of a user that end with sessions, which condition names by $5, and sets their
// status bits.
func (t *Tx) endGrantsOfSessions(ctx context.Context, realm, user string, when time.Time, condition, session string) error {
	ended, err := many(ctx, t.c, scanGrant, `UPDATE grants SET ended_at=$3, end_reason=$4
		WHERE realm=$1 AND subject=$2 AND ended_at IS NULL AND `+condition+` RETURNING `+grantColumns, realm, user, when, grant.ReasonSession, session)
	for _, g := range ended {
		if err == nil {
			err = t.ended(ctx, g)
		}
	}
	return err
}

// EndGrants ends every open grant of a realm, sets their status bits, and returns
// how many there were. It is for a store that is not in use yet: who subscribed
// loads everything anew.
func (t *Tx) EndGrants(ctx context.Context, realm string, when time.Time, reason string) (int64, error) {
	if when.IsZero() {
		return 0, internal("grants do not end at the zero time")
	}
	lists, err := many(ctx, t.c, func(r row) (list int64, err error) { err = r.Scan(&list); return list, err },
		`SELECT DISTINCT status_list FROM grants WHERE realm=$1 AND ended_at IS NULL`, realm)
	if err != nil {
		return 0, err
	}
	for _, list := range lists {
		if _, err := exec(ctx, t.c, `INSERT INTO status_bits (realm, list, position, expires_at)
			SELECT realm, status_list, status_index, $3 FROM grants WHERE realm=$1 AND status_list=$2 AND ended_at IS NULL
			ON CONFLICT DO NOTHING`, realm, list, revocation.ListExpires(list)); err != nil {
			return 0, err
		}
	}
	n, err := exec(ctx, t.c, `UPDATE grants SET ended_at=$2, end_reason=$3 WHERE realm=$1 AND ended_at IS NULL`, realm, when, reason)
	if err != nil || n == 0 {
		return 0, err
	}
	t.changes = append(t.changes, gatehouse.Change{Topic: gatehouse.TopicGrant, Realm: realm}, gatehouse.Change{Topic: gatehouse.TopicRevocation})
	return n, nil
}

// PurgeGrants removes up to limit grants whose absolute end was before the given
// time, with their refresh tokens, and returns how many. An ended grant stays
// until then, so that a replayed refresh token is still recognised as one. Nobody
// is told: what has expired by itself is refused without its record as with it.
func (t *Tx) PurgeGrants(ctx context.Context, before time.Time, limit int) (int64, error) {
	return purge(ctx, t.c, "grants", "realm, id", before, limit)
}

// purge deletes up to limit rows that ended before the given time. The names are
// fixed in this package; key is the table's primary key.
func purge(ctx context.Context, c conn, table, key string, before time.Time, limit int) (int64, error) {
	if limit < 1 {
		return 0, errLimit
	}
	return exec(ctx, c, `DELETE FROM `+table+` WHERE (`+key+`) IN
		(SELECT `+key+` FROM `+table+` WHERE expires_at<$1 ORDER BY expires_at LIMIT $2)`, before, limit)
}

// ---- refresh tokens ----

const refreshColumns = `hash, grant_id, realm, sequence, issued_at, expires_at, used_at`

// Refresh returns a refresh token by the hash of its text, used or not.
func (q Queries) Refresh(ctx context.Context, hash []byte) (grant.Refresh, error) {
	return one(ctx, q.c, func(r row) (v grant.Refresh, err error) {
		err = r.Scan(blob(&v.Hash), &v.GrantID, &v.Realm, &v.Sequence, at(&v.IssuedAt), at(&v.ExpiresAt), at(&v.UsedAt))
		return v, err
	}, `SELECT `+refreshColumns+` FROM refresh_tokens WHERE hash=$1`+q.own, hash)
}

// Family returns a refresh token by the hash of its text, with its grant and the latest
// cut-off that is set for the grant's subject, client or session, or for its realm.
func (q Queries) Family(ctx context.Context, hash []byte) (f grant.Family, err error) {
	if f.Refresh, err = q.Refresh(ctx, hash); err != nil {
		return f, err
	}
	if f.Grant, err = q.Grant(ctx, f.Refresh.Realm, f.Refresh.GrantID); err != nil {
		return f, err
	}
	f.CutOff, err = q.CutOff(ctx, f.Grant.Realm, f.Grant.Subject, f.Grant.ClientID, f.Grant.SessionID)
	return f, err
}

// CutOff returns the latest cut-off that is set for a subject, client or session of a realm, or for the realm; zero for none.
func (q Queries) CutOff(ctx context.Context, realm, subject, client, session string) (time.Time, error) {
	return one(ctx, q.c, func(r row) (v time.Time, err error) { err = r.Scan(at(&v)); return v, err },
		`SELECT MAX(before_at) FROM cutoffs WHERE realm=$1 AND (kind=$2 AND id=$3 OR kind=$4 AND id=$5 OR kind=$6 AND id=$7 OR kind=$8 AND id='')`,
		realm, string(revocation.CutoffSubject), subject, string(revocation.CutoffClient), client,
		string(revocation.CutoffSession), session, string(revocation.CutoffRealm))
}

// InsertIssued adds what is there of a grant, its refresh token and an opaque
// token, in that order; see the methods for each. On PostgreSQL they go out with the
// COMMIT ([Tx.finally]): the transaction itself does not see them, and it is the runner
// that reports a Conflict.
func (t *Tx) InsertIssued(ctx context.Context, i grant.Issued) error {
	if t.together() {
		return t.issueLast(ctx, i)
	}
	if i.Grant != nil {
		if err := t.InsertGrant(ctx, *i.Grant); err != nil {
			return err
		}
	}
	if i.Refresh != nil {
		if err := t.InsertRefresh(ctx, *i.Refresh); err != nil {
			return err
		}
	}
	if i.Listener != nil {
		if _, err := exec(ctx, t.c, insertListener, listenerArgs(*i.Listener)...); err != nil {
			return err
		}
	}
	if i.Opaque != nil {
		return t.InsertOpaqueToken(ctx, *i.Opaque)
	}
	return nil
}

func (t *Tx) issueLast(ctx context.Context, i grant.Issued) error {
	if i.Grant != nil {
		if err := t.finally(ctx, insertGrant, grantArgs(*i.Grant)...); err != nil {
			return err
		}
	}
	if i.Refresh != nil {
		if err := t.finally(ctx, insertRefresh, refreshArgs(*i.Refresh)...); err != nil {
			return err
		}
	}
	if i.Listener != nil {
		if err := t.finally(ctx, insertListener, listenerArgs(*i.Listener)...); err != nil {
			return err
		}
	}
	if i.Opaque != nil {
		return t.finally(ctx, insertOpaque, opaqueArgs(*i.Opaque)...)
	}
	return nil
}

// InsertRefresh adds a refresh token; a hash in use, or a grant that does not
// exist, is Conflict.
func (t *Tx) InsertRefresh(ctx context.Context, r grant.Refresh) error {
	return insert(ctx, t.c, insertRefresh+` ON CONFLICT DO NOTHING`, refreshArgs(r)...)
}

const insertRefresh = `INSERT INTO refresh_tokens (` + refreshColumns + `) VALUES ($1,$2,$3,$4,$5,$6,$7)`

func refreshArgs(r grant.Refresh) []any {
	return []any{r.Hash, r.GrantID, r.Realm, r.Sequence, r.IssuedAt, r.ExpiresAt, r.UsedAt}
}

// UseRefresh marks a refresh token as used and tells whether it was unused: of
// all that try with one token, exactly one wins.
func (t *Tx) UseRefresh(ctx context.Context, hash []byte, when time.Time) (won bool, err error) {
	if when.IsZero() {
		return false, internal("a refresh token cannot be used at the zero time")
	}
	n, err := exec(ctx, t.c, `UPDATE refresh_tokens SET used_at=$2 WHERE hash=$1 AND used_at IS NULL`, hash, when)
	return n > 0, err
}

// KeepRefresh has the time of an unused refresh token begin anew, and tells whether it is unused.
func (t *Tx) KeepRefresh(ctx context.Context, hash []byte, when, expires time.Time) (unused bool, err error) {
	if when.IsZero() || expires.IsZero() {
		return false, internal("the time of a refresh token cannot begin or end at the zero time")
	}
	n, err := exec(ctx, t.c, `UPDATE refresh_tokens SET issued_at=$2, expires_at=$3 WHERE hash=$1 AND used_at IS NULL`, hash, when, expires)
	return n > 0, err
}

// ---- revocation ----

func scanStatusBit(r row) (v revocation.StatusBit, err error) {
	err = r.Scan(&v.Realm, &v.List, &v.Index, at(&v.ExpiresAt))
	return v, err
}

// placesAtOnce is how many places of a list are read as one text, of half a megabyte.
const placesAtOnce = 1 << 16

// EachStatusBit gives take every status bit of every realm that is not yet
// purged, by realm and list, without ExpiresAt, which is that of the list. The
// primary key's index has all of it: to look up the rows of a million places costs
// four times as much as reading them there. The database hands out the places of a
// list as one text, because to hand out a row costs several times as much as to find
// it; the lists are found one after the other.
func (q Queries) EachStatusBit(ctx context.Context, take func(revocation.StatusBit) error) error {
	type listKey struct {
		realm string
		list  int64
	}
	first := func(r row) (l listKey, err error) {
		err = r.Scan(&l.realm, &l.list)
		return l, err
	}
	for at := (listKey{"", math.MinInt64}); ; {
		// In two steps, each of which an index answers by one look: for (realm, list)>($1,$2)
		// SQLite looks through the whole rest of the realm.
		lists, err := many(ctx, q.c, first, `SELECT realm, list FROM status_bits WHERE realm=$1 AND list>$2 ORDER BY list LIMIT 1`, at.realm, at.list)
		if err == nil && len(lists) == 0 {
			lists, err = many(ctx, q.c, first, `SELECT realm, list FROM status_bits WHERE realm>$1 ORDER BY realm, list LIMIT 1`, at.realm)
		}
		if err != nil || len(lists) == 0 {
			return err
		}
		at = lists[0]
		if err := q.eachPlace(ctx, at.realm, at.list, take); err != nil {
			return err
		}
	}
}

// eachPlace gives take the status bits of one list.
func (q Queries) eachPlace(ctx context.Context, realm string, list int64, take func(revocation.StatusBit) error) error {
	type run struct {
		places string
		last   int64
		count  int
	}
	scan := func(r row) (v run, err error) {
		err = r.Scan(&v.places, &v.last, &v.count)
		return v, err
	}
	for last, full := int64(math.MinInt64), true; full; {
		err := each(ctx, q.c, scan, func(v run) error {
			if last, full = v.last, v.count == placesAtOnce; v.count == 0 {
				return nil
			}
			for place := range strings.SplitSeq(v.places, ",") {
				index, err := strconv.ParseInt(place, 10, 64)
				if err != nil {
					return internal("place %q of status list %d: %w", place, list, err)
				}
				if err := take(revocation.StatusBit{Realm: realm, List: list, Index: index}); err != nil {
					return err
				}
			}
			return nil
		}, `SELECT COALESCE(string_agg(CAST(position AS TEXT), ','),''), COALESCE(MAX(position),0), COUNT(*) FROM (SELECT position FROM status_bits
			WHERE realm=$1 AND list=$2 AND position>$3 ORDER BY position LIMIT $4) AS places`, realm, list, last, placesAtOnce)
		if err != nil {
			return err
		}
	}
	return nil
}

// InsertStatusBit sets a status bit. Setting it again is fine, and keeps it
// until the later end.
func (t *Tx) InsertStatusBit(ctx context.Context, b revocation.StatusBit) error {
	stored, err := one(ctx, t.c, scanStatusBit, `INSERT INTO status_bits (realm, list, position, expires_at) VALUES ($1,$2,$3,$4)
		ON CONFLICT (realm, list, position) DO UPDATE SET
		expires_at=CASE WHEN status_bits.expires_at>excluded.expires_at OR status_bits.expires_at IS NULL
		THEN status_bits.expires_at ELSE excluded.expires_at END
		RETURNING realm, list, position, expires_at`, b.Realm, b.List, b.Index, b.ExpiresAt)
	return t.changed(err, gatehouse.TopicRevocation, b.Realm, "", stored)
}

func scanCutoff(r row) (v revocation.Cutoff, err error) {
	err = r.Scan(&v.Realm, enum(&v.Kind), &v.ID, at(&v.Before), at(&v.ExpiresAt))
	return v, err
}

// EachCutoff gives take every cut-off of every realm that is not yet purged.
func (q Queries) EachCutoff(ctx context.Context, take func(revocation.Cutoff) error) error {
	return each(ctx, q.c, scanCutoff, take, `SELECT realm, kind, id, before_at, expires_at FROM cutoffs`)
}

// StatusBitAt gives take the status bit of one credential, when it is set.
func (q Queries) StatusBitAt(ctx context.Context, ref revocation.Ref, take func(revocation.StatusBit) error) error {
	return each(ctx, q.c, func(r row) (revocation.StatusBit, error) {
		var place int64
		err := r.Scan(&place)
		return revocation.NewStatusBit(ref.Realm, ref.List, place), err
	}, take, `SELECT position FROM status_bits WHERE realm=$1 AND list=$2 AND position=$3`, ref.Realm, ref.List, ref.Index)
}

// CutoffsOf gives take every cut-off that could concern one credential.
func (q Queries) CutoffsOf(ctx context.Context, ref revocation.Ref, take func(revocation.Cutoff) error) error {
	return each(ctx, q.c, scanCutoff, take, `SELECT realm, kind, id, before_at, expires_at FROM cutoffs WHERE realm=$1 AND (kind=$2 AND id=''
		OR kind=$3 AND id=$4 OR kind=$5 AND id=$6 OR kind=$7 AND id=$8 OR kind=$9 AND id=$10)`, ref.Realm, string(revocation.CutoffRealm),
		string(revocation.CutoffSubject), ref.Subject, string(revocation.CutoffClient), ref.Client, string(revocation.CutoffSession), ref.Session,
		string(revocation.CutoffKey), ref.KeyID)
}

// PutCutoff sets a cut-off. Of two for the same thing the later Before and the
// later end stay: a cut-off is never moved back.
func (t *Tx) PutCutoff(ctx context.Context, c revocation.Cutoff) error {
	stored, err := one(ctx, t.c, scanCutoff, `INSERT INTO cutoffs (realm, kind, id, before_at, expires_at) VALUES ($1,$2,$3,$4,$5)
		ON CONFLICT (realm, kind, id) DO UPDATE SET
		before_at=CASE WHEN cutoffs.before_at>excluded.before_at OR excluded.before_at IS NULL
		THEN cutoffs.before_at ELSE excluded.before_at END,
		expires_at=CASE WHEN cutoffs.expires_at>excluded.expires_at OR cutoffs.expires_at IS NULL
		THEN cutoffs.expires_at ELSE excluded.expires_at END
		RETURNING realm, kind, id, before_at, expires_at`, c.Realm, string(c.Kind), c.ID, c.Before, c.ExpiresAt)
	if err == nil {
		err = t.cutSessions(ctx, c)
	}
	if err == nil && c.Kind == revocation.CutoffClient {
		err = t.endExchangedOf(ctx, c.Realm, c.ID, c.Before)
	}
	return t.changed(err, gatehouse.TopicRevocation, c.Realm, "", stored)
}

// PurgeRevocations removes up to limit status bits, signed lists and cut-offs whose tokens
// had all expired by themselves before the given time, and returns how many. Those with
// a zero end stay for ever. Nobody is told, as with [Tx.PurgeGrants].
func (t *Tx) PurgeRevocations(ctx context.Context, before time.Time, limit int) (done int64, err error) {
	for _, of := range [...]struct{ table, key string }{{"status_bits", "realm, list, position"}, {"status_lists", "realm, list"}, {"cutoffs", "realm, kind, id"}} {
		n, err := purge(ctx, t.c, of.table, of.key, before, limit-int(done))
		if done += n; err != nil || done == int64(limit) {
			return done, err
		}
	}
	return done, nil
}
