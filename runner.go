package gatehouse

import "context"

// Runner runs fn in one transaction: everything fn wrote is committed durably
// before Runner returns nil, and nothing of it when fn or the commit fails. T
// is the small interface that a flow declares for what it needs inside; the
// server obtains the runner from the store and refuses to start when the store
// lacks a method. fn may run more than once (serialization retries), must not
// start another transaction and must not wait for anything but the transaction.
type Runner[T any] func(ctx context.Context, fn func(ctx context.Context, tx T) error) error
