package oracles

import (
	"slices"
	"strings"
)

// rule explains disagreements of one direction between our verifier and another.
type rule struct {
	name, why string
	only      string // "go-jose" or "jwx"; "" for both
	holds     func(w *world, f *facts, text string) bool
}

// laxer are the only disagreements in which we may accept what another refuses.
var laxer = []rule{
	{"Ed25519 by its name", "RFC 9864 gives EdDSA with Ed25519 a name of its own, which go-jose does not know yet", "go-jose",
		func(_ *world, f *facts, _ string) bool { return f.header.text("alg") == "Ed25519" }},
	{"number beyond a double", "JSON all the same (RFC 8259 §6), in a member that we do not read", "",
		func(_ *world, f *facts, _ string) bool { return f.header.huge() || f.claims.huge() }},
	{"blanks around the header", "the signature is over the octets sent (RFC 7515 §5.2); jwx takes it over the header without blanks", "jwx",
		func(_ *world, f *facts, _ string) bool {
			return strings.TrimSpace(string(f.header.raw)) != string(f.header.raw)
		}},
	{"nonce", "a member of ACME alone (RFC 8555 §6.5.2); go-jose wants a string", "go-jose",
		func(_ *world, f *facts, _ string) bool { return f.header.has("nonce") && f.header.kind("nonce") != '"' }},
	{"half a second left", "exp keeps its fraction with us; jwx cuts it off", "jwx", func(_ *world, f *facts, _ string) bool {
		v, ok := f.claims.number("exp")
		return ok && int64(v) == now && v > now
	}},
}

// stricter are the reasons for which we refuse what another accepts.
var stricter = []rule{
	{"another spelling", "padding, line breaks, bits behind the end, a signature that is not base64url: one token must have one text", "",
		func(_ *world, f *facts, _ string) bool { return !f.canonical }},
	{"header that names keys or changes meaning", "jku, x5u, jwk, x5c, crit, b64 and zip are refused, not ignored", "",
		func(_ *world, f *facts, _ string) bool {
			return f.header.has("crit", "b64", "zip", "jku", "jwk", "x5u", "x5c")
		}},
	{"header of wrong types", "alg, kid, typ, cty and x5t are strings", "", func(_ *world, f *facts, _ string) bool {
		return slices.ContainsFunc([]string{"alg", "kid", "typ", "cty", "x5t", "x5t#S256"}, func(n string) bool { return f.header.has(n) && f.header.kind(n) != '"' })
	}},
	{"member twice", "a second member of one name is a second reading", "",
		func(_ *world, f *facts, _ string) bool { return f.header.twice || f.claims.twice }},
	{"not Unicode", "invalid UTF-8 and halves of surrogate pairs read differently elsewhere", "",
		func(_ *world, f *facts, _ string) bool { return !f.header.unicode || !f.claims.unicode }},
	{"nests too deep", "sixteen levels are enough for claims", "",
		func(_ *world, f *facts, _ string) bool { return f.header.depth > 16 || f.claims.depth > 16 }},
	{"too long", "16 KiB a token, 4 KiB a header, 512 octets a kid", "", func(_ *world, f *facts, text string) bool {
		return len(text) > 16<<10 || len(f.header.raw) > 4<<10 || len(f.header.text("kid")) > 512
	}},
	{"wrong type of token", "typ must be one that the verifier is for (RFC 8725 §3.11)", "", func(_ *world, f *facts, _ string) bool {
		t := strings.ToLower(f.header.text("typ"))
		return !slices.Contains([]string{"at+jwt", "jwt", "", "application/at+jwt", "application/jwt"}, t) || t != strings.ToLower(strings.ToValidUTF8(t, "")) || strings.Contains(f.header.text("typ"), "\u212a")
	}},
	{"algorithm of another key", "a key is for one algorithm (RFC 8725 §3.1)", "", func(w *world, f *facts, _ string) bool {
		k := w.keys[f.header.text("kid")]
		alg := f.header.text("alg")
		return k != nil && k.alg != alg && !(k.alg == "EdDSA" && alg == "Ed25519")
	}},
	{"weak key", "short HMAC secrets and RSA keys below 2048 bits are not read at all", "", func(w *world, f *facts, _ string) bool {
		k := w.keys[f.header.text("kid")]
		return k != nil && k.weak()
	}},
	{"salt", "the salt of PSS is as long as the hash (RFC 7518 §3.5); go-jose takes any", "go-jose",
		func(_ *world, f *facts, _ string) bool { return strings.HasPrefix(f.header.text("alg"), "PS") }},
	{"claim missing", "iss, sub, aud, exp, iat and jti are required (RFC 9068 §2.2)", "", func(_ *world, f *facts, _ string) bool {
		return f.claims.ok && slices.ContainsFunc([]string{"iss", "sub", "aud", "exp", "iat", "jti"}, func(n string) bool {
			k := f.claims.kind(n)
			return k == 0 || k == 'n' || k == '"' && f.claims.text(n) == ""
		})
	}},
	{"claims of wrong types", "registered claims have the types their standards give them", "", func(_ *world, f *facts, _ string) bool { return wrongTypes(f.claims) }},
	{"date out of range", "dates lie between 1970 and 9999", "", func(_ *world, f *facts, _ string) bool {
		return slices.ContainsFunc([]string{"exp", "nbf", "iat", "auth_time"}, func(n string) bool {
			v, ok := f.claims.number(n)
			return f.claims.kind(n) == '0' && (!ok || f.claims.last(n)[0] == '-' || v > 253402300799)
		})
	}},
	{"the second of expiry", "a token is dead on its exp, not only after it (RFC 7519 §4.1.4)", "", func(_ *world, f *facts, _ string) bool {
		v, ok := f.claims.number("exp")
		return ok && int64(v) == now && v <= now
	}},
	{"fraction of a second", "dates keep their fraction; others cut it off", "", func(_ *world, f *facts, _ string) bool {
		return slices.ContainsFunc([]string{"nbf", "iat", "exp"}, func(n string) bool {
			v, ok := f.claims.number(n)
			return ok && int64(v) == now && v > now
		})
	}},
	{"claims are an object and nothing else", "no text behind it, no other kind of value", "",
		func(_ *world, f *facts, _ string) bool { return !f.claims.ok || !f.header.ok }},
}

func wrongTypes(c object) bool {
	is := func(name string, kinds string) bool {
		k := c.kind(name)
		return k == 0 || k == 'n' || strings.IndexByte(kinds, k) >= 0
	}
	for _, n := range []string{"iss", "sub", "jti", "client_id", "acr", "sid", "grant_id"} {
		if !is(n, `"`) {
			return true
		}
	}
	for _, n := range []string{"exp", "nbf", "iat", "auth_time"} {
		if !is(n, "0") || c.kind(n) == 'n' {
			return true
		}
	}
	return !is("aud", `"[`) || !is("scope", `"[`) || !is("amr", "[") || !stringsOnly(c, "aud") || !stringsOnly(c, "scope") || !stringsOnly(c, "amr")
}
