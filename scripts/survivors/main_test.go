package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// The page and the program speak of the same packages.
func TestRoomsAreOnThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/standards.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| \\d+ \\|").FindAllStringSubmatch(string(page), -1) {
		listed = append(listed, m[1])
	}
	want := slices.Sorted(slices.Values(rooms))
	slices.Sort(listed)
	if !slices.Equal(listed, want) {
		t.Errorf("docs/standards.md has figures of %q, scripts/survivors hunts in %q", listed, want)
	}
}

// Each equivalent weakening is in a package that is hunted in.
func TestEquivalentsAreInRooms(t *testing.T) {
	list, err := readEquivalents("../../testdata/equivalent.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if !slices.Contains(rooms, filepath.Dir(e.file)) {
			t.Errorf("%s is in no package of the list", e.file)
		}
	}
}
