package token

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	// maxStatusListBytes bounds the compact text of a Status List Token. A full
	// list of 2^20 places that cannot be compressed is about 240 KB of it.
	maxStatusListBytes = 256 << 10
	// maxStatusListTTL bounds how long a list may ask to be kept.
	maxStatusListTTL = 24 * time.Hour
)

// StatusListVerifierConfig fixes whose status lists are believed. There is no
// field that turns a check off.
type StatusListVerifierConfig struct {
	Issuer     string      // compared exactly; required
	Algorithms []Algorithm // allow-list; required
	Keys       KeySource   // required
	// Leeway forgives an issue in the future, at most [MaxLeeway]. An expiry is not
	// forgiven: a list lives for a minute, and late is stale.
	Leeway time.Duration
	Now    func() time.Time // nil: time.Now
}

// StatusListVerifier verifies Status List Tokens (draft-ietf-oauth-status-list-21
// §5.1) of one issuer. It is safe for concurrent use.
//
// The draft gives these tokens no audience: they are for everybody. What ties one
// to its use is sub, the address of the list, which must be the one that was
// asked for.
type StatusListVerifier struct {
	opener
	issuer string
	leeway time.Duration
	now    func() time.Time
}

// StatusList is a verified status list of one bit a status.
type StatusList struct {
	// Compressed is lst as signed: base64url of the ZLIB form of the bits. It can
	// unpack to much more than it is; bound that.
	Compressed string
	IssuedAt   time.Time
	ExpiresAt  time.Time
	TTL        time.Duration // how long it may be kept before it is fetched again
}

// NewStatusListVerifier refuses a configuration that leaves anything open.
func NewStatusListVerifier(cfg StatusListVerifierConfig) (*StatusListVerifier, error) {
	switch {
	case cfg.Issuer == "":
		return nil, errors.New("status list verifier: no issuer")
	case len(cfg.Algorithms) == 0:
		return nil, errors.New("status list verifier: no algorithms")
	case cfg.Keys == nil:
		return nil, errors.New("status list verifier: no keys")
	case cfg.Leeway < 0 || cfg.Leeway > MaxLeeway:
		return nil, errors.New("status list verifier: leeway must be between 0 and 60 seconds")
	}
	allowed, ok := setOf(cfg.Algorithms)
	if !ok {
		return nil, errors.New("status list verifier: unknown algorithm")
	}
	v := &StatusListVerifier{
		opener: opener{allowed: allowed, types: []string{TypeStatusList}, keys: cfg.Keys, maxBytes: maxStatusListBytes},
		issuer: cfg.Issuer, leeway: cfg.Leeway, now: cfg.Now,
	}
	if v.now == nil {
		v.now = time.Now
	}
	return v, nil
}

// Verify checks everything about a compact Status List Token that was fetched
// for uri, save what the list unpacks to. Errors are those of [Verifier.Verify];
// a list with another address has the wrong audience.
func (v *StatusListVerifier) Verify(compact, uri string) (StatusList, error) {
	payload, _, err := v.open(compact)
	if err != nil {
		return StatusList{}, err
	}
	var w struct {
		Iss  string      `json:"iss"`
		Sub  string      `json:"sub"`
		Iat  numericDate `json:"iat"`
		Exp  numericDate `json:"exp"`
		TTL  int64       `json:"ttl"`
		List struct {
			Bits int64  `json:"bits"`
			List string `json:"lst"`
		} `json:"status_list"`
	}
	if firstByte(payload) != '{' || !shallow(payload) || json.Unmarshal(payload, &w) != nil {
		return StatusList{}, errMalformed.With(errors.New("claims are not a well-formed JSON object of the right types"))
	}
	for _, claim := range [...]struct {
		name    string
		present bool
	}{{"iss", w.Iss != ""}, {"sub", w.Sub != ""}, {"iat", !w.Iat.IsZero()}, {"exp", !w.Exp.IsZero()},
		{"ttl", w.TTL != 0}, {"status_list", w.List.Bits != 0 && w.List.List != ""}} {
		if !claim.present {
			return StatusList{}, errClaimMissing.With(errors.New(claim.name))
		}
	}
	now := v.now()
	switch {
	case w.Iss != v.issuer:
		return StatusList{}, ErrWrongIssuer
	case w.Sub != uri:
		return StatusList{}, ErrWrongAudience.With(errors.New("this is another status list"))
	case !now.Before(w.Exp.Time):
		return StatusList{}, ErrExpired
	case w.Iat.After(now.Add(v.leeway)):
		return StatusList{}, errNotYetValid
	case w.TTL < 0 || w.TTL > int64(maxStatusListTTL/time.Second):
		return StatusList{}, errMalformed.With(errors.New("ttl is out of range"))
	case w.List.Bits != 1:
		return StatusList{}, errMalformed.With(errors.New("only lists of one bit are understood"))
	}
	return StatusList{Compressed: w.List.List, IssuedAt: w.Iat.Time, ExpiresAt: w.Exp.Time,
		TTL: time.Duration(w.TTL) * time.Second}, nil
}
