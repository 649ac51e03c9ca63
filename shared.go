package gatehouse

// Refusals that rooms on several levels give, so that each code has one status and one text wherever it is met. An
// error that only one room makes, or rooms that import one another, stands there.
var (
	// ErrInternal is a failure of the program itself. It is always given a cause for the operator.
	ErrInternal = E(Internal, "internal", "")
	// ErrNotFound says that what was asked for is not there, or that the caller may not know of it.
	ErrNotFound = E(NotFound, "not_found", "There is nothing here.")
	// ErrRealmNotFound says that there is no such realm, or that it is disabled.
	ErrRealmNotFound = E(NotFound, "realm_not_found", "There is no such realm.")
	// ErrVersionConflict says that a record is no longer the one that the caller read.
	ErrVersionConflict = E(Conflict, "version_conflict", "Somebody else changed this meanwhile; read it again.")
	// ErrSignInAgain says that what somebody is let in by is changed a moment after a sign-in alone.
	ErrSignInAgain = E(Denied, "sign_in_again", "This is changed a moment after a sign-in.")
	// ErrInsufficientScope says that the credential carries not all the scopes that this needs (RFC 6750 §3.1).
	ErrInsufficientScope = E(Denied, "insufficient_scope", "The credential lacks a scope that this needs.")
	// ErrSecondFactor asks for a code of a second factor where a password alone was given.
	ErrSecondFactor = E(Unauthenticated, "second_factor_required", "This account has a second factor: a code of it is needed, too.")
	// ErrNoSecondFactor tells who must have a second factor, and has none, how to get one.
	ErrNoSecondFactor = E(Unauthenticated, "second_factor_missing", "This account must have a second factor and has none yet: sign in in a browser, at /signin, to add one.")
	// ErrInitialPassword tells who has a password that somebody else has made how to choose one.
	ErrInitialPassword = E(Unauthenticated, "initial_password", "This password was made by somebody else and is for choosing one of your own: sign in with it in a browser, at /signin.")
	// ErrRateLimited says that a limit on requests was reached. Who returns it sets RetryAfter on a copy.
	ErrRateLimited = E(RateLimited, "rate_limited", "Too many requests; try again later.")
)
