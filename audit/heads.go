package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"github.com/go-json-experiment/json"
)

// maxHeads bounds the file of heads: some 300 bytes a realm.
const maxHeads = 64 << 20

// HeadFile keeps the newest checkpoint that this server signed for each realm, in
// a file apart from the database. Who can write to the database alone can cut off
// the end of a log together with the checkpoints that cover it, and what is left
// verifies; the file tells that there was more. Safe for concurrent use.
type HeadFile struct {
	path string

	mu    sync.Mutex
	notes map[string]string // realm → signed note
}

// NewHeadFile is a file without heads; what stands at path is replaced at the first
// change.
func NewHeadFile(path string) *HeadFile { return &HeadFile{path: path, notes: map[string]string{}} }

// OpenHeadFile reads the file; one that is not there is empty. The notes in it are
// only believed after their signatures were checked.
func OpenHeadFile(path string) (*HeadFile, error) {
	h := NewHeadFile(path)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return h, nil
	case err == nil && info.Size() > maxHeads:
		err = errors.New("it is too large")
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err == nil {
		err = json.Unmarshal(text, &h.notes)
	}
	if err != nil {
		return nil, fmt.Errorf("audit: heads of the logs in %s: %w", path, err)
	}
	if h.notes == nil { // the file said null
		h.notes = map[string]string{}
	}
	return h, nil
}

// Head returns the note of a realm, nil when there is none.
func (h *HeadFile) Head(realm string) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if note, ok := h.notes[realm]; ok {
		return []byte(note)
	}
	return nil
}

// Keep adds or replaces the notes of realms. The file is replaced as a whole and
// is on the disk when Keep returns; only its owner can read it.
func (h *HeadFile) Keep(notes map[string][]byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := maps.Clone(h.notes)
	for realm, note := range notes {
		next[realm] = string(note)
	}
	return h.replace(next)
}

// Reset forgets everything but the given notes: after a restore the logs begin
// where the backup ends.
func (h *HeadFile) Reset(notes map[string][]byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := map[string]string{}
	for realm, note := range notes {
		next[realm] = string(note)
	}
	return h.replace(next)
}

func (h *HeadFile) replace(next map[string]string) (err error) {
	text, err := json.Marshal(next, json.Deterministic(true))
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(h.path), ".heads-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), h.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	h.notes = next
	// Without this the rename itself may be lost when the power fails, and the head with it.
	dir, err := os.Open(filepath.Dir(h.path))
	if err != nil {
		return err
	}
	_ = dir.Sync() // some systems cannot sync a directory
	return dir.Close()
}
