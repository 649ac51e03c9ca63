package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxCheckpoint bounds a checkpoint's text before it is parsed.
const maxCheckpoint = 64 << 10

// Checkpoint is the statement that a signed checkpoint makes: the log named
// Origin had Size lines and this Root.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   tlog.Hash
}

// text is the body of the note (C2SP tlog-checkpoint).
func (c Checkpoint) text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[0] == "" || lines[3] != "" {
		return Checkpoint{}, errors.New("not a checkpoint of three lines")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return Checkpoint{}, errors.New("checkpoint with a malformed size")
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Checkpoint{}, errors.New("checkpoint with a malformed root")
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: tlog.Hash(root)}, nil
}

// Origin names the log of a realm: the issuer's host and the realm.
func Origin(issuerHost, realm string) string { return issuerHost + "/" + realm }

// signer signs notes with an Ed25519 key, under the log's origin as key name.
type signer struct {
	verifier note.Verifier
	key      ed25519.PrivateKey
}

func (s signer) Name() string                        { return s.verifier.Name() }
func (s signer) KeyHash() uint32                     { return s.verifier.KeyHash() }
func (s signer) Sign(message []byte) ([]byte, error) { return ed25519.Sign(s.key, message), nil }

func newSigner(origin string, key ed25519.PrivateKey) (note.Signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("audit: checkpoint key is not an Ed25519 private key")
	}
	v, err := newVerifier(origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	return signer{verifier: v, key: key}, nil
}

func newVerifier(origin string, key ed25519.PublicKey) (note.Verifier, error) {
	text, err := VerifierKey(origin, key)
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(text)
}

// VerifierKey returns the public half of the checkpoint key as the text that
// verifiers of signed notes take: "<origin>+<hash>+<key>".
func VerifierKey(origin string, key ed25519.PublicKey) (string, error) {
	if origin == "" || strings.ContainsAny(origin, " \t\r\n+") {
		return "", fmt.Errorf("audit: %q cannot name a log", origin)
	}
	return note.NewEd25519VerifierKey(origin, key)
}

// Key verifies the checkpoints of one realm's log.
type Key struct {
	realm  string
	public ed25519.PublicKey
}

// NewKey makes the key from the public half of the checkpoint key.
func NewKey(realm string, public ed25519.PublicKey) (Key, error) {
	if realm == "" || len(public) != ed25519.PublicKeySize {
		return Key{}, errors.New("audit: verification needs a realm and an Ed25519 public key")
	}
	return Key{realm: realm, public: public}, nil
}

// Open checks the signature of a checkpoint and returns what it says. Its origin
// must end in the realm of the key. The host before it is free, so that a log
// lives on when the issuer moves; it is still covered by the signature.
func (k Key) Open(signed []byte) (Checkpoint, error) {
	text, err := k.openText(signed)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := parseCheckpoint(text)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("audit: %w", err)
	}
	return c, nil
}

// openText checks the signature of a note about the realm's log and returns its text.
func (k Key) openText(signed []byte) (string, error) {
	if len(k.public) != ed25519.PublicKeySize {
		return "", errors.New("audit: no key to verify with")
	}
	if len(signed) > maxCheckpoint {
		return "", errors.New("audit: checkpoint is too long")
	}
	origin, _, _ := bytes.Cut(signed, []byte{'\n'})
	if !strings.HasSuffix(string(origin), "/"+k.realm) {
		return "", fmt.Errorf("audit: checkpoint is not of realm %s", k.realm)
	}
	v, err := newVerifier(string(origin), k.public)
	if err != nil {
		return "", err
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		return "", fmt.Errorf("audit: checkpoint signature: %w", err)
	}
	return n.Text, nil
}

// sign returns the signed note of c.
func sign(c Checkpoint, key ed25519.PrivateKey) ([]byte, error) {
	return signText(c.Origin, c.text(), key)
}

func signText(origin, text string, key ed25519.PrivateKey) ([]byte, error) {
	s, err := newSigner(origin, key)
	if err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: text}, s)
}
