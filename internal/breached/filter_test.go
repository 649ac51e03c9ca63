package breached

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// lines are n lines of a list in the order of their hashes, with those of passwords among
// them, each seen three times; the others were seen once.
func lines(n int, passwords ...string) []string {
	random := rand.NewChaCha8([32]byte{1})
	out := make([]string, 0, n+len(passwords))
	for range n {
		var h [sha1.Size]byte
		_, _ = random.Read(h[:])
		out = append(out, fmt.Sprintf("%X:1", h))
	}
	for _, p := range passwords {
		out = append(out, fmt.Sprintf("%X:3", sha1.Sum([]byte(p))))
	}
	slices.Sort(out)
	return out
}

// write writes a list of a time, with the line ends of the official one.
func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	made := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(path, made, made); err != nil {
		t.Fatal(err)
	}
	return path
}

func text(list []string) []byte { return []byte(strings.Join(list, "\r\n")) }

// made builds a filter and opens it.
func made(t *testing.T, o BuildOptions, from ...string) *Filter {
	t.Helper()
	to := filepath.Join(t.TempDir(), "filter")
	if _, err := Build(t.Context(), to, from, o); err != nil {
		t.Fatal(err)
	}
	f, err := Open(to)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func known(t *testing.T, f *Filter, password string) bool {
	t.Helper()
	is, err := f.Known(t.Context(), gatehouse.Secret(password))
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// TestFilter: every password of the list is found, hardly any other is, and a password
// takes two bytes.
func TestFilter(t *testing.T) {
	list := lines(20_000, "correct horse battery", "Zu\u0308rich liegt am See", "пароль пароль")
	f := made(t, BuildOptions{}, write(t, "pwned.txt", text(list)))
	for _, l := range list {
		e, err := parseLine([]byte(l))
		if err != nil {
			t.Fatal(err)
		}
		if is, err := f.has(e.key >> (64 - f.bits)); !is || err != nil {
			t.Fatalf("%s: %t, %v", l, is, err)
		}
	}
	for p, want := range map[string]bool{"correct horse battery": true, "Correct horse battery": false, "пароль пароль": true,
		"Zu\u0308rich liegt am See": true, // as it was typed
		"Z\u00fcrich liegt am See":  false, "": false} {
		if known(t, f, p) != want {
			t.Errorf("%q: want %t", p, want)
		}
	}
	// "é" is listed in NFC, and is typed as two code points.
	if nfc := made(t, BuildOptions{}, write(t, "nfc.txt", text(lines(10, "caf\u00e9 caf\u00e9")))); !known(t, nfc, "cafe\u0301 cafe\u0301") {
		t.Error("the password as it would be set was not looked up")
	}
	wrong := 0
	random := rand.New(rand.NewChaCha8([32]byte{2}))
	const tries = 20_000
	for range tries {
		is, err := f.has(random.Uint64() >> (64 - f.bits))
		if err != nil {
			t.Fatal(err)
		}
		if is {
			wrong++
		}
	}
	i := f.Info()
	if i.FalseRate > 1.0/(1<<rateBits) || float64(wrong) > 3*i.FalseRate*tries+10 {
		t.Errorf("%d of %d others were found; the filter says %v", wrong, tries, i)
	}
	if i.Count != 20_003 || i.MinCount != 1 || !i.Source.Equal(time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", i)
	}
	if each := float64(i.Size-blockSize) / float64(i.Count); each > 2.3 {
		t.Errorf("%.2f bytes for each password", each)
	}
}

// TestBuildTakes: the same list in every form that it comes in makes the same filter.
func TestBuildTakes(t *testing.T) {
	list := lines(3000, "one password", "another password")
	plain := write(t, "pwned.txt", text(list))
	want := made(t, BuildOptions{}, plain)

	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write(text(list))
	_ = w.Close()
	var odd, even []string
	dir := t.TempDir()
	parts := map[string][]string{}
	for i, l := range list {
		if i%2 == 0 {
			even = append(even, l)
		} else {
			odd = append(odd, strings.ToLower(l))
		}
		parts[l[:5]] = append(parts[l[:5]], l[5:])
	}
	for prefix, of := range parts {
		if err := os.WriteFile(filepath.Join(dir, prefix+".txt"), text(of), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, f := range map[string]*Filter{
		"packed":      made(t, BuildOptions{}, write(t, "pwned.txt.gz", packed.Bytes())),
		"a directory": made(t, BuildOptions{Partial: true}, dir),
		"two lists":   made(t, BuildOptions{}, write(t, "even", text(even)), write(t, "odd", text(odd))),
		"twice":       made(t, BuildOptions{}, plain, plain),
		"no counts":   made(t, BuildOptions{}, write(t, "bare", bytes.ReplaceAll(text(list), []byte(":1"), nil))),
	} {
		if f.Info().Count != want.Info().Count {
			t.Errorf("%s: %v, want %v", name, f.Info(), want.Info())
		}
		if !known(t, f, "one password") || !known(t, f, "another password") || known(t, f, "no password of these") {
			t.Errorf("%s: holds other passwords", name)
		}
	}
	if again := made(t, BuildOptions{}, plain); !bytes.Equal(content(t, again), content(t, want)) {
		t.Error("the same list made other bytes")
	}
	often := made(t, BuildOptions{MinCount: 2}, plain)
	if i := often.Info(); i.Count != 2 || i.MinCount != 2 || !known(t, often, "one password") {
		t.Errorf("seen twice or more: %+v", i)
	}
}

func content(t *testing.T, f *Filter) []byte {
	t.Helper()
	b, err := os.ReadFile(f.name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBuildRefuses: what is no list, or not whole, makes no filter, and leaves the one that
// is there.
func TestBuildRefuses(t *testing.T) {
	list := lines(100)
	swapped := slices.Clone(list)
	swapped[10], swapped[11] = swapped[11], swapped[10]
	first := t.TempDir()
	if err := os.WriteFile(filepath.Join(first, "00000.txt"), []byte(list[0][5:]), 0o600); err != nil {
		t.Fatal(err)
	}
	twice := t.TempDir()
	for _, name := range []string{"00000", "00000.txt"} {
		if err := os.WriteFile(filepath.Join(twice, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write(text(list))
	_ = w.Close()
	for name, tc := range map[string]struct {
		from []string
		o    BuildOptions
		want string
	}{
		"nothing":           {nil, BuildOptions{}, "one to 64 lists"},
		"no file":           {[]string{"/nowhere"}, BuildOptions{}, "no such file"},
		"not in order":      {[]string{write(t, "swapped", text(swapped))}, BuildOptions{}, "not in the order"},
		"passwords":         {[]string{write(t, "rockyou.txt", []byte("123456\npassword\n"))}, BuildOptions{}, "line 1: is not the SHA-1"},
		"NTLM":              {[]string{write(t, "ntlm", []byte("0123456789ABCDEF0123456789ABCDEF:3\n"))}, BuildOptions{}, "line 1: is not the SHA-1"},
		"cut off":           {[]string{write(t, "cut", append(text(list), "\r\nFFFFFFFF"...))}, BuildOptions{}, "line 101: is not the SHA-1"},
		"a count of none":   {[]string{write(t, "count", []byte(list[0]+"x"))}, BuildOptions{}, "line 1: is not the SHA-1"},
		"a long line":       {[]string{write(t, "long", bytes.Repeat([]byte("A"), 10_000))}, BuildOptions{}, "line 1: "},
		"cut off, packed":   {[]string{write(t, "cut.gz", packed.Bytes()[:packed.Len()-8])}, BuildOptions{}, "unexpected EOF"},
		"empty":             {[]string{write(t, "empty", nil)}, BuildOptions{}, "hold no password"},
		"none so often":     {[]string{write(t, "rare", text(list))}, BuildOptions{MinCount: 9}, "hold no password"},
		"ranges missing":    {[]string{first}, BuildOptions{}, "the range "},
		"two of one range":  {[]string{twice}, BuildOptions{Partial: true}, "two files of the range 00000"},
		"a directory of no": {[]string{t.TempDir()}, BuildOptions{Partial: true}, "holds no range file"},
	} {
		dir := t.TempDir()
		to := filepath.Join(dir, "filter")
		if err := os.WriteFile(to, []byte("before"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Build(t.Context(), to, tc.from, tc.o)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
		untouched(t, name, to)
	}
}

func untouched(t *testing.T, name, to string) {
	t.Helper()
	b, err := os.ReadFile(to)
	left, _ := os.ReadDir(filepath.Dir(to))
	if err != nil || string(b) != "before" || len(left) != 1 {
		t.Errorf("%s: %q, %v, %d files", name, b, err, len(left))
	}
}

// TestBuildStops: a build that is stopped leaves what was there, and nothing beside it.
func TestBuildStops(t *testing.T) {
	to := filepath.Join(t.TempDir(), "filter")
	if err := os.WriteFile(to, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	told := 0
	_, err := Build(ctx, to, []string{write(t, "pwned.txt", text(lines(2*every+1)))}, BuildOptions{Progress: func(share float64, lines uint64) {
		if told++; share <= 0 || share > 1 || lines != every {
			t.Errorf("%f, %d", share, lines)
		}
		cancel()
	}})
	if !errors.Is(err, context.Canceled) || told != 1 {
		t.Errorf("%v, told %d times", err, told)
	}
	untouched(t, "stopped", to)
}

// TestDamage: a filter that is not as it was written is not opened, and one that is
// damaged while it is open answers with an error, never with "not on the list".
func TestDamage(t *testing.T) {
	f := made(t, BuildOptions{}, write(t, "pwned.txt", text(lines(5000, "one password"))))
	good := content(t, f)
	path := filepath.Join(t.TempDir(), "damaged")
	open := func(b []byte) error {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path)
		return err
	}
	if err := open(good); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 16, 20, 24, 32, 40, 48, 60, 64, 4095, 4096, 4100, 4108, 4110, 4111, 4112, 6000, 8191, 8192, len(good) - 1} {
		bad := slices.Clone(good)
		bad[at] ^= 1
		if open(bad) == nil {
			t.Errorf("byte %d: opened", at)
		}
	}
	swapped := slices.Concat(good[:4096], good[8192:12288], good[4096:8192], good[12288:])
	doubled := slices.Concat(good, good[len(good)-4096:])
	for name, bad := range map[string][]byte{"empty": nil, "header alone": good[:4096], "cut off": good[:len(good)-1], "a block less": good[:len(good)-4096],
		"longer": append(slices.Clone(good), 0), "a block twice": doubled, "blocks out of order": swapped, "text": []byte(strings.Repeat("password\n", 1000))} {
		if err := open(bad); err == nil || !strings.Contains(err.Error(), "breached build") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := open(good); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	broken := slices.Clone(good)
	for i := 4096; i < len(broken); i += 4096 {
		broken[i+100] ^= 1
	}
	if err := os.WriteFile(path, broken, 0o600); err != nil { // over the open file
		t.Fatal(err)
	}
	if is, err := f.Known(t.Context(), "one password"); is || err == nil {
		t.Errorf("damaged while open: %t, %v", is, err)
	}
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	if is, err := f.Known(t.Context(), "one password"); is || err == nil {
		t.Errorf("cut off while open: %t, %v", is, err)
	}
}

// TestMadeUpBlocks: a block whose checksum is right and whose content is not is an error.
func TestMadeUpBlocks(t *testing.T) {
	for name, change := range map[string]func(b *block){
		"ones without end": func(b *block) {
			for i := bodyAt; i < blockSize; i++ {
				b[i] = 0xff
			}
		},
		"a value beyond the limit": func(b *block) { binary.BigEndian.PutUint64(b[4:], 1<<40) },
		"more values than bits":    func(b *block) { binary.BigEndian.PutUint16(b[12:], maxInBlock) },
	} {
		var b block
		b[13], b[14] = 200, 20
		change(&b)
		binary.BigEndian.PutUint32(b[:], checksum(b[4:blockSize]))
		if is, err := b.holds(1<<40-1, 1<<40); is || !errors.Is(err, errDamaged) {
			t.Errorf("%s: %t, %v", name, is, err)
		}
	}
}

// TestAgain: the file is read anew when it is another one, and not when it is the same.
func TestAgain(t *testing.T) {
	f := made(t, BuildOptions{}, write(t, "pwned.txt", text(lines(10, "one password"))))
	if same, err := f.Again(f.name); err != nil || same != f {
		t.Errorf("%v, another filter: %t", err, same != f)
	}
	if _, err := Build(t.Context(), f.name, []string{write(t, "pwned.txt", text(lines(10, "another password")))}, BuildOptions{}); err != nil {
		t.Fatal(err)
	}
	next, err := f.Again(f.name)
	if err != nil || next == f || !known(t, next, "another password") || known(t, next, "one password") {
		t.Errorf("after another one took its place: %v", err)
	}
	if !known(t, f, "one password") {
		t.Error("who holds the old one cannot read it any more")
	}
	if first, err := (*Filter)(nil).Again(f.name); err != nil || first == nil {
		t.Errorf("for the first time: %v", err)
	}
}
