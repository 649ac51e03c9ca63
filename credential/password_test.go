package credential_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

const password = gatehouse.Secret("correct horse ünïcode")

func hasher(t *testing.T, cfg credential.HasherConfig) *credential.Hasher {
	t.Helper()
	h, err := credential.NewHasher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// ASVS: 11.2.2, 11.4.2
func TestHashRoundTrip(t *testing.T) {
	ctx := context.Background()
	h := hasher(t, credential.HasherConfig{})
	phc, err := h.Hash(ctx, password)
	if err != nil || !strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatal(phc, err)
	}
	if again, _ := h.Hash(ctx, password); again == phc {
		t.Error("two hashes of one password are equal")
	}
	for _, tt := range []struct {
		password gatehouse.Secret
		want     bool
	}{
		{password, true},
		{"correct horse u\u0308ni\u0308code", true}, // the same characters, decomposed
		{"correct horse ünïcode ", false},
		{"Correct horse ünïcode", false},
		{"correct horse unicode", false},
		{"", false},
		{gatehouse.Secret(strings.Repeat("x", credential.MaxPasswordBytes+1)), false},
	} {
		ok, rehash, err := h.Verify(ctx, phc, tt.password)
		if ok != tt.want || rehash || err != nil {
			t.Errorf("%q: %v %v %v", tt.password.Reveal(), ok, rehash, err)
		}
	}
	stronger := hasher(t, credential.HasherConfig{Time: 3})
	if ok, rehash, err := stronger.Verify(ctx, phc, password); !ok || !rehash || err != nil {
		t.Errorf("under higher parameters: %v %v %v", ok, rehash, err)
	}
	if _, rehash, _ := stronger.Verify(ctx, phc, "wrong"); rehash {
		t.Error("a wrong password asks for a new hash")
	}
}

// The hashes were made with Python's hashlib, with libxcrypt, and by the
// reference implementation of Argon2.
func TestKnownAnswers(t *testing.T) {
	h := hasher(t, credential.HasherConfig{})
	for _, tt := range []struct {
		password gatehouse.Secret
		hash     string
		kind     credential.HashKind
	}{
		{"password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", credential.Argon2id},
		{password, "$pbkdf2-sha256$1200$AAECAwQFBgcICQoLDA0ODw$5YgLbOz7XU7cKAsEeOhqMPMP3KxRqRjxKGXAFnYlTwg", credential.PBKDF2SHA256},
		{password, "$pbkdf2-sha256$i=1200,l=32$AAECAwQFBgcICQoLDA0ODw$5YgLbOz7XU7cKAsEeOhqMPMP3KxRqRjxKGXAFnYlTwg", credential.PBKDF2SHA256},
		{password, "pbkdf2_sha256$1200$seasalt$gcCQ2j4cWXMyyAlGJNxC0ACOYZ11Pw3Hd1OBVFOUrZI=", credential.PBKDF2SHA256},
		{password, "$pbkdf2-sha512$1200$AAECAwQFBgcICQoLDA0ODw$nZ69aM/SrCTxWL1HmPkt4vgPkjGIxkwT27vH/aTxzJ5kLXE13jH.9PSUuPeO09z8B0Qma8rm4miFcHBL0SmFBQ", credential.PBKDF2SHA512},
		{password, "$pbkdf2-sha512$i=1200,l=64$AAECAwQFBgcICQoLDA0ODw$nZ69aM/SrCTxWL1HmPkt4vgPkjGIxkwT27vH/aTxzJ5kLXE13jH+9PSUuPeO09z8B0Qma8rm4miFcHBL0SmFBQ", credential.PBKDF2SHA512},
		{password, "pbkdf2_sha512$1200$seasalt$rOrsii/SV7r6lbbOWwFlZiuwiY3rb36VUSfCpkXkQrV1Irrhe8oeOBDRgGsqMX8yjIqrWAs20hHQVCdJPaMn9A==", credential.PBKDF2SHA512},
		{password, "$scrypt$ln=10,r=8,p=2$AAECAwQFBgcICQoLDA0ODw$/mhggF44dVVv/yHJ6akNaXaQJ/OGLMDYXzYK/ikPFTM", credential.Scrypt},
		{password, "$2a$05$abcdefghijklmnopqrstuuV91QMvTz3Qdvoi.KNP2/KHKEAmosNoe", credential.Bcrypt},
		{password, "$2b$05$abcdefghijklmnopqrstuuV91QMvTz3Qdvoi.KNP2/KHKEAmosNoe", credential.Bcrypt},
		{password, "$2y$05$e3ShzFN3TGo/KqjRLHVkk.4aL4fGkviGom/6Reulme4miXJw3rCCK", credential.Bcrypt},
	} {
		s, err := credential.ParseHash(tt.hash)
		if err != nil || s.Kind() != tt.kind || s.String() != tt.hash {
			t.Errorf("%s: %v", tt.hash, err)
			continue
		}
		if ok, rehash, err := h.Verify(context.Background(), tt.hash, tt.password); !ok || !rehash || err != nil {
			t.Errorf("%s: %v %v %v", tt.hash, ok, rehash, err)
		}
		if ok, rehash, err := h.Verify(context.Background(), tt.hash, tt.password+"x"); ok || rehash || err != nil {
			t.Errorf("%s, wrong password: %v %v %v", tt.hash, ok, rehash, err)
		}
	}
}

// bcrypt reads 72 bytes: whatever follows would be verified by nobody.
//
// ASVS: 6.2.8
func TestBcryptDoesNotTruncate(t *testing.T) {
	h := hasher(t, credential.HasherConfig{})
	const hash = "$2b$05$abcdefghijklmnopqrstuuGUnCqbfgs3htOkLrFduUjAyLBw1Rq/u" // of 72 times "a"
	if ok, _, err := h.Verify(context.Background(), hash, gatehouse.Secret(strings.Repeat("a", 72))); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if ok, _, _ := h.Verify(context.Background(), hash, gatehouse.Secret(strings.Repeat("a", 73))); ok {
		t.Error("a tail that was not verified is accepted")
	}
}

func TestParseHashBounds(t *testing.T) {
	const salt, sum = "AAECAwQFBgcICQoLDA0ODw", "5YgLbOz7XU7cKAsEeOhqMPMP3KxRqRjxKGXAFnYlTwg"
	tail := "$" + salt + "$" + sum
	for _, bad := range []string{
		"", "$", "$$$$$", "plain", "$argon2i$v=19$m=19456,t=2,p=1,keyid=YQ" + tail, "$argon2d$v=19$m=19456,t=2,p=1" + tail,
		"$argon2id$v=16$m=19456,t=2,p=1" + tail, "$argon2id$m=19456,t=2,p=1" + tail,
		"$argon2id$v=19$m=4294967295,t=2,p=1" + tail, "$argon2id$v=19$m=131073,t=1,p=1" + tail,
		"$argon2id$v=19$m=131072,t=16,p=1" + tail, "$argon2id$v=19$m=19456,t=1000000,p=1" + tail,
		"$argon2id$v=19$m=19456,t=2,p=200" + tail, "$argon2id$v=19$m=8,t=2,p=8" + tail,
		"$argon2id$v=19$m=019456,t=2,p=1" + tail, "$argon2id$v=19$m=+19456,t=2,p=1" + tail,
		"$argon2id$v=19$t=2,m=19456,p=1" + tail, "$argon2id$v=19$m=19456,t=2,p=0" + tail,
		"$argon2id$v=19$m=19456,t=0,p=1" + tail, "$argon2id$v=19$m=19456,t=2,p=1,keyid=" + tail,
		"$argon2id$v=19$m=19456,t=2,p=1,data=AAAA" + tail, "$argon2id$v=19$m=19456,t=2,p=1$AAAA$" + sum,
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$AAAA", "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$",
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "==$" + sum, "$argon2id$v=19$m=19456,t=2,p=1" + tail + "$x",
		"$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0OD\n$" + sum,
		"$2b$15$abcdefghijklmnopqrstuuV91QMvTz3Qdvoi.KNP2/KHKEAmosNoe", "$2b$03$abcdefghijklmnopqrstuuV91QMvTz3Qdvoi.KNP2/KHKEAmosNoe",
		"$2x$05$abcdefghijklmnopqrstuuV91QMvTz3Qdvoi.KNP2/KHKEAmosNoe", "$2b$5$abcdefghijklmnopqrstuuV91QMvTz3Qdvoi.KNP2/KHKEAmosNoe",
		"$2b$05$abcdefghijklmnopqrstuvV91QMvTz3Qdvoi.KNP2/KHKEAmosNoe", "$2b$05$abcdefghijkl nopqrstuuV91QMvTz3Qdvoi.KNP2/KHKEAmosNoe",
		"$scrypt$ln=20,r=8,p=1" + tail, "$scrypt$ln=17,r=8,p=3" + tail, "$scrypt$ln=20,r=2,p=1" + tail, "$scrypt$ln=40,r=8,p=1" + tail, "$scrypt$ln=10,r=0,p=1" + tail,
		"$scrypt$ln=10,r=8" + tail, "$scrypt$r=8,ln=10,p=1" + tail,
		"$pbkdf2-sha256$5000001" + tail, "$pbkdf2-sha256$0" + tail, "$pbkdf2-sha256$i=1000,l=16" + tail, "$pbkdf2-sha1$1000" + tail,
		"$pbkdf2-sha256$1000$" + salt + "$5YgLbOz7XU7cKAsEeOhqMPMP3KxRqRjxKGXAFnYl.+g",
		"pbkdf2_sha256$1000$$gcCQ2j4cWXMyyAlGJNxC0ACOYZ11Pw3Hd1OBVFOUrZI=", "pbkdf2_sha256$1000$salt$gcCQ2j4cWXMyyAlGJNxC0ACOYZ11Pw3Hd1OBVFOUrZI",
		"pbkdf2_sha256$999999999$salt$gcCQ2j4cWXMyyAlGJNxC0ACOYZ11Pw3Hd1OBVFOUrZI=",
		"$argon2id$v=19$m=19456,t=2,p=1" + tail + strings.Repeat("A", 600),
	} {
		if s, err := credential.ParseHash(bad); gatehouse.CodeOf(err) != "password_hash_invalid" {
			t.Errorf("%.80q accepted as %v", bad, s)
		}
	}
	for _, good := range []string{"$argon2id$v=19$m=131072,t=4,p=4" + tail, "$scrypt$ln=17,r=8,p=1" + tail, "$argon2id$v=19$m=19456,t=2,p=1,keyid=azE" + tail} {
		if _, err := credential.ParseHash(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestPepper(t *testing.T) {
	ctx := context.Background()
	old := credential.Pepper{ID: "k1", Key: bytes.Repeat([]byte{1}, 32)}
	cur := credential.Pepper{ID: "k2", Key: bytes.Repeat([]byte{2}, 32)}
	h1 := hasher(t, credential.HasherConfig{Peppers: []credential.Pepper{old}})
	phc, err := h1.Hash(ctx, password)
	if err != nil || !strings.Contains(phc, ",keyid=azE$") {
		t.Fatal(phc, err)
	}
	if ok, rehash, err := h1.Verify(ctx, phc, password); !ok || rehash || err != nil {
		t.Error(ok, rehash, err)
	}
	h2 := hasher(t, credential.HasherConfig{Peppers: []credential.Pepper{cur, old}})
	if ok, rehash, err := h2.Verify(ctx, phc, password); !ok || !rehash || err != nil {
		t.Error("rotated pepper:", ok, rehash, err)
	}
	none := hasher(t, credential.HasherConfig{})
	if ok, _, err := none.Verify(ctx, phc, password); ok || gatehouse.CodeOf(err) != "password_pepper_unknown" {
		t.Error("without the pepper:", ok, err)
	}
	// The same hash under another key of the same name must not match.
	wrong := hasher(t, credential.HasherConfig{Peppers: []credential.Pepper{{ID: "k1", Key: cur.Key}}})
	if ok, _, err := wrong.Verify(ctx, phc, password); ok || err != nil {
		t.Error("another pepper:", ok, err)
	}
	plain, _ := none.Hash(ctx, password)
	if ok, rehash, err := h1.Verify(ctx, plain, password); !ok || !rehash || err != nil {
		t.Error("a hash from before the pepper:", ok, rehash, err)
	}
}

// ASVS: 11.4.2
func TestHasherConfigRefused(t *testing.T) {
	key := bytes.Repeat([]byte{1}, 32)
	for _, cfg := range []credential.HasherConfig{
		{MemoryKiB: 4096, Time: 20}, {MemoryKiB: 19456, Time: 1}, {MemoryKiB: 1 << 20}, {Slots: -1}, {Queue: -1}, {QueueTimeout: -1},
		{Peppers: []credential.Pepper{{ID: "", Key: key}}}, {Peppers: []credential.Pepper{{ID: "a", Key: key[:31]}}},
		{Peppers: []credential.Pepper{{ID: "A", Key: key}}}, {Peppers: []credential.Pepper{{ID: "a", Key: key}, {ID: "a", Key: key}}},
		{Equalize: []string{"nonsense"}},
	} {
		if _, err := credential.NewHasher(cfg); err == nil {
			t.Errorf("%+v accepted", cfg)
		}
	}
}

// The dummy and each failed verification cost the same evaluations.
//
// ASVS: 6.3.8
func TestFailuresCostTheSame(t *testing.T) {
	ctx := context.Background()
	const imported = "$2a$05$abcdefghijklmnopqrstuuV91QMvTz3Qdvoi.KNP2/KHKEAmosNoe"
	for _, equalize := range [][]string{nil, {imported}} {
		h := hasher(t, credential.HasherConfig{Equalize: equalize})
		phc, err := h.Hash(ctx, password)
		if err != nil {
			t.Fatal(err)
		}
		cost := func(fn func()) credential.HasherStats {
			a := h.Stats()
			fn()
			b := h.Stats()
			return credential.HasherStats{Evaluations: b.Evaluations - a.Evaluations, Work: b.Work - a.Work}
		}
		dummy := cost(func() { _ = h.VerifyDummy(ctx, "wrong password") })
		wrong := cost(func() { _, _, _ = h.Verify(ctx, phc, "wrong password") })
		if dummy != wrong || dummy.Work != 2*19456 || dummy.Evaluations != int64(1+len(equalize)) {
			t.Errorf("dummy %+v, wrong %+v", dummy, wrong)
		}
		if equalize != nil {
			if got := cost(func() { _, _, _ = h.Verify(ctx, imported, "wrong password") }); got != dummy {
				t.Errorf("imported %+v, dummy %+v", got, dummy)
			}
		}
	}
}

func TestQueueIsBounded(t *testing.T) {
	h := hasher(t, credential.HasherConfig{Slots: 1, Queue: 1, QueueTimeout: time.Minute})
	start := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	for range 12 {
		wg.Go(func() {
			<-start
			if err := h.VerifyDummy(context.Background(), password); err != nil {
				if gatehouse.CodeOf(err) != "password_queue_full" || !errors.Is(err, gatehouse.Unavailable) {
					t.Error(err)
				}
				mu.Lock()
				refused++
				mu.Unlock()
			}
		})
	}
	close(start)
	wg.Wait()
	s := h.Stats()
	if refused == 0 || int64(refused) != s.Refused || s.Evaluations != int64(12-refused) || s.Waiting != 0 {
		t.Errorf("refused %d, %+v", refused, s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.VerifyDummy(ctx, password); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that has left: %v", err)
	}
}

// TestAfterBurst: it is called once a second after the last of many evaluations.
func TestAfterBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var called atomic.Int64
		h, err := credential.NewHasher(credential.HasherConfig{Time: 1, MemoryKiB: 35840, AfterBurst: func() { called.Add(1) }})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if n := called.Load(); n != 0 {
			t.Fatalf("called %d times before anything was evaluated", n)
		}
		for range 3 {
			if _, err := h.Hash(t.Context(), "velvet otter canyon 47"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second / 2)
		}
		synctest.Wait()
		if n := called.Load(); n != 0 {
			t.Fatalf("called %d times during the burst", n)
		}
		time.Sleep(2 * time.Second)
		if n := called.Load(); n != 1 {
			t.Errorf("called %d times after the burst", n)
		}
	})
}
