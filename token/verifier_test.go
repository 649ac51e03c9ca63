package token_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// ASVS: 11.2.2, 11.6.1
// TestSignSame: what is signed without chance is the same each time, and verifies; it
// follows from key and claims, both.
func TestSignSame(t *testing.T) {
	for _, alg := range token.Algorithms() {
		k := newKey(t, alg)
		sign := func(claims string) string {
			t.Helper()
			compact, err := k.SignSame(token.TypeStatusList, []byte(claims))
			if err != nil {
				t.Fatalf("%s: %v", alg, err)
			}
			return compact
		}
		one, two := `{"iss":"`+issuer+`","sub":"`+issuer+`/status/1","iat":1,"exp":61,"ttl":30,"status_list":{"bits":1,"lst":"eA"}}`, `{"iss":"x"}`
		if first, again := sign(one), sign(one); first != again || first == sign(two) {
			t.Errorf("%s: signatures differ, or do not", alg)
		}
		v, err := token.NewStatusListVerifier(token.StatusListVerifierConfig{Issuer: issuer, Algorithms: []token.Algorithm{alg}, Keys: keySet(t, k),
			Now: func() time.Time { return time.Unix(2, 0) }})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(sign(one), issuer+"/status/1"); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func TestSignAndVerifyEveryAlgorithm(t *testing.T) {
	for _, alg := range token.Algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			k := newKey(t, alg)
			compact, err := k.SignAccess(access())
			if err != nil {
				t.Fatal(err)
			}
			cfg := config(keySet(t, k))
			cfg.RequireClaims = []string{"client_id", "status", "scope", "auth_time", "acr", "amr", "sid", "grant_id"}
			v := newVerifier(t, cfg)
			for range 2 { // the second time the header comes from the cache
				c, err := v.Verify(compact)
				if err != nil {
					t.Fatal(err)
				}
				a := access()
				if c.Issuer != a.Issuer || c.Subject != a.Subject || c.Audience[0] != audience || c.ClientID != a.ClientID ||
					c.Scope != a.Scope || c.ID == "" || !c.IssuedAt.Equal(a.IssuedAt) || !c.ExpiresAt.Equal(a.ExpiresAt) ||
					!c.AuthTime.Equal(a.AuthTime) || c.ACR != a.ACR || len(c.AMR) != 2 || c.SessionID != a.SessionID || c.GrantID != a.GrantID ||
					!c.HasStatus || c.StatusList != 7 || c.StatusIndex != 1234 || c.StatusURI != issuer+"/status/7" ||
					c.KeyID != k.KID || c.Algorithm != alg {
					t.Errorf("claims = %+v", c)
				}
			}
			// The private half survives being stored.
			stored, err := k.MarshalPrivate()
			if err != nil {
				t.Fatal(err)
			}
			again, err := token.UnmarshalPrivate(stored)
			if err != nil {
				t.Fatal(err)
			}
			if again.KID != k.KID || again.Algorithm != alg || again.Thumbprint() != k.Thumbprint() {
				t.Errorf("stored and read: %v", again)
			}
			if _, err := v.Verify(signed(t, again, "AT+jwt", claims(map[string]any{"client_id": "c", "scope": "s", "auth_time": 1,
				"acr": "a", "amr": []string{"x"}, "sid": "s", "grant_id": "g",
				"status": map[string]any{"status_list": map[string]any{"idx": 0, "uri": issuer + "/status/0"}}}))); err != nil {
				t.Error(err)
			}
		})
	}
}

// ASVS: 9.2.1, 9.2.3
func TestClaimRules(t *testing.T) {
	k := newKey(t, token.Ed25519)
	now := clock.Unix()
	cfg := config(keySet(t, k))
	cfg.Leeway = 30 * time.Second
	v := newVerifier(t, cfg)
	for name, c := range map[string]struct {
		change map[string]any
		code   string
	}{
		"plain":                    {nil, ""},
		"audience array":           {map[string]any{"aud": []string{"x", audience}}, ""},
		"fractional dates":         {map[string]any{"exp": float64(now) + 0.5, "iat": float64(now) - 0.5, "nbf": float64(now)}, ""},
		"no exp":                   {map[string]any{"exp": nil}, "token_claim_missing"},
		"no sub":                   {map[string]any{"sub": nil}, "token_claim_missing"},
		"no iss":                   {map[string]any{"iss": nil}, "token_claim_missing"},
		"no aud":                   {map[string]any{"aud": nil}, "token_claim_missing"},
		"no iat":                   {map[string]any{"iat": nil}, "token_claim_missing"},
		"no jti":                   {map[string]any{"jti": nil}, ""}, // large issuers write none; who needs it requires it
		"empty sub":                {map[string]any{"sub": ""}, "token_claim_missing"},
		"empty audience":           {map[string]any{"aud": []string{}}, "token_claim_missing"},
		"expired":                  {map[string]any{"exp": now - 31}, "token_expired"},
		"expired at this second":   {map[string]any{"exp": now - 30}, "token_expired"},
		"expired within leeway":    {map[string]any{"exp": now - 29}, ""},
		"exp 0 is a date":          {map[string]any{"exp": 0}, "token_expired"},
		"not yet":                  {map[string]any{"nbf": now + 31}, "token_not_yet_valid"},
		"not yet within leeway":    {map[string]any{"nbf": now + 30}, ""},
		"issued in the future":     {map[string]any{"iat": now + 31}, "token_not_yet_valid"},
		"other issuer":             {map[string]any{"iss": issuer + "/"}, "token_wrong_issuer"},
		"issuer in capitals":       {map[string]any{"iss": strings.ToUpper(issuer)}, "token_wrong_issuer"},
		"other audience":           {map[string]any{"aud": "https://other.example"}, "token_wrong_audience"},
		"audience as prefix":       {map[string]any{"aud": audience + "/x"}, "token_wrong_audience"},
		"exp text":                 {map[string]any{"exp": "9999999999"}, "token_malformed"},
		"exp negative":             {map[string]any{"exp": -1}, "token_malformed"},
		"exp after 9999":           {map[string]any{"exp": 1e15}, "token_malformed"},
		"exp bool":                 {map[string]any{"exp": true}, "token_malformed"},
		"sub number":               {map[string]any{"sub": 1}, "token_malformed"},
		"iss array":                {map[string]any{"iss": []string{issuer}}, "token_malformed"},
		"aud object":               {map[string]any{"aud": map[string]any{}}, "token_malformed"},
		"aud of numbers":           {map[string]any{"aud": []any{audience, 1}}, "token_malformed"},
		"foreign status is no bar": {map[string]any{"status": "active"}, ""},
		"64 audiences":             {map[string]any{"aud": append(make([]string, 63), audience)}, ""},
		"65 audiences":             {map[string]any{"aud": append(make([]string, 64), audience)}, "token_malformed"},
		"scope array":              {map[string]any{"scope": []string{"a", "b"}}, ""},
	} {
		_, err := v.Verify(signed(t, k, token.TypeAccess, claims(c.change)))
		wantCode(t, name, err, c.code)
	}
}

// TestClaimTexts are claims sets that no encoder of ours would write.
func TestClaimTexts(t *testing.T) {
	k := newKey(t, token.Ed25519)
	v := newVerifier(t, config(keySet(t, k)))
	good := string(claims(nil))
	for name, c := range map[string]struct{ text, code string }{
		"plain":           {good, ""},
		"white space":     {" \r\n\t" + good + "\n", ""},
		"duplicate":       {strings.Replace(good, `"sub"`, `"sub":"usr_2","sub"`, 1), "token_malformed"},
		"duplicate other": {strings.Replace(good, `"sub"`, `"x":1,"x":2,"sub"`, 1), "token_malformed"},
		"escaped dup":     {strings.Replace(good, `"sub"`, `"\u0073ub":"usr_2","sub"`, 1), "token_malformed"},
		"nested dup":      {strings.Replace(good, `"sub"`, `"x":{"a":1,"a":2},"sub"`, 1), "token_malformed"},
		"other case":      {strings.Replace(good, `"exp"`, `"EXP"`, 1), "token_claim_missing"},
		"trailing":        {good + "{}", "token_malformed"},
		"trailing nul":    {good + "\x00", "token_malformed"},
		"bad UTF-8":       {strings.Replace(good, "usr_1", "usr_\xff", 1), "token_malformed"},
		"byte order mark": {"\xef\xbb\xbf" + good, "token_malformed"},
		"null":            {"null", "token_malformed"},
		"array":           {"[" + good + "]", "token_malformed"},
		"text":            {`"x"`, "token_malformed"},
		"empty":           {"", "token_malformed"},
		"deep":            {strings.Replace(good, `"sub"`, `"x":`+strings.Repeat("[", 17)+strings.Repeat("]", 17)+`,"sub"`, 1), "token_malformed"},
		"not too deep":    {strings.Replace(good, `"sub"`, `"x":`+strings.Repeat("[", 15)+strings.Repeat("]", 15)+`,"sub"`, 1), ""},
		"brackets in text": {
			strings.Replace(good, `"sub"`, `"x":"`+strings.Repeat("[", 99)+`\"{{","sub"`, 1), ""},
		"comment": {"/**/" + good, "token_malformed"},
	} {
		_, err := v.Verify(signed(t, k, token.TypeAccess, []byte(c.text)))
		wantCode(t, name, err, c.code)
	}
}

// TestHeaders signs headers as an attacker with a good key would: what is wrong
// is the header alone.
//
// ASVS: 9.1.3
func TestHeaders(t *testing.T) {
	k := newKey(t, token.HS256)
	jwk, err := k.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	secret := secretOf(t, jwk)
	v := newVerifier(t, config(keySet(t, k)))
	kid := k.KID
	for name, c := range map[string]struct{ header, code string }{
		"plain":              {`{"alg":"HS256","kid":"` + kid + `","typ":"at+jwt"}`, ""},
		"no kid, one key":    {`{"alg":"HS256","typ":"at+jwt"}`, ""},
		"unknown member":     {`{"alg":"HS256","typ":"at+jwt","x":{"y":[1]},"x5t":"abc"}`, ""},
		"typ in capitals":    {`{"alg":"HS256","typ":"AT+JWT"}`, ""},
		"typ in full":        {`{"alg":"HS256","typ":"application/at+jwt"}`, ""},
		"typ in full, case":  {`{"alg":"HS256","typ":"Application/At+Jwt"}`, ""},
		"no typ":             {`{"alg":"HS256"}`, "token_wrong_type"},
		"typ JWT":            {`{"alg":"HS256","typ":"JWT"}`, "token_wrong_type"},
		"typ empty":          {`{"alg":"HS256","typ":""}`, "token_wrong_type"},
		"typ twice prefixed": {`{"alg":"HS256","typ":"application/application/at+jwt"}`, "token_wrong_type"},
		"typ with parameter": {`{"alg":"HS256","typ":"at+jwt; x=y"}`, "token_wrong_type"},
		"typ number":         {`{"alg":"HS256","typ":1}`, "token_malformed"},
		"Alg":                {`{"Alg":"HS256","typ":"at+jwt"}`, "token_algorithm_not_allowed"},
		"no alg":             {`{"typ":"at+jwt"}`, "token_algorithm_not_allowed"},
		"alg none":           {`{"alg":"none","typ":"at+jwt"}`, "token_algorithm_not_allowed"},
		"alg noNE":           {`{"alg":"noNE","typ":"at+jwt"}`, "token_algorithm_not_allowed"},
		"alg empty":          {`{"alg":"","typ":"at+jwt"}`, "token_algorithm_not_allowed"},
		"alg lower case":     {`{"alg":"hs256","typ":"at+jwt"}`, "token_algorithm_not_allowed"},
		"alg with blank":     {`{"alg":"HS256 ","typ":"at+jwt"}`, "token_algorithm_not_allowed"},
		"alg null":           {`{"alg":null,"typ":"at+jwt"}`, "token_malformed"},
		"alg array":          {`{"alg":["HS256"],"typ":"at+jwt"}`, "token_malformed"},
		"alg of another key": {`{"alg":"HS512","kid":"` + kid + `","typ":"at+jwt"}`, "token_algorithm_not_allowed"},
		"alg twice":          {`{"alg":"HS256","alg":"HS256","typ":"at+jwt"}`, "token_malformed"},
		"member twice":       {`{"alg":"HS256","x":1,"x":1,"typ":"at+jwt"}`, "token_malformed"},
		"crit":               {`{"alg":"HS256","crit":["exp"],"exp":1,"typ":"at+jwt"}`, "token_malformed"},
		"crit empty":         {`{"alg":"HS256","crit":[],"typ":"at+jwt"}`, "token_malformed"},
		"b64":                {`{"alg":"HS256","b64":true,"typ":"at+jwt"}`, "token_malformed"},
		"zip":                {`{"alg":"HS256","zip":"DEF","typ":"at+jwt"}`, "token_malformed"},
		"jku":                {`{"alg":"HS256","jku":"https://evil.example","typ":"at+jwt"}`, "token_malformed"},
		"x5u":                {`{"alg":"HS256","x5u":"https://evil.example","typ":"at+jwt"}`, "token_malformed"},
		"x5c":                {`{"alg":"HS256","x5c":[],"typ":"at+jwt"}`, "token_malformed"},
		"jwk":                {`{"alg":"HS256","jwk":` + string(jwk) + `,"typ":"at+jwt"}`, "token_malformed"},
		"escaped jku":        {`{"alg":"HS256","\u006aku":"https://evil.example","typ":"at+jwt"}`, "token_malformed"},
		"other kid":          {`{"alg":"HS256","kid":"x","typ":"at+jwt"}`, "token_key_unknown"},
		"kid as path":        {`{"alg":"HS256","kid":"../../dev/null","typ":"at+jwt"}`, "token_key_unknown"},
		"kid as SQL":         {`{"alg":"HS256","kid":"x' UNION SELECT 'key'--","typ":"at+jwt"}`, "token_key_unknown"},
		"kid number":         {`{"alg":"HS256","kid":1,"typ":"at+jwt"}`, "token_malformed"},
		"kid long":           {`{"alg":"HS256","kid":"` + strings.Repeat("x", 513) + `","typ":"at+jwt"}`, "token_malformed"},
		"trailing":           {`{"alg":"HS256","typ":"at+jwt"}{}`, "token_malformed"},
		"array":              {`[{"alg":"HS256","typ":"at+jwt"}]`, "token_malformed"},
		"empty":              {``, "token_malformed"},
		"long":               {`{"alg":"HS256","typ":"at+jwt","x":"` + strings.Repeat("x", 4096) + `"}`, "token_malformed"},
	} {
		_, err := v.Verify(hmacSign(secret, raw(c.header)+"."+raw(string(claims(nil)))))
		wantCode(t, name, err, c.code)
	}
}

// TestForms are other spellings of a good token, and tokens cut up.
func TestForms(t *testing.T) {
	k := newKey(t, token.ES256)
	v := newVerifier(t, config(keySet(t, k)))
	good := signed(t, k, token.TypeAccess, claims(nil))
	if _, err := v.Verify(good); err != nil {
		t.Fatal(err)
	}
	p := strings.Split(good, ".")
	for name, text := range map[string]string{
		"empty":            "",
		"dots":             "..",
		"two parts":        p[0] + "." + p[1],
		"no signature":     p[0] + "." + p[1] + ".",
		"four parts":       good + ".",
		"five parts":       good + ".a.b",
		"padded":           good + "=",
		"padded header":    p[0] + "=." + p[1] + "." + p[2],
		"leading blank":    " " + good,
		"trailing newline": good + "\n",
		"newline inside":   good[:len(good)-5] + "\n" + good[len(good)-5:],
		"return in header": p[0][:4] + "\r" + p[0][4:] + "." + p[1] + "." + p[2],
		"newline payload":  p[0] + "." + p[1][:4] + "\n" + p[1][4:] + "." + p[2],
		"standard base64":  p[0] + "." + p[1] + "." + strings.Repeat("+", 86),
		"json":             fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, p[1], p[0], p[2]),
		"bearer":           "Bearer " + good,
		"nul":              good + "\x00",
	} {
		_, err := v.Verify(text)
		wantCode(t, name, err, "token_malformed")
	}
	_, err := v.Verify(good + strings.Repeat("A", token.DefaultMaxBytes))
	wantCode(t, "too large", err, "token_too_large")
	_, err = v.Verify(p[0] + "." + p[1] + "." + p[2][:40])
	wantCode(t, "short signature", err, "token_signature_invalid")
	sig := string(unraw(t, p[2])) // r and s are right, a zero stands between
	_, err = v.Verify(p[0] + "." + p[1] + "." + raw(sig[:32]+"\x00"+sig[32:]))
	wantCode(t, "long signature", err, "token_signature_invalid")
	_, err = v.Verify(p[0] + "." + raw(strings.Replace(string(claims(nil)), "usr_1", "usr_2", 1)) + "." + p[2])
	wantCode(t, "other payload", err, "token_signature_invalid")
}

// TestEveryBitCounts flips each bit of a token, once with an empty header cache
// and once with a full one: nothing but the token itself verifies.
//
// ASVS: 9.1.1
func TestEveryBitCounts(t *testing.T) {
	for _, alg := range []token.Algorithm{token.HS256, token.ES256, token.Ed25519} {
		k := newKey(t, alg)
		compact, err := k.SignAccess(access())
		if err != nil {
			t.Fatal(err)
		}
		cold, warm := newVerifier(t, config(keySet(t, k))), newVerifier(t, config(keySet(t, k)))
		if _, err := warm.Verify(compact); err != nil {
			t.Fatal(err)
		}
		for i := range len(compact) * 8 {
			b := []byte(compact)
			b[i/8] ^= 1 << (i % 8)
			for _, v := range []*token.Verifier{cold, warm} {
				if _, err := v.Verify(string(b)); err == nil {
					t.Fatalf("%s: bit %d does not count", alg, i)
				}
			}
		}
	}
}

// ASVS: 9.1.2
func TestAlgorithmIsTheKeys(t *testing.T) {
	es, ed := newKey(t, token.ES256), newKey(t, token.Ed25519)
	v := newVerifier(t, config(keySet(t, es, ed)))
	// The classic confusion: the public key as the HMAC secret, under its kid.
	for _, secret := range [][]byte{es.PublicJWK(), []byte("any")} {
		text := hmacSign(secret, raw(`{"alg":"HS256","kid":"`+es.KID+`","typ":"at+jwt"}`)+"."+raw(string(claims(nil))))
		_, err := v.Verify(text)
		wantCode(t, "public key as secret", err, "token_algorithm_not_allowed")
	}
	// One key's signature under the other's kid.
	p := strings.Split(signed(t, es, token.TypeAccess, claims(nil)), ".")
	_, err := v.Verify(raw(`{"alg":"Ed25519","kid":"`+ed.KID+`","typ":"at+jwt"}`) + "." + p[1] + "." + p[2])
	wantCode(t, "signature of another key", err, "token_signature_invalid")
	// The allow-list holds even for a good key.
	cfg := config(keySet(t, es, ed))
	cfg.Algorithms = []token.Algorithm{token.ES256}
	_, err = newVerifier(t, cfg).Verify(signed(t, ed, token.TypeAccess, claims(nil)))
	wantCode(t, "not in the allow-list", err, "token_algorithm_not_allowed")
}

type failingKeys struct{}

func (failingKeys) Key(string, token.Algorithm) (*token.Key, error) {
	return nil, gatehouse.Unavailable
}

type noKeys struct{}

func (noKeys) Key(string, token.Algorithm) (*token.Key, error) { return nil, nil }

func TestKeySourceFailuresRefuse(t *testing.T) {
	text := signed(t, newKey(t, token.ES256), token.TypeAccess, claims(nil))
	// Nothing was found out about the token: not its fault, and not its advantage.
	c, err := newVerifier(t, config(failingKeys{})).Verify(text)
	if gatehouse.KindOf(err) != gatehouse.Unavailable || c != nil {
		t.Errorf("failing source: %v, %v", c, err)
	}
	_, err = newVerifier(t, config(noKeys{})).Verify(text)
	wantCode(t, "no key and no error", err, "token_key_unknown")
}

func TestRequiredClaims(t *testing.T) {
	k := newKey(t, token.Ed25519)
	for name, value := range map[string]any{"jti": "tok_1", "client_id": "c", "sid": "s", "scope": "a", "grant_id": "g", "acr": "1", "amr": []string{"pwd"},
		"auth_time": 1, "nbf": 1, "custom": map[string]any{"x": 1}, "roles": []string{"a"},
		"status": map[string]any{"status_list": map[string]any{"idx": 3, "uri": issuer + "/status/12"}}} {
		cfg := config(keySet(t, k))
		cfg.RequireClaims = []string{name, "exp"}
		v := newVerifier(t, cfg)
		_, err := v.Verify(signed(t, k, token.TypeAccess, claims(map[string]any{name: nil})))
		wantCode(t, "without "+name, err, "token_claim_missing")
		if !strings.HasSuffix(err.Error(), ": "+name) {
			t.Errorf("the error does not name %s: %v", name, err)
		}
		c, err := v.Verify(signed(t, k, token.TypeAccess, claims(map[string]any{name: value})))
		wantCode(t, "with "+name, err, "")
		if c != nil && c.Lookup(name) == nil {
			t.Errorf("Lookup(%s) = nil", name)
		}
	}
	cfg := config(keySet(t, k))
	cfg.RequireClaims = []string{"status"}
	v := newVerifier(t, cfg)
	for _, s := range []any{"active", map[string]any{}, list(-1, issuer+"/status/1"), list(1, "https://other.example/status/1"), list(1, issuer+"/status/"),
		list(1, issuer+"/status/01"), list(1, issuer+"/status/-1"), list(1, issuer+"/status/1/2"), list(1.5, issuer+"/status/1"), list("1", issuer+"/status/1")} {
		_, err := v.Verify(signed(t, k, token.TypeAccess, claims(map[string]any{"status": s})))
		wantCode(t, fmt.Sprint(s), err, "token_claim_missing")
	}
}

func list(idx any, uri string) any {
	return map[string]any{"status_list": map[string]any{"idx": idx, "uri": uri}}
}

func TestNewVerifierRefuses(t *testing.T) {
	for name, change := range map[string]func(*token.VerifierConfig){
		"no issuer":         func(c *token.VerifierConfig) { c.Issuer = "" },
		"no audience":       func(c *token.VerifierConfig) { c.Audience = nil },
		"empty audience":    func(c *token.VerifierConfig) { c.Audience = []string{""} },
		"no algorithms":     func(c *token.VerifierConfig) { c.Algorithms = nil },
		"unknown algorithm": func(c *token.VerifierConfig) { c.Algorithms = []token.Algorithm{"none"} },
		"empty algorithm":   func(c *token.VerifierConfig) { c.Algorithms = []token.Algorithm{""} },
		"no types":          func(c *token.VerifierConfig) { c.Types = nil },
		"no keys":           func(c *token.VerifierConfig) { c.Keys = nil },
		"long leeway":       func(c *token.VerifierConfig) { c.Leeway = 61 * time.Second },
		"negative leeway":   func(c *token.VerifierConfig) { c.Leeway = -1 },
		"size":              func(c *token.VerifierConfig) { c.MaxBytes = 1 << 20 },
		"empty claim":       func(c *token.VerifierConfig) { c.RequireClaims = []string{""} },
	} {
		cfg := config(keySet(t))
		change(&cfg)
		if _, err := token.NewVerifier(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// ASVS: 9.2.2
func TestTypes(t *testing.T) {
	k := newKey(t, token.Ed25519)
	cfg := config(keySet(t, k))
	cfg.Types = []string{"application/AT+jwt", "JWT", ""}
	v := newVerifier(t, cfg)
	for typ, code := range map[string]string{"at+jwt": "", "jwt": "", "": "", "logout+jwt": "token_wrong_type", "dpop+jwt": "token_wrong_type",
		"\u212ajwt": "token_wrong_type"} {
		_, err := v.Verify(signed(t, k, typ, claims(nil)))
		wantCode(t, "typ "+typ, err, code)
	}
}

func TestAccessRefusesIncomplete(t *testing.T) {
	for name, change := range map[string]func(*token.Access){
		"iss": func(a *token.Access) { a.Issuer = "" }, "sub": func(a *token.Access) { a.Subject = "" },
		"aud": func(a *token.Access) { a.Audience = nil }, "client": func(a *token.Access) { a.ClientID = "" },
		"jti": func(a *token.Access) { a.ID = "" }, "iat": func(a *token.Access) { a.IssuedAt = time.Time{} },
		"exp": func(a *token.Access) { a.ExpiresAt = a.IssuedAt }, "index": func(a *token.Access) { a.StatusIndex = -1 },
		"list": func(a *token.Access) { a.StatusList = -1 },
		"utf8": func(a *token.Access) { a.Subject = "\xff" },
	} {
		a := access()
		change(a)
		if b, err := a.AppendJSON(nil); err == nil {
			t.Errorf("%s: %s", name, b)
		}
	}
}
