package store

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
)

// actOf is nothing for a grant by which nobody acts but its client: nearly all.
func actOf(g gatehouse.Grant) any {
	if g.Act == nil {
		return nil
	}
	return document{g.Act}
}

// endExchanged ends what tokens of grants that have ended were exchanged for, and what those were in turn.
func (t *Tx) endExchanged(ctx context.Context, parents []gatehouse.Grant, when time.Time) error {
	for len(parents) > 0 {
		p := parents[0]
		below, err := many(ctx, t.c, scanGrant, `UPDATE grants SET ended_at=$3, end_reason=$4
			WHERE realm=$1 AND parent_id=$2 AND parent_id<>'' AND ended_at IS NULL RETURNING `+grantColumns, p.Realm, p.ID, when, grant.ReasonParent)
		if err != nil {
			return err
		}
		for _, g := range below {
			if err := t.ended(ctx, g); err != nil {
				return err
			}
		}
		parents = append(parents[1:], below...)
	}
	return nil
}

// endExchangedOf ends what tokens of a client were exchanged for by others, of grants that began until when: it does not bear the
// client's name, so that no cut-off of the client meets it.
func (t *Tx) endExchangedOf(ctx context.Context, realm, client string, when time.Time) error {
	parents, err := many(ctx, t.c, scanGrant, `SELECT `+columnsOf("p", grantColumns)+` FROM grants AS p JOIN grants AS g ON g.realm=p.realm AND g.parent_id=p.id
		WHERE g.realm=$1 AND g.parent_id<>'' AND g.ended_at IS NULL AND p.client_id=$2 AND p.created_at<$3`,
		realm, client, when.Truncate(time.Millisecond).Add(time.Millisecond)) // as every checker compares: by whole milliseconds
	if err != nil {
		return err
	}
	return t.endExchanged(ctx, parents, when)
}
