package policy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	exptypes "github.com/cedar-policy/cedar-go/x/exp/types"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
)

// vectorDir finds the shared test vectors beside the repository.
func vectorDir(t *testing.T, name string) string {
	dir := filepath.Join("..", "..", "shared", "vectors", name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the vectors of %s are not beside the repository", name)
	}
	return dir
}

type cedarCase struct {
	Policies, Entities, Schema string
	ShouldValidate             bool `json:"shouldValidate"`
	Requests                   []struct {
		Description                 string
		Principal, Action, Resource cedar.EntityUID
		Context                     jsontext.Value
		Decision                    cedar.Decision
		Reason, Errors              []string
	}
}

// files reads from the corpus archive or the directory.
type files func(name string) []byte

// TestCedarConformance runs the published Cedar tests: the hand-written ones and
// the generated corpus, through our index and our getter. A case in which Cedar
// reports an evaluation error must be a denial here, whatever Cedar decided.
func TestCedarConformance(t *testing.T) {
	dir := vectorDir(t, "cedar")
	onDisk := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var count, loaded int
	written, err := filepath.Glob(filepath.Join(dir, "tests", "*", "*.json"))
	if err != nil || len(written) == 0 {
		t.Fatalf("no hand-written tests: %v", err)
	}
	for _, f := range written {
		rel, _ := filepath.Rel(dir, f)
		n, ok := conform(t, filepath.ToSlash(rel), onDisk)
		count += n
		if ok {
			loaded++
		}
	}
	archive := readArchive(t, filepath.Join(dir, "corpus-dev-half.tar.gz"))
	names := make([]string, 0, len(archive))
	for name := range archive {
		if strings.HasSuffix(name, ".json") && !strings.HasSuffix(name, ".entities.json") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if testing.Short() {
		names = names[:min(len(names), 300)]
	}
	inArchive := func(name string) []byte {
		b, ok := archive[path.Join("corpus-tests", path.Base(name))]
		if !ok {
			t.Fatalf("%s is not in the archive", name)
		}
		return b
	}
	refused := 0
	for _, name := range names {
		n, ok := conform(t, name, inArchive)
		count += n
		if !ok {
			refused++
		}
	}
	if count == 0 || loaded != len(written) {
		t.Fatalf("%d decisions; %d of %d hand-written files loaded", count, loaded, len(written))
	}
	// The generated corpus holds texts beyond our bounds; they may be refused,
	// but not so many that nothing is shown.
	if refused*20 > len(names) {
		t.Errorf("%d of %d generated files were refused", refused, len(names))
	}
	t.Logf("%d decisions from %d files, %d refused by our bounds", count, len(written)+len(names), refused)
}

// conform runs one file; false when a bound of ours refused its policies.
func conform(t *testing.T, name string, read files) (decisions int, ok bool) {
	t.Helper()
	var c cedarCase
	if err := json.Unmarshal(read(name), &c, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	text := string(read(c.Policies))
	list, err := cedar.NewPolicyListFromBytes("", []byte(text))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if p := scanText(text, MaxDocumentBytes, false); p != nil {
		return 0, false
	}
	// Compiled from the list: the corpus has empty policy sets, which are not
	// documents, and names its policies policy0, policy1, ….
	com := compiler{set: &Set{byID: newLayered[string, *compiled](0), roles: &hierarchy{}, reads: contextReads{names: map[string]int{}}, index: newIndex(nil)}}
	if s, p := compileSchema(string(read(c.Schema))); p == nil {
		com.set.schema, com.set.index = s, newIndex(s)
		valid := !slices.ContainsFunc(list, func(p *cedar.Policy) bool { return s.check(p) != nil })
		if c.ShouldValidate && !valid {
			t.Errorf("%s: does not validate, but should", name)
		}
	}
	for i, p := range list {
		com.add([]*compiled{{id: cedar.PolicyID("policy" + strconv.Itoa(i)), policy: p}})
	}
	com.finish()
	if len(com.problems) > 0 {
		t.Fatalf("%s: %v", name, com.problems)
	}
	set := com.set
	world := readWorld(t, name, read(c.Entities), read(c.Schema))
	for _, r := range c.Requests {
		var ctx cedar.Record
		if len(r.Context) > 0 {
			if err := json.Unmarshal(r.Context, &ctx); err != nil {
				t.Fatalf("%s: context: %v", name, err)
			}
		}
		q := cedar.Request{Principal: r.Principal, Action: r.Action, Resource: r.Resource, Context: ctx}
		got := set.ask(t, world, q)
		decisions++
		want := r.Decision == cedar.Allow && len(r.Errors) == 0
		if got.Allowed != want {
			t.Errorf("%s: %s: %+v, want %s, errors %v", name, r.Description, got, r.Decision, r.Errors)
		}
		ids := make([]string, len(got.Reasons))
		for i, x := range got.Reasons {
			ids[i] = x.PolicyID
		}
		slices.Sort(r.Reason)
		if !slices.Equal(ids, r.Reason) {
			t.Errorf("%s: %s: reasons %v, want %v", name, r.Description, ids, r.Reason)
		}
		if len(got.Errors) != len(r.Errors) {
			t.Errorf("%s: %s: errors %v, want %v", name, r.Description, got.Errors, r.Errors)
		}
	}
	return decisions, true
}

// readWorld reads entities; in the hand-written tests references are written
// plainly, to be understood with the schema.
func readWorld(t *testing.T, name string, entities, schemaText []byte) cedar.EntityMap {
	t.Helper()
	var s schema.Schema
	if s.UnmarshalCedar(schemaText) == nil {
		if r, err := s.Resolve(); err == nil {
			var world exptypes.EntityMap
			if world.UnmarshalJSONWithSchema(entities, r) == nil {
				return cedar.EntityMap(world)
			}
		}
	}
	var world cedar.EntityMap
	if err := json.Unmarshal(entities, &world); err != nil {
		t.Fatalf("%s: entities: %v", name, err)
	}
	return world
}

// ask evaluates with Cedar's own entities, through our index. The world here may
// hold actions and roles of its own, so the getter is Cedar's.
func (s *Set) ask(t *testing.T, world cedar.EntityMap, q cedar.Request) gatehouse.Decision {
	t.Helper()
	var c candidates
	if s.schema != nil { // action groups: ours come from the schema
		world = world.Clone()
		for uid, e := range s.schema.actions {
			world[uid] = e
		}
	}
	if err := s.index.find(&c, world, q); err != nil {
		t.Fatal(err)
	}
	verdict, diag := cedar.Authorize(&c, world, q)
	return s.decision(verdict, diag, nil)
}

func readArchive(t *testing.T, name string) map[string][]byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if out[h.Name], err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
	}
}
