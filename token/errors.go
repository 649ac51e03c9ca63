package token

import "github.com/gatehouse-auth/gatehouse"

// The refusals of a verifier. They never say more than which rule was broken;
// docs/errors explains each code.
var (
	errMalformed     = gatehouse.E(gatehouse.Unauthenticated, "token_malformed", "The token is not well formed.")
	ErrTooLarge      = gatehouse.E(gatehouse.Unauthenticated, "token_too_large", "The token is too large.")
	errAlgorithm     = gatehouse.E(gatehouse.Unauthenticated, "token_algorithm_not_allowed", "The token's algorithm is not allowed here.")
	errType          = gatehouse.E(gatehouse.Unauthenticated, "token_wrong_type", "The token is not of the type expected here.")
	ErrKeyUnknown    = gatehouse.E(gatehouse.Unauthenticated, "token_key_unknown", "The token was signed with a key that is not known.")
	errSignature     = gatehouse.E(gatehouse.Unauthenticated, "token_signature_invalid", "The token's signature is not valid.")
	ErrExpired       = gatehouse.E(gatehouse.Unauthenticated, "token_expired", "The token has expired.")
	errNotYetValid   = gatehouse.E(gatehouse.Unauthenticated, "token_not_yet_valid", "The token is not valid yet.")
	ErrWrongIssuer   = gatehouse.E(gatehouse.Unauthenticated, "token_wrong_issuer", "The token is from another issuer.")
	ErrWrongAudience = gatehouse.E(gatehouse.Unauthenticated, "token_wrong_audience", "The token is meant for another audience.")
	errWrongSubject  = gatehouse.E(gatehouse.Unauthenticated, "token_wrong_subject", "The token is about somebody else.")
	errTooLong       = gatehouse.E(gatehouse.Unauthenticated, "token_lives_too_long", "The token's time (exp) is further ahead than is accepted here.")
	errClaimMissing  = gatehouse.E(gatehouse.Unauthenticated, "token_claim_missing", "The token lacks a claim that is required here.")

	errKeyInvalid = gatehouse.E(gatehouse.Invalid, "jwk_invalid", "The key is not acceptable.")
	errKeyWeak    = gatehouse.E(gatehouse.Invalid, "jwk_weak", "The key is too weak to be trusted.")
	errKeySet     = gatehouse.E(gatehouse.Invalid, "jwk_set_invalid", "The key set is not acceptable.")
)
