// Package audit is the record of who did what to what, with which outcome and
// why, in a form that nobody can quietly change.
//
// An event becomes one line of JSON ([Encode]). Lines are stored in batches:
// one batch with the events of a change, written in the transaction of the
// change; or a run of decision events, which the [Recorder] collects from the
// request path and writes together. The [Sequencer] gives every line its index
// in the realm's Merkle log (RFC 6962 hashing), stores the tiles of the tree and
// signs a checkpoint over size and root (C2SP tlog-checkpoint in a signed note).
// [VerifyLog] recomputes all of it from the stored lines, and that it
// continues what was signed before; [ProveInclusion] and [CheckInclusion] show one
// event to somebody who has nothing but a checkpoint. [Log] answers questions, and
// [Forwarder] copies the log to a [Sink] elsewhere.
//
// # Threat model
//
// Who can write to the database but has not the checkpoint key is found out by
// [VerifyLog]: altered, inserted, removed or reordered lines, altered tiles,
// invented checkpoints. Who has the key as well can write a new history; that is
// found out by anybody who kept a checkpoint from before. The tail after the
// last checkpoint that somebody kept can be cut off unseen, so checkpoints are
// worth keeping elsewhere. A line cannot forge another: control characters,
// line separators and direction marks inside values are escaped, invalid UTF-8
// is replaced, and the length of every value is bounded. Events never hold
// secrets; that is the duty of those who make them (gatehouse.Event).
//
// A log that cannot be written is not ignored: with overflow policy "block",
// requests wait; with "drop", what is lost is counted and the count becomes an
// event itself. The sequencer never signs two roots for one size: it recomputes
// the last signed root from the stored tiles before it signs the next.
//
// It must never import net/http, database/sql, or a package of level 2 or above.
package audit
