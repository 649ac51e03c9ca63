package credential_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// foreign are hashes of one password, made by the programs named (Django 5, Werkzeug 3,
// argon2-cffi, passlib, OpenSSL) or, where that is Java, C# or PHP, by its documented form.
func foreign() [][2]string {
	return [][2]string{
		{"Django argon2", `argon2$argon2id$v=19$m=256,t=1,p=1$c29tZXNhbHRzb21lc2FsdHNvbWVzYQ$lZ8RRE/WInWvmZsxqVrv4zimxJZaUb6A7Qj6HNme4Us`},
		{"Django bcrypt", `bcrypt$$2b$04$c.JPMkaB8FGAjOvvP1xxT.2Kv1EeDKwVJ.FCPbKFGw9i7diXc9Hr.`},
		{"Django bcrypt_sha256", `bcrypt_sha256$$2b$04$OX63it1Mp/kS3Tdhme3mtetRUpjOlVnwLM9SojnuGOYC3jSmcRf0G`},
		{"Django scrypt", `scrypt$1024$somesaltsomesaltsomesa$8$1$dzNkGwtq+PM6+eS1bRhvYtLZGxSbpt48pRwAA8869NNn9w56CL/H1amBl/dsjF8HpeRicrqFafXyDCjpEmp9OQ==`},
		{"Django pbkdf2_sha1", `pbkdf2_sha1$1000$somesaltsomesaltsomesa$InOx7J0NMDeP3mLj4RgTVLm/fc4=`},
		{"Django pbkdf2_sha256", `pbkdf2_sha256$1000$somesaltsomesaltsomesa$bkiPxQI0NMpm2xrMZAMm1oY4VgxfHRfNGcO6WbnYHOU=`},
		{"Werkzeug scrypt", `scrypt:1024:8:1$7Y7qRd3lvWQ7fpUj$b0fbc3c7023b6b1cc68c641e5eb01a50da744a67fa4d362f19c66e0f5d5d5b991413aebc3cf1ff398ee947c4bfe6b7e2c452d8c4d18fd9b701ee7eefbb80bdf4`},
		{"Werkzeug pbkdf2", `pbkdf2:sha256:1000$Ib38J6lqZmUl7PtN$26754045912847a4bfac24bf72152cae0d803587de2a442a1d22125fad2d25b4`},
		{"slapd argon2i", `{ARGON2}$argon2i$v=19$m=256,t=1,p=1$c29tZXNhbHQxMjM0NTY3OA$FobE4S3gwtNNj2QcRMb8qUFTXXfIctwHiAnNgrSyhfw`},
		{"argon2i", `$argon2i$v=19$m=256,t=1,p=1$c29tZXNhbHQxMjM0NTY3OA$FobE4S3gwtNNj2QcRMb8qUFTXXfIctwHiAnNgrSyhfw`},
		{"npm argon2, later", `$argon2id$v=19$m=256,p=1,t=2$c29tZXNhbHQxMjM0NTY3OA$r3RqKcfmoCgk407IiyFPfz6KJYsqCi9TdiuSGZDubWA`},
		{"npm argon2, earlier", `$argon2id$v=19$t=2,m=256,p=1$c29tZXNhbHQxMjM0NTY3OA$r3RqKcfmoCgk407IiyFPfz6KJYsqCi9TdiuSGZDubWA`},
		{"Spring argon2", `{argon2@SpringSecurity_v5_8}$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQxMjM0NTY3OA$r3RqKcfmoCgk407IiyFPfz6KJYsqCi9TdiuSGZDubWA`},
		{"Spring bcrypt", `{bcrypt}$2a$04$VAfjYD3jySsZjN6SzJfvkeBmo.Luoyze5WYNw8G0iY.md./rX3WXq`},
		{"Dovecot bcrypt", `{BLF-CRYPT}$2y$04$VAfjYD3jySsZjN6SzJfvkeBmo.Luoyze5WYNw8G0iY.md./rX3WXq`},
		{"slapd crypt", `{CRYPT}$2a$04$VAfjYD3jySsZjN6SzJfvkeBmo.Luoyze5WYNw8G0iY.md./rX3WXq`},
		{"Spring scrypt", `$a0801$c29tZXNhbHQxMjM0NTY3OA==$MdlWbMQa5hC52jE95zaaTJjy7ytYfP/9Ok7QKIzzDhY=`},
		{"Spring scrypt, named", `{scrypt@SpringSecurity_v5_8}$a0801$c29tZXNhbHQxMjM0NTY3OA==$MdlWbMQa5hC52jE95zaaTJjy7ytYfP/9Ok7QKIzzDhY=`},
		{"Spring pbkdf2", `{pbkdf2@SpringSecurity_v5_8}736f6d6573616c7431323334353637381df69547605f938265162394b165456b3c4d8e091a277c0a7a1655f53254d50e`},
		{"ASP.NET sha1", `AQAAAAAAAAPoAAAAEHNvbWVzYWx0MTIzNDU2NzjUMcJcvN/hiWV3qjKux9Ptae0FPppOXCjB0yzcL4RzEw==`},
		{"ASP.NET sha256", `AQAAAAEAAAPoAAAAEHNvbWVzYWx0MTIzNDU2NziRso3Fp59XpudNcJZS8qbVlJ3VtTD7MCyf4DJIymnnRw==`},
		{"ASP.NET sha512", `AQAAAAIAAAPoAAAAEHNvbWVzYWx0MTIzNDU2NziY+4pNGS/ZuhTOtEEUanSkjf0rRd6xNAgkalapoGSItg==`},
		{"Keycloak pbkdf2-sha512", `{"id": "x", "type": "password", "createdDate": 1, "secretData": "{\"value\": \"mPuKTRkv2boUzrRBFGp0pI39K0XesTQIJGpWqaBkiLa+JjVKqX7PXgKyMfjepNkGXB4mZVb5DFxtZSLFMon7vw==\", \"salt\": \"c29tZXNhbHQxMjM0NTY3OA==\", \"additionalParameters\": {}}", "credentialData": "{\"hashIterations\": 1000, \"algorithm\": \"pbkdf2-sha512\", \"additionalParameters\": {}}"}`},
		{"Keycloak pbkdf2", `{"id": "x", "type": "password", "createdDate": 1, "secretData": "{\"value\": \"1DHCXLzf4Ylld6oyrsfT7WntBT6aTlwowdMs3C+EcxOfUa7dO2hU5y7Ki5q8Xf3tRJjCGWhfLjiSHQNzU4mh7g==\", \"salt\": \"c29tZXNhbHQxMjM0NTY3OA==\", \"additionalParameters\": {}}", "credentialData": "{\"hashIterations\": 1000, \"algorithm\": \"pbkdf2\", \"additionalParameters\": {}}"}`},
		{"Keycloak argon2", `{"id": "x", "type": "password", "createdDate": 1, "secretData": "{\"value\": \"r3RqKcfmoCgk407IiyFPfz6KJYsqCi9TdiuSGZDubWA=\", \"salt\": \"c29tZXNhbHQxMjM0NTY3OA==\", \"additionalParameters\": {}}", "credentialData": "{\"hashIterations\": 2, \"algorithm\": \"argon2\", \"additionalParameters\": {\"hashLength\": [\"32\"], \"memory\": [\"256\"], \"type\": [\"id\"], \"version\": [\"1.3\"], \"parallelism\": [\"1\"]}}"}`},
		{"WordPress 6.8", `$wp$2y$04$ydIux3rpg7lPu.ssU8hfVu.oaFhPXsOMAwoCqGjSn1gBRd9RjV9o6`},
		{"crypt -5", `$5$saltstring$jbr.shIVbQjg78cfg4ZF1Oj7sRCkuZ3.sBGSSm24w65`},
		{"crypt -6", `$6$saltstring$Z7yqpLD/jAtkd6CAZPO3nRDO4h5kKwvMMdk.CpemzicIyWZTVfEJuRkxaBWhl7YNOilkWBLrrMA7QqqVO0cAR/`},
		{"passlib sha512_crypt", `$6$rounds=1001$ImWzbksV.2XJpFWw$oH5Pasa5pk5mcywSxbYKIhEk2jR4Sd4iaHtiRkvh54to1jISpTlzIGoYnerBEGmj39DDkCD/g82UN5Nvub9bS.`},
		{"passlib sha256_crypt", `$5$rounds=1001$a$WWcFHm8qPIKC5Bgy.U9U1jv170XjFjlWVzFOGVuWzW0`},
		{"passlib pbkdf2_sha1", `$pbkdf2$1000$kLKW8l5rrTVGqDUmxFhLKQ$nrkYJO35lBH77m4jF3IWRPLC7N0`},
		{"Dovecot sha512", `{SHA512-CRYPT}$6$rounds=1000$K7vH61ivu5sNdJbe$3mjEo14LAUxaeyxc3y9Y.AANER2wqiGMJ2lvb4Ti1XjjS0.2VSaVaTS7Gud4dxaazsNYUsD5Z8Yb4YXlpyyaP1`},
	}
}

// TestImportHash: the hashes of other systems are recognised, stored in one form, and
// verified; the first login makes them ours.
func TestImportHash(t *testing.T) {
	h, err := credential.NewHasher(credential.HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range foreign() {
		stored, kind, err := credential.ImportHash(f[1])
		if err != nil {
			t.Errorf("%s: %v: %s", f[0], err, credential.WhyNoHash(f[1]))
			continue
		}
		if s, err := credential.ParseHash(stored); err != nil || s.Kind() != kind {
			t.Errorf("%s: stored as %q: %v", f[0], stored, err)
		}
		if again, _, err := credential.ImportHash(stored); again != stored {
			t.Errorf("%s: %q imports as %q: %v", f[0], stored, again, err)
		}
		ok, rehash, err := h.Verify(t.Context(), stored, "velvet otter canyon 47")
		if !ok || !rehash || err != nil {
			t.Errorf("%s: the right password: %t, hashed anew: %t, %v", f[0], ok, rehash, err)
		}
		if ok, _, err := h.Verify(t.Context(), stored, "velvet otter canyon 48"); ok || err != nil {
			t.Errorf("%s: a wrong password: %t, %v", f[0], ok, err)
		}
	}
}

// TestSHACrypt: of short, long and other texts, by passlib and OpenSSL.
func TestSHACrypt(t *testing.T) {
	h, err := credential.NewHasher(credential.HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range [][2]string{
		{"x", `$6$rounds=1000$abcdefghijklmnop$hD1heSWZS9YmTqT1BIgdPXBl9FqN4tVPjqCi7dmUEEq8mUPq9yCbQThBngC4k/39CiR.gkvH.hYQBCYC74UqU/`},
		{"x", `$5$rounds=1000$abcdefghijklmnop$mMa.GiWFR0o748frg6TKeNbY4a3FVKFQP1IoAM2V0L/`},
		{"éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé", `$6$rounds=1000$abcdefghijklmnop$Ui0Rlln7.Ap./GbFAH461ge6mC/H8jYzY5ko8XwALR9dnB4u9kWu8r23rG8mWryq/suLxH.UMkRHq0erYFzQc1`},
		{"éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé", `$5$rounds=1000$abcdefghijklmnop$4uSK4cJMtFuy.l4cSt6yizS9xHF7QE3AIud0B0NbrtB`},
		{"012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789", `$6$rounds=1000$abcdefghijklmnop$7Kt62588mXAEOVcXCclBSwKwJSJ3TywUuSqkKDW/xBG1HTSM/jk0cyOKg9yznaPuiQbQjG/HcrJfXyVPOccxg.`},
		{"012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789", `$5$rounds=1000$abcdefghijklmnop$bcRLJ5oLxinXKqf4Pf7nbUs/MFO27W0XhShDdbmlTfC`},
		{"Hello world!", `$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5`},
		{"Hello world!", `$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1`},
	} {
		if ok, _, err := h.Verify(t.Context(), v[1], gatehouse.Secret(v[0])); !ok || err != nil {
			t.Errorf("%.20s: %t, %v", v[1], ok, err)
		}
	}
	long := strings.Repeat("a", 257) // costs too much a round
	if ok, _, err := h.Verify(t.Context(), `$5$rounds=1000$a$WWcFHm8qPIKC5Bgy.U9U1jv170XjFjlWVzFOGVuWzW0`, gatehouse.Secret(long)); ok || err != nil {
		t.Errorf("a long one: %t, %v", ok, err)
	}
}

// TestImportHashRefuses: what costs too much, can be guessed, or is not well formed.
func TestImportHashRefuses(t *testing.T) {
	sum := strings.Repeat("A", 43)
	for _, bad := range []string{"", "{", "{}", "{\"", "{\"credentialData\":1}", "{bcrypt}", "{CRYPT}rqXexS6ZhobKA", "{SSHA}x", "{noop}secret",
		"$6$rounds=1000001$salt$" + sum + sum, "$6$rounds=999$salt$" + sum + sum, "$6$" + strings.Repeat("s", 17) + "$" + sum + sum,
		"$5$rounds=05000$salt$" + sum, "$5$salt$" + sum + "=", "$5$salt", "$wp$2", "$wp$2y$04$x", "bcrypt_sha256$$2", "bcrypt_sha256$$2b$04$x",
		"scrypt$1048576$somesaltsomesalt$64$64$" + sum + "=", "scrypt:1000:8:1$saltsaltsalt$" + strings.Repeat("00", 32), "scrypt:2147483648:8:1$saltsaltsalt$00",
		"pbkdf2:md5:1000$saltsaltsalt$" + strings.Repeat("00", 32), "pbkdf2:sha256:99999999$saltsaltsalt$" + strings.Repeat("00", 32),
		"$ffffff$c29tZXNhbHQxMjM0NTY3OA==$MdlWbMQa5hC52jE95zaaTJjy7ytYfP/9Ok7QKIzzDhY=", "{pbkdf2@SpringSecurity_v5_8}00", "AQAAAAMAAAPo", "AQAAAAEAAAPo/////w==",
		`{"credentialData":"{\"hashIterations\":999999999,\"algorithm\":\"pbkdf2-sha256\"}","secretData":"{\"value\":\"` + sum + `=\",\"salt\":\"AAECAwQFBgcICQoLDA0ODw==\"}"}`,
		"$argon2i$v=19$m=262144,t=1,p=1$c29tZXNhbHQxMjM0NTY3OA$" + sum, "$argon2id$v=19$m=256,t=1,m=256$c29tZXNhbHQxMjM0NTY3OA$" + sum,
		strings.Repeat("x", 5000), "$y$j9T$salt$" + sum, "$apr1$6wdxlw3X$C9u5bV7ETAGjbHKS5qqI3/"} {
		if stored, _, err := credential.ImportHash(bad); gatehouse.CodeOf(err) != "password_hash_invalid" || stored != "" {
			t.Errorf("%.60q: stored as %q, %v", bad, stored, err)
		}
	}
}

// TestImportedForms: a hash that was made of the password in another normal form, or as it
// was typed, is verified; in ours, what looks different is different.
func TestImportedForms(t *testing.T) {
	h, err := credential.NewHasher(credential.HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	const nfd, nfc, nfkc = "Zu\u0308rich \u2460 \u2460 \u2460", "Z\u00fcrich \u2460 \u2460 \u2460", "Z\u00fcrich 1 1 1"
	ours, err := h.Hash(t.Context(), nfd)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := h.Hash(t.Context(), nfkc)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, stored string
		typed        gatehouse.Secret
		want         bool
	}{
		{"ours", ours, nfd, true}, {"ours, composed", ours, nfc, true}, {"ours, compatible", ours, nfkc, false}, {"ours, typed otherwise", plain, nfc, false},
		{"Argon2id of what was typed", `$argon2id$v=19$m=256,t=1,p=1$c29tZXNhbHQxMjM0NTY3OA$KZwnkstfyhcNjY+1e4LgqoW6NGjMGmVoG1QkQKUQaaI`, nfd, true},
		{"Argon2id of what was typed, composed", `$argon2id$v=19$m=256,t=1,p=1$c29tZXNhbHQxMjM0NTY3OA$KZwnkstfyhcNjY+1e4LgqoW6NGjMGmVoG1QkQKUQaaI`, nfc, false},
		{"PBKDF2 of the NFKC", `$pbkdf2-sha256$1000$c29tZXNhbHQxMjM0NTY3OA$NzWP6K+vpoNbnsYmkeS9OKfM2Cu3m1YdKYJ8sQIXg9g`, nfd, true}, {"PBKDF2 of the NFKC, typed so", `$pbkdf2-sha256$1000$c29tZXNhbHQxMjM0NTY3OA$NzWP6K+vpoNbnsYmkeS9OKfM2Cu3m1YdKYJ8sQIXg9g`, nfkc, true},
	} {
		if ok, _, err := h.Verify(t.Context(), tc.stored, tc.typed); ok != tc.want || err != nil {
			t.Errorf("%s: %t, %v", tc.name, ok, err)
		}
	}
	// A wrong password costs as much where there is no account.
	before := h.Stats().Evaluations
	_, _, _ = h.Verify(t.Context(), ours, nfkc+"\u0308\u2460")
	known := h.Stats().Evaluations - before
	_ = h.VerifyDummy(t.Context(), nfkc+"\u0308\u2460")
	if unknown := h.Stats().Evaluations - before - known; unknown != known {
		t.Errorf("%d evaluations for an account, %d for none", known, unknown)
	}
}
