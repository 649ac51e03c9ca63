package documents

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

// Visibility says who a document is meant for.
type Visibility string

// The visibilities. Empty is private.
const (
	Private Visibility = "private"
	Team    Visibility = "team"
	Public  Visibility = "public"
)

// Document is one document. ID and Owner never change once it exists.
type Document struct {
	ID         string     `json:"id"`
	Title      string     `json:"title"`
	Body       string     `json:"body"`
	Owner      string     `json:"owner"`          // subject id
	Team       string     `json:"team,omitempty"` // "" belongs to no team
	Visibility Visibility `json:"visibility"`
	CreatedAt  time.Time  `json:"created_at"`
	UpdatedAt  time.Time  `json:"updated_at"`
}

// Bounds of a document and of a store.
const (
	MaxTitle     = 200 // characters
	MaxBody      = 64 << 10
	MaxName      = 128 // bytes of an owner or team
	MaxDocuments = 10_000
	maxFile      = 1 << 30
)

// ErrNotFound means that there is no document of that id.
var ErrNotFound = errors.New("no such document")

// ErrFull means that the store holds [MaxDocuments].
var ErrFull = errors.New("the store is full")

// InvalidError says which member of a document is wrong, and why.
type InvalidError struct{ Member, Reason string }

func (e *InvalidError) Error() string { return e.Member + " " + e.Reason }

// Store holds documents in memory, and in a JSON file when it has one. It is
// safe for concurrent use.
type Store struct {
	now  func() time.Time
	file string

	mu   sync.RWMutex
	docs map[string]Document
}

// NewStore makes an empty store. file may be empty; if it exists it is read, and
// each change is written to it (to a new file that then takes its place) before
// the change is acknowledged.
func NewStore(file string, now func() time.Time) (*Store, error) {
	s := &Store{now: now, file: file, docs: map[string]Document{}}
	if s.now == nil {
		s.now = time.Now
	}
	if file == "" {
		return s, nil
	}
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: larger than %d bytes", file, maxFile)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []Document
	if err := json.Unmarshal(data, &all, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, d := range all {
		if err := check(&d); err != nil {
			return nil, fmt.Errorf("%s: document %q: %w", file, d.ID, err)
		}
		if _, twice := s.docs[d.ID]; twice || !validName(d.ID) {
			return nil, fmt.Errorf("%s: bad or repeated id %q", file, d.ID)
		}
		s.docs[d.ID] = d
	}
	return s, nil
}

// Get returns one document.
func (s *Store) Get(id string) (Document, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, ok := s.docs[id]
	if !ok {
		return Document{}, ErrNotFound
	}
	return d, nil
}

// List returns at most limit documents whose id comes after the given one,
// ordered by id.
func (s *Store) List(after string, limit int) []Document {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := []Document{}
	for _, id := range slices.Sorted(maps.Keys(s.docs)) {
		if id > after && len(out) < limit {
			out = append(out, s.docs[id])
		}
	}
	return out
}

// Create stores a new document and gives it an id when it has none, and its
// times.
func (s *Store) Create(d Document) (Document, error) {
	if err := check(&d); err != nil {
		return Document{}, err
	}
	if d.ID == "" {
		d.ID = "doc_" + strings.ToLower(rand.Text()[:16])
	} else if !validName(d.ID) {
		return Document{}, &InvalidError{"id", "has a character that ids do not have"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.docs) >= MaxDocuments {
		return Document{}, ErrFull
	}
	if _, ok := s.docs[d.ID]; ok {
		return Document{}, &InvalidError{"id", "exists already"}
	}
	d.CreatedAt = s.now().UTC()
	d.UpdatedAt = d.CreatedAt
	return d, s.put(d.ID, &d)
}

// Update replaces title, body, team and visibility of a document. An owner that
// is given must be the one it has.
func (s *Store) Update(id string, d Document) (Document, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.docs[id]
	if !ok {
		return Document{}, ErrNotFound
	}
	if d.Owner != "" && d.Owner != old.Owner {
		return Document{}, &InvalidError{"owner", "cannot be changed"}
	}
	d.ID, d.Owner, d.CreatedAt, d.UpdatedAt = old.ID, old.Owner, old.CreatedAt, s.now().UTC()
	if err := check(&d); err != nil {
		return Document{}, err
	}
	return d, s.put(id, &d)
}

// Delete removes a document.
func (s *Store) Delete(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.docs[id]; !ok {
		return ErrNotFound
	}
	return s.put(id, nil)
}

// put sets (or with nil deletes) a document and saves; when saving fails the
// store is as before. The caller holds the lock.
func (s *Store) put(id string, d *Document) error {
	old, had := s.docs[id]
	if d == nil {
		delete(s.docs, id)
	} else {
		s.docs[id] = *d
	}
	err := s.save()
	if err != nil {
		delete(s.docs, id)
		if had {
			s.docs[id] = old
		}
	}
	return err
}

func (s *Store) save() error {
	if s.file == "" {
		return nil
	}
	all := make([]Document, 0, len(s.docs))
	for _, id := range slices.Sorted(maps.Keys(s.docs)) {
		all = append(all, s.docs[id])
	}
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(s.file), ".documents-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone already after the rename
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), s.file)
}

// check validates what a caller may set, and fills in the default visibility.
func check(d *Document) error {
	if d.Visibility == "" {
		d.Visibility = Private
	}
	switch {
	case d.Title == "" || utf8.RuneCountInString(d.Title) > MaxTitle:
		return &InvalidError{"title", "must have 1 to 200 characters"}
	case len(d.Body) > MaxBody:
		return &InvalidError{"body", "is longer than 64 KiB"}
	case !validName(d.Owner):
		return &InvalidError{"owner", "must be a subject id"}
	case d.Team != "" && !validName(d.Team):
		return &InvalidError{"team", "must be a name of letters, digits, '-', '_' and '.'"}
	case d.Visibility != Private && d.Visibility != Team && d.Visibility != Public:
		return &InvalidError{"visibility", "must be private, team or public"}
	case d.Visibility == Team && d.Team == "":
		return &InvalidError{"team", "is needed with visibility team"}
	}
	return nil
}

func validName(s string) bool {
	if s == "" || len(s) > MaxName {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return s != "." && s != ".."
}
