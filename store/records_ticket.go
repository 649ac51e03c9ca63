package store

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/credential"
)

const ticketColumns = `hash, sealed, expires_at`

func scanTicket(r row) (v credential.Ticket, err error) {
	err = r.Scan(blob(&v.Hash), blob(&v.Sealed), at(&v.ExpiresAt))
	return v, err
}

// Ticket returns a ticket that was not used yet, by the hash of its text.
func (q Queries) Ticket(ctx context.Context, hash []byte) (credential.Ticket, error) {
	return one(ctx, q.c, scanTicket, `SELECT `+ticketColumns+` FROM tickets WHERE hash=$1`, hash)
}

// InsertTicket adds a ticket; a hash in use is Conflict.
func (t *Tx) InsertTicket(ctx context.Context, v credential.Ticket) error {
	return insert(ctx, t.c, `INSERT INTO tickets (`+ticketColumns+`) VALUES ($1,$2,$3) ON CONFLICT DO NOTHING`, v.Hash, v.Sealed, v.ExpiresAt)
}

// TakeTicket removes a ticket and returns it. Of all that ask for the same one, one
// gets it and the others NotFound.
func (t *Tx) TakeTicket(ctx context.Context, hash []byte) (credential.Ticket, error) {
	return one(ctx, t.c, scanTicket, `DELETE FROM tickets WHERE hash=$1 RETURNING `+ticketColumns, hash)
}

// PurgeTickets removes up to limit tickets that expired before the given time, and
// returns how many.
func (t *Tx) PurgeTickets(ctx context.Context, before time.Time, limit int) (int64, error) {
	return purge(ctx, t.c, "tickets", "hash", before, limit)
}
