// Package lease sees to it that work which only one process may do is done by one
// process, whatever happens to it.
//
// A lease is a row in the database: who holds it, until when by the database's clock,
// and an epoch that grows with each new holder. The holder renews it; who cannot renew
// it stops. That alone would not do: a process that is stopped for a minute in the
// middle of its work knows nothing of the minute when it goes on. So what it writes is
// fenced: the context that its work runs in carries the lease ([From]), and the store
// looks, in each transaction of that context and as the last thing before the commit,
// whether the lease still has this holder and this epoch. The row is locked from there to
// the commit, so nobody can take the lease in between.
//
// A process that has the database to itself (SQLite, or PostgreSQL without others) has
// leases without an end: it takes each once when it starts, from whoever had it, never
// waits and never renews.
package lease
