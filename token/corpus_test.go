package token_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/token"
)

// corpusCase is a line of testdata/corpus: a token that some verifier, ours or
// another, once judged wrongly, or the plain good token beside it. The line is
// also a vector for VerifyVector, which ignores the members it does not know.
type corpusCase struct {
	Name, From string
	Valid      bool
	JWK        json.RawMessage
	JWS        string
	// Verifier asks for the rules of claims as well.
	Verifier *struct {
		Issuer, Audience string
		Now              int64
	}
}

// TestCorpus replays every token that was ever accepted or refused wrongly. Lines
// are added, never changed: the verdict on a token does not wear off.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("../testdata/corpus/*.jsonl")
	if err != nil || len(files) < 2 {
		t.Fatalf("found %d files (%v)", len(files), err)
	}
	names := map[string]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(strings.NewReader(string(data)))
		lines.Buffer(nil, token.MaxVectorBytes)
		for lines.Scan() {
			var c corpusCase
			if err := json.Unmarshal(lines.Bytes(), &c); err != nil || c.Name == "" || c.From == "" {
				t.Fatalf("%s: %v in %.100s", file, err, lines.Bytes())
			}
			if id := file + c.Name; names[id] {
				t.Errorf("%s: two lines are named %q", file, c.Name)
			} else {
				names[id] = true
			}
			if valid, reason := c.judge(t, lines.Bytes()); valid != c.Valid {
				t.Errorf("%s: %s (%s): valid=%v %s", filepath.Base(file), c.Name, c.From, valid, reason)
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if len(names) < 130 {
		t.Errorf("replayed %d lines: some are lost", len(names))
	}
}

func (c corpusCase) judge(t *testing.T, line []byte) (valid bool, reason string) {
	if c.Verifier == nil {
		return token.VerifyVector(line)
	}
	k, err := token.ParseJWK(c.JWK, token.ParseOptions{Private: true})
	if err != nil {
		t.Fatalf("%s: %v", c.Name, err)
	}
	cfg := config(keySet(t, k))
	cfg.RequireClaims = []string{"jti"}
	cfg.Issuer, cfg.Audience = c.Verifier.Issuer, []string{c.Verifier.Audience}
	cfg.Now = func() time.Time { return time.Unix(c.Verifier.Now, 0) }
	if _, err := newVerifier(t, cfg).Verify(c.JWS); err != nil {
		return false, err.Error()
	}
	return true, ""
}
